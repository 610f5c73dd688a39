//! Which inode of the source became which one of the target, for every file and directory of a copy: what a later pass over
//! changed inodes needs. Kept in a file without a name, so that memory stays small; looked up by one reading of it.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::fs::{Advice, OFlags};
use rustix::io::Errno;

use super::limits::Holds;
use crate::sys::attr::Attr;
use crate::sys::handle::{self, Handle};
use crate::sys::{Entry, SysError, data, fd};

/// So many bytes are gathered before they are written.
const GATHERED: usize = 64 << 10;
/// How much is read at once.
const READ: usize = 256 << 10;
/// Device, inode, type of handle, length of handle.
const HEAD: usize = 8 + 8 + 4 + 1;

/// An inode of the source: device and number.
pub type Inode = (u64, u64);

/// The records of one copy. There may be several of one inode.
pub struct Map {
    file: OwnedFd,
    pending: Mutex<(Vec<u8>, u64)>,
    whole: AtomicBool,
    holds: OnceLock<Holds>,
}

impl Map {
    /// Begins a map in a file without a name in `dir` (`O_TMPFILE`, Linux 3.11; before, a file that loses its name at once).
    pub fn new(dir: &OwnedFd) -> Result<Self, SysError> {
        let itself = Entry::itself(dir);
        let file = match fd::open(itself, OFlags::TMPFILE | OFlags::RDWR, 0o600) {
            Ok(file) => file,
            Err(error) if matches!(error.errno(), Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
                let name = format!(".datastore-map-{}", std::process::id());
                let entry = Entry::new(dir, name.as_bytes());
                let file = fd::open(entry, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, 0o600)?;
                fd::remove_file(entry)?;
                file
            }
            Err(error) => return Err(error),
        };
        Ok(Self { file, pending: Mutex::default(), whole: AtomicBool::new(true), holds: OnceLock::new() })
    }

    /// What the target holds: found out by the first pass, for trying it makes a journal write twice.
    pub(super) fn holds(&self, find: impl FnOnce() -> Result<Holds, SysError>) -> Result<Holds, SysError> {
        if let Some(holds) = self.holds.get() {
            return Ok(*holds);
        }
        let found = find()?;
        Ok(*self.holds.get_or_init(|| found))
    }

    /// Notes that an inode of the source is this open file or directory of the target.
    pub fn note(&self, source: &Attr, target: Entry<'_>) -> Result<(), SysError> {
        match handle::read(target) {
            Ok((handle, _)) => self.put((source.dev, source.ino), &handle),
            // The file system has no handles: nothing can be found again.
            Err(_) => {
                self.whole.store(false, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Forgets everything: for a pass that notes every inode anew.
    pub fn clear(&self) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        *pending = (Vec::new(), 0);
        self.whole.store(true, Ordering::Relaxed);
    }

    /// Notes a pair.
    pub fn put(&self, (dev, ino): Inode, target: &Handle) -> Result<(), SysError> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let (bytes, _) = &mut *pending;
        bytes.extend_from_slice(&dev.to_ne_bytes());
        bytes.extend_from_slice(&ino.to_ne_bytes());
        bytes.extend_from_slice(&target.kind().to_ne_bytes());
        bytes.push(u8::try_from(target.bytes().len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(target.bytes());
        if bytes.len() >= GATHERED { self.flush(&mut pending) } else { Ok(()) }
    }

    fn flush(&self, (bytes, at): &mut (Vec<u8>, u64)) -> Result<(), SysError> {
        data::write_at(&self.file, bytes, *at)?;
        *at += bytes.len() as u64;
        bytes.clear();
        Ok(())
    }

    /// Whether every inode that was to be noted was noted. If not, the target has no handles.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Relaxed)
    }

    /// Finds some inodes, in one reading: everything that was ever noted of them, the first in front, each once. Those that are not in
    /// the map are not in the answer.
    pub fn find_all(&self, wanted: &HashSet<Inode>) -> Result<HashMap<Inode, Vec<Handle>>, SysError> {
        let mut found: HashMap<Inode, Vec<Handle>> = HashMap::new();
        if wanted.is_empty() {
            return Ok(found);
        }
        let filter = Filter::new(wanted);
        self.each(|inode, kind, bytes| {
            if filter.may_hold(inode)
                && wanted.contains(&inode)
                && let Some(handle) = Handle::new(kind, bytes)
            {
                let all = found.entry(inode).or_default();
                if !all.contains(&handle) {
                    all.push(handle);
                }
            }
        })?;
        Ok(found)
    }

    /// Lets the kernel begin to read all of it, for whoever looks something up soon.
    pub fn read_ahead(&self) {
        let _ = rustix::fs::fadvise(&self.file, 0, None, Advice::WillNeed);
    }

    /// Reads every record.
    fn each(&self, mut each: impl FnMut(Inode, i32, &[u8])) -> Result<(), SysError> {
        let length = {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            self.flush(&mut pending)?;
            pending.1
        };
        let mut buffer = vec![0; READ];
        let (mut at, mut kept) = (0, 0);
        while at < length {
            let got = data::read_at(&self.file, &mut buffer[kept..], at)?;
            if got == 0 {
                break;
            }
            at += got as u64;
            let end = kept + got;
            let mut start = 0;
            while let Some((inode, kind, bytes)) = record(&buffer[start..end]) {
                start += HEAD + bytes.len();
                each(inode, kind, bytes);
            }
            buffer.copy_within(start..end, 0);
            kept = end - start;
        }
        Ok(())
    }
}

/// Tells most inodes at once that are not wanted: of a million records a few hundred are, and a hash for each of the others would take
/// longer than the reading.
struct Filter([u64; Filter::WORDS]);

impl Filter {
    const WORDS: usize = 1024;

    fn new(wanted: &HashSet<Inode>) -> Self {
        let mut words = [0; Self::WORDS];
        for &(_, ino) in wanted {
            let (word, bit) = Self::place(ino);
            words[word] |= bit;
        }
        Self(words)
    }

    fn may_hold(&self, (_, ino): Inode) -> bool {
        let (word, bit) = Self::place(ino);
        self.0[word] & bit != 0
    }

    fn place(ino: u64) -> (usize, u64) {
        (usize::try_from(ino / 64).unwrap_or(usize::MAX) % Self::WORDS, 1 << (ino % 64))
    }
}

/// The first record of some bytes, if all of it is there.
fn record(bytes: &[u8]) -> Option<(Inode, i32, &[u8])> {
    let dev = u64::from_ne_bytes(bytes.get(..8)?.try_into().ok()?);
    let ino = u64::from_ne_bytes(bytes.get(8..16)?.try_into().ok()?);
    let kind = i32::from_ne_bytes(bytes.get(16..20)?.try_into().ok()?);
    let length = usize::from(*bytes.get(20)?);
    Some(((dev, ino), kind, bytes.get(HEAD..HEAD + length)?))
}
