//! A target that holds a copy already, or any part of one, is made equal to its source: what differs is copied, what is too much
//! is removed.
//!
//! Contents count as equal if length and time of change are; everything else is compared. What the target has of an inode is
//! used again, so that hard links survive and a file that grew takes its room once.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::copy::{Copier, Directory, Opened, READ, READ_DIR, both, hold, now, open};
use super::error::{Fail, Fault, TreeError};
use super::links::{Claim, Links, Place};
use super::map::{Inode, Map};
use super::meta::{Meta, Now, unlock};
use super::walk::{Dir, Entered, Met, Visit, count, walk};
use super::written::Written;
use super::{Control, Counter, Tally, remove};
use crate::sys::attr::{self, Attr, LOCKS, NOCOW, PROJECT_INHERIT};
use crate::sys::{Entry, SysError, data, fd, name, xattrs};

/// So often a name is brought whose copy other threads take away.
const TRIES: usize = 8;

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    /// Entries that the target did not have.
    pub copied: u64,
    /// Entries whose contents or attributes were set anew.
    pub updated: u64,
    /// Names that were taken away; those below a directory are not counted.
    pub removed: u64,
    /// Length of the files whose contents were copied.
    pub bytes: u64,
}

/// Compares two trees name by name and makes `to` equal to `from`. Both are open for reading. The map holds every inode
/// afterwards, and nothing of before. Nothing is brought to the disk: see [`super::sync`]. While it goes on, `to` is closed to
/// others. What is written is noted in `written`.
pub fn update(
    from: &OwnedFd,
    to: &OwnedFd,
    map: Option<&Map>,
    written: Option<&Written>,
    control: &Control<'_>,
) -> Result<Changed, TreeError> {
    let here = |fail: Fail| fail.at(control.label.to_owned());
    if let Some(map) = map {
        map.clear();
    }
    let scan = Scan { control, owners: Mutex::default() };
    loosen(to).map_err(|error| here(Fail::target(error)))?;
    let updater = Updater::new(from, to, map, written, *control, &scan).map_err(here)?;
    let (source, target, state) = updater.top(from, to).map_err(here)?;
    walk(&updater, (source, Some(target), state), control)?;
    updater.end().map_err(here)?;
    // What was being removed when somebody asked to stop may still be there.
    if control.stop.load(Ordering::Relaxed) {
        return Err(TreeError::stopped(control.label.to_owned()));
    }
    Ok(updater.changed())
}

