//! Each mapping: what status says of it, what lies under its bind, and how it is mounted.

use super::{Check, Finding, Severity, word};
use crate::mapping::Mapping;
use crate::observed::{MappingFacts, Place};
use crate::standing::{Ask, Drift, Standing, View};
use crate::state::{Reason, State};
use crate::status::{self, Row};
use crate::value::AppName;

pub(super) fn check(view: &View<'_>, out: &mut Vec<Finding>) {
    let which: Vec<usize> = (0..view.wanted.mappings.len()).collect();
    let make = |i, standing: Standing| {
        let mut found = Vec::new();
        one(view, i, &standing, &mut found);
        found
    };
    view.assess_all(&which, Ask::default(), make, |found| out.extend(found));
    for row in view.wanted.apps.iter().flat_map(Row::of_unresolved) {
        refused(view, &row, out);
    }
    // What no mapping shows: an operation on a volume, or on what is not declared any more.
    for unfinished in &view.observed.unfinished {
        let shown = |s: &crate::plan::Subject| {
            view.wanted.at(&s.mount_point).iter().any(|&i| view.wanted.mappings[i].app == s.app)
        };
        if unfinished.mappings.iter().any(shown) {
            continue;
        }
        let goal = unfinished.goal.as_ref().map_or_else(|| "an operation".into(), |goal| format!("`{goal}`"));
        let detail = format!("{goal} stopped half-way ({} of {} steps done)", unfinished.done, unfinished.steps);
        out.push(interrupted(detail).path(&unfinished.operation));
    }
}

fn interrupted(detail: String) -> Finding {
    Finding::new(Check::Interrupted, Severity::Error, detail)
        .cause("the machine or the process died in the middle of it")
        .hint("datastore recover")
}

fn one(view: &View<'_>, i: usize, standing: &Standing, out: &mut Vec<Finding>) {
    let m = &view.wanted.mappings[i];
    let row = status::row_of(view, i, standing);
    let about = |f: Finding| f.app(&m.app).at(&m.mount_point).path(&m.store);
    match row.state {
        State::Refused => refused(view, &row, out),
        State::Interrupted => out.push(about(interrupted(row.detail.clone()))),
        State::Pending => {
            let (detail, cause) = if standing.line.is_some() {
                ("fstab says that it is to be bound, and it is not", "somebody unmounted it, or it failed at boot")
            } else {
                ("it is asked for and not bound", "nobody has applied the configuration yet")
            };
            let severity = if standing.line.is_some() { Severity::Error } else { Severity::Warning };
            out.push(about(Finding::new(Check::NotBound, severity, detail).cause(cause).hint(&row.hint)));
        }
        State::Disabled if standing.bound.as_ref().is_some_and(|b| b.right) => {
            let cause = "`enabled` was changed by hand; `disable` also takes the bind off";
            out.push(about(
                Finding::new(Check::StillBound, Severity::Warning, &row.detail).cause(cause).hint(&row.hint),
            ));
        }
        State::Drifted if standing.drift.is_empty() => {
            let cause = "the owner of the store directory has been deleted";
            out.push(about(
                Finding::new(Check::ModeOwner, Severity::Warning, &row.detail).cause(cause).hint(&row.hint),
            ));
        }
        _ => {}
    }
    // What is in the middle of a change differs from what it is to be.
    let changes = matches!(row.state, State::Interrupted | State::Moving);
    for drift in standing.drift.iter().filter(|_| !changes) {
        let (check, cause) = match drift {
            Drift::Attrs { .. } => (Check::ModeOwner, "somebody changed it, or the configuration was edited"),
            Drift::Options { .. } => (Check::BindOptions, "somebody remounted it, or the configuration was edited"),
            Drift::Fstab(_) => (Check::FstabLine, "what fstab says is what the next boot does"),
            Drift::NoIdentity => {
                (Check::NoIdentity, "without one it cannot be told from another directory of its name")
            }
            Drift::FormerIdentity => {
                (Check::NoIdentity, "two directories with one identity cannot be told from one another")
            }
            Drift::Manifest => (Check::StaleManifest, "the volume would be read by it on another machine"),
        };
        let finding = Finding::new(check, Severity::Warning, drift.to_string());
        out.push(about(finding.cause(cause).hint(format!("datastore apply {}", m.app))));
    }
    if let Some(facts) = view.observed.mappings.get(i).and_then(Option::as_ref)
        && m.problem.is_none()
    {
        beneath(view, m, facts, standing, out);
    }
}

