//! Which operations have not ended.

use std::os::fd::OwnedFd;

use datastore_core::journal::{self, JournalError, OperationId, Told, Unfinished};
use datastore_core::{AbsPath, Error, ErrorKind, moving};
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use super::files::{names, operation_of, path_of};
use super::{DONE, JOURNAL, LIMIT};
use crate::root::{Miss, Root, if_there};
use crate::sys::error::{Call, FdName, SysError};
use crate::sys::fd::{self, Entry};

/// What the journals say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// Operations that were interrupted, oldest first.
    pub unfinished: Vec<Unfinished>,
    /// Operations that somebody is at work on, oldest first.
    pub running: Vec<Unfinished>,
    /// Changes whenever an operation has begun or ended; it means nothing else. 0 where nothing can be seen.
    pub mark: u64,
}

/// An operation whose journal cannot be used.
#[derive(Debug)]
pub struct Untold {
    /// Which.
    pub operation: OperationId,
    /// When its journal was last written, in seconds since 1970.
    pub at: i64,
    /// Why.
    pub error: Error,
}

/// Reads the journals of the operations that have not ended: one directory, which is empty as a rule.
///
/// Whoever may not read them (they are for root alone) is told of none.
///
/// # Errors
/// [`ErrorKind::Invalid`] if a journal was written by a newer program or is damaged in its middle. A line that is cut at the
/// end is what a crash leaves, and is passed over.
pub fn scan(root: &Root) -> Result<Scan, Error> {
    let (scan, untold) = look(root)?;
    untold.into_iter().next().map_or(Ok(scan), |untold| Err(untold.error))
}

/// The same for who only looks: journals that cannot be used are told beside the others.
///
/// # Errors
/// Nothing can be read at all.
pub fn look(root: &Root) -> Result<(Scan, Vec<Untold>), Error> {
    let dir = match root.open_file(&AbsPath::literal(JOURNAL), OFlags::RDONLY | OFlags::DIRECTORY, 0) {
        Ok(dir) => dir,
        Err(Miss::Absent(_) | Miss::Denied(..)) => return Ok(Default::default()),
        Err(other) => return Err(other.into()),
    };
    let s = rustix::fs::fstat(&dir).map_err(|errno| SysError::new(Call::Fstat { fd: FdName::of(&dir) }, errno))?;
    let mut scan = Scan::default();
    let mut untold = Vec::new();
    let stamps = [s.st_ino, s.st_mtime.cast_unsigned(), s.st_mtime_nsec, s.st_ctime.cast_unsigned(), s.st_ctime_nsec];
    let mut mark = stamps.iter().fold(FNV, |mark, stamp| mix(mark, &stamp.to_ne_bytes()));
    let mut operations: Vec<OperationId> = names(&dir)?.iter().filter_map(|name| operation_of(name)).collect();
    operations.sort_unstable();
    for operation in operations {
        mark = mix(mark, operation.as_str().as_bytes());
        let name = format!("{operation}.journal");
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match fd::open(Entry::new(&dir, name.as_bytes()), flags, 0) {
            Ok(file) => file,
            // It has ended and moved meanwhile.
            Err(error) if error.errno() == Errno::NOENT => continue,
            Err(error) if error.is_privilege() => continue,
            Err(error) => return Err(error.into()),
        };
        // First the lock, then the content: of a journal that is free nothing is still to be written.
        let running = is_held(&file)?;
        let found = match read(&path_of(JOURNAL, &operation), &operation, &file) {
            Ok(Some(told)) if told.outcome().is_some() => continue,
            Ok(Some(told)) => unfinished(operation, &told),
            Ok(None) => Unfinished::nothing(operation, written(&file)),
            Err(error) if error.kind() == ErrorKind::Invalid => {
                untold.push(Untold { operation, at: written(&file), error });
                continue;
            }
            Err(error) => return Err(error),
        };
        if running { scan.running.push(found) } else { scan.unfinished.push(found) }
    }
    scan.mark = mark;
    settle_hooks(root, &mut scan.unfinished)?;
    Ok((scan, untold))
}

/// Strikes hooks off that an operation which came after it has run to their end: the one that was to finish it, as a rule.
fn settle_hooks(root: &Root, unfinished: &mut [Unfinished]) -> Result<(), Error> {
    let Some(first) = unfinished.iter().filter(|u| !u.owes.is_empty()).map(|u| u.operation.clone()).min() else {
        return Ok(());
    };
    let done = AbsPath::literal(DONE);
    let Some(dir) = if_there(root.open_file(&done, OFlags::RDONLY | OFlags::DIRECTORY, 0))? else { return Ok(()) };
    for operation in names(&dir)?.iter().filter_map(|name| operation_of(name)).filter(|o| *o > first) {
        let name = format!("{operation}.journal");
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        // One that is gone or cannot be used says nothing.
        let Ok(file) = fd::open(Entry::new(&dir, name.as_bytes()), flags, 0) else { continue };
        let Ok(Some(told)) = read(&path_of(DONE, &operation), &operation, &file) else { continue };
        let paid = told.paid();
        for before in unfinished.iter_mut().filter(|u| u.operation < operation) {
            before.owes.retain(|mount_point| !paid.contains(mount_point));
        }
    }
    Ok(())
}

fn unfinished(operation: OperationId, told: &Told) -> Unfinished {
    Unfinished {
        operation,
        goal: Some(told.begin.goal.clone()),
        plan: Some(told.begin.plan.clone()),
        at: told.begin.at,
        mappings: told.begin.mappings.clone(),
        steps: told.begin.steps.len(),
        done: told.done(),
        makes: told.makes(),
        owes: told.owes(),
        rooms: moving::rooms(&told.begin.steps),
        rest: told.rest(),
    }
}

fn written(file: &OwnedFd) -> i64 {
    rustix::fs::fstat(file).map_or(0, |s| s.st_mtime)
}

/// What a journal tells; `None` if its first line did not reach the disk.
pub(super) fn read(path: &AbsPath, operation: &OperationId, file: &OwnedFd) -> Result<Option<Told>, Error> {
    let bytes = fd::read_all(file, LIMIT)?;
    let why = match journal::parse(&bytes) {
        Ok(told) if told.begin.operation == *operation => return Ok(Some(told)),
        Ok(told) => format!("it is the journal of {}", told.begin.operation),
        Err(JournalError::Empty) => return Ok(None),
        Err(error @ JournalError::Newer(_)) => {
            return Err(Error::new(ErrorKind::Invalid, format!("cannot read the journal `{path}`"))
                .hint("update datastore: a newer one has begun this operation")
                .caused_by(error));
        }
        Err(error @ JournalError::Damaged { .. }) => error.to_string(),
    };
    Err(Error::new(ErrorKind::Invalid, format!("the journal `{path}` cannot be used: {why}; nothing was changed"))
        .hint(format!("look at what holds now: datastore status; then move {path} away and run the command again")))
}

/// Whether somebody is at work on a journal.
pub(super) fn is_held(file: &OwnedFd) -> Result<bool, Error> {
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => return Ok(false),
            Err(Errno::WOULDBLOCK) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(errno) => {
                let call = Call::Flock { fd: FdName::of(file), operation: "LOCK_SH|LOCK_NB" };
                return Err(SysError::new(call, errno).into());
            }
        }
    }
}

const FNV: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a.
fn mix(mark: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(mark, |mark, &b| (mark ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}
