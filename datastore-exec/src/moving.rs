//! Answers what core asks before data is moved: how much there is of it, whether the target holds it, what stands in the way.

use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;

use datastore_core::moving::{Facts, Left, Probe, TreeFacts, TreeProbe, Unfit, going};
use datastore_core::path::printable;
use datastore_core::state::Reason;
use datastore_core::step::Action;
use datastore_core::value::AppName;
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use rustix::fs::OFlags;

use crate::journal_file::list::{Found, list};
use crate::place::{Want, look as look_at};
use crate::receipts;
use crate::root::{Root, if_there};
use crate::service::Manager;
use crate::sys::Entry;
use crate::sys::stat;
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

/// What operations have left: of these apps, or of all if none is named.
fn left(root: &Root, apps: &[AppName]) -> Result<Vec<Left>> {
    let of = |app: &AppName| apps.is_empty() || apps.contains(app);
    let mut found: Vec<Left> = Vec::new();
    let mut add = |app: &AppName, mount_point: &AbsPath, path: &AbsPath, parked: bool| {
        for path in [path.clone(), going(path)] {
            let known = found.iter().any(|left| left.path == path);
            let Some(top) = (!known).then(|| open(root, &path).ok()).flatten() else { continue };
            let there = survey(&top, &path)?;
            let (app, mount_point) = (app.clone(), mount_point.clone());
            found.push(Left { app, mount_point, path, parked, entries: there.entries, bytes: there.bytes });
        }
        Ok::<_, Error>(())
    };
    for (_, receipt) in receipts::all(root)? {
        for tree in receipt.trees.iter().filter(|_| of(&receipt.app)) {
            if let Some(parked) = &tree.parked {
                add(&receipt.app, &tree.mount_point, parked, true)?;
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
                add(app, &tree.from, &tree.to, false)?;
            }
        }
    }
    Ok(found)
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
    let from = open(root, &probe.from)?;
    let mut found = survey(&from, &probe.from)?;
    let above = |path: &AbsPath| nearest(root, path);
    let mounts =
        found.mounted.iter().map(|path| probe.from.join(path).unwrap_or_else(|_| probe.from.clone())).collect();
    let (entries, bytes) = (found.entries, found.bytes);
    if same_mount(&above(&probe.from)?.1, &above(&probe.to)?.1)? {
        return Ok(TreeFacts { entries, bytes, renames: true, unfit: Vec::new(), mounts });
    }
    // What an earlier run has copied takes room already.
    if let Some(staging) = if_there(root.open_file(&probe.staging, OFlags::RDONLY | OFlags::DIRECTORY, 0))? {
        found.allocated = found.allocated.saturating_sub(survey(&staging, &probe.staging)?.allocated);
    }
    let (to, dir) = above(&probe.staging)?;
    let fitting = limits::fit(&found, &from, &dir).map_err(|error| {
        let full = matches!(error.errno(), rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT);
        let hint = if full { "make room there, or choose another volume" } else { "look after its disk" };
        error.because(format!("whether {to} can hold {} cannot be tried out", probe.from)).hint(hint)
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
    Ok(TreeFacts { entries, bytes, renames: false, unfit, mounts })
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

/// Whether something can be renamed from one directory to the other.
fn same_mount(a: &OwnedFd, b: &OwnedFd) -> Result<bool> {
    let (a, b) = (stat::facts(Entry::itself(a))?, stat::facts(Entry::itself(b))?);
    Ok(a.dev == b.dev && a.mnt_id.is_some() && a.mnt_id == b.mnt_id)
}
