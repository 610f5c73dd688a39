//! Answers what core asks before data is moved: how much there is of it, whether the target holds it, what stands in the way.

use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;

use datastore_core::goal::Goal;
use datastore_core::journal::Outcome;
use datastore_core::moving::{Facts, Left, Probe, Receipt, TreeFacts, TreeProbe, Unfit, going};
use datastore_core::path::printable;
use datastore_core::state::Reason;
use datastore_core::step::Action;
use datastore_core::value::AppName;
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use rustix::fs::OFlags;

use crate::crossing;
use crate::journal_file::list::{Found, list};
use crate::place::{Want, look as look_at};
use crate::receipts;
use crate::root::{Root, if_there};
use crate::service::Manager;
use crate::sys::Entry;
use crate::sys::{clock, stat};
use crate::tree::verify::{self, Contents, Verified};
use crate::tree::{self, Control, Survey, Tally, limits};

/// Looks at everything that the probe asks for. A tree is walked as a whole.
pub(crate) fn look(root: &Root, probe: &Probe) -> Result<Facts> {
    let places = probe.places.iter().map(|path| (path.clone(), look_at(root, path, Want { empty: true, id: true })));
    let places = places.collect();
    let trees = probe.trees.iter().map(|tree| tree_facts(root, tree)).collect::<Result<_>>()?;
    let left = probe.left.as_ref().map_or_else(|| Ok(Vec::new()), |apps| left(root, apps))?;
    let (running, remarks) = match probe.services.as_slice() {
        // Where no service matters nobody need answer.
        [] => Default::default(),
        services => Manager::of(root)?.running(services)?,
    };
    Ok(Facts { trees, places, running, remarks, left })
}

/// What operations have left: of these apps, or of all if none is named. How much it is takes a walk over each tree.
fn left(root: &Root, apps: &[AppName]) -> Result<Vec<Left>> {
    trees_left(root, apps, |top, path| survey(top, path).map(|there| (there.entries, there.bytes)))
}

/// The same of all apps, without looking how much it is.
pub(crate) fn left_unmeasured(root: &Root) -> Result<Vec<Left>> {
    trees_left(root, &[], |_, _| Ok((0, 0)))
}

fn trees_left(
    root: &Root,
    apps: &[AppName],
    measure: impl Fn(&OwnedFd, &AbsPath) -> Result<(u64, u64)>,
) -> Result<Vec<Left>> {
    let of = |app: &AppName| apps.is_empty() || apps.contains(app);
    let mut found: Vec<Left> = Vec::new();
    let now = clock::now();
    let mut add = |app: &AppName, mount_point: &AbsPath, path: &AbsPath, receipt: Option<&Receipt>| {
        let (since, until) = (receipt.and_then(|r| r.at), receipt.and_then(|r| r.expires));
        for path in [path.clone(), going(path)] {
            let known = found.iter().any(|left| left.path == path);
            let Some(top) = (!known).then(|| open(root, &path).ok()).flatten() else { continue };
            let (entries, bytes) = measure(&top, &path)?;
            let (app, mount_point) = (app.clone(), mount_point.clone());
            let expired = until.is_some_and(|until| until <= now);
            let parked = receipt.is_some();
            found.push(Left { app, mount_point, path, parked, entries, bytes, since, until, expired });
        }
        Ok::<_, Error>(())
    };
    for (_, receipt) in receipts::all(root)? {
        for tree in receipt.trees.iter().filter(|_| of(&receipt.app)) {
            if let Some(parked) = &tree.parked {
                add(&receipt.app, &tree.mount_point, parked, Some(&receipt))?;
            }
        }
    }
    for listed in list(root)? {
        let Found::Told { told, running: false } = listed.open(root)? else { continue };
        let Some(app) = told.begin.goal.apps().and_then(|apps| apps.names.first()).filter(|app| of(app)) else {
            continue;
        };
        for step in &told.begin.steps {
            let Action::Copy { trees, .. } = &step.action else { continue };
            for tree in trees {
                add(app, &tree.from, &tree.to, None)?;
            }
        }
    }
    Ok(found)
}

/// What the last import or move of an app was to do, if that did not come to its end.
pub(crate) fn unfinished(root: &Root, app: &AppName) -> Result<Option<Goal>> {
    let mut last = None;
    for listed in list(root)? {
        let Found::Told { told, running: false } = listed.open(root)? else { continue };
        let goal = told.begin.goal.clone();
        let of_app = goal.apps().is_some_and(|apps| apps.names.first() == Some(app));
        let done = told.outcome() == Some(Outcome::Done);
        match &goal {
            // One that `recover` finished has nothing left to do, so that doing it again does no harm.
            Goal::Import(_) | Goal::Move(_) if of_app => last = (!done).then_some(goal),
            Goal::Undo(_) | Goal::Abort(_) if of_app && done => last = None,
            _ => {}
        }
    }
    Ok(last)
}

/// Opens a directory for reading.
pub(crate) fn open(root: &Root, path: &AbsPath) -> Result<OwnedFd> {
    Ok(root.open_file(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)?)
}

/// What there is of a tree.
pub(crate) fn survey(top: &OwnedFd, path: &AbsPath) -> Result<Survey> {
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    let label = path.to_string();
    let control = Control { label: &label, stop: &stop, tally: &tally, watch: &(), threads: tree::THREADS };
    Ok(tree::survey(top, &control)?)
}

