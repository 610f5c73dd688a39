//! The copy of a tree, and of one entry.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use datastore_core::planted::{self, Bug};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::data::Ways;
use super::error::{Fail, TreeError};
use super::limits::{self, Holds};
use super::links::{Links, Place, Turn};
use super::map::Map;
use super::meta::{Fit, Meta, Now};
use super::walk::{Dir, Entered, Met, Visit, count, walk};
use super::{Control, Watch};
use crate::sys::attr::{self, Attr, LOCKS};
use crate::sys::{Entry, SysError, fd, name, xattrs};

pub(super) const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
pub(super) const READ_DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// Copies entries of one source to one target.
pub struct Copier<'a> {
    control: Control<'a>,
    /// The source's top.
    top: Attr,
    holds: Holds,
    pub(super) links: Links,
    pub(super) ways: Ways,
    map: Option<&'a Map>,
    /// Whether what is made may inherit something: it is looked at before it gets its attributes.
    settled: bool,
}

/// A directory that was begun: its copy is open, and gets these attributes when everything is in it.
pub struct Begun {
    /// The original, open for reading.
    pub source: OwnedFd,
    /// The copy, open for reading.
    pub target: OwnedFd,
    /// What it is to carry.
    pub meta: Meta,
}

/// What became of an entry that was to be copied as a directory.
pub enum Directory {
    /// Its copy is begun.
    Begun(Box<Begun>),
    /// It is gone, it was there already, or something is mounted on it.
    Done,
    /// It is of another kind by now.
    Is(FileType),
}

/// Copies everything below `from` to `to`, which is empty and has no settings, and the attributes of `from` itself. Both
/// are open for reading. Nothing is brought to the disk: see [`super::sync`]. While it goes on, `to` is closed to others.
pub fn copy(from: &OwnedFd, to: &OwnedFd, map: Option<&Map>, control: &Control<'_>) -> Result<(), TreeError> {
    let copier = Copier::new(from, to, map, *control).map_err(|fail| fail.at(control.label.to_owned()))?;
    copier.run(from, to)
}

impl<'a> Copier<'a> {
    /// Looks at both tops: what is mounted, what the target holds.
    pub fn new(from: &OwnedFd, to: &OwnedFd, map: Option<&'a Map>, control: Control<'a>) -> Result<Self, Fail> {
        let source = attr::attr(Entry::itself(from)).map_err(Fail::source)?;
        let target = attr::attr(Entry::itself(to)).map_err(Fail::target)?;
        let find = || limits::holds(to);
        let holds = map.map_or_else(find, |map| map.holds(find)).map_err(Fail::target)?;
        Ok(Self {
            control,
            top: source,
            holds,
            links: Links::new(to).map_err(Fail::target)?,
            ways: Ways::new(one_file_system(from, to, &source, &target), to),
            map,
            settled: !holds.plain,
        })
    }

