//! Whose the files of a tree are, and how they become somebody else's: owner, group, and whoever is named in ACLs (acl(5)).

use std::collections::{BTreeMap, HashMap};
use std::ffi::CStr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, PoisonError};

use datastore_core::owners::{Census, Renumber};
use datastore_core::planted::{self, Bug};
use rustix::fs::{FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::copy::{Opened, READ_DIR, open};
use super::error::{Fail, TreeError};
use super::inside::Inside;
use super::meta::unlock;
use super::survey::{Several, still_there};
use super::walk::{Dir, Entered, Met, Visit, count};
use super::{Control, Fault, walk};
use crate::sys::attr::{self, Attr, LOCKS};
use crate::sys::error::Call;
use crate::sys::{Entry, SysError, fd, xattrs};

/// `posix_acl(5)` as the kernel hands it out (linux/posix_acl_xattr.h): a version, then entries of a tag, permissions and a number.
const ACLS: [&CStr; 2] = [c"system.posix_acl_access", c"system.posix_acl_default"];
const VERSION: [u8; 4] = [2, 0, 0, 0];
const ENTRY: usize = 8;
const NAMED_USER: u16 = 0x02;
const NAMED_GROUP: u16 = 0x08;
/// File capabilities (capabilities(7)).
const CAPABILITIES: &CStr = c"security.capability";

/// Who is named in an ACL, with the place of each number in it.
pub(crate) fn named(acl: &[u8]) -> impl Iterator<Item = (u16, usize, u32)> + '_ {
    let entries = acl.strip_prefix(&VERSION).unwrap_or_default();
    entries.chunks_exact(ENTRY).enumerate().filter_map(|(i, entry)| {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let number = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        matches!(tag, NAMED_USER | NAMED_GROUP).then_some((tag, VERSION.len() + i * ENTRY + 4, number))
    })
}

/// The ACLs of an entry, by a descriptor or a name; links have none.
fn acls(entry: Entry<'_>, kind: FileType) -> impl Iterator<Item = Result<(&'static CStr, Vec<u8>), SysError>> {
    let all = match kind {
        FileType::Symlink => &ACLS[..0],
        FileType::Directory => &ACLS[..],
        _ => &ACLS[..1],
    };
    all.iter().filter_map(move |&attribute| match xattrs::get(entry, attribute) {
        Ok(found) => found.map(|value| Ok((attribute, value))),
        Err(error) => Some(Err(error)),
    })
}

/// Counts how many entries below `top`, which is open, each user and each group has, the top among them. Who is named in an ACL has that entry too.
pub fn census(top: &OwnedFd, control: &Control<'_>) -> Result<(Census, Census), TreeError> {
    let here = |fail: Fail| fail.at(control.label.to_owned());
    let top = fd::open(Entry::itself(top), READ_DIR, 0).map_err(|e| here(Fail::source(e)))?;
    let attr = attr::attr(Entry::itself(&top)).map_err(|e| here(Fail::source(e)))?;
    let counter = Counter { control, top: attr, found: Mutex::default(), several: Several::default() };
    counter.note(Entry::itself(&top), &attr).map_err(here)?;
    walk::walk(&counter, (top, None, ()), control)?;
    let found = counter.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((found.users, found.groups))
}

#[derive(Default)]
struct Found {
    users: BTreeMap<u32, u64>,
    groups: BTreeMap<u32, u64>,
}

struct Counter<'a> {
    control: &'a Control<'a>,
    top: Attr,
    found: Mutex<Found>,
    several: Several,
}

impl Counter<'_> {
    fn note(&self, entry: Entry<'_>, attr: &Attr) -> Result<(), Fail> {
        if !self.several.is_first(attr) {
            count(&self.control.tally.hard_links, 1);
            return Ok(());
        }
        count(self.control.tally.of(attr.kind()), 1);
        let acls: Vec<_> = acls(entry, attr.kind()).collect::<Result<_, _>>().map_err(Fail::source)?;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        *found.users.entry(attr.uid).or_default() += 1;
        *found.groups.entry(attr.gid).or_default() += 1;
        for (tag, _, number) in acls.iter().flat_map(|(_, acl)| named(acl)) {
            let table = if tag == NAMED_USER { &mut found.users } else { &mut found.groups };
            *table.entry(number).or_default() += 1;
        }
        Ok(())
    }
}

