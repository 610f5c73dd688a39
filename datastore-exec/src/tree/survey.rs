//! What a tree is: how much there is of it, and what a target must hold.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::copy::{Opened, open};
use super::error::{Fail, TreeError};
use super::meta::Meta;
use super::walk::{Dir, Entered, Met, Visit, count};
use super::{Control, walk};
use crate::sys::attr::{self, Attr};
use crate::sys::{Entry, fd};

/// So many different names of extended attributes, and of mounts, are told; more are counted only.
const NAMED: usize = 100;

/// What was found. Of an inode with several names the contents count once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Names in all, the top among them.
    pub entries: u64,
    /// Inodes.
    pub inodes: u64,
    /// Directories, the top among them.
    pub directories: u64,
    /// Regular files: names.
    pub files: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Sockets and FIFOs.
    pub others: u64,
    /// Devices.
    pub devices: u64,
    /// Names of inodes that have several.
    pub hard_linked: u64,
    /// Length of the files.
    pub bytes: u64,
    /// What the files and directories take on the disk.
    pub allocated: u64,
    /// The longest file.
    pub largest_file: u64,
    /// The longest name, in bytes.
    pub longest_name: usize,
    /// The largest number of an owner.
    pub largest_uid: u32,
    /// The largest number of a group.
    pub largest_gid: u32,
    /// The earliest time of any entry, in seconds since 1970.
    pub earliest: i64,
    /// The latest one.
    pub latest: i64,
    /// The longest value of an extended attribute.
    pub largest_xattr: usize,
    /// The most that the attributes of one inode take, names and values.
    pub most_xattrs: usize,
    /// Names of the extended attributes, at most a hundred; ACLs among them.
    pub xattrs: BTreeSet<String>,
    /// Inode flags of files and directories, all that occur.
    pub flags: u32,
    /// Whether there are projects or hints for allocation.
    pub extra: bool,
    /// Mounts below the top, which were not entered: how many.
    pub mounts: u64,
    /// Their paths below the top, at most a hundred.
    pub mounted: Vec<Vec<u8>>,
}

impl Survey {
    /// Whether there are access or default ACLs.
    #[must_use]
    pub fn has_acls(&self) -> bool {
        self.xattrs.iter().any(|name| name.starts_with("system.posix_acl_"))
    }

    fn add(&mut self, name: &[u8], meta: &Meta) {
        let attr = &meta.attr;
        self.entries += 1;
        match attr.kind() {
            FileType::Directory => self.directories += 1,
            FileType::RegularFile => self.files += 1,
            FileType::Symlink => self.symlinks += 1,
            FileType::BlockDevice | FileType::CharacterDevice => self.devices += 1,
            _ => self.others += 1,
        }
        self.longest_name = self.longest_name.max(name.len());
        self.largest_uid = self.largest_uid.max(attr.uid);
        self.largest_gid = self.largest_gid.max(attr.gid);
        self.earliest = self.earliest.min(attr.mtime.sec).min(attr.atime.sec);
        self.latest = self.latest.max(attr.mtime.sec).max(attr.atime.sec);
        self.flags |= meta.flags;
        self.extra |= meta.extra.is_some();
        let mut together = 0;
        for (name, value) in &meta.xattrs {
            self.largest_xattr = self.largest_xattr.max(value.len());
            together += name.as_bytes().len() + value.len();
            if self.xattrs.len() < NAMED {
                self.xattrs.insert(datastore_core::path::printable(name.as_bytes()));
            }
        }
        self.most_xattrs = self.most_xattrs.max(together);
    }

    fn add_contents(&mut self, attr: &Attr) {
        self.inodes += 1;
        self.allocated += attr.blocks * 512;
        if attr.kind().is_file() {
            self.bytes += attr.size;
            self.largest_file = self.largest_file.max(attr.size);
        }
    }
}

