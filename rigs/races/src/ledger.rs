//! A writer that keeps account of what it was promised: each number that was written, synced and closed without an error is to be found
//! again, wherever the data is by then.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use datastore_tests::random::Random;

use crate::Violations;

/// The ways in which numbers are written, and the file of each.
const WAYS: [&str; 4] = ["appended", "mapped", "length", "renamed"];

/// Device and inode of a directory.
type Place = (u64, u64);

/// One writer, with files of its own in a directory.
#[derive(Debug)]
pub struct Ledger {
    dir: PathBuf,
    number: usize,
    next: u64,
    /// The last number that was promised in each way, and in which place.
    promised: [(u64, Place); 4],
    /// All numbers that were promised to be appended.
    appended: Vec<(u64, Place)>,
    /// How many promises there were.
    pub promises: u64,
    /// How many writes failed, or ended in another place than they had begun in.
    pub unclear: u64,
}

impl Ledger {
    /// The writer of this number, in a directory that is there.
    ///
    /// # Panics
    /// If its files cannot be made.
    #[must_use]
    pub fn new(dir: PathBuf, number: usize) -> Self {
        let ledger =
            Self { dir, number, next: 1, promised: [(0, (0, 0)); 4], appended: Vec::new(), promises: 0, unclear: 0 };
        for way in WAYS {
            fs::write(ledger.path(way), if way == "length" { &b""[..] } else { &[0; 8] }).expect("make a file");
        }
        ledger
    }

    fn path(&self, way: &str) -> PathBuf {
        self.dir.join(format!("{way}{}", self.number))
    }

    /// Where the directory is now: what it shows, not how it is called.
    fn place(&self) -> Option<Place> {
        fs::metadata(&self.dir).ok().map(|meta| (meta.dev(), meta.ino()))
    }

    /// Writes the next number in some way.
    pub fn write(&mut self, random: &mut Random) {
        let number = self.next;
        self.next += 1;
        let way = usize::try_from(random.below(4)).unwrap_or(0);
        let path = self.path(WAYS[way]);
        let before = self.place().unwrap_or_default();
        let done = match way {
            0 => append(&path, number),
            1 => map(&path, number),
            2 => lengthen(&path, number),
            _ => replace(&path, number),
        };
        // Whoever began in one place and ended in another cannot say where it was promised.
        if done.is_err() || self.place() != Some(before) {
            self.unclear += 1;
            return;
        }
        self.promises += 1;
        self.promised[way] = (number, before);
        if way == 0 {
            self.appended.push((number, before));
        }
    }

    /// Notes whatever was promised and is not in a directory now.
    pub fn check(&self, dir: &Path, violations: &Violations, when: &str) {
        let read = |way: &str| fs::read(dir.join(format!("{way}{}", self.number)));
        let number = |bytes: &[u8]| bytes.get(..8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
        let found = [
            0,
            read("mapped").map_or(0, |bytes| number(&bytes)),
            read("length").map_or(0, |bytes| bytes.len() as u64),
            read("renamed").map_or(0, |bytes| number(&bytes)),
        ];
        for way in 1..4 {
            let ((wanted, place), found) = (self.promised[way], found[way]);
            // Numbers only grow: a later one was written by somebody who was not promised anything.
            if found < wanted {
                violations
                    .add(format!("{when}: {wanted} was promised ({}, in {place:?}), {found} is there", WAYS[way]));
            }
        }
        let log = read("appended").unwrap_or_default();
        let there: std::collections::HashSet<u64> = log.chunks_exact(8).map(number).collect();
        for (wanted, place) in self.appended.iter().filter(|(wanted, _)| !there.contains(wanted)) {
            violations.add(format!("{when}: {wanted} was appended in {place:?} and is not there"));
        }
    }
}

fn append(path: &Path, number: u64) -> io::Result<()> {
    let mut file = File::options().append(true).open(path)?;
    file.write_all(&number.to_le_bytes())?;
    file.sync_all()
}

fn lengthen(path: &Path, number: u64) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(number)?;
    file.sync_all()
}

fn replace(path: &Path, number: u64) -> io::Result<()> {
    let new = path.with_extension("new");
    let file = File::options().write(true).create(true).truncate(true).open(&new)?;
    file.write_all_at(&number.to_le_bytes(), 0)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

/// Through a mapping that outlives the descriptor it was made from.
#[allow(unsafe_code, reason = "memory is shared with a file by mmap(2) alone")]
fn map(path: &Path, number: u64) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let (rights, length) = (libc::PROT_READ | libc::PROT_WRITE, size_of::<u64>());
    // SAFETY: a new mapping of a file that is at least so long, or a signal to whoever has shortened it; nobody does.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), length, rights, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    drop(file);
    // SAFETY: the mapping is there, aligned to a page, and as long as what is written; it is given up once.
    unsafe {
        at.cast::<u64>().write_volatile(number.to_le());
        let synced = libc::msync(at, length, libc::MS_SYNC);
        let error = io::Error::last_os_error();
        libc::munmap(at, length);
        if synced == 0 { Ok(()) } else { Err(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_promised_and_is_lost_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::new(dir.path().to_owned(), 0);
        let mut random = Random::of(7);
        (0..50).for_each(|_| ledger.write(&mut random));
        let violations = Violations::default();
        ledger.check(dir.path(), &violations, "now");
        assert_eq!((violations.number(), ledger.promises, ledger.unclear), (0, 50, 0));
        for (number, way) in (1..).zip(WAYS) {
            fs::write(ledger.path(way), []).unwrap();
            ledger.check(dir.path(), &violations, way);
            assert!(violations.number() >= number, "{way}");
        }
    }
}
