//! The two directories, and what is kept in them.

use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use datastore_core::journal::{self, OperationId};
use datastore_core::path::printable;
use datastore_core::{AbsPath, Error, ErrorKind};
use rustix::fs::{FlockOperation, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::{DONE, JOURNAL, LIMIT};
use crate::hook;
use crate::root::{Miss, Root};
use crate::sys::error::{Call, SysError};
use crate::sys::fd::{self, Entry};
use crate::sys::stat::{self, Kind};

/// How many journals of ended operations are kept.
const KEPT: usize = 200;
/// How many bytes of them; the newest is kept in any case.
const KEPT_BYTES: u64 = 64 << 20;
/// A file that is no journal yet and was not touched for so long belongs to nobody.
const ABANDONED: Duration = Duration::from_secs(60);

/// The path of an operation's journal in one of the two directories.
pub(super) fn path_of(dir: &'static str, operation: &OperationId) -> AbsPath {
    AbsPath::literal(dir).child(&format!("{operation}.journal"))
}

/// The operation whose journal has this name.
pub(super) fn operation_of(name: &[u8]) -> Option<OperationId> {
    OperationId::parse(std::str::from_utf8(name).ok()?.strip_suffix(".journal")?).ok()
}

/// The two directories, open for reading so that they can be synced.
#[derive(Debug)]
pub(super) struct Dirs {
    pub(super) journal: OwnedFd,
    done: OwnedFd,
}

impl Dirs {
    /// Makes them where they are missing, durably, and opens them.
    pub(super) fn make(root: &Root) -> Result<Self, Error> {
        Ok(Self { journal: make(root, JOURNAL)?, done: make(root, DONE)? })
    }

    /// Changes the time of the directory to one that it never had: the kernel's own stamps may be some milliseconds apart.
    pub(super) fn touch(&self) {
        let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else { return };
        let Ok(tv_sec) = now.as_secs().try_into() else { return };
        let now = Timespec { tv_sec, tv_nsec: now.subsec_nanos().into() };
        // Only for the mark, which the names are in as well.
        let _ = rustix::fs::futimens(&self.journal, &Timestamps { last_access: now, last_modification: now });
    }

    /// Moves the journal of an operation that has ended to the others.
    pub(super) fn retire(&self, operation: &OperationId) -> Result<(), SysError> {
        let name = format!("{operation}.journal");
        let failed = |errno| {
            let (dir, old) = Entry::new(&self.journal, name.as_bytes()).shown();
            SysError::new(Call::Renameat { dir, old, new: format!("{DONE}/{name}") }, errno)
        };
        match rustix::fs::renameat(&self.journal, &name, &self.done, &name) {
            Ok(()) => {}
            // Somebody who tidied was faster.
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(failed(errno)),
        }
        self.touch();
        // The new name first: a crash between the two leaves the journal under both names at worst, and an ended one is
        // passed over wherever it lies.
        fd::sync(&self.done)?;
        fd::sync(&self.journal)
    }

    /// Removes a journal in which nothing was begun.
    pub(super) fn discard(&self, operation: &OperationId) -> Result<(), SysError> {
        let name = format!("{operation}.journal");
        fd::remove_file(Entry::new(&self.journal, name.as_bytes()))?;
        self.touch();
        fd::sync(&self.journal)
    }

    /// Puts right what crashed runs left: journals that have ended but were not moved, and files that did not become one. What
    /// fails is left for the next time.
    pub(super) fn tidy(&self) {
        let Ok(names) = names(&self.journal) else { return };
        for name in names {
            let entry = Entry::new(&self.journal, &name);
            if name.starts_with(b".") && name.ends_with(b".new") {
                // Looked at before it is held: a young one is about to be held by the run that made it.
                if open(entry).is_some_and(|file| (is_published(&file) || is_abandoned(&file)) && is_free(&file)) {
                    let _ = fd::remove_file(entry);
                }
            } else if let Some(operation) = operation_of(&name)
                && let Some(file) = open(entry).filter(is_free)
                && let Ok(bytes) = fd::read_all(&file, LIMIT)
                && journal::parse(&bytes).is_ok_and(|told| told.outcome().is_some())
            {
                let _ = self.retire(&operation);
            }
        }
    }

    /// Removes the oldest of the ended journals beyond [`KEPT`] and [`KEPT_BYTES`], and what hooks wrote in those that are gone.
    /// What fails is left for the next time.
    pub(super) fn prune(&self, root: &Root) {
        let Ok(mut ended) = names(&self.done) else { return };
        ended.retain(|name| operation_of(name).is_some());
        // The names begin with the time.
        ended.sort_unstable_by(|a, b| b.cmp(a));
        let mut bytes = 0;
        for (i, name) in ended.iter().enumerate() {
            let entry = Entry::new(&self.done, name);
            let Ok(facts) = stat::facts(entry) else { continue };
            bytes += facts.size;
            if facts.kind == Kind::File && i > 0 && (i >= KEPT || bytes > KEPT_BYTES) {
                let _ = fd::remove_file(entry);
            }
        }
        if let (Ok(begun), Ok(done)) = (names(&self.journal), names(&self.done)) {
            hook::log::prune(root, &begun.iter().chain(&done).filter_map(|name| operation_of(name)).collect());
        }
    }
}

/// The names in a directory that is open for reading.
pub(super) fn names(dir: &OwnedFd) -> Result<Vec<Vec<u8>>, SysError> {
    let mut names = Vec::new();
    // The descriptor is used again, so its position goes back first.
    rustix::fs::seek(dir, rustix::fs::SeekFrom::Start(0))
        .map_err(|errno| SysError::new(Call::Getdents { fd: crate::sys::error::FdName::of(dir) }, errno))?;
    fd::each_name(dir, |name| {
        names.push(name.to_vec());
        true
    })?;
    Ok(names)
}

fn open(entry: Entry<'_>) -> Option<OwnedFd> {
    fd::open(entry, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, 0).ok()
}

/// Whether nobody is at work on a file. If so, it is held until it is closed, shared with those who only look.
fn is_free(file: &OwnedFd) -> bool {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockShared).is_ok()
}