/// Which inodes of the target are used again, and what becomes of those that are not.
pub(super) trait Targets: Sync {
    /// What is to be at a name that is no directory. `there` is what the target has at this name, if it could be used.
    fn turn<'l>(
        &self,
        links: &'l Links,
        from: Entry<'_>,
        source: &Attr,
        to: Entry<'_>,
        there: Option<&Attr>,
    ) -> Result<Turn<'l>, Fail>;
    /// Makes sure that a name is a directory that can be used for this one, or is free. Says whether it is there.
    fn directory(&self, source: &Attr, to: Entry<'_>, there: Option<&Attr>) -> Result<bool, Fail>;
    /// An inode of the source was copied to this name.
    fn made(&self, source: &Attr, to: Entry<'_>);
    /// Whether contents are to be copied though length and time are equal. Once it is asked they are.
    fn is_written(&self, source: &Attr) -> bool;
    /// Takes away what is at a name.
    fn displace(&self, to: Entry<'_>) -> Result<(), Fail>;
}

/// What is to be done with a name.
pub(super) enum Turn<'a> {
    /// The inode that is there is used.
    Keep(Option<Claim<'a>>),
    /// It becomes a name of an inode that the target has; whether that is still to be made equal.
    Link(Place, bool),
    /// It is copied.
    New,
}

/// The state of a directory on the walk.
pub(super) struct State {
    pub(super) meta: Meta,
    pub(super) top: bool,
}

/// Makes entries of one target equal to those of one source.
pub(super) struct Updater<'a, T> {
    pub(super) copier: Copier<'a>,
    control: Control<'a>,
    targets: &'a T,
    written: Option<&'a Written>,
    copied: Counter,
    updated: Counter,
    removed: Counter,
    bytes: Counter,
}

impl<'a, T: Targets> Updater<'a, T> {
    pub(super) fn new(
        from: &OwnedFd,
        to: &OwnedFd,
        map: Option<&'a Map>,
        written: Option<&'a Written>,
        control: Control<'a>,
        targets: &'a T,
    ) -> Result<Self, Fail> {
        let copier = Copier::new(from, to, map, control)?.settled();
        let zero = Counter::default;
        Ok(Self { copier, control, targets, written, copied: zero(), updated: zero(), removed: zero(), bytes: zero() })
    }

    pub(super) fn changed(&self) -> Changed {
        let [copied, updated, removed, bytes] =
            [&self.copied, &self.updated, &self.removed, &self.bytes].map(|counter| counter.load(Ordering::Relaxed));
        Changed { copied, updated, removed, bytes }
    }

    /// Notes a file whose contents were written.
    fn wrote(&self, source: Entry<'_>, target: Entry<'_>, path: impl FnOnce() -> Vec<u8>) {
        if let Some(written) = self.written {
            written.add(&path(), source, target);
        }
    }

    /// Locks what could not be locked before all its names were made.
    pub(super) fn end(&self) -> Result<(), Fail> {
        self.copier.links.lock(self.copier.fit(false)).map_err(Fail::target)
    }

    fn top(&self, from: &OwnedFd, to: &OwnedFd) -> Result<(OwnedFd, OwnedFd, State), Fail> {
        let source = fd::open(Entry::itself(from), READ_DIR, 0).map_err(Fail::source)?;
        let target = fd::open(Entry::itself(to), READ_DIR, 0).map_err(Fail::target)?;
        let attr = attr::attr(Entry::itself(&source)).map_err(Fail::source)?;
        let meta = Meta::read(Entry::itself(&source), attr, true).map_err(Fail::source)?;
        // Nobody else is to come in before owners and modes are right.
        fd::set_mode(&target, 0o700).map_err(Fail::target)?;
        xattrs::remove(Entry::itself(&target), c"system.posix_acl_default").map_err(Fail::target)?;
        self.prune(&source, &target)?;
        self.copier.noted(&attr, Entry::itself(&target))?;
        Ok((source, target, State { meta, top: true }))
    }

    /// Takes away the names of a directory that its original does not have.
    fn prune(&self, source: &OwnedFd, target: &OwnedFd) -> Result<(), Fail> {
        let mut extra = Vec::new();
        let mut failed = None;
        let listed = fd::each_entry(target, |name, _, _| {
            match attr::attr(Entry::new(source, name)) {
                Ok(_) => {}
                Err(error) if error.errno() == Errno::NOENT => extra.push(name.to_vec()),
                // A name that the source's file system cannot have.
                Err(error) if matches!(error.errno(), Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ) => {
                    extra.push(name.to_vec());
                }
                Err(error) => failed = Some(Fail::source(error)),
            }
            failed.is_none() && !self.control.stop.load(Ordering::Relaxed)
        });
        listed.map_err(Fail::target)?;
        failed.map_or(Ok(()), Err)?;
        extra.iter().try_for_each(|name| self.take_away(Entry::new(target, name)))
    }

    /// Takes away a name that is too much, if it is there.
    pub(super) fn take_away(&self, to: Entry<'_>) -> Result<(), Fail> {
        if there(to)?.is_some() {
            self.targets.displace(to)?;
            count(&self.removed, 1);
        }
        Ok(())
    }

    /// A directory: found in the target, or made there; its attributes are set when everything is in it.
    pub(super) fn directory(
        &self,
        from: Entry<'_>,
        to: Entry<'_>,
        path: impl Fn() -> Vec<u8>,
    ) -> Result<Entered<State>, Fail> {
        again(|| self.directory_once(from, to, &path))
    }

    fn directory_once(
        &self,
        from: Entry<'_>,
        to: Entry<'_>,
        path: impl Fn() -> Vec<u8>,
    ) -> Result<Entered<State>, Fail> {
        let Some(source) = open(from, READ_DIR)? else { return Ok(Entered::Done) };
        let Opened::Fd(source) = source else { return Ok(now(from)?.map_or(Entered::Done, Entered::Is)) };
        let attr = attr::attr(Entry::itself(&source)).map_err(Fail::source)?;
        if !self.targets.directory(&attr, to, there(to)?.as_ref())? {
            return Ok(match self.copier.directory(from, to, path)? {
                Directory::Begun(begun) => {
                    count(&self.copied, 1);
                    self.targets.made(&begun.meta.attr, Entry::itself(&begun.target));
                    let state = State { meta: begun.meta, top: false };
                    Entered::Dir { source: begun.source, target: Some(begun.target), state }
                }
                Directory::Done => Entered::Done,
                Directory::Is(kind) => Entered::Is(kind),
            });
        }
        let meta = Meta::read(Entry::itself(&source), attr, false).map_err(Fail::source)?;
        let target = fd::open(to, READ_DIR, 0).map_err(Fail::target)?;
        let old = self.read(&target, false)?;
        if !meta.differences(&old, self.copier.fit(false)).is_empty() {
            count(&self.updated, 1);
        }
        loosen(&target).map_err(Fail::target)?;
        let state = State { meta, top: false };
        if self.copier.foreign(&attr) {
            self.copier.mounted(&path());
            for name in names(&target).map_err(Fail::target)? {
                self.take_away(Entry::new(&target, &name))?;
            }
            self.finish(&state, &target)?;
            return Ok(Entered::Done);
        }
        self.prune(&source, &target)?;
        self.copier.noted(&attr, Entry::itself(&target))?;
        Ok(Entered::Dir { source, target: Some(target), state })
    }

    fn read(&self, target: &OwnedFd, top: bool) -> Result<Meta, Fail> {
        let attr = attr::attr(Entry::itself(target)).map_err(Fail::target)?;
        Meta::read(Entry::itself(target), attr, top).map_err(Fail::target)
    }

    /// Gives a directory of the target its attributes: everything is in it.
    fn finish(&self, state: &State, target: &OwnedFd) -> Result<(), Fail> {
        count(&self.control.tally.directories, 1);
        self.dress(state, target).map(|_| ())
    }

    /// The same for a directory that is not walked; says whether anything was to be set.
    pub(super) fn dress(&self, state: &State, target: &OwnedFd) -> Result<bool, Fail> {
        let fit = self.copier.fit(state.top);
        let differs = !state.meta.differences(&self.read(target, state.top)?, fit).is_empty();
        if differs {
            state.meta.set(Entry::itself(target), Now::Old, fit).map_err(Fail::target)?;
        }
        Ok(differs)
    }

    /// A name that is no directory.
    pub(super) fn entry(
        &self,
        from: Entry<'_>,
        kind: FileType,
        to: Entry<'_>,
        path: impl Fn() -> Vec<u8>,
    ) -> Result<Met, Fail> {
        again(|| self.entry_once(from, kind, to, &path))
    }

    fn entry_once(
        &self,
        from: Entry<'_>,
        kind: FileType,
        to: Entry<'_>,
        path: impl Fn() -> Vec<u8>,
    ) -> Result<Met, Fail> {
        let (source, attr) = match kind {
            FileType::Directory => return Ok(Met::Is(kind)),
            FileType::RegularFile => match open(from, READ)? {
                Some(Opened::Fd(file)) => {
                    let attr = attr::attr(Entry::itself(&file)).map_err(Fail::source)?;
                    (file, attr)
                }
                Some(Opened::Changed) => return Ok(now(from)?.map_or(Met::Done, Met::Is)),
                None => return Ok(Met::Done),
            },
            _ => match hold(from)? {
                Some(held) => held,
                None => return Ok(Met::Done),
            },
        };
        if attr.kind() != kind {
            return Ok(Met::Is(attr.kind()));
        }
        let there = there(to)?;
        let foreign = self.copier.foreign(&attr);
        let mut usable = there.filter(|there| !foreign && there.kind() == kind && there.rdev == attr.rdev);
        if kind.is_symlink() && usable.is_some() {
            let text = name::read_symlink(Entry::itself(&source)).map_err(Fail::source)?;
            if name::read_symlink(to).map_err(Fail::target)? != text {
                usable = None;
            }
        }
        let turn = if foreign {
            Turn::New
        } else {
            self.targets.turn(&self.copier.links, Entry::itself(&source), &attr, to, usable.as_ref())?
        };
        match turn {
            Turn::Keep(claim) => {
                self.bring(&source, &attr, to, &path)?;
                if let Some(claim) = claim {
                    claim.there(self.copier.links.place(to, path));
                }
                count(self.control.tally.of(kind), 1);
            }
            Turn::Link(place, bring) => {
                if there.is_some() && self.copier.links.is(&place, to).map_err(Fail::target)? {
                    count(&self.control.tally.hard_links, 1);
                    return Ok(Met::Done);
                }
                if there.is_some() {
                    self.targets.displace(to)?;
                }
                // A name that the kernel gives twice may be another inode's by now.
                let linked = self.copier.link(&place, to)?;
                count(&self.copied, 1);
                if bring && linked {
                    self.bring(&source, &attr, to, &path)?;
                }
            }
            Turn::New => {
                if there.is_some() {
                    self.targets.displace(to)?;
                }
                if kind.is_file() {
                    self.copier.opened(&source, attr, to, &path)?;
                    if !foreign {
                        self.wrote(Entry::itself(&source), to, &path);
                    }
                } else {
                    self.copier.held(&source, attr, to, path)?;
                }
                self.targets.made(&attr, to);
                count(&self.copied, 1);
                count(&self.bytes, if kind.is_file() && !foreign { attr.size } else { 0 });
            }
        }
        Ok(Met::Done)
    }

    /// Makes an inode of the target equal to one of the source. That one is open: a file for reading, anything else is held.
    pub(super) fn bring(
        &self,
        source: &OwnedFd,
        attr: &Attr,
        to: Entry<'_>,
        path: impl Fn() -> Vec<u8>,
    ) -> Result<(), Fail> {
        let fit = self.copier.fit(false);
        if !attr.kind().is_file() {
            let meta = Meta::read(Entry::itself(source), *attr, false).map_err(Fail::source)?;
            let there = attr::attr(to).map_err(Fail::target)?;
            let old = Meta::read(to, there, false).map_err(Fail::target)?;
            if !meta.differences(&old, fit).is_empty() {
                meta.set(to, Now::Old, fit).map_err(Fail::target)?;
                count(&self.updated, 1);
            }
            return self.copier.noted(attr, to);
        }
        let reading = OFlags::NOATIME;
        let target = fd::open(to, READ.union(reading), 0).or_else(|_| fd::open(to, READ, 0)).map_err(Fail::target)?;
        let write = || fd::open(to, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY, 0);
        let place = || self.copier.links.place(Entry::itself(&target), &path);
        self.bring_file(source, attr, &target, write, place, &path)
    }

    /// The same with a file of which both inodes are open for reading.
    pub(super) fn bring_file(
        &self,
        source: &OwnedFd,
        attr: &Attr,
        target: &OwnedFd,
        write: impl FnOnce() -> Result<OwnedFd, SysError>,
        place: impl FnOnce() -> Place,
        path: impl FnOnce() -> Vec<u8>,
    ) -> Result<(), Fail> {
        let mut fit = self.copier.fit(false);
        let meta = Meta::read(Entry::itself(source), *attr, false).map_err(Fail::source)?;
        let old = self.read(target, false)?;
        let alike = !self.targets.is_written(attr)
            && (attr.size, attr.mtime) == (old.attr.size, old.attr.mtime)
            && (meta.flags ^ old.flags) & fit.flags & NOCOW == 0;
        let differs = !alike || !meta.differences(&old, fit).is_empty();
        let several = attr.nlink > 1;
        if !alike || several {
            unlock(Entry::itself(target), old.flags).map_err(Fail::target)?;
        }
        if !alike {
            let file = write().map_err(Fail::target)?;
            // What was there is a copy; its room is needed for the new one.
            data::set_length(&file, 0).map_err(Fail::target)?;
            meta.set_early(&file, fit, false).map_err(Fail::target)?;
            let bytes = &self.control.tally.bytes;
            self.copier.ways.copy(source, &file, (attr.size, attr.blocks), bytes)?;
            count(&self.bytes, attr.size);
            self.wrote(Entry::itself(source), Entry::itself(target), path);
        }
        // Further names can be made only while it is not locked.
        fit.unlocked = several && meta.flags & fit.flags & LOCKS != 0;
        if differs {
            meta.set(Entry::itself(target), Now::Old, fit).map_err(Fail::target)?;
            count(&self.updated, 1);
        }
        self.copier.noted(attr, Entry::itself(target))?;
        if alike {
            count(&self.control.tally.bytes, attr.size);
        }
        if fit.unlocked {
            self.copier.links.lock_later(place(), meta);
        }
        Ok(())
    }
}

/// Does something again if what the target had at a name is gone: another thread has taken it to where it belongs now.
fn again<R>(mut once: impl FnMut() -> Result<R, Fail>) -> Result<R, Fail> {
    for _ in 1..TRIES {
        match once() {
            Err(fail) if fail.fault == Fault::Target && fail.error.errno() == Errno::NOENT => {}
            done => return done,
        }
    }
    once()
}

impl<T: Targets> Visit for Updater<'_, T> {
    type State = State;

    fn enter(&self, above: &Dir<State>, name: &[u8]) -> Result<Entered<State>, Fail> {
        let Some((source, target)) = both(above)? else { return Ok(Entered::Done) };
        self.directory(Entry::new(&*source, name), Entry::new(&*target, name), || above.path(name))
    }

    fn entry(&self, dir: &Dir<State>, name: &[u8], kind: FileType) -> Result<Met, Fail> {
        let Some((source, target)) = both(dir)? else { return Ok(Met::Done) };
        Updater::entry(self, Entry::new(&*source, name), kind, Entry::new(&*target, name), || dir.path(name))
    }

    fn leave(&self, dir: &Dir<State>) -> Result<(), Fail> {
        self.finish(&dir.state, &*dir.target().map_err(Fail::target)?)
    }
}

