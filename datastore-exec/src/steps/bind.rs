//! Binds: put on, taken off, exchanged, their options changed.

use std::os::fd::OwnedFd;

use datastore_core::mapping::BindOptions;
use datastore_core::observed::Identity;
use datastore_core::state::Reason;
use datastore_core::step::Bound;
use datastore_core::value::Id;
use datastore_core::{AbsPath, Error, ErrorKind};
use rustix::fs::OFlags;

use super::{Failure, Hands};
use crate::holders;
use crate::root::Root;
use crate::sys::mount::{self, Unmount};
use crate::sys::stat::{self, Kind};
use crate::sys::{Entry, fd, xattr};

const O_PATH_DIR: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW);

/// Binds a store directory on a bare, empty mount point.
pub(super) fn bind(
    root: &Root,
    store: &AbsPath,
    mount_point: &AbsPath,
    id: Option<Id>,
    options: BindOptions,
) -> Result<(), Failure> {
    let source = open_store(root, store, id)?;
    let place = root.place(mount_point)?;
    let on = fd::open(place.entry(), O_PATH_DIR, 0)
        .map_err(|e| e.because(format!("the mount point {mount_point} cannot be opened")))?;
    let facts = stat::facts(Entry::itself(&on))?;
    if facts.mount_root {
        return Err(Failure::changed(Reason::ForeignMount, format!("something is mounted at {mount_point} now")));
    }
    // Nothing can have come into a sealed directory since the seal looked.
    let sealed = facts.mode.bits() == 0 && facts.immutable == Some(true);
    if !sealed && !is_empty(&on, mount_point)? {
        return Err(Failure::changed(Reason::MountPointNotEmpty, format!("{mount_point} is not empty any more")));
    }
    let before = stat::facts(Entry::itself(&source))?;
    let made = mount::bind(&source, &on, place.entry(), options).map_err(|e| {
        Error::new(ErrorKind::System, format!("{store} cannot be bound on {mount_point}"))
            .with_errno(e.cause.errno().raw_os_error())
            .caused_by(e)
    })?;
    root.forget_within(mount_point);
    demand_shown(&made, place.entry(), &before, mount_point, store)
}

/// What a program will now find at a mount point must be what was checked before. If it is not, the mount that was made comes off again, by
/// its descriptor: whoever may write to the directory of the mount point may have renamed that between the look and the bind, and then
/// it is not at its name that the mount is.
fn demand_shown(
    made: &OwnedFd,
    at: Entry<'_>,
    wanted: &stat::Facts,
    mount_point: &AbsPath,
    store: &AbsPath,
) -> Result<(), Failure> {
    let shown = stat::facts_if_there(at).map(|seen| seen.is_some_and(|s| (s.dev, s.ino) == (wanted.dev, wanted.ino)));
    if matches!(shown, Ok(true)) {
        return Ok(());
    }
    mount::withdraw(made, at).map_err(|e| e.because(format!("{store} is bound, but not at {mount_point}")))?;
    shown?;
    Err(Failure::changed(Reason::MountFailed, format!("{mount_point} does not show {store} after the bind")))
}

/// Opens a store directory, which must carry this identity.
fn open_store(root: &Root, store: &AbsPath, id: Option<Id>) -> Result<OwnedFd, Failure> {
    let source_place = root.place(store)?;
    let source = fd::open(source_place.entry(), O_PATH_DIR, 0)
        .map_err(|e| e.because(format!("the store directory {store} cannot be opened")))?;
    if let Some(id) = id {
        match xattr::identity(Entry::itself(&source))? {
            Identity::Is(found) if found == id => {}
            Identity::Is(found) => {
                return Err(Failure::changed(
                    Reason::WrongStore,
                    format!("{store} carries the identity {found} now, not {id}"),
                ));
            }
            _ => return Err(Failure::changed(Reason::WrongStore, format!("{store} does not carry the identity {id}"))),
        }
    }
    Ok(source)
}

