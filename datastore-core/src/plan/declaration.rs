//! Plans `config add` and `config remove`: one file is written or removed, once everything that it would mean has been looked at.
//!
//! Whoever asks may be a web page that somebody has broken into. So what is asked for must stand by itself: nothing of another app, bound or
//! not, asked for or not, is touched by it, no directory that holds somebody else's data becomes its store, and no way that somebody other
//! than root could change leads to its mount points.

use crate::declaration::refused;
use crate::error::Result;
use crate::goal::{Declare, Goal};
use crate::mapping::Mapping;
use crate::moving;
use crate::observed::{FileFacts, Place};
use crate::path::AbsPath;
use crate::plan::{Plan, Subject};
use crate::standing::View;
use crate::step::Step;
use crate::value::{AppName, Id};
use crate::wanted::Wanted;

/// The paths to mount points, of which it must be known that nobody but root could change them: everything above each.
#[must_use]
pub fn ways(goal: &Goal, wanted: &Wanted) -> Vec<AbsPath> {
    let Goal::Declare(Declare { declaration, .. }) = goal else { return Vec::new() };
    wanted.of_app(&declaration.app).filter_map(|(_, m)| m.mount_point.parent()).collect()
}

/// Plans either. `before` is the configuration as it was, `view` has it as it will be; `doubts` are the answers to [`ways`]: who could
/// change one, as a sentence.
///
/// # Errors
/// [`ErrorKind::Refused`](crate::ErrorKind::Refused) for whatever must not be.
pub fn make(
    goal: &Goal,
    before: &Wanted,
    view: &View<'_>,
    doubts: &[Option<String>],
    files: Vec<Step>,
    seed: Id,
) -> Result<Plan> {
    let app = goal.apps().and_then(|apps| apps.names.first());
    let Some(app) = app.filter(|_| !files.is_empty()) else {
        return Ok(Plan::empty(goal, view.wanted.host.clone(), seed));
    };
    let mut mappings: Vec<&Mapping> = view.wanted.of_app(app).map(|(_, m)| m).collect();
    if matches!(goal, Goal::Declare(_)) {
        sound(app, view)?;
        for (i, mapping) in view.wanted.of_app(app) {
            known_volume(mapping, view)?;
            apart(mapping, view)?;
            own_store(i, mapping, before, view)?;
            own_mount_point(i, mapping, view)?;
        }
        if let Some(doubt) = doubts.iter().flatten().next() {
            return Err(refused(
                format!("{doubt}, so nothing may be mounted below it at the wish of a program"),
                "choose another mount point, or let root write the configlet",
            ));
        }
    }
    left_alone(app, before, view)?;
    if mappings.is_empty() {
        mappings = before.of_app(app).map(|(_, m)| m).collect();
    }
    let mappings = mappings.into_iter().map(Subject::of).collect();
    Ok(Plan { steps: files, mappings, ..Plan::empty(goal, view.wanted.host.clone(), seed) })
}

/// Whether the app would be without fault, in the configuration as it will be.
fn sound(app: &AppName, view: &View<'_>) -> Result<()> {
    let file = crate::declaration::file_of(app);
    let found = view.wanted.diagnostics_of(Some(app))?;
    if let Some(found) = found.into_iter().find(|d| d.is_error()) {
        // The file that it speaks of has not been written, so its lines help nobody.
        let is_new = found.place.as_ref().is_some_and(|place| place.file == file);
        let what = if is_new { found.message.clone() } else { found.one_line() };
        return Err(refused(what, found.hint.as_deref().unwrap_or("datastore config check")));
    }
    let app = view.wanted.demand_app(app)?;
    match &app.problem {
        Some(problem) => Err(refused(&problem.detail, problem.hint.clone())),
        None => Ok(()),
    }
}

/// Whether the volume is declared and there: what lies on it cannot be told otherwise.
fn known_volume(mapping: &Mapping, view: &View<'_>) -> Result<()> {
    view.judge_volume(mapping).map_err(|refusal| refused(refusal.detail, refusal.hint))
}

/// Whether two paths are one, or one lies in the other.
fn meet(a: &AbsPath, b: &AbsPath) -> bool {
    a.is_within(b) || b.is_within(a)
}