fn tree_facts(root: &Root, probe: &TreeProbe) -> Result<TreeFacts> {
    let Some(from) = if_there(root.open_file(&probe.from, OFlags::RDONLY | OFlags::DIRECTORY, 0))? else {
        return Ok(gone(&probe.from));
    };
    let mut found = survey(&from, &probe.from)?;
    let above = |path: &AbsPath| nearest(root, path);
    let mounts =
        found.mounted.iter().map(|path| probe.from.join(path).unwrap_or_else(|_| probe.from.clone())).collect();
    let (entries, bytes) = (found.entries, found.bytes);
    if renames(root, &probe.from, &from, &above(&probe.to)?.1)? {
        let differs = probe.against.as_ref().map_or(Ok(None), |other| difference(root, other, &probe.from))?;
        return Ok(TreeFacts { entries, bytes, renames: true, unfit: Vec::new(), mounts, differs });
    }
    // What an earlier run has copied takes room already.
    if let Some(staging) = if_there(root.open_file(&probe.staging, OFlags::RDONLY | OFlags::DIRECTORY, 0))? {
        found.allocated = found.allocated.saturating_sub(survey(&staging, &probe.staging)?.allocated);
    }
    let (to, dir) = above(&probe.staging)?;
    let fitting = limits::fit(&found, &from, &dir).map_err(|error| {
        let full = matches!(error.errno(), rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT);
        let hint = if full { "make room there, or choose another volume" } else { "look after its disk" };
        error
            .because(format!("whether {to} can hold {} cannot be tried out; nothing has been changed", probe.from))
            .hint(hint)
    })?;
    let full = fitting.needed > fitting.free || fitting.free_inodes.is_some_and(|free| free < found.inodes);
    let reason = if full { Reason::NoSpace } else { Reason::WrongVolume };
    let unfit = |misfit: limits::Misfit| Unfit {
        reason,
        detail: format!("{} cannot be copied to {to}: {}", probe.from, misfit.message),
        hint: misfit.hint,
    };
    let mut unfit: Vec<Unfit> = fitting.misfits.into_iter().map(unfit).collect();
    if !fitting.lost_flags.is_empty() {
        unfit.push(Unfit {
            reason: Reason::WrongVolume,
            detail: format!("{to} cannot hold the inode flags {} of files in {}", fitting.lost_flags, probe.from),
            hint: format!("take them off: chattr -R -{} {}; or choose another volume", fitting.lost_flags, probe.from),
        });
    }
    Ok(TreeFacts { entries, bytes, renames: false, unfit, mounts, differs: None })
}

/// A tree that is not where it was put.
fn gone(path: &AbsPath) -> TreeFacts {
    let unfit = Unfit {
        reason: Reason::WrongStore,
        detail: format!("{path} is gone, which was put aside"),
        hint: "datastore status; what is left is listed by: datastore plan reclaim".into(),
    };
    TreeFacts { entries: 0, bytes: 0, renames: true, unfit: vec![unfit], mounts: Vec::new(), differs: None }
}

/// In what a tree differs from the one of which it was a copy once, or from its own copy: names, attributes, sizes and a sample of
/// contents.
pub(crate) fn difference(root: &Root, from: &AbsPath, to: &AbsPath) -> Result<Option<String>> {
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    let label = from.to_string();
    let control = Control { label: &label, stop: &stop, tally: &tally, watch: &(), threads: tree::THREADS };
    let differs = compare(root, from, to, &control)?;
    Ok((differs.differ > 0).then(|| told(&differs)))
}

/// Compares two trees of which one was put aside.
pub(crate) fn compare(root: &Root, from: &AbsPath, to: &AbsPath, control: &Control<'_>) -> Result<Verified> {
    // Beside it: trying out changes the time of the directory in which that is done.
    let beside = open(root, &to.parent().unwrap_or_else(AbsPath::root))?;
    let holds = limits::holds(&beside).map_err(|e| e.because(format!("what {to} holds cannot be tried out")))?;
    Ok(verify::verify(&open(root, from)?, &open(root, to)?, &holds, Contents::Sample, control)?)
}

/// What differs, in a few words.
pub(crate) fn told(found: &Verified) -> String {
    let some: Vec<String> = found.differences.iter().take(3).map(ToString::to_string).collect();
    let more = found.differ.saturating_sub(some.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", some.join("; "))
}

/// The nearest directory above a path that is there, open for reading.
fn nearest(root: &Root, path: &AbsPath) -> Result<(AbsPath, OwnedFd)> {
    for above in path.ancestors() {
        if let Some(dir) = if_there(root.open_file(&above, OFlags::RDONLY | OFlags::DIRECTORY, 0))? {
            return Ok((above, dir));
        }
    }
    Err(Error::new(ErrorKind::Usage, format!("{} has no directory above it", printable(path.as_bytes()))))
}

/// Whether a tree can be renamed into a directory.
fn renames(root: &Root, path: &AbsPath, tree: &OwnedFd, into: &OwnedFd) -> Result<bool> {
    let (a, b) = (stat::facts(Entry::itself(tree))?, stat::facts(Entry::itself(into))?);
    if a.dev != b.dev || a.mnt_id.is_none() {
        return Ok(false);
    }
    if a.mnt_id == b.mnt_id {
        return Ok(true);
    }
    // What something is mounted on has no other name.
    let Some(above) = path.parent() else { return Ok(false) };
    let above = open(root, &above)?;
    let is_mount_point = stat::facts(Entry::itself(&above))?.mnt_id != a.mnt_id;
    Ok(!is_mount_point && crossing::on_one_mount(&above, into)?.is_some())
}
