//! The journals of operations on the disk: `/var/lib/datastore/journal/<operation>.journal` while an operation has not ended,
//! `/var/lib/datastore/done/` afterwards.
//!
//! Who writes a journal holds it with flock(2) for as long as it lives, so the kernel says which operations are running and which
//! were interrupted. A journal gets its name once its first line is on the disk, so one that is seen is held already.

mod close;
mod files;
pub(crate) mod list;
mod scan;
#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;

use datastore_core::journal::{self, Begin, OperationId, Outcome, Record};
use datastore_core::plan::Subject;
use datastore_core::planted::{self, Bug};
use datastore_core::step::Step;
use datastore_core::{AbsPath, Error, ErrorKind};
use rustix::fs::{FlockOperation, OFlags, RenameFlags};
use rustix::io::Errno;

use self::files::{Dirs, path_of};
use crate::root::Root;
use crate::sys::clock;
use crate::sys::error::{Call, FdName, SysError};
use crate::sys::fd::{self, Entry};

pub use close::close;
pub use scan::{Scan, look, scan};

/// Where the journals of operations lie that have not ended.
const JOURNAL: &str = "/var/lib/datastore/journal";
/// Where the others lie.
const DONE: &str = "/var/lib/datastore/done";
/// The most that is read of one journal.
const LIMIT: usize = 256 << 20;
/// How much of what was done is kept in memory before it is written.
const BUFFER: usize = 64 << 10;

/// The journal of the operation that this process is at work on.
#[derive(Debug)]
pub struct Journal {
    root: Root,
    operation: OperationId,
    file: OwnedFd,
    /// How much of the file is whole lines.
    length: u64,
    /// Lines that are not written yet.
    buffer: Vec<u8>,
    /// The steps of the last `done`, which the next one may carry on.
    done: Option<(usize, usize)>,
    /// Why nothing more may be written.
    broken: Option<String>,
}

impl Journal {
    /// Begins the journal of an operation. When this returns, its first line and its name survive a power cut; before that,
    /// nothing may be done.
    ///
    /// The directories are made where they are missing (`journal` and `done` 0700, those above 0755). What earlier runs left is
    /// tidied: journals that have ended move to `done`, files that never became one are removed.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] if the operation has a journal already or somebody else could write to the directory. After any
    /// error there is no journal of this operation, but for a failure to sync the directory, which leaves one in which
    /// nothing was done.
    pub fn begin(root: &Root, begin: &Begin) -> Result<Self, Error> {
        Self::begin_with(root, begin, &begin.mappings, &begin.steps)
    }

    /// The same with the mappings and steps of a plan that is kept elsewhere.
    pub fn begin_with(root: &Root, begin: &Begin, mappings: &[Subject], steps: &[Step]) -> Result<Self, Error> {
        let dirs = Dirs::make(root).map_err(|error| {
            Error::new(error.kind(), format!("cannot make {JOURNAL}; nothing has been done"))
                .with_errno(error.errno().unwrap_or(0))
                .hint(error.get_hint().unwrap_or("look after /var, then run the command again").to_owned())
                .caused_by(error)
        })?;
        dirs.tidy();
        let path = path_of(JOURNAL, &begin.operation);
        let temporary = format!(".{}.new", begin.operation);
        let temporary = Entry::new(&dirs.journal, temporary.as_bytes());
        let why = |error: SysError| error.because(format!("cannot begin the journal `{path}`; nothing has been done"));
        let file =
            fd::open(temporary, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::APPEND, 0o600).map_err(why)?;
        let line = journal::first_line(begin, mappings, steps);
        let written = lock(&file)
            .and_then(|()| fd::write_all(&file, line.as_bytes()))
            .and_then(|()| fd::sync(&file))
            .and_then(|()| publish(&dirs, temporary, &path));
        if let Err(error) = written {
            // Nothing was done, and the file has no name that counts.
            let _ = fd::remove_file(temporary);
            return Err(why(error));
        }
        dirs.touch();
        fd::sync(&dirs.journal).map_err(why)?;
        let length = line.len() as u64;
        let operation = begin.operation.clone();
        Ok(Self { root: root.clone(), operation, file, length, buffer: Vec::new(), done: None, broken: None })
    }

    /// The operation.
    #[must_use]
    pub fn operation(&self) -> &OperationId {
        &self.operation
    }

    /// Says that these steps (numbers from 0, both included) are about to be done. When this returns, that and everything
    /// said before survive a power cut; before that, none of them may be begun.
    ///
    /// # Errors
    /// The disk is full or broken. If it is full, what was said before is kept and written with the next record. After a failed
    /// sync nothing more is written: every later call fails, and the operation counts as interrupted.
    pub fn intent(&mut self, first: usize, last: usize) -> Result<(), Error> {
        self.usable()?;
        let kept = self.flush_done();
        self.add(&Record::Intent { first, last });
        if let Err(error) = self.write() {
            // The steps are not begun, so their intent must not be written later.
            self.buffer.truncate(kept);
            return Err(error);
        }
        self.sync()
    }

    /// Says that these steps were done. Not synced: it is on the disk with the next [`Journal::intent`] or the end.
    pub fn done(&mut self, first: usize, last: usize) -> Result<(), Error> {
        match &mut self.done {
            Some((_, before)) if *before + 1 == first => *before = last,
            _ => {
                self.flush_done();
                self.done = Some((first, last));
            }
        }
        self.usable()?;
        if self.buffer.len() > BUFFER { self.write() } else { Ok(()) }
    }

