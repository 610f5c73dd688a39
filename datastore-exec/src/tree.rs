//! Whole trees: survey, copy, removal. Everything works on open descriptors; paths are for messages.
//!
//! The source may be in use: what vanishes is passed over, what changes its kind is looked at again, and attributes are read
//! before contents, so that a later pass sees every change. No link is followed and no other mount is entered.

pub mod copy;
pub mod data;
pub mod delta;
mod dir;
mod direct;
pub mod dirty;
pub mod error;
mod inside;
mod known;
pub mod limits;
pub mod links;
pub mod map;
pub mod measure;
pub mod meta;
mod names;
pub mod owed;
pub mod owners;
pub(crate) mod places;
pub mod remove;
pub mod resolver;
pub mod survey;
#[cfg(test)]
pub(crate) mod tests;
pub mod update;
pub mod verify;
pub mod walk;
pub mod watch;
pub mod written;

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::FileType;

pub use copy::{Copier, copy};
pub use error::{Fail, Fault, TreeError};
pub use remove::remove;
pub use survey::{Survey, survey};

use crate::sys::{SysError, thread};

/// A count that several threads add to and one reads.
pub type Counter = AtomicU64;

/// What was done so far. Whoever shows progress reads it now and then.
#[derive(Debug, Default)]
pub struct Tally {
    /// Directories, the top among them.
    pub directories: Counter,
    /// Regular files, each inode once.
    pub files: Counter,
    /// Symbolic links.
    pub symlinks: Counter,
    /// Sockets, FIFOs and devices.
    pub others: Counter,
    /// Further names of an inode that was there already.
    pub hard_links: Counter,
    /// Length of the files.
    pub bytes: Counter,
    /// Of these, what was written: without holes, and without what is shared.
    pub written: Counter,
    /// Of these, what the copy shares with the original.
    pub shared: Counter,
    /// Mounts below the top, which were not entered.
    pub mounts: Counter,
}

impl Tally {
    /// The count for a kind.
    #[must_use]
    pub fn of(&self, kind: FileType) -> &Counter {
        match kind {
            FileType::Directory => &self.directories,
            FileType::RegularFile => &self.files,
            FileType::Symlink => &self.symlinks,
            _ => &self.others,
        }
    }
    /// Names in all.
    #[must_use]
    pub fn entries(&self) -> u64 {
        [&self.directories, &self.files, &self.symlinks, &self.others, &self.hard_links]
            .iter()
            .map(|counter| counter.load(Ordering::Relaxed))
            .sum()
    }
}

/// Who is told of things while a walk goes on. Called from several threads.
pub trait Watch: Sync {
    /// Something failed. `true` goes on without it; else the walk ends with this error.
    fn left_out(&self, error: &TreeError) -> bool {
        let _ = error;
        false
    }
    /// Something is mounted at this path below the top; it is not entered.
    fn mount(&self, path: &[u8]) {
        let _ = path;
    }
}

/// Nobody is told, and the first failure ends it.
impl Watch for () {}

/// How a walk is led.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// The path of the top as messages name it.
    pub label: &'a str,
    /// Set by whoever wants it to end soon.
    pub stop: &'a AtomicBool,
    /// Where it counts.
    pub tally: &'a Tally,
    /// Who is told.
    pub watch: &'a dyn Watch,
    /// How many threads walk.
    pub threads: usize,
}

impl Control<'_> {
    /// A path below the top for a message.
    #[must_use]
    pub fn shown(&self, path: &[u8]) -> String {
        walk::shown(self.label, path)
    }
}

/// How many threads walk unless somebody knows better: on a cold cache many wait for the disk at once, on a warm one they cost
/// next to nothing.
pub const THREADS: usize = 16;

/// How often it is told how far a walk is.
const EVERY: Duration = Duration::from_millis(200);

/// Walks a tree, in threads of its own, and tells at its beginning and now and then how many entries and bytes there were so far.
/// Returns how many in the end, too.
pub(crate) fn followed<T: Send, E: Send>(
    label: &str,
    watch: &dyn Watch,
    mut tell: impl FnMut((u64, u64)),
    walk: impl FnOnce(&Control<'_>) -> Result<T, E> + Send,
) -> (Result<T, E>, (u64, u64)) {
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    let control = Control { label, stop: &stop, tally: &tally, watch, threads: THREADS };
    let walk = Mutex::new(Some(walk));
    let begin = &|| walk.lock().unwrap_or_else(PoisonError::into_inner).take().map(|walk| walk(&control));
    std::thread::scope(|scope| {
        let (done, ended) = std::sync::mpsc::channel::<()>();
        let walker = thread::another(scope, move || {
            let _done = done;
            begin()
        });
        let now = || (tally.entries(), tally.bytes.load(Ordering::Relaxed));
        loop {
            tell(now());
            if ended.recv_timeout(EVERY) != Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                break;
            }
        }
        let walked = thread::join_or(walker, begin).expect("a walk is begun once");
        (walked, now())
    })
}

/// Brings a whole file system to the disk, once after a copy. An error is final: the copy must be thrown away.
pub fn sync(fd: impl AsFd) -> Result<(), SysError> {
    crate::sys::data::sync_all(fd)
}