/// Whether a file has its other name already: without renameat2(2) a journal gets that before it loses this one.
fn is_published(file: &OwnedFd) -> bool {
    rustix::fs::fstat(file).is_ok_and(|s| s.st_nlink > 1)
}

fn is_abandoned(file: &OwnedFd) -> bool {
    let Ok(s) = rustix::fs::fstat(file) else { return false };
    let changed = UNIX_EPOCH + Duration::from_secs(s.st_mtime.try_into().unwrap_or(0));
    SystemTime::now().duration_since(changed).is_ok_and(|age| age > ABANDONED)
}

/// Opens a directory of ours with 0700, made where it is missing, as are those above it with 0755; all durable.
fn make(root: &Root, path: &'static str) -> Result<OwnedFd, Error> {
    let path = AbsPath::literal(path);
    let open = |path: &AbsPath| root.open_file(path, OFlags::RDONLY | OFlags::DIRECTORY, 0);
    let dir = match open(&path) {
        Ok(dir) => dir,
        Err(Miss::Absent(missing)) => {
            let mut all: Vec<AbsPath> = path.ancestors().filter(|a| a.is_within(&missing)).collect();
            all.reverse();
            for part in all.iter().chain([&path]) {
                let mode = if *part == path { 0o700 } else { 0o755 };
                match fd::make_dir(root.place(part)?.entry(), mode) {
                    Err(error) if error.errno() != Errno::EXIST => return Err(error.into()),
                    _ => {}
                }
                if let Some(above) = part.parent() {
                    fd::sync(open(&above)?)?;
                }
            }
            open(&path)?
        }
        Err(other) => return Err(other.into()),
    };
    let facts = stat::facts(Entry::itself(&dir))?;
    let ours = facts.uid == 0 || facts.uid == rustix::process::geteuid().as_raw();
    if !ours || facts.mode.bits() & 0o022 != 0 {
        let shown = printable(path.as_bytes());
        let message = format!(
            "`{shown}` belongs to user {} and has mode {}, so others could write journals",
            facts.uid, facts.mode
        );
        return Err(Error::new(ErrorKind::Refused, message).hint(format!("chown root {shown} && chmod 0700 {shown}")));
    }
    Ok(dir)
}