impl Visit for Counter<'_> {
    type State = ();

    fn enter(&self, above: &Dir<()>, name: &[u8]) -> Result<Entered<()>, Fail> {
        let Some((source, attr)) = subdirectory(above, name, &self.top, self.control)? else {
            return Ok(Entered::Done);
        };
        self.note(Entry::itself(&source), &attr)?;
        Ok(Entered::Dir { source, target: None, state: () })
    }

    fn entry(&self, dir: &Dir<()>, name: &[u8], _: FileType) -> Result<Met, Fail> {
        let Some(fd) = still_there(dir)? else { return Ok(Met::Done) };
        let entry = Entry::new(&*fd, name);
        match attr::attr(entry) {
            Ok(attr) if attr.kind().is_dir() => return Ok(Met::Is(FileType::Directory)),
            Ok(attr) if !attr.is_on_mount_of(&self.top) => count(&self.control.tally.mounts, 1),
            Ok(attr) => self.note(entry, &attr)?,
            Err(error) if error.errno() == Errno::NOENT => {}
            Err(error) => return Err(Fail::source(error)),
        }
        Ok(Met::Done)
    }

    fn leave(&self, _: &Dir<()>) -> Result<(), Fail> {
        Ok(())
    }
}

/// A subdirectory on the same mount, open for reading.
fn subdirectory(
    above: &Dir<()>,
    name: &[u8],
    top: &Attr,
    control: &Control<'_>,
) -> Result<Option<(OwnedFd, Attr)>, Fail> {
    let Some(dir) = still_there(above)? else { return Ok(None) };
    let Some(Opened::Fd(source)) = open(Entry::new(&*dir, name), OFlags::RDONLY | OFlags::DIRECTORY)? else {
        return Ok(None);
    };
    let attr = attr::attr(Entry::itself(&source)).map_err(Fail::source)?;
    if !attr.is_on_mount_of(top) {
        count(&control.tally.mounts, 1);
        control.watch.mount(&above.path(name));
        return Ok(None);
    }
    Ok(Some((source, attr)))
}

/// Other numbers for what is in some trees. Files that have a name in none of them stay as they are: somebody may have given a file of
/// another one a name there (link(2)), to become its owner.
#[derive(Debug)]
pub struct Renumbering {
    users: HashMap<u32, u32>,
    groups: HashMap<u32, u32>,
    inside: Inside,
}

impl Renumbering {
    /// These numbers.
    #[must_use]
    pub fn new(users: &[Renumber], groups: &[Renumber]) -> Self {
        let map = |pairs: &[Renumber]| pairs.iter().map(|pair| (pair.from, pair.to)).collect();
        Self { users: map(users), groups: map(groups), inside: Inside::default() }
    }

    /// Gives everything below `top`, which is open, and `top` itself other numbers. Doing it again changes nothing more. What is looked at
    /// is what is changed: each entry is held by a descriptor meanwhile.
    pub fn run(&self, top: &OwnedFd, control: &Control<'_>) -> Result<(), TreeError> {
        let here = |fail: Fail| fail.at(control.label.to_owned());
        let top = fd::open(Entry::itself(top), READ_DIR, 0).map_err(|e| here(Fail::source(e)))?;
        let attr = attr::attr(Entry::itself(&top)).map_err(|e| here(Fail::source(e)))?;
        let changer = Changer { control, top: attr, numbers: self };
        changer.change(&top, &attr, None).map_err(|e| here(failed(e)))?;
        walk::walk(&changer, (top, None, ()), control)
    }

    /// How many files stay as they are because they have names elsewhere, so far.
    #[must_use]
    pub fn left(&self) -> usize {
        self.inside.left()
    }
}

struct Changer<'a> {
    control: &'a Control<'a>,
    top: Attr,
    numbers: &'a Renumbering,
}

/// What an entry is to have.
struct Gift<'a> {
    owner: (u32, u32),
    acls: &'a [(&'static CStr, Vec<u8>)],
}

