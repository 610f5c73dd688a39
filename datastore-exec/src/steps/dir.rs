//! Directories: made, given their mode, owner and identity, sealed.

use datastore_core::AbsPath;
use datastore_core::observed::Identity;
use datastore_core::state::Reason;
use datastore_core::step::Top;
use datastore_core::value::{Attrs, Id, Mode};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::fd::OwnedFd;

use super::Failure;
use crate::root::{Root, if_there};
use crate::sys::flags::{SetImmutable, set_immutable_fd};
use crate::sys::stat::{self, Facts, Kind};
use crate::sys::{Entry, fd, xattr};

/// Makes a directory. One of a mapping's own is closed to everybody else until it has its identity, owner and mode. One that
/// others share has its mode at once: a run that stops here leaves one that serves, for the next run takes it as it is.
pub(super) fn make(root: &Root, path: &AbsPath, attrs: Attrs, id: Option<Id>, shared: bool) -> Result<(), Failure> {
    let place = root.place(path)?;
    let entry = place.entry();
    let dir = match fd::make_dir(entry, if shared && id.is_none() { attrs.mode.bits() } else { 0o700 }) {
        Ok(dir) => dir,
        Err(error) if error.errno() == Errno::EXIST => {
            let is_dir = stat::facts(entry).is_ok_and(|f| f.kind == Kind::Dir);
            if shared && is_dir {
                // What an interrupted run made carries the identity that was drawn then.
                if let Some(id) = id {
                    // By a descriptor of a directory: the name may be another inode's in a moment.
                    let (dir, _) = open(root, path)?;
                    let kept = xattr::set_identity(Entry::itself(&dir), id);
                    kept.map_err(|e| e.because(format!("{path} cannot be given its identity")))?;
                }
                return Ok(());
            }
            return Err(Failure::changed(Reason::MountFailed, format!("{path} exists now")));
        }
        Err(error) => return Err(error.because(format!("{path} cannot be made")).into()),
    };
    let furnish = || -> Result<(), Failure> {
        if let Some(id) = id {
            let kept = xattr::set_first_identity(Entry::itself(&dir), id);
            kept.map_err(|e| e.because(format!("{path} cannot be given its identity")))?;
        }
        give(&dir, path, self::attrs(&stat::facts(Entry::itself(&dir))?), attrs)
    };
    furnish().inspect_err(|_| {
        // It was made a moment ago and is empty; if even this fails, the error that matters is the first one.
        let _ = fd::remove_dir(entry);
    })
}

/// Removes a directory that an earlier step made. One that is in use by now stays.
pub(super) fn remove(root: &Root, path: &AbsPath) -> Result<(), Failure> {
    root.forget_within(path);
    let place = root.place(path)?;
    match fd::remove_dir(place.entry()) {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
        Err(error) => Err(error.because(format!("{path} cannot be removed again")).into()),
    }
}

/// Opens a directory for reading, with what it is.
fn open(root: &Root, path: &AbsPath) -> Result<(OwnedFd, Facts), Failure> {
    let place = root.place(path)?;
    let dir = fd::open(place.entry(), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, 0)
        .map_err(|e| e.because(format!("{path} cannot be opened")))?;
    let facts = stat::facts(Entry::itself(&dir))?;
    Ok((dir, facts))
}

fn attrs(facts: &Facts) -> Attrs {
    Attrs { mode: facts.mode, uid: facts.uid, gid: facts.gid }
}

/// Gives a directory that has `now` what it is to have. What it has already is not given again: that would be written to the
/// disk too.
fn give(dir: &OwnedFd, path: &AbsPath, now: Attrs, to: Attrs) -> Result<(), Failure> {
    let is_anothers = (now.uid, now.gid) != (to.uid, to.gid);
    if is_anothers {
        fd::set_owner(dir, to.uid, to.gid).map_err(|e| e.because(format!("the owner of {path} cannot be set")))?;
    }
    // The kernel clears setuid and setgid when the owner changes, so the mode comes last.
    if is_anothers || now.mode != to.mode {
        fd::set_mode(dir, to.mode.bits()).map_err(|e| e.because(format!("the mode of {path} cannot be set")))?;
    }
    Ok(())
}