    /// Says that a step failed. Not synced, as [`Journal::done`].
    pub fn failed(&mut self, step: usize, error: &str) -> Result<(), Error> {
        self.say(&Record::Failed { step, error: error.into() })
    }

    /// Says that a step was taken back, or why that failed. Not synced, as [`Journal::done`].
    pub fn undone(&mut self, step: usize, error: Option<&str>) -> Result<(), Error> {
        self.say(&Record::Undone { step, error: error.map(Into::into) })
    }

    /// Ends the journal and moves it to the others that have ended, of which the newest 200 and at most 64 MiB are kept.
    ///
    /// When this returns, the end survives a power cut. Should moving fail then, the journal stays where it is as an ended
    /// one, and the next [`Journal::begin`] moves it.
    pub fn end(mut self, outcome: Outcome, failed: usize) -> Result<(), Error> {
        self.usable()?;
        self.flush_done();
        self.add(&Record::End { at: clock::now(), outcome, failed });
        self.write()?;
        self.sync()?;
        if let Ok(dirs) = Dirs::make(&self.root) {
            let _ = dirs.retire(&self.operation);
            dirs.prune(&self.root);
        }
        Ok(())
    }

    fn say(&mut self, record: &Record) -> Result<(), Error> {
        self.flush_done();
        self.add(record);
        self.usable()?;
        if self.buffer.len() > BUFFER { self.write() } else { Ok(()) }
    }

    /// Puts the steps that were done into the buffer; its length after that.
    fn flush_done(&mut self) -> usize {
        if let Some((first, last)) = self.done.take() {
            self.add(&Record::Done { first, last });
        }
        self.buffer.len()
    }

    fn add(&mut self, record: &Record) {
        self.buffer.extend_from_slice(journal::line(record).as_bytes());
    }

    fn path(&self) -> AbsPath {
        path_of(JOURNAL, &self.operation)
    }

    /// Whether nothing can be written to it any more: a sync has failed, or a part of a line stands in it.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    fn usable(&self) -> Result<(), Error> {
        let Some(why) = &self.broken else { return Ok(()) };
        let message = format!("the journal `{}` is not trusted any more: {why}", self.path());
        Err(Error::new(ErrorKind::System, message).hint("look after the disk, then run: datastore recover"))
    }

    /// Writes the buffer. If that fails the file is cut back to whole lines and the buffer is kept.
    fn write(&mut self) -> Result<(), Error> {
        let Err(error) = fd::write_all(&self.file, &self.buffer) else {
            self.length += self.buffer.len() as u64;
            self.buffer.clear();
            return Ok(());
        };
        if let Err(errno) = rustix::fs::ftruncate(&self.file, self.length) {
            self.broken = Some(format!("a part of a line was written and could not be cut off ({errno})"));
        }
        let full = matches!(error.errno(), Errno::NOSPC | Errno::DQUOT);
        let error = error.because(format!(
            "cannot write to the journal `{}`; the steps that it tells of as done stand, no further one was begun",
            self.path()
        ));
        let hint = if full { "make room on the file system of /var/lib/datastore" } else { "look after the disk" };
        Err(error.hint(format!("{hint}, then run: datastore recover")))
    }

    fn sync(&mut self) -> Result<(), Error> {
        if planted::has(Bug::UnsyncedJournal) {
            return Ok(());
        }
        // fdatasync(2) brings the length along.
        let Err(errno) = rustix::fs::fdatasync(&self.file) else { return Ok(()) };
        // A second sync could succeed with the data lost (fsync(2)), so it is never tried.
        self.broken = Some(format!("it could not be brought to the disk ({errno})"));
        let error = SysError::new(Call::Fsync { fd: FdName::of(&self.file) }, errno);
        Err(error
            .because(format!("cannot bring the journal `{}` to the disk; nothing further was begun", self.path()))
            .hint("look after the disk, then run: datastore recover"))
    }
}

/// Takes the lock of a new file, of which nobody else knows.
fn lock(file: &OwnedFd) -> Result<(), SysError> {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|errno| SysError::new(Call::Flock { fd: FdName::of(file), operation: "LOCK_EX|LOCK_NB" }, errno))
}

/// Gives a journal its name, which must be free.
fn publish(dirs: &Dirs, temporary: Entry<'_>, path: &AbsPath) -> Result<(), SysError> {
    let (dir, name) = (&dirs.journal, path.file_name());
    let rename = |flags| rustix::fs::renameat_with(dir, temporary.name(), dir, name, flags);
    let renamed = match rename(RenameFlags::NOREPLACE) {
        // Before Linux 3.15, or a file system that cannot: a link refuses the same.
        Err(Errno::NOSYS | Errno::INVAL) => {
            rustix::fs::linkat(dir, temporary.name(), dir, name, rustix::fs::AtFlags::empty())
                .and_then(|()| rustix::fs::unlinkat(dir, temporary.name(), rustix::fs::AtFlags::empty()))
        }
        other => other,
    };
    renamed.map_err(|errno| {
        let (dir, old) = temporary.shown();
        SysError::new(Call::Renameat { dir, old, new: datastore_core::path::printable(name) }, errno)
    })
}