/// For the comparison of whole trees: nothing is known beforehand.
struct Scan<'a> {
    control: &'a Control<'a>,
    /// Of the target's inodes with several names: the inode of the source that was first to use it.
    owners: Mutex<HashMap<Inode, Inode>>,
}

impl Scan<'_> {
    fn is_free(&self, there: &Attr, source: &Attr) -> bool {
        let source = (source.dev, source.ino);
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        there.nlink < 2 || *owners.entry((there.dev, there.ino)).or_insert(source) == source
    }
}

impl Targets for Scan<'_> {
    fn turn<'l>(
        &self,
        links: &'l Links,
        _: Entry<'_>,
        source: &Attr,
        _: Entry<'_>,
        there: Option<&Attr>,
    ) -> Result<Turn<'l>, Fail> {
        let is_free = || there.is_some_and(|there| self.is_free(there, source));
        if source.nlink < 2 {
            return Ok(if is_free() { Turn::Keep(None) } else { Turn::New });
        }
        Ok(match links.turn(source) {
            super::links::Turn::Link(place) => Turn::Link(place, false),
            super::links::Turn::First(claim) if is_free() => Turn::Keep(Some(claim)),
            super::links::Turn::First(_) => Turn::New,
        })
    }

    fn directory(&self, _: &Attr, to: Entry<'_>, there: Option<&Attr>) -> Result<bool, Fail> {
        let Some(there) = there else { return Ok(false) };
        let is_dir = there.kind().is_dir();
        if !is_dir {
            self.displace(to)?;
        }
        Ok(is_dir)
    }

    fn made(&self, _: &Attr, _: Entry<'_>) {}

    fn is_written(&self, _: &Attr) -> bool {
        false
    }

    fn displace(&self, to: Entry<'_>) -> Result<(), Fail> {
        discard(to, self.control)
    }
}