    /// For a target whose directories have their final attributes already, so that what is made in them may inherit a group,
    /// an ACL or settings.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.settled = true;
        self
    }

    /// What is known of an entry that was made a moment ago with these permission bits.
    fn made(&self, bits: Option<u32>) -> Now {
        if self.settled { Now::Old } else { Now::New { owner: self.holds.owner, bits } }
    }

    /// What the target holds.
    #[must_use]
    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    /// What is set of the settings of an entry.
    #[must_use]
    pub fn fit(&self, top: bool) -> Fit {
        Fit { flags: self.holds.flags, extra: self.holds.extra, top, unlocked: false }
    }

    /// What an open file or directory carries, as far as the target takes it.
    fn read(&self, entry: Entry<'_>, attr: Attr) -> Result<Meta, Fail> {
        Meta::read_for(entry, attr, false, self.holds.extra).map_err(Fail::source)
    }

    fn run(&self, from: &OwnedFd, to: &OwnedFd) -> Result<(), TreeError> {
        let here = |fail: Fail| fail.at(self.control.label.to_owned());
        let again = |fd: &OwnedFd| fd::open(Entry::itself(fd), READ_DIR, 0);
        let source = again(from).map_err(|e| here(Fail::source(e)))?;
        let target = again(to).map_err(|e| here(Fail::target(e)))?;
        let attr = attr::attr(Entry::itself(&source)).map_err(|e| here(Fail::source(e)))?;
        let meta = Meta::read(Entry::itself(&source), attr, true).map_err(|e| here(Fail::source(e)))?;
        // Nobody else is to come in before owners and modes are right, and what is made inside is to inherit nothing.
        fd::set_mode(&target, 0o700).map_err(|e| here(Fail::target(e)))?;
        xattrs::remove(Entry::itself(&target), c"system.posix_acl_default").map_err(|e| here(Fail::target(e)))?;
        self.noted(&attr, Entry::itself(&target)).map_err(here)?;
        walk(self, (source, Some(target), meta), &self.control)?;
        self.links.lock(self.fit(false)).map_err(|e| here(Fail::target(e)))
    }

    /// Copies an entry that is no directory to a new name. `path` is that name below the target's top.
    pub fn entry(
        &self,
        from: Entry<'_>,
        kind: FileType,
        to: Entry<'_>,
        path: impl Fn() -> Vec<u8>,
    ) -> Result<Met, Fail> {
        match kind {
            FileType::RegularFile => self.file(from, to, path),
            FileType::Directory => Ok(Met::Is(FileType::Directory)),
            _ => self.other(from, kind, to, path),
        }
    }

    /// Begins the copy of a directory: it is made, empty, for its owner alone.
    pub fn directory(&self, from: Entry<'_>, to: Entry<'_>, path: impl Fn() -> Vec<u8>) -> Result<Directory, Fail> {
        let Some(source) = open(from, READ_DIR)? else { return Ok(Directory::Done) };
        let Opened::Fd(source) = source else {
            return Ok(now(from)?.map_or(Directory::Done, Directory::Is));
        };
        let attr = attr::attr(Entry::itself(&source)).map_err(Fail::source)?;
        let meta = self.read(Entry::itself(&source), attr)?;
        let foreign = self.foreign(&attr);
        match rustix::fs::mkdirat(to.dir(), to.name(), rustix::fs::Mode::RWXU) {
            Ok(()) => {}
            // The kernel gave one name twice, for it was changed meanwhile.
            Err(Errno::EXIST) => return Ok(Directory::Done),
            Err(errno) => {
                let (dir, name) = to.shown();
                return Err(Fail::target(SysError::new(crate::sys::Call::Mkdirat { dir, name, mode: 0o700 }, errno)));
            }
        }
        let target = fd::open(to, READ_DIR, 0).map_err(Fail::target)?;
        if foreign {
            self.mounted(&path());
            self.finish(&meta, &target)?;
            return Ok(Directory::Done);
        }
        self.noted(&attr, Entry::itself(&target))?;
        Ok(Directory::Begun(Box::new(Begun { source, target, meta })))
    }

    /// Gives the copy of a directory its attributes: everything is in it.
    pub fn finish(&self, meta: &Meta, target: &OwnedFd) -> Result<(), Fail> {
        meta.set(Entry::itself(target), self.made(Some(0o700)), self.fit(false)).map_err(Fail::target)?;
        count(&self.control.tally.directories, 1);
        Ok(())
    }

    fn file(&self, from: Entry<'_>, to: Entry<'_>, path: impl Fn() -> Vec<u8>) -> Result<Met, Fail> {
        let Some(source) = open(from, READ)? else { return Ok(Met::Done) };
        let Opened::Fd(source) = source else { return Ok(now(from)?.map_or(Met::Done, Met::Is)) };
        let attr = attr::attr(Entry::itself(&source)).map_err(Fail::source)?;
        if !attr.kind().is_file() {
            return Ok(Met::Is(attr.kind()));
        }
        self.opened(&source, attr, to, path)?;
        Ok(Met::Done)
    }

    /// Copies a file that is open for reading to a new name.
    pub(super) fn opened(
        &self,
        source: &OwnedFd,
        attr: Attr,
        to: Entry<'_>,
        path: impl Fn() -> Vec<u8>,
    ) -> Result<(), Fail> {
        let foreign = self.foreign(&attr);
        let claim = match self.claim(&attr, foreign, to)? {
            Claimed::Linked => return Ok(()),
            Claimed::Mine(claim) => claim,
        };
        let meta = self.read(Entry::itself(source), attr)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let bits = attr.bits() & 0o777;
        let target = match fd::open(to, flags, bits) {
            Ok(target) => target,
            Err(error) if error.errno() == Errno::EXIST => return Ok(()),
            Err(error) => return Err(Fail::target(error)),
        };
        let mut fit = self.fit(false);
        meta.set_early(&target, fit, !self.settled).map_err(Fail::target)?;
        if foreign {
            self.mounted(&path());
        } else {
            let bytes = &self.control.tally.bytes;
            let contents = self.ways.copy(source, &target, (attr.size, attr.blocks), bytes)?;
            count(&self.control.tally.written, contents.written);
            count(&self.control.tally.shared, contents.shared);
        }
        let now = self.made(name::exact().then_some(bits));
        let locked = claim.is_some() && meta.flags & fit.flags & LOCKS != 0;
        fit.unlocked = locked;
        meta.set(Entry::itself(&target), now, fit).map_err(Fail::target)?;
        self.noted(&attr, Entry::itself(&target))?;
        if let Some(claim) = claim {
            let place = self.links.place(Entry::itself(&target), path);
            if locked {
                self.links.lock_later(place.clone(), meta);
            }
            claim.there(place);
        }
        count(&self.control.tally.files, 1);
        Ok(())
    }

    /// A symbolic link or a special file.
    fn other(&self, from: Entry<'_>, kind: FileType, to: Entry<'_>, path: impl Fn() -> Vec<u8>) -> Result<Met, Fail> {
        let Some((node, attr)) = hold(from)? else { return Ok(Met::Done) };
        if attr.kind() != kind {
            return Ok(Met::Is(attr.kind()));
        }
        self.held(&node, attr, to, path)?;
        Ok(Met::Done)
    }

    /// Copies a symbolic link or a special file that is held.
    pub(super) fn held(
        &self,
        node: &OwnedFd,
        attr: Attr,
        to: Entry<'_>,
        path: impl Fn() -> Vec<u8>,
    ) -> Result<(), Fail> {
        let from = Entry::itself(node);
        let claim = match self.claim(&attr, self.foreign(&attr), to)? {
            Claimed::Linked => return Ok(()),
            Claimed::Mine(claim) => claim,
        };
        let text = if attr.kind().is_symlink() { Some(name::read_symlink(from).map_err(Fail::source)?) } else { None };
        let meta = Meta::read(from, attr, false).map_err(Fail::source)?;
        let made = match &text {
            Some(text) => name::symlink(to, text),
            None => name::special(to, attr.mode, attr.rdev),
        };
        match made {
            Ok(()) => {}
            Err(error) if error.errno() == Errno::EXIST => return Ok(()),
            Err(error) => return Err(Fail::target(error)),
        }
        let now = self.made(name::exact().then_some(attr.bits()));
        meta.set(to, now, self.fit(false)).map_err(Fail::target)?;
        self.noted(&attr, to)?;
        if let Some(claim) = claim {
            claim.there(self.links.place(to, path));
        }
        let tally = self.control.tally;
        count(if text.is_some() { &tally.symlinks } else { &tally.others }, 1);
        Ok(())
    }

    /// A name of an inode that has several: a link if the inode is in the target already.
    fn claim(&self, attr: &Attr, foreign: bool, to: Entry<'_>) -> Result<Claimed<'_>, Fail> {
        if attr.nlink < 2 || foreign {
            return Ok(Claimed::Mine(None));
        }
        match self.links.turn(attr) {
            Turn::First(claim) => Ok(Claimed::Mine(Some(claim))),
            Turn::Link(place) => self.link(&place, to).map(|_| Claimed::Linked),
        }
    }

    /// Makes a link; says whether the name was free.
    pub(super) fn link(&self, place: &Place, to: Entry<'_>) -> Result<bool, Fail> {
        match self.links.link(place, to) {
            Err(error) if error.errno() == Errno::EXIST => Ok(false),
            Err(error) => Err(Fail::target(error)),
            Ok(()) => {
                count(&self.control.tally.hard_links, 1);
                Ok(true)
            }
        }
    }

    /// Whether something is on another mount than the top.
    pub(super) fn foreign(&self, attr: &Attr) -> bool {
        !attr.is_on_mount_of(&self.top)
    }

    pub(super) fn mounted(&self, path: &[u8]) {
        count(&self.control.tally.mounts, 1);
        self.control.watch.mount(path);
    }

    /// Notes which inode of the target is that of this inode of the source.
    pub(super) fn noted(&self, source: &Attr, target: Entry<'_>) -> Result<(), Fail> {
        self.map.map_or(Ok(()), |map| map.note(source, target)).map_err(Fail::target)
    }
}

