//! Holds a copy against its original: names, kinds, attributes and hard links of everything, and contents, read past the page cache.
//!
//! The time of the last reading is left out: reading changes it.

mod some;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use datastore_core::moving::{Account, Compared};
use datastore_core::path::printable;
use rustix::fs::{Advice, FileType, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::copy::{Opened, open};
use super::error::{Fail, TreeError};
use super::limits::Holds;
use super::meta::{Fit, Meta};
use super::survey::still_there;
use super::walk::{Dir, Entered, Met, Visit, count, walk};
use super::written::File;
use super::{Control, Counter};
use crate::sys::attr::{self, Attr};
use crate::sys::handle::Handle;
use crate::sys::{Entry, SysError, data, fd, name};

pub(super) use some::some;

/// So many differences are named; more are counted only.
const NAMED: usize = 10_000;
/// How much is read at once.
const BLOCK: usize = 1 << 20;
/// Of a sample, one file in so many is compared, and so much of it.
const SAMPLE: (u64, u64) = (32, 1 << 20);

/// Whose contents are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// Those of every file.
    All,
    /// Those at the beginning of some files.
    Sample,
    /// Those at the beginning of every file.
    Beginnings,
    /// None: attributes alone.
    Nothing,
}

impl Contents {
    /// How much of a file is compared; none if it is not looked into.
    fn of(self, attr: &Attr) -> Option<u64> {
        match self {
            Self::All => Some(attr.size),
            Self::Sample if !attr.ino.is_multiple_of(SAMPLE.0) => None,
            Self::Sample | Self::Beginnings => Some(attr.size.min(SAMPLE.1)),
            Self::Nothing => None,
        }
    }
}

/// What differs of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its path below the top, as bytes.
    pub path: Vec<u8>,
    /// In what: "missing", "mode", "contents".
    pub what: Vec<&'static str>,
    /// Of a file: the inode of the original and that of the copy, where they have handles.
    pub inodes: Option<(Handle, Handle)>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", printable(&self.path), self.what.join(", "))
    }
}

/// What came of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Names that were compared, the top among them.
    pub entries: u64,
    /// Length of the files among them.
    pub length: u64,
    /// Files whose contents were compared, or their beginnings.
    pub files: u64,
    /// Bytes of contents that were compared.
    pub bytes: u64,
    /// What differs, at most ten thousand.
    pub differences: Vec<Difference>,
    /// How many differ.
    pub differ: u64,
    /// A digest of names and attributes: of two trees the same if nothing of that differs.
    pub metadata: String,
    /// A digest of all contents, if they were all compared.
    pub contents: Option<String>,
}

impl Verified {
    /// Notes a comparison of everything in the account of a copy.
    pub(crate) fn settle(&self, account: &mut Account) {
        account.whole = Compared::from(self);
        account.metadata.clone_from(&self.metadata);
        account.contents.clone_from(&self.contents);
        account.since = Compared::default();
    }
}

impl From<&Verified> for Compared {
    fn from(found: &Verified) -> Self {
        Self { entries: found.entries, bytes: found.length, files: found.files, read: found.bytes }
    }
}

/// Compares everything below two directories that are open for reading, and the two themselves but for what a store's top has of
/// its own: owner, mode, identity. What vanishes from the original meanwhile is passed over.
///
/// `holds` is what the target takes of settings, found out before the copy was made ([`super::limits::holds`] changes the time of the
/// top). Only what has been brought to the disk is read from the disk: call [`super::sync`] before.
pub fn verify(
    from: &OwnedFd,
    to: &OwnedFd,
    holds: &Holds,
    contents: Contents,
    control: &Control<'_>,
) -> Result<Verified, TreeError> {
    let here = |fail: Fail| fail.at(control.label.to_owned());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let source = fd::open(Entry::itself(from), flags, 0).map_err(|e| here(Fail::source(e)))?;
    let target = fd::open(Entry::itself(to), flags, 0).map_err(|e| here(Fail::target(e)))?;
    let comparer = Comparer::new(&source, holds, contents, control).map_err(here)?;
    let state = comparer.top(&source, &target).map_err(here)?;
    walk(&comparer, (source, Some(target), state), control)?;
    Ok(comparer.finish())
}