/// Whether nothing of another app is at, above or in the places of a mapping. Also of one that is not asked for: it may be tomorrow.
fn apart(mapping: &Mapping, view: &View<'_>) -> Result<()> {
    let other_name = "choose another mount point or target";
    let taken = |at: &AbsPath, there: &dyn std::fmt::Display, whose: &dyn std::fmt::Display| {
        Err(refused(format!("{at} of `{}` meets {there} of `{whose}`", mapping.app), other_name))
    };
    for other in &view.wanted.mappings {
        let is_itself = other.app == mapping.app && other.mount_point == mapping.mount_point;
        if !is_itself && meet(&mapping.mount_point, &other.mount_point) {
            return taken(&mapping.mount_point, &other.mount_point, &other.app);
        }
        if !is_itself && meet(&mapping.store, &other.store) {
            return taken(&mapping.store, &other.store, &other.app);
        }
    }
    // What is wrong with a configlet today is put right tomorrow, and then the place is wanted.
    for app in view.wanted.apps.iter().filter(|app| app.name != mapping.app) {
        let mut points = app.unresolved.iter().filter_map(|text| AbsPath::parse(text).ok());
        if let Some(point) = points.find(|point| meet(&mapping.mount_point, point)) {
            return taken(&mapping.mount_point, &point, &app.name);
        }
    }
    let lines = view.observed.fstab.entries().filter(|row| row.ours);
    for row in lines {
        let (Some(tag), Some(point)) = (row.entry.option_value("X-datastore"), row.entry.mount_point()) else {
            continue;
        };
        if tag != mapping.app.as_str().as_bytes() && meet(&mapping.mount_point, &point) {
            return taken(&mapping.mount_point, &point, &crate::path::printable(tag));
        }
    }
    Ok(())
}

/// Whether a store directory is new, or the app's own already. Data of whoever had it before would get another mode and owner.
fn own_store(i: usize, mapping: &Mapping, before: &Wanted, view: &View<'_>) -> Result<()> {
    let store = &mapping.store;
    if moving::is_ours(store) || moving::is_room(store) {
        return Err(refused(
            format!("{store} is for data on its way; it can be no store directory"),
            "choose another target",
        ));
    }
    let others = view.observed.manifests.iter().filter_map(|(home, facts)| Some((home, facts.said()?)));
    for (home, manifest) in others {
        for (key, entry) in manifest.iter() {
            let Ok(known) = home.join(key) else { continue };
            if known != *store && meet(&known, store) {
                let what = format!("{store} meets {known}, which holds the data of `{}`", entry.app);
                return Err(refused(what, "choose another target"));
            }
        }
    }
    if let Some(FileFacts::Damaged(why)) = view.observed.manifests.get(&mapping.home) {
        return Err(refused(
            format!("nobody knows whose {store} is: the manifest cannot be read ({why})"),
            "bring it back from a backup",
        ));
    }
    let facts = view.observed.mappings.get(i).and_then(Option::as_ref);
    let was_its_own = before.of_app(&mapping.app).any(|(_, m)| m.store == *store);
    let entry = view.recorded(mapping);
    let was_its_own =
        was_its_own || entry.is_some_and(|entry| entry.app == mapping.app && entry.mount_point == mapping.mount_point);
    match facts.map(|facts| &facts.store) {
        Some(Place::Dir(_)) if !was_its_own => Err(refused(
            format!("{store} is there already, and is not known as the store of {}", mapping.mount_point),
            "choose another target, or let root write the configlet",
        )),
        Some(Place::Other { at, what }) => {
            Err(refused(format!("{at} is {what}, not a directory"), "choose another target"))
        }
        Some(Place::Failed(why)) => Err(refused(format!("{store} cannot be looked at: {why}"), "dmesg | tail")),
        _ => Ok(()),
    }
}

/// Whether a mount point is a plain directory, or not there yet.
fn own_mount_point(i: usize, mapping: &Mapping, view: &View<'_>) -> Result<()> {
    let at = &mapping.mount_point;
    if moving::is_ours(at) || moving::is_room(at) {
        return Err(refused(
            format!("{at} is for trees that were put aside; nothing may be mounted there"),
            "choose another mount point",
        ));
    }
    match view.observed.mappings.get(i).and_then(Option::as_ref).map(|facts| &facts.beneath) {
        Some(Place::Other { at, what }) => Err(refused(
            format!("{at} is {what}; a mount point and everything above it must be plain directories"),
            "choose another mount point",
        )),
        Some(Place::Failed(why)) => Err(refused(format!("{at} cannot be looked at: {why}"), "dmesg | tail")),
        _ => Ok(()),
    }
}

/// Whether no mapping that is not declared any more is bound or has a line in fstab.
fn left_alone(app: &AppName, before: &Wanted, view: &View<'_>) -> Result<()> {
    let stays = |at: &AbsPath| view.wanted.of_app(app).any(|(_, m)| m.mount_point == *at);
    let refuse = |at: &AbsPath, what: &str| {
        Err(refused(format!("{at} of `{app}` {what}"), format!("first: datastore disable {app}")))
    };
    let lines = view.observed.fstab.entries().filter(|row| row.ours);
    for row in lines.filter(|row| row.entry.option_value("X-datastore") == Some(app.as_str().as_bytes())) {
        if let Some(at) = row.entry.mount_point().filter(|at| !stays(at)) {
            return refuse(&at, "still has a line in fstab");
        }
    }
    for (_, mapping) in before.of_app(app).filter(|(_, m)| !stays(&m.mount_point)) {
        let mount = view.observed.mounts.at(&mapping.mount_point);
        if mount.and_then(|mount| view.landscape.source_of(&mount)).is_some_and(|source| source == mapping.store) {
            return refuse(&mapping.mount_point, "is still bound");
        }
    }
    Ok(())
}