impl Visit for Copier<'_> {
    type State = Meta;

    fn enter(&self, above: &Dir<Meta>, name: &[u8]) -> Result<Entered<Meta>, Fail> {
        let Some((source, target)) = both(above)? else { return Ok(Entered::Done) };
        let (from, to) = (Entry::new(&*source, name), Entry::new(&*target, name));
        Ok(match self.directory(from, to, || above.path(name))? {
            Directory::Begun(begun) => {
                let Begun { source, target, meta } = *begun;
                Entered::Dir { source, target: Some(target), state: meta }
            }
            Directory::Done => Entered::Done,
            Directory::Is(kind) => Entered::Is(kind),
        })
    }

    fn entry(&self, dir: &Dir<Meta>, name: &[u8], kind: FileType) -> Result<Met, Fail> {
        let Some((source, target)) = both(dir)? else { return Ok(Met::Done) };
        Copier::entry(self, Entry::new(&*source, name), kind, Entry::new(&*target, name), || dir.path(name))
    }

    fn leave(&self, dir: &Dir<Meta>) -> Result<(), Fail> {
        let target = dir.target().map_err(Fail::target)?;
        if dir.above().is_some() {
            return self.finish(&dir.state, &target);
        }
        dir.state.set(Entry::itself(&*target), Now::Old, self.fit(true)).map_err(Fail::target)?;
        count(&self.control.tally.directories, 1);
        Ok(())
    }
}