/// Digests of entries, put together whatever their order: in one directory no two have the same name, so none takes another away.
#[derive(Default)]
struct Sum([Counter; 4]);

impl Sum {
    fn add(&self, digest: &[u8; 32]) {
        for (part, bytes) in self.0.iter().zip(digest.chunks_exact(8)) {
            let mut word = [0; 8];
            word.copy_from_slice(bytes);
            part.fetch_xor(u64::from_le_bytes(word), Ordering::Relaxed);
        }
    }
    fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (part, bytes) in self.0.iter().zip(bytes.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&part.load(Ordering::Relaxed).to_le_bytes());
        }
        bytes
    }
}

/// What is remembered of a directory until everything in it is compared.
pub struct State {
    /// Of its own attributes.
    own: [u8; 32],
    metadata: Sum,
    contents: Sum,
    /// How many names it has in the original.
    names: Counter,
}

impl State {
    fn of(own: [u8; 32]) -> Self {
        Self { own, metadata: Sum::default(), contents: Sum::default(), names: Counter::new(0) }
    }
}

/// The inodes of names that belong together, of the original and of the copy.
#[derive(Default)]
struct Groups {
    copies: HashMap<(u64, u64), u64>,
    originals: HashMap<u64, (u64, u64)>,
}

struct Comparer<'a> {
    control: &'a Control<'a>,
    contents: Contents,
    /// The directory below the top that is walked, with a slash behind it; nothing for the top itself.
    within: Vec<u8>,
    fit: Fit,
    /// The top of the original.
    original: Attr,
    found: Mutex<Verified>,
    groups: Mutex<Groups>,
    top: Mutex<([u8; 32], [u8; 32])>,
}

/// Of attributes and of contents.
type Digests = ([u8; 32], [u8; 32]);

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut sum = Sha256::new();
    for part in parts {
        sum.update((part.len() as u64).to_le_bytes());
        sum.update(part);
    }
    sum.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The attributes that a copy has in common with its original.
fn digest_of(meta: &Meta, link: &[u8]) -> [u8; 32] {
    let attr = &meta.attr;
    let is_dir = attr.kind().is_dir();
    let device = matches!(attr.kind(), FileType::BlockDevice | FileType::CharacterDevice);
    let numbers: [i128; 7] = [
        attr.mode.into(),
        attr.uid.into(),
        attr.gid.into(),
        if is_dir { 0 } else { attr.size.into() },
        attr.mtime.sec.into(),
        attr.mtime.nsec.into(),
        if device { attr.rdev.into() } else { 0 },
    ];
    let numbers: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    let mut parts: Vec<&[u8]> = vec![&numbers, link];
    for (name, value) in &meta.xattrs {
        parts.extend([name.to_bytes(), value]);
    }
    digest(&parts)
}

impl<'a> Comparer<'a> {
    fn new(source: &OwnedFd, holds: &Holds, contents: Contents, control: &'a Control<'a>) -> Result<Self, Fail> {
        let attr = attr::attr(Entry::itself(source)).map_err(Fail::source)?;
        Ok(Self {
            control,
            contents,
            within: Vec::new(),
            fit: Fit { flags: holds.flags, extra: holds.extra, top: false, unlocked: false },
            original: attr,
            found: Mutex::default(),
            groups: Mutex::default(),
            top: Mutex::default(),
        })
    }

