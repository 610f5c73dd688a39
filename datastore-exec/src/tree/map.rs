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
/// What stands before some records: device, type and length of their handles, and how many there are.
const HEAD: usize = 8 + 4 + 1 + 4;
/// The number of an inode, which stands before its handle.
const INO: usize = 8;

/// An inode of the source: device and number.
pub type Inode = (u64, u64);

/// The records of one copy. There may be several of one inode.
pub struct Map {
    file: OwnedFd,
    pending: Mutex<Pending>,
    whole: AtomicBool,
    holds: OnceLock<Holds>,
}

/// Records that are not written yet.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    /// What the last records have in common, where that stands, and how many there are.
    run: Option<(Kind, usize, u32)>,
    /// Where in the file they belong.
    at: u64,
}

/// Device, and type and length of the handle: the same for nearly all records of a map, so that they stand once before many.
type Kind = (u64, i32, u8);

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
        *pending = Pending::default();
        self.whole.store(true, Ordering::Relaxed);
    }

    /// Notes a pair.
    pub fn put(&self, (dev, ino): Inode, target: &Handle) -> Result<(), SysError> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let Pending { bytes, run, .. } = &mut *pending;
        let kind = (dev, target.kind(), u8::try_from(target.bytes().len()).unwrap_or(u8::MAX));
        let (at, count) = match run {
            Some((same, at, count)) if *same == kind => (*at, *count + 1),
            _ => {
                let at = bytes.len();
                bytes.extend_from_slice(&dev.to_ne_bytes());
                bytes.extend_from_slice(&kind.1.to_ne_bytes());
                bytes.push(kind.2);
                bytes.extend_from_slice(&[0; 4]);
                (at, 1)
            }
        };
        bytes[at + HEAD - 4..at + HEAD].copy_from_slice(&count.to_ne_bytes());
        *run = Some((kind, at, count));
        bytes.extend_from_slice(&ino.to_ne_bytes());
        bytes.extend_from_slice(target.bytes());
        if bytes.len() >= GATHERED { self.flush(&mut pending) } else { Ok(()) }
    }

    fn flush(&self, pending: &mut Pending) -> Result<(), SysError> {
        data::write_at(&self.file, &pending.bytes, pending.at)?;
        pending.at += pending.bytes.len() as u64;
        pending.bytes.clear();
        pending.run = None;
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
            pending.at
        };
        let mut buffer = vec![0; READ];
        let (mut at, mut kept) = (0, 0);
        // What the next records have in common, and how many there are.
        let (mut kind, mut left): (Kind, usize) = ((0, 0, 0), 0);
        while at < length {
            let got = data::read_at(&self.file, &mut buffer[kept..], at)?;
            if got == 0 {
                break;
            }
            at += got as u64;
            let end = kept + got;
            let mut rest = &buffer[..end];
            loop {
                if left == 0 {
                    let Some((found, count)) = head(rest) else { break };
                    (kind, left) = (found, count);
                    rest = &rest[HEAD..];
                }
                let (dev, of_handle, length) = kind;
                let size = INO + usize::from(length);
                let here = left.min(rest.len() / size);
                for record in rest[..here * size].chunks_exact(size) {
                    let (ino, bytes) = record.split_at(INO);
                    each((dev, u64::from_ne_bytes(ino.try_into().unwrap_or_default())), of_handle, bytes);
                }
                rest = &rest[here * size..];
                left -= here;
                if left > 0 {
                    break;
                }
            }
            kept = rest.len();
            buffer.copy_within(end - kept..end, 0);
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

/// What stands before some records, if all of it is there.
fn head(bytes: &[u8]) -> Option<(Kind, usize)> {
    let dev = u64::from_ne_bytes(bytes.get(..8)?.try_into().ok()?);
    let of_handle = i32::from_ne_bytes(bytes.get(8..12)?.try_into().ok()?);
    let length = *bytes.get(12)?;
    let count = u32::from_ne_bytes(bytes.get(13..HEAD)?.try_into().ok()?);
    Some(((dev, of_handle, length), usize::try_from(count).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_found_whatever_stands_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let map = Map::new(&std::fs::File::open(dir.path()).unwrap().into()).unwrap();
        let handle = |n: u64, length: usize| Handle::new((n % 3) as i32, &vec![n as u8; length]).unwrap();
        // Long runs of one kind, as one file system makes them, and kinds in turn; much more than is read at once.
        let kind = |n: u64| if n < 40_000 { (8, 1) } else { ([8, 12, 20, 128][(n % 4) as usize], n % 2) };
        for n in 0..60_000 {
            let (length, dev) = kind(n);
            map.put((dev, n), &handle(if n < 40_000 { 0 } else { n }, length)).unwrap();
        }
        map.put((1, 7), &handle(1, 8)).unwrap();
        let wanted: HashSet<Inode> = (0..60_000)
            .filter(|n| n % 1000 == 7 || *n >= 59_990)
            .map(|n| (kind(n).1, n))
            .chain([(5, 7), (1, 70_000)])
            .collect();
        let found = map.find_all(&wanted).unwrap();
        assert_eq!(found.len(), wanted.len() - 2);
        for ((dev, n), handles) in found {
            let (length, _) = kind(n);
            let mut expected = vec![handle(if n < 40_000 { 0 } else { n }, length)];
            if (dev, n) == (1, 7) {
                expected.push(handle(1, 8));
            }
            assert_eq!(handles, expected, "{n}");
        }
        map.clear();
        assert!(map.find_all(&wanted).unwrap().is_empty());
    }
}