fn refused(view: &View<'_>, row: &Row, out: &mut Vec<Finding>) {
    let Some(reason) = row.reason else { return };
    // Told once, by the place in the file: see `files`.
    let of_config = matches!(reason, Reason::ConfigInvalid | Reason::ConfigUnsafe);
    let app = AppName::parse(&row.app).ok().and_then(|name| view.wanted.app(&name));
    if of_config && app.is_some_and(|a| super::files::has_errors(view, a)) {
        return;
    }
    let cause = match reason {
        Reason::VolumeMissing => "its volume is not there",
        Reason::WrongVolume => "what is mounted in place of its volume is another one",
        Reason::WrongStore => "it would see other data than before",
        Reason::MountPointNotEmpty => "the bind would hide what is there",
        Reason::ForeignMount => "somebody else has the mount point",
        Reason::ClaimedElsewhere => "another app has the place",
        _ => "it must not be bound as it is",
    };
    let finding = Finding::new(Check::Refused, Severity::Error, format!("{reason}: {}", row.detail));
    out.push(finding.app(&row.app).at(&row.mount_point).path(&row.store).cause(cause).hint(&row.hint));
}

/// What lies under the mount point, and what is stacked on it.
fn beneath(view: &View<'_>, m: &Mapping, facts: &MappingFacts, standing: &Standing, out: &mut Vec<Finding>) {
    let about = |f: Finding| f.app(&m.app).at(&m.mount_point).path(&m.mount_point);
    let is_bound = standing.bound.is_some();
    let stacked = view.observed.mounts.stacked(&m.mount_point);
    if stacked > 1 {
        let detail = format!("{stacked} mounts lie on each other at the mount point");
        let cause = "somebody mounted it again; taking the top one off lays the one below bare";
        out.push(about(
            Finding::new(Check::Stacked, Severity::Warning, detail)
                .cause(cause)
                .hint(format!("umount {}", word(&m.mount_point))),
        ));
    }
    let Place::Dir(dir) = &facts.beneath else { return };
    let ours = m.enabled && (is_bound && standing.bound.as_ref().is_some_and(|b| b.ours) || standing.line.is_some());
    if is_bound && dir.empty == Some(false) {
        let cause = "it was written while the bind was missing, or was there before; no program sees it now";
        let hint = format!(
            "datastore peek {0} shows it, and copies it out with --copy-to DIR; it can be moved away after: datastore stop {0}",
            m.app
        );
        out.push(about(
            Finding::new(Check::HiddenData, Severity::Warning, "there is data under the bind").cause(cause).hint(hint),
        ));
    } else if ours && !dir.is_sealed() && dir.empty != Some(false) {
        let cause =
            "should the bind be missing, a program could write to the bare directory, and nobody would find it again";
        // A restart seals what it finds unsealed; what is stopped must stay so.
        let hint = if is_bound {
            format!("datastore restart {}", m.app)
        } else {
            format!("chmod 0000 {0} && chattr +i {0}", word(&m.mount_point))
        };
        let detail = format!("the bare mount point is not sealed (mode {})", dir.attrs.mode);
        out.push(about(Finding::new(Check::Unsealed, Severity::Warning, detail).cause(cause).hint(hint)));
    } else if !m.enabled && !is_bound && standing.line.is_none() && dir.attrs.mode.bits() == 0 && dir.immutable == Some(true)
        // Another app may be the one that is asked for there.
        && !view.wanted.at(&m.mount_point).iter().any(|&i| view.wanted.mappings[i].enabled)
    {
        let cause = "its app is not asked for, so no bind will ever cover it, and nothing can be written to it";
        out.push(about(
            Finding::new(Check::StraySeal, Severity::Warning, "it is sealed, and nothing is to be bound there")
                .cause(cause)
                .hint(format!("datastore disable {}", m.app)),
        ));
    }
}