/// Looks at everything below `top`, which is open for reading. The tally counts entries as they are seen.
pub fn survey(top: &OwnedFd, control: &Control<'_>) -> Result<Survey, TreeError> {
    let here = |error| Fail::source(error).at(control.label.to_owned());
    let top = fd::open(Entry::itself(top), OFlags::RDONLY | OFlags::DIRECTORY, 0).map_err(here)?;
    let attr = attr::attr(Entry::itself(&top)).map_err(here)?;
    let meta = Meta::read(Entry::itself(&top), attr, true).map_err(here)?;
    let surveyor = Surveyor {
        control,
        top: attr,
        found: Mutex::new(Survey { earliest: i64::MAX, latest: i64::MIN, ..Survey::default() }),
        several: Several::default(),
    };
    surveyor.note(b"", &meta);
    walk::walk(&surveyor, (top, None, ()), control)?;
    Ok(surveyor.found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

struct Surveyor<'a> {
    control: &'a Control<'a>,
    top: Attr,
    found: Mutex<Survey>,
    several: Several,
}

/// Inodes with several names that were met, with how many of those are still to come.
#[derive(Default)]
pub(super) struct Several(Mutex<HashMap<(u64, u64), u64>>);

impl Several {
    /// Whether this is the first name of its inode.
    pub(super) fn is_first(&self, attr: &Attr) -> bool {
        if attr.kind().is_dir() || attr.nlink < 2 {
            return true;
        }
        let mut several = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = several.entry((attr.dev, attr.ino)).or_insert(attr.nlink);
        let first = *left == attr.nlink;
        *left -= 1;
        if *left == 0 {
            several.remove(&(attr.dev, attr.ino));
        }
        first
    }
}

impl Surveyor<'_> {
    fn note(&self, name: &[u8], meta: &Meta) {
        let (attr, tally) = (&meta.attr, self.control.tally);
        let several = !attr.kind().is_dir() && attr.nlink > 1;
        let first = self.several.is_first(attr);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.add(name, meta);
        found.hard_linked += u64::from(several);
        if first {
            found.add_contents(attr);
        }
        drop(found);
        count(if first { tally.of(attr.kind()) } else { &tally.hard_links }, 1);
        if first && attr.kind().is_file() {
            count(&tally.bytes, attr.size);
        }
    }

    fn mounted(&self, path: Vec<u8>) {
        count(&self.control.tally.mounts, 1);
        self.control.watch.mount(&path);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.mounts += 1;
        if found.mounted.len() < NAMED {
            found.mounted.push(path);
        }
    }
}

impl Visit for Surveyor<'_> {
    type State = ();

    fn enter(&self, above: &Dir<()>, name: &[u8]) -> Result<Entered<()>, Fail> {
        let Some(dir) = still_there(above)? else { return Ok(Entered::Done) };
        let from = Entry::new(&*dir, name);
        let source = match open(from, OFlags::RDONLY | OFlags::DIRECTORY)? {
            Some(Opened::Fd(source)) => source,
            // Something else by now: it is not counted, for it may be anything in a moment.
            Some(Opened::Changed) | None => return Ok(Entered::Done),
        };
        let attr = attr::attr(Entry::itself(&source)).map_err(Fail::source)?;
        if !attr.is_on_mount_of(&self.top) {
            self.mounted(above.path(name));
            return Ok(Entered::Done);
        }
        let meta = Meta::read(Entry::itself(&source), attr, false).map_err(Fail::source)?;
        self.note(name, &meta);
        Ok(Entered::Dir { source, target: None, state: () })
    }

    fn entry(&self, dir: &Dir<()>, name: &[u8], kind: FileType) -> Result<Met, Fail> {
        let Some(fd) = still_there(dir)? else { return Ok(Met::Done) };
        let from = Entry::new(&*fd, name);
        if kind.is_file() {
            let Some(Opened::Fd(file)) = open(from, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)? else {
                return Ok(Met::Done);
            };
            let attr = attr::attr(Entry::itself(&file)).map_err(Fail::source)?;
            if !attr.is_on_mount_of(&self.top) {
                self.mounted(dir.path(name));
                return Ok(Met::Done);
            }
            self.note(name, &Meta::read(Entry::itself(&file), attr, false).map_err(Fail::source)?);
            return Ok(Met::Done);
        }
        let found = attr::attr(from).and_then(|attr| Meta::read(from, attr, false));
        match found {
            Ok(meta) if meta.attr.kind().is_dir() => return Ok(Met::Is(FileType::Directory)),
            Ok(meta) if !meta.attr.is_on_mount_of(&self.top) => self.mounted(dir.path(name)),
            Ok(meta) => self.note(name, &meta),
            Err(error) if error.errno() == Errno::NOENT => {}
            Err(error) => return Err(Fail::source(error)),
        }
        Ok(Met::Done)
    }

    fn leave(&self, _: &Dir<()>) -> Result<(), Fail> {
        Ok(())
    }
}

/// A directory; none if it has been moved or removed meanwhile.
pub(super) fn still_there<S>(dir: &Dir<S>) -> Result<Option<std::sync::Arc<OwnedFd>>, Fail> {
    match dir.source() {
        Ok(fd) => Ok(Some(fd)),
        Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE) => Ok(None),
        Err(error) => Err(Fail::source(error)),
    }
}