    fn top(&self, source: &OwnedFd, target: &OwnedFd) -> Result<State, Fail> {
        let read = |fd: &OwnedFd| {
            let attr = attr::attr(Entry::itself(fd))?;
            Meta::read(Entry::itself(fd), attr, true)
        };
        let (a, mut b) = (read(source).map_err(Fail::source)?, read(target).map_err(Fail::target)?);
        // These are the store's own in the end.
        (b.attr.uid, b.attr.gid, b.attr.mode) = (a.attr.uid, a.attr.gid, a.attr.mode);
        self.compare(Vec::new, &a, &b, || None);
        Ok(State::of(digest_of(&a, b"")))
    }

    fn finish(self) -> Verified {
        let mut found = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (metadata, contents) = self.top.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.metadata = format!("sha256:{}", hex(&metadata));
        found.contents = (self.contents == Contents::All).then(|| format!("sha256:{}", hex(&contents)));
        found.differences.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    fn differs(&self, path: Vec<u8>, what: Vec<&'static str>) {
        self.differs_in(path, what, None);
    }

    fn differs_in(&self, path: Vec<u8>, what: Vec<&'static str>, inodes: Option<(Handle, Handle)>) {
        let path = if self.within.is_empty() { path } else { [&self.within, path.as_slice()].concat() };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.differ += 1;
        if found.differences.len() < NAMED {
            found.differences.push(Difference { path, what, inodes });
        }
    }

    /// Compares attributes and the group of hard links. Says whether they are alike.
    fn compare(
        &self,
        path: impl FnOnce() -> Vec<u8>,
        a: &Meta,
        b: &Meta,
        inodes: impl FnOnce() -> Option<(Handle, Handle)>,
    ) -> bool {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).entries += 1;
        let mut what = a.differences(b, self.fit);
        what.retain(|word| *word != "time of reading");
        if !a.attr.kind().is_dir() && (a.attr.nlink > 1 || b.attr.nlink > 1) && !self.is_same_group(&a.attr, &b.attr) {
            what.push("hard links");
        }
        if what.is_empty() {
            return true;
        }
        self.differs_in(path(), what, inodes());
        false
    }

    fn is_same_group(&self, a: &Attr, b: &Attr) -> bool {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let original = (a.dev, a.ino);
        let copy = *groups.copies.entry(original).or_insert(b.ino);
        let back = *groups.originals.entry(b.ino).or_insert(original);
        copy == b.ino && back == original
    }

    /// A name that is no directory. The digests are those of attributes and contents.
    fn file(
        &self,
        from: Entry<'_>,
        to: Entry<'_>,
        kind: FileType,
        contents: Contents,
        path: impl Fn() -> Vec<u8>,
    ) -> Result<Option<Digests>, Fail> {
        if kind.is_file() {
            return self.regular(from, to, contents, path);
        }
        let gone = |error: &SysError| error.errno() == Errno::NOENT;
        let a = match attr::attr(from).and_then(|attr| Meta::read(from, attr, false)) {
            Err(error) if gone(&error) => return Ok(None),
            other => other.map_err(Fail::source)?,
        };
        let b = match attr::attr(to).and_then(|attr| Meta::read(to, attr, false)) {
            Err(error) if gone(&error) => {
                self.differs(path(), vec!["missing"]);
                return Ok(None);
            }
            other => other.map_err(Fail::target)?,
        };
        if !self.compare(&path, &a, &b, || None) {
            return Ok(None);
        }
        let mut link = Vec::new();
        if a.attr.kind().is_symlink() {
            link = name::read_symlink(from).map_err(Fail::source)?;
            if link != name::read_symlink(to).map_err(Fail::target)? {
                self.differs(path(), vec!["where the link leads"]);
            }
        }
        Ok(Some((digest_of(&a, &link), [0; 32])))
    }

    fn regular(
        &self,
        from: Entry<'_>,
        to: Entry<'_>,
        contents: Contents,
        path: impl Fn() -> Vec<u8>,
    ) -> Result<Option<Digests>, Fail> {
        const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
        let Some(Opened::Fd(a)) = open(from, FILE)? else { return Ok(None) };
        let b = match open(to, FILE).map_err(|fail| Fail::target(fail.error))? {
            Some(Opened::Fd(b)) => b,
            Some(Opened::Changed) => {
                self.differs(path(), vec!["type"]);
                return Ok(None);
            }
            None => {
                self.differs(path(), vec!["missing"]);
                return Ok(None);
            }
        };
        self.pair(&a, &b, contents, path)
    }