impl Changer<'_> {
    /// Changes what a descriptor, which may be one of `O_PATH`, leads to. `name` is where it was found; a directory has no second one.
    fn change(&self, entry: &OwnedFd, attr: &Attr, name: Option<(&OwnedFd, &[u8])>) -> Result<(), SysError> {
        count(self.control.tally.of(attr.kind()), 1);
        let new = |map: &HashMap<u32, u32>, old: u32| map.get(&old).copied().unwrap_or(old);
        let owner = (new(&self.numbers.users, attr.uid), new(&self.numbers.groups, attr.gid));
        let mut acls: Vec<_> = acls(Entry::itself(entry), attr.kind()).collect::<Result<_, _>>()?;
        acls.retain_mut(|(_, acl)| self.change_acl(acl));
        if owner == (attr.uid, attr.gid) && acls.is_empty() {
            return Ok(());
        }
        if let Some((dir, name)) = name
            && attr.nlink > 1
            && !self.numbers.inside.is_whole(attr, attr::attr(Entry::itself(dir))?.ino, name)
        {
            return Ok(());
        }
        let gift = Gift { owner, acls: &acls };
        match give(entry, attr, &gift) {
            Err(error) if error.errno() == Errno::PERM && (attr.kind().is_file() || attr.kind().is_dir()) => {
                // Locked, perhaps (immutable, append-only).
                let file = reopened(entry)?;
                let Some(flags) = attr::flags(&file)?.filter(|flags| flags & LOCKS != 0) else { return Err(error) };
                unlock(Entry::itself(&file), LOCKS)?;
                let given = give(entry, attr, &gift);
                attr::set_flags(&file, flags)?;
                given
            }
            other => other,
        }
    }

    /// Whether somebody is named in it who gets another number.
    fn change_acl(&self, acl: &mut [u8]) -> bool {
        let all: Vec<_> = named(acl).collect();
        let mut is_changed = false;
        for (tag, at, number) in all {
            let map = if tag == NAMED_USER { &self.numbers.users } else { &self.numbers.groups };
            if let Some(new) = map.get(&number) {
                acl[at..at + 4].copy_from_slice(&new.to_le_bytes());
                is_changed = true;
            }
        }
        is_changed
    }
}

fn give(entry: &OwnedFd, attr: &Attr, gift: &Gift<'_>) -> Result<(), SysError> {
    let is_file = attr.kind().is_file();
    // Calls that refuse a descriptor of O_PATH take the way through /proc, which leads to the very inode.
    let path = fd::proc_path(entry.as_fd());
    let set = |attribute: &CStr, value: &[u8]| {
        rustix::fs::setxattr(&*path, attribute, value, XattrFlags::empty()).map_err(|errno| {
            let (dir, name) = Entry::itself(entry).shown();
            let attribute = attribute.to_string_lossy().into_owned();
            SysError::new(Call::Lsetxattr { dir, name, attribute }, errno)
        })
    };
    if gift.owner != (attr.uid, attr.gid) {
        let itself = Entry::itself(entry);
        let capabilities = if is_file { xattrs::get(itself, CAPABILITIES)? } else { None };
        attr::set_owner(itself, gift.owner.0, gift.owner.1)?;
        // A new owner takes these away.
        if is_file && attr.bits() & 0o6000 != 0 {
            let mode = Mode::from_raw_mode(attr.bits());
            rustix::fs::chmod(&*path, mode).map_err(|errno| {
                let (dir, name) = itself.shown();
                SysError::new(Call::Fchmodat { dir, name, mode: attr.bits() }, errno)
            })?;
        }
        if let Some(capabilities) = capabilities {
            set(CAPABILITIES, &capabilities)?;
        }
    }
    gift.acls.iter().try_for_each(|(attribute, acl)| set(attribute, acl))
}

fn failed(error: SysError) -> Fail {
    Fail { fault: Fault::Owner, error }
}

/// The same file or directory, open for reading.
fn reopened(entry: &OwnedFd) -> Result<OwnedFd, SysError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let path = fd::proc_path(entry.as_fd());
    rustix::fs::open(&*path, flags, Mode::empty()).map_err(|errno| SysError::new(Call::Open { path, flags }, errno))
}

impl Visit for Changer<'_> {
    type State = ();

    fn enter(&self, above: &Dir<()>, name: &[u8]) -> Result<Entered<()>, Fail> {
        let Some((source, attr)) = subdirectory(above, name, &self.top, self.control)? else {
            return Ok(Entered::Done);
        };
        self.change(&source, &attr, None).map_err(failed)?;
        Ok(Entered::Dir { source, target: None, state: () })
    }

    fn entry(&self, dir: &Dir<()>, name: &[u8], _: FileType) -> Result<Met, Fail> {
        let Some(fd) = still_there(dir)? else { return Ok(Met::Done) };
        let held = match fd::open(Entry::new(&*fd, name), OFlags::PATH, 0) {
            Ok(held) => held,
            Err(error) if error.errno() == Errno::NOENT => return Ok(Met::Done),
            Err(error) => return Err(Fail::source(error)),
        };
        let attr = attr::attr(Entry::itself(&held)).map_err(Fail::source)?;
        if attr.kind().is_dir() {
            return Ok(Met::Is(FileType::Directory));
        }
        let held = if planted::has(Bug::PathBasedChown) {
            rustix::fs::openat(&*fd, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap_or(held)
        } else {
            held
        };
        if attr.is_on_mount_of(&self.top) {
            self.change(&held, &attr, Some((&fd, name))).map_err(failed)?;
        } else {
            count(&self.control.tally.mounts, 1);
        }
        Ok(Met::Done)
    }

    fn leave(&self, _: &Dir<()>) -> Result<(), Fail> {
        Ok(())
    }
}