enum Claimed<'a> {
    Linked,
    Mine(Option<super::links::Claim<'a>>),
}

/// A directory and its copy, open.
pub(super) type Pair = (Arc<OwnedFd>, Arc<OwnedFd>);

/// A directory and its copy; none if the directory has been moved or removed meanwhile.
pub(super) fn both<S>(dir: &Dir<S>) -> Result<Option<Pair>, Fail> {
    let source = match dir.source() {
        Ok(source) => source,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(Fail::source(error)),
    };
    Ok(Some((source, dir.target().map_err(Fail::target)?)))
}

fn is_gone(error: &SysError) -> bool {
    matches!(error.errno(), Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE)
}

pub(super) enum Opened {
    Fd(OwnedFd),
    /// It is of another kind.
    Changed,
}

/// Opens a name of the source without leaving a trace in its times; none if it is gone.
pub(super) fn open(from: Entry<'_>, flags: OFlags) -> Result<Option<Opened>, Fail> {
    if planted::has(Bug::FollowedLink) && flags.contains(OFlags::DIRECTORY) {
        let followed = rustix::fs::openat(from.dir(), from.name(), flags | OFlags::CLOEXEC, rustix::fs::Mode::empty());
        return Ok(followed.ok().map(Opened::Fd));
    }
    let opened = match fd::open(from, flags | OFlags::NOATIME, 0) {
        // Neither its owner nor root (open(2)).
        Err(error) if error.errno() == Errno::PERM => fd::open(from, flags, 0),
        other => other,
    };
    match opened {
        Ok(fd) => Ok(Some(Opened::Fd(fd))),
        Err(error) => match error.errno() {
            Errno::NOENT => Ok(None),
            Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::NODEV => Ok(Some(Opened::Changed)),
            _ => Err(Fail::source(error)),
        },
    }
}

/// Holds what is at a name of the source, so that everything that is asked of it is of one inode, whatever the name comes to mean;
/// none if it is gone. Nothing is opened for reading: it may be a FIFO or a device.
pub(super) fn hold(from: Entry<'_>) -> Result<Option<(OwnedFd, Attr)>, Fail> {
    match fd::open(from, OFlags::PATH, 0) {
        Ok(node) => {
            let attr = attr::attr(Entry::itself(&node)).map_err(Fail::source)?;
            Ok(Some((node, attr)))
        }
        Err(error) if error.errno() == Errno::NOENT => Ok(None),
        Err(error) => Err(Fail::source(error)),
    }
}

/// What kind of file a name is now; none if it is gone.
pub(super) fn now(from: Entry<'_>) -> Result<Option<FileType>, Fail> {
    match attr::attr(from) {
        Ok(attr) => Ok(Some(attr.kind())),
        Err(error) if error.errno() == Errno::NOENT => Ok(None),
        Err(error) => Err(Fail::source(error)),
    }
}

/// Whether contents may be shared, or copied inside the kernel. Of btrfs each subvolume has a device number of its own, but
/// all of them one file system id.
pub(super) fn one_file_system(from: &OwnedFd, to: &OwnedFd, source: &Attr, target: &Attr) -> bool {
    let id = |fd: &OwnedFd| rustix::fs::fstatvfs(fd).ok().map(|s| s.f_fsid);
    source.dev == target.dev || (id(from).is_some_and(|id| id != 0) && id(from) == id(to))
}

/// A copy with nobody to tell: what fails first ends it.
pub const QUIET: &dyn Watch = &();
