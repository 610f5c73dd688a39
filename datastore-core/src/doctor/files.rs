//! Our own files: which cannot be understood, and which should not be there any more.

use super::stores::damaged;
use super::{Check, Finding, Seen, Severity, word};
use crate::diag::Diagnostic;
use crate::manifest::DIRECTORY;
use crate::moving::Left;
use crate::observed::{FileFacts, MappingFacts, Place};
use crate::standing::View;
use crate::wanted::App;

pub(super) fn check(view: &View<'_>, seen: &Seen, out: &mut Vec<Finding>) {
    let unreadable = |path: String, why: &str| {
        Finding::new(Check::Unreadable, Severity::Error, format!("{path} cannot be read: {why}")).path(&path)
    };
    for (home, why) in damaged(view) {
        let cause = "it holds the identities of the stores, so none of them can be told from another";
        out.push(
            unreadable(format!("{home}/{DIRECTORY}/manifest.toml"), why)
                .cause(cause)
                .hint("bring it back from a backup"),
        );
    }
    for (volume, facts) in view.wanted.volumes.iter().zip(&view.observed.volumes) {
        if let FileFacts::Damaged(why) = &facts.file {
            let cause = "without it the right disk cannot be told from another";
            let path = format!("{}/{DIRECTORY}/volume.toml", volume.path);
            out.push(unreadable(path, why).cause(cause).hint("bring it back from a backup"));
        }
    }
    for journal in &seen.journals {
        let (severity, cause) = if journal.ended {
            (Severity::Warning, "nobody can tell any more what that operation did; it keeps nobody from anything")
        } else {
            (Severity::Error, "nobody can tell how far that operation came, so every other one is refused")
        };
        let finding = Finding::new(Check::Unreadable, severity, &journal.why).path(&journal.path);
        out.push(finding.cause(cause).hint(&journal.hint));
    }
    for diagnostic in &view.wanted.diagnostics {
        out.push(configuration(view, diagnostic));
    }
    for left in &seen.leftovers {
        let detail = format!("{} is a temporary file of operation {}, which is over", left.path, left.operation);
        let finding = Finding::new(Check::Leftover, Severity::Warning, detail).path(&left.path);
        out.push(
            finding
                .cause("that operation was killed; nobody will use the file")
                .hint(format!("rm {}", word(&left.path))),
        );
    }
    out.extend(seen.left.iter().filter(|left| !left.parked || left.expired).map(needless));
    let unseen = unseen(view, seen);
    if !unseen.is_empty() {
        let detail = format!("this could not be looked at: {}", unseen.join(", "));
        let (cause, hint) = if view.observed.privileged {
            (
                "the kernel is older than Linux 5.2, or a sandbox keeps it away",
                "stop the app, and look at the bare mount point",
            )
        } else {
            ("it takes root", "run it as root: datastore doctor")
        };
        out.push(Finding::new(Check::Unseen, Severity::Note, detail).cause(cause).hint(hint));
    }
}

/// A tree that only takes room.
fn needless(left: &Left) -> Finding {
    let Left { app, path, mount_point, parked, .. } = left;
    let finding = if *parked {
        Finding::new(Check::PutAside, Severity::Note, format!("{path} was put aside and need not be kept any longer"))
            .cause("it takes room, and nothing removes it by itself")
            .hint(format!("datastore reclaim {app} --expired"))
    } else {
        let detail = format!("{path} is a copy that an import or a move has left half-way");
        Finding::new(Check::HalfCopy, Severity::Warning, detail)
            .cause("the data is where it was, and the copy takes room")
            .hint(format!("go on: datastore move {app} --resume; or remove it: datastore move {app} --abort"))
    };
    finding.app(app).at(mount_point).path(path)
}

/// What could not be looked at.
pub(super) fn unseen(view: &View<'_>, seen: &Seen) -> Vec<&'static str> {
    let mut what: Vec<&str> = seen.unseen.iter().copied().collect();
    if !view.observed.privileged {
        what.push("identities of the stores");
    }
    let hidden = |m: &MappingFacts| m.beneath == Place::Hidden;
    if view.observed.mappings.iter().flatten().any(hidden) {
        what.push("what lies under live binds");
    }
    what
}

fn configuration(view: &View<'_>, diagnostic: &Diagnostic) -> Finding {
    let severity = if diagnostic.is_error() { Severity::Error } else { Severity::Warning };
    let finding = Finding::new(Check::Config, severity, diagnostic.one_line());
    let cause = if diagnostic.is_error() {
        "what the file declares is refused"
    } else {
        "it may not mean what it was written for"
    };
    let finding = finding.cause(cause).hint(diagnostic.hint.clone().unwrap_or_else(|| "datastore config check".into()));
    let Some(place) = &diagnostic.place else { return finding };
    let finding = finding.path(&place.file);
    match view.wanted.apps.iter().find(|a| a.files.contains(&place.file)) {
        Some(app) if place.file != "/etc/datastore.conf" => finding.app(&app.name),
        _ => finding,
    }
}

/// Whether the files of an app have errors, which are findings of their own.
pub(super) fn has_errors(view: &View<'_>, app: &App) -> bool {
    let of_app = |d: &Diagnostic| d.place.as_ref().is_some_and(|p| app.files.contains(&p.file));
    view.wanted.diagnostics.iter().any(|d| d.is_error() && of_app(d))
}