/// Changes mode, owner and group.
pub(super) fn set_attrs(root: &Root, path: &AbsPath, from: Attrs, to: Attrs) -> Result<(), Failure> {
    let (dir, facts) = open(root, path)?;
    let now = attrs(&facts);
    // One that failed half-way has set the owner already, and the mode not yet.
    let half = Attrs { mode: from.mode, ..to };
    if now != from && now != to && now != half {
        return Err(Failure::changed(Reason::MountFailed, format!("{path} has {now} now, not {from}")));
    }
    give(&dir, path, now, to)
}

/// Gives mode, owner and identity, whatever was there before.
pub(super) fn set_top(root: &Root, path: &AbsPath, top: Top) -> Result<(), Failure> {
    let (dir, facts) = open(root, path)?;
    let kept = match top.id {
        Some(id) => xattr::set_identity(Entry::itself(&dir), id).map(drop),
        None => xattr::remove_identity(Entry::itself(&dir)),
    };
    kept.map_err(|e| e.because(format!("the identity of {path} cannot be changed")))?;
    give(&dir, path, attrs(&facts), top.attrs)
}

/// Gives or takes an identity.
pub(super) fn set_id(root: &Root, path: &AbsPath, from: Option<Id>, to: Option<Id>) -> Result<(), Failure> {
    let (dir, _) = open(root, path)?;
    let entry = Entry::itself(&dir);
    let now = match xattr::identity(entry)? {
        Identity::Is(id) => Some(id),
        _ => None,
    };
    if now.is_some() && now != from && now != to {
        return Err(Failure::changed(Reason::WrongStore, format!("{path} carries another identity now")));
    }
    match to {
        Some(id) => xattr::set_identity(entry, id).map(drop),
        None => xattr::remove_identity(entry),
    }
    .map_err(|e| e.because(format!("the identity of {path} cannot be changed")))?;
    Ok(())
}

/// Seals a bare mount point.
pub(super) fn seal(root: &Root, path: &AbsPath, from: Attrs) -> Result<(), Failure> {
    let (dir, facts) = open(root, path)?;
    if facts.mount_root {
        return Err(Failure::changed(Reason::ForeignMount, format!("something is mounted at {path} now")));
    }
    let now = attrs(&facts);
    if now != from && now.mode.bits() != 0 {
        return Err(Failure::changed(Reason::MountFailed, format!("{path} has {now} now, not {from}")));
    }
    fd::set_mode(&dir, 0).map_err(|e| e.because(format!("{path} cannot be sealed")))?;
    let closed = Attrs { mode: Mode::from_bits(0), ..now };
    // Looked at only now, when nobody but root can put anything in any more.
    let empty = match fd::is_empty(&dir) {
        Ok(empty) => empty,
        Err(error) => {
            give(&dir, path, closed, now)?;
            return Err(error.into());
        }
    };
    if !empty {
        give(&dir, path, closed, now)?;
        return Err(Failure::changed(Reason::MountPointNotEmpty, format!("{path} is not empty any more")));
    }
    match set_immutable_fd(&dir, true).map_err(|e| e.because(format!("{path} cannot be made immutable")))? {
        SetImmutable::Changed | SetImmutable::Already => {}
        // A file system without the flag, or a user namespace: mode 0000 has to do.
        SetImmutable::Unsupported | SetImmutable::NotPermitted => {}
    }
    Ok(())
}

/// Breaks a seal. What is not sealed stays as it is, and what is not there is not sealed: where the kernel cannot look under a bind,
/// and of a mount point that no configuration names any more, the plan could not know.
pub(super) fn unseal(root: &Root, path: &AbsPath, to: Attrs) -> Result<(), Failure> {
    if if_there(root.stat(path))?.is_none() {
        return Ok(());
    }
    let (dir, facts) = open(root, path)?;
    if facts.mount_root {
        return Err(Failure::changed(Reason::ForeignMount, format!("something is mounted at {path} now")));
    }
    // The mode is what unsealing changes last.
    if facts.mode.bits() != 0 {
        return Ok(());
    }
    let broken = set_immutable_fd(&dir, false);
    let _ = broken.map_err(|e| e.because(format!("the seal of {path} cannot be broken")))?;
    give(&dir, path, attrs(&facts), to)
}