/// Shows another store at a mount point. Where it is shown already, nothing is left to do.
pub(super) fn swap(
    root: &Root,
    mount_point: &AbsPath,
    from: &Bound,
    to: &Bound,
    options: BindOptions,
) -> Result<(), Failure> {
    root.forget_within(mount_point);
    let source = open_store(root, &to.store, to.id)?;
    let wanted = stat::facts(Entry::itself(&source))?;
    let place = root.place(mount_point)?;
    let seen = stat::facts(place.entry())?;
    let shows = |facts: &stat::Facts| (seen.dev, seen.ino) == (facts.dev, facts.ino);
    if seen.mount_root && shows(&wanted) {
        // Before Linux 5.12 it is bound first and has its options a moment later.
        return set_options(root, mount_point, options);
    }
    if !seen.mount_root {
        // Where the kernel exchanges them one after the other, a run may have stopped in between.
        return bind(root, &to.store, mount_point, to.id, options);
    }
    let is_old = shows(&root.stat(&from.store)?);
    // A run that stopped half-way may have left the new one beneath the old one.
    root.forget_within(mount_point);
    if is_old && crate::observe::mounts(root)?.stacked(mount_point) > 1 {
        mount::uncover(place.entry()).map_err(|e| e.because(format!("{mount_point} cannot be uncovered")))?;
        let seen = stat::facts(place.entry())?;
        if (seen.dev, seen.ino) == (wanted.dev, wanted.ino) {
            return Ok(());
        }
        return Err(Failure::changed(
            Reason::ForeignMount,
            format!("something else lies beneath what was bound at {mount_point}"),
        ));
    }
    if !is_old {
        return Err(Failure::changed(
            Reason::ForeignMount,
            format!("{mount_point} shows something else than {} now", from.store),
        ));
    }
    root.forget_within(mount_point);
    let made = mount::swap(&source, place.entry(), options).map_err(|error| {
        root.forget_within(mount_point);
        let holds = if stat::facts(place.entry()).is_ok_and(|facts| facts.mount_root) {
            "stays bound"
        } else if bind(root, &from.store, mount_point, from.id, options).is_ok() {
            "is bound again"
        } else {
            "could not be bound again"
        };
        let message = format!("{} cannot be bound on {mount_point}; {} {holds}", to.store, from.store);
        let errno = error.cause.errno().raw_os_error();
        Error::new(ErrorKind::System, message).with_errno(errno).caused_by(error)
    })?;
    root.forget_within(mount_point);
    demand_shown(&made, place.entry(), &wanted, mount_point, &to.store)
}

fn is_empty(dir: &impl std::os::fd::AsFd, path: &AbsPath) -> Result<bool, Failure> {
    let readable = fd::open(Entry::itself(dir), OFlags::RDONLY | OFlags::DIRECTORY, 0)
        .map_err(|e| e.because(format!("{path} cannot be read")))?;
    Ok(fd::is_empty(&readable)?)
}

/// Takes a bind off. It is refused, naming the holders, while somebody uses it.
pub(super) fn unbind(hands: &Hands<'_>, store: &AbsPath, mount_point: &AbsPath) -> Result<(), Failure> {
    let root = hands.root;
    root.forget_within(mount_point);
    let place = root.place(mount_point)?;
    let facts = stat::facts(place.entry())?;
    if facts.kind != Kind::Dir || !facts.mount_root {
        return Err(Failure::changed(Reason::ForeignMount, format!("nothing is mounted at {mount_point} any more")));
    }
    // A store that can be seen must be the one that is bound; of one that cannot (its disk has gone) the mount table told, as of
    // one that was deleted, in whose place there may be another by now.
    if let Ok(seen) = root.stat(store)
        && facts.nlink > 0
        && (seen.dev, seen.ino) != (facts.dev, facts.ino)
    {
        return Err(Failure::changed(
            Reason::ForeignMount,
            format!("{mount_point} shows something else than {store} now"),
        ));
    }
    // The store's parents may be kept open below the very bind that is to go.
    root.forget_within(mount_point);
    match mount::unmount(place.entry()).map_err(|e| e.because(format!("{mount_point} cannot be unbound")))? {
        Unmount::Done => Ok(()),
        Unmount::NotMounted => {
            Err(Failure::changed(Reason::ForeignMount, format!("nothing is mounted at {mount_point} any more")))
        }
        Unmount::Busy => Err(busy(hands, mount_point, facts.mnt_id)),
    }
}

/// Says who uses a bind.
fn busy(hands: &Hands<'_>, mount_point: &AbsPath, mnt_id: Option<u64>) -> Failure {
    let mut message = format!("{mount_point} is in use and stays bound");
    let mut hint = String::from("stop the program that uses it, then run the command again");
    if let Some(Ok(found)) = mnt_id.map(|id| holders::holders(hands.ids, id)) {
        let mut who: Vec<String> = found.processes.iter().map(ToString::to_string).collect();
        who.extend(found.mounts.iter().map(|m| format!("a mount at {m}")));
        match who.len() {
            0 => {}
            n if n <= 5 => message = format!("{message}: {}", who.join(", ")),
            n => message = format!("{message}: {} and {} more", who[..5].join(", "), n - 5),
        }
        if let [only] = &found.processes[..] {
            hint = format!("stop it (for example: kill {}), then run the command again", only.pid);
        }
    }
    Failure { reason: Reason::Busy, error: Error::new(ErrorKind::Refused, message).hint(hint) }
}

/// Changes the options of a live bind.
pub(super) fn set_options(root: &Root, mount_point: &AbsPath, to: BindOptions) -> Result<(), Failure> {
    root.forget_within(mount_point);
    let place = root.place(mount_point)?;
    let mount =
        fd::open(place.entry(), O_PATH_DIR, 0).map_err(|e| e.because(format!("{mount_point} cannot be opened")))?;
    if !stat::facts(Entry::itself(&mount))?.mount_root {
        return Err(Failure::changed(Reason::ForeignMount, format!("nothing is mounted at {mount_point} any more")));
    }
    mount::set_options(&mount, to).map_err(|e| e.because(format!("the options of {mount_point} cannot be changed")))?;
    Ok(())
}