    /// A file and its copy, both open.
    fn pair(
        &self,
        a: &OwnedFd,
        b: &OwnedFd,
        contents: Contents,
        path: impl Fn() -> Vec<u8>,
    ) -> Result<Option<Digests>, Fail> {
        let read = |fd: &OwnedFd| {
            let attr = attr::attr(Entry::itself(fd))?;
            Meta::read(Entry::itself(fd), attr, false)
        };
        let (of_a, of_b) = (read(a).map_err(Fail::source)?, read(b).map_err(Fail::target)?);
        if !of_a.attr.is_on_mount_of(&self.original) || !of_a.attr.kind().is_file() {
            return Ok(None);
        }
        let inodes = || File::of(Vec::new(), Entry::itself(a), Entry::itself(b)).inodes;
        if !self.compare(&path, &of_a, &of_b, inodes) {
            return Ok(None);
        }
        let most = contents.of(&of_a.attr);
        {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            found.length += of_a.attr.size;
            found.files += u64::from(most.is_some());
        }
        let (same, contents) = self.same_contents(a, b, most.unwrap_or(0))?;
        if !same {
            self.differs_in(path(), vec!["contents"], inodes());
        }
        Ok(Some((digest_of(&of_a, b""), contents)))
    }

    /// Compares the first `most` bytes, of which holes that both have are not read.
    fn same_contents(&self, a: &OwnedFd, b: &OwnedFd, most: u64) -> Result<(bool, [u8; 32]), Fail> {
        thread_local! {
            static BUFFERS: std::cell::RefCell<(Vec<u8>, Vec<u8>)> = const { std::cell::RefCell::new((Vec::new(), Vec::new())) };
        }
        // What is in the cache need not be what is on the disk. Only pages that were written out are let go.
        let _ = rustix::fs::fadvise(b, 0, None, Advice::DontNeed);
        BUFFERS.with_borrow_mut(|(left, right)| {
            let mut sum = Sha256::new();
            let (mut at, mut compared, mut same) = (0, 0, true);
            while at < most && same {
                let next =
                    |fd: &OwnedFd| data::data_after(fd, at, most).map(|range| range.map_or(most, |(from, _)| from));
                let start = next(a).map_err(Fail::source)?.min(next(b).map_err(Fail::target)?);
                at = start.max(at);
                let want = usize::try_from(most.saturating_sub(at)).unwrap_or(BLOCK).min(BLOCK);
                if want == 0 {
                    break;
                }
                left.resize(want, 0);
                right.resize(want, 0);
                let read_a = fill(a, left, at).map_err(Fail::source)?;
                let read_b = fill(b, right, at).map_err(Fail::target)?;
                same = read_a == read_b && left[..read_a] == right[..read_b];
                if read_a == 0 {
                    break;
                }
                sum.update(at.to_le_bytes());
                sum.update(&left[..read_a]);
                at += read_a as u64;
                compared += read_a as u64;
                count(&self.control.tally.bytes, read_a as u64);
            }
            self.found.lock().unwrap_or_else(PoisonError::into_inner).bytes += compared;
            Ok((same, sum.finalize().into()))
        })
    }