/// Removes an entry of the target, with everything below it.
pub(super) fn discard(to: Entry<'_>, control: &Control<'_>) -> Result<(), Fail> {
    let Some(there) = there(to)? else { return Ok(()) };
    if there.kind().is_dir() {
        let dir = fd::open(to, READ_DIR, 0).map_err(Fail::target)?;
        let tally = Tally::default();
        match remove(&dir, &Control { tally: &tally, ..*control }).map_err(TreeError::fail) {
            Ok(()) => {}
            Err(Some(fail)) => return Err(fail),
            // Somebody asked to stop, and whoever called looks at that too.
            Err(None) => return Ok(()),
        }
        return fd::remove_dir(to).map_err(Fail::target);
    }
    match fd::remove_file(to) {
        Err(error) if error.errno() == Errno::PERM && there.kind().is_file() => {
            let file = fd::open(to, READ, 0).map_err(Fail::target)?;
            unlock(Entry::itself(&file), LOCKS).map_err(Fail::target)?;
            fd::remove_file(to).map_err(Fail::target)
        }
        other => other.map_err(Fail::target),
    }
}

/// What the target has at a name.
pub(super) fn there(to: Entry<'_>) -> Result<Option<Attr>, Fail> {
    match attr::attr(to) {
        Ok(attr) => Ok(Some(attr)),
        Err(error) if error.errno() == Errno::NOENT => Ok(None),
        Err(error) => Err(Fail::target(error)),
    }
}

/// Takes from a directory what hinders changes in it, until it gets its attributes: the locks, and that only what is of its
/// project may be moved there.
pub(super) fn loosen(target: &OwnedFd) -> Result<(), SysError> {
    match attr::flags(target)? {
        Some(all) if all & (LOCKS | PROJECT_INHERIT) != 0 => attr::set_flags(target, all & !(LOCKS | PROJECT_INHERIT)),
        _ => Ok(()),
    }
}

fn names(dir: &OwnedFd) -> Result<Vec<Vec<u8>>, SysError> {
    let mut names = Vec::new();
    fd::each_entry(dir, |name, _, _| {
        names.push(name.to_vec());
        true
    })?;
    Ok(names)
}