    /// The attributes of a directory. None if there is none in one of the trees.
    fn directory(
        &self,
        from: Entry<'_>,
        to: Entry<'_>,
        path: impl Fn() -> Vec<u8>,
    ) -> Result<Option<(OwnedFd, OwnedFd, [u8; 32])>, Fail> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let Some(Opened::Fd(source)) = open(from, flags)? else { return Ok(None) };
        let attr = attr::attr(Entry::itself(&source)).map_err(Fail::source)?;
        if !attr.is_on_mount_of(&self.original) {
            return Ok(None);
        }
        let target = match open(to, flags).map_err(|fail| Fail::target(fail.error))? {
            Some(Opened::Fd(target)) => target,
            other => {
                self.differs(path(), vec![if other.is_some() { "type" } else { "missing" }]);
                return Ok(None);
            }
        };
        let a = Meta::read(Entry::itself(&source), attr, false).map_err(Fail::source)?;
        let b = attr::attr(Entry::itself(&target)).and_then(|attr| Meta::read(Entry::itself(&target), attr, false));
        self.compare(&path, &a, &b.map_err(Fail::target)?, || None);
        let own = digest_of(&a, b"");
        Ok(Some((source, target, own)))
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &OwnedFd, buffer: &mut [u8], at: u64) -> Result<usize, SysError> {
    let mut done = 0;
    while done < buffer.len() {
        match data::read_at(file, &mut buffer[done..], at + done as u64)? {
            0 => break,
            n => done += n,
        }
    }
    Ok(done)
}

impl Visit for Comparer<'_> {
    type State = State;

    fn enter(&self, above: &Dir<State>, name: &[u8]) -> Result<Entered<State>, Fail> {
        let Some(from) = still_there(above)? else { return Ok(Entered::Done) };
        let to = above.target().map_err(Fail::target)?;
        let found = self.directory(Entry::new(&*from, name), Entry::new(&*to, name), || above.path(name))?;
        count(&above.state.names, 1);
        let Some((source, target, own)) = found else { return Ok(Entered::Done) };
        count(&self.control.tally.directories, 1);
        Ok(Entered::Dir { source, target: Some(target), state: State::of(own) })
    }

    fn entry(&self, dir: &Dir<State>, name: &[u8], kind: FileType) -> Result<Met, Fail> {
        let Some(from) = still_there(dir)? else { return Ok(Met::Done) };
        let to = dir.target().map_err(Fail::target)?;
        let (from, to) = (Entry::new(&*from, name), Entry::new(&*to, name));
        count(&dir.state.names, 1);
        count(&self.control.tally.files, 1);
        if let Some((metadata, contents)) = self.file(from, to, kind, self.contents, || dir.path(name))? {
            dir.state.metadata.add(&digest(&[name, &metadata]));
            dir.state.contents.add(&digest(&[name, &contents]));
        }
        Ok(Met::Done)
    }

    fn leave(&self, dir: &Dir<State>) -> Result<(), Fail> {
        let Some(from) = still_there(dir)? else { return Ok(()) };
        let to = dir.target().map_err(Fail::target)?;
        let mut names = 0;
        let again = || fd::open(Entry::itself(&*to), OFlags::RDONLY | OFlags::DIRECTORY, 0).map_err(Fail::target);
        fd::each_name(again()?, |_| {
            names += 1;
            true
        })
        .map_err(Fail::target)?;
        if names != dir.state.names.load(Ordering::Relaxed) {
            let mut failed = None;
            fd::each_name(again()?, |name| match attr::attr(Entry::new(&*from, name)) {
                Ok(_) => true,
                Err(error) if error.errno() == Errno::NOENT => {
                    self.differs(dir.path(name), vec!["not in the original"]);
                    true
                }
                Err(error) => {
                    failed = Some(error);
                    false
                }
            })
            .map_err(Fail::target)?;
            failed.map_or(Ok(()), |error| Err(Fail::source(error)))?;
        }
        let state = &dir.state;
        let metadata = digest(&[&state.own, &state.metadata.bytes()]);
        let contents = state.contents.bytes();
        match dir.above() {
            Some(above) => {
                above.state.metadata.add(&digest(&[dir.name(), &metadata]));
                above.state.contents.add(&digest(&[dir.name(), &contents]));
            }
            None => *self.top.lock().unwrap_or_else(PoisonError::into_inner) = (metadata, contents),
        }
        Ok(())
    }
}
