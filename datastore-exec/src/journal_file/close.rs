//! Ending the journal of somebody who was interrupted.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use datastore_core::journal::{self, OperationId, Outcome, Record};
use datastore_core::path::printable;
use datastore_core::{AbsPath, Error, ErrorKind};
use rustix::fs::{AtFlags, FlockOperation, OFlags};
use rustix::io::Errno;

use super::files::{Dirs, path_of};
use super::{JOURNAL, LIMIT};
use crate::root::{Miss, Root};
use crate::sys::clock;
use crate::sys::error::{Call, FdName, SysError};
use crate::sys::fd;

/// Whoever scans holds a journal for an instant; that must not look like somebody at work on it.
const GRACE: Duration = Duration::from_millis(100);

/// Ends the journal of an interrupted operation and moves it to those that have ended. One in which nothing was begun is
/// removed. If somebody else has ended it meanwhile, good.
///
/// When this returns, the end survives a power cut.
///
/// # Errors
/// [`ErrorKind::Locked`] if somebody is at work on the operation; [`ErrorKind::Invalid`] as [`scan`](super::scan()).
pub fn close(root: &Root, operation: &OperationId, outcome: Outcome) -> Result<(), Error> {
    let path = path_of(JOURNAL, operation);
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match root.open_file(&path, flags, 0) {
        Ok(file) => file,
        Err(Miss::Absent(_)) => return Ok(()),
        Err(other) => return Err(other.into()),
    };
    hold(&file, operation)?;
    let dirs = Dirs::make(root)?;
    if !is_still_there(&dirs, &path, &file)? {
        return Ok(());
    }
    let Some(told) = super::scan::read(&path, operation, &file)? else {
        return Ok(dirs.discard(operation)?);
    };
    if told.outcome().is_none() {
        end(&path, &file, told.torn, outcome)?;
    }
    // It has its end; where it lies is put right by the next operation.
    let _ = dirs.retire(operation);
    dirs.prune(root);
    Ok(())
}

/// Cuts a torn line off and writes the end.
fn end(path: &AbsPath, file: &OwnedFd, torn: bool, outcome: Outcome) -> Result<(), Error> {
    let why = |error: SysError| {
        error
            .because(format!("cannot end the journal `{}`; it counts as interrupted still", printable(path.as_bytes())))
    };
    rustix::fs::seek(file, rustix::fs::SeekFrom::Start(0))
        .map_err(|errno| why(SysError::new(Call::Read { fd: FdName::of(file) }, errno)))?;
    let bytes = fd::read_all(file, LIMIT).map_err(why)?;
    let mut length = bytes.len();
    if torn {
        let body = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        length = body.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    }
    let cut = |length: usize| {
        let length = length as u64;
        rustix::fs::ftruncate(file, length)
            .map_err(|errno| SysError::new(Call::Ftruncate { fd: FdName::of(file), length }, errno))
    };
    cut(length).map_err(why)?;
    let line = journal::line(&Record::End { at: clock::now(), outcome, failed: 0 });
    if let Err(error) = fd::write_all(file, line.as_bytes()) {
        // A part of the line is a torn tail again, should cutting fail.
        let _ = cut(length);
        return Err(why(error).hint("make room on the file system of /var/lib/datastore, then run: datastore recover"));
    }
    fd::sync(file).map_err(why)
}

fn hold(file: &OwnedFd, operation: &OperationId) -> Result<(), Error> {
    let until = Instant::now() + GRACE;
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
            Err(Errno::WOULDBLOCK) => {
                let message = format!("somebody is at work on operation {operation}; its journal was not touched");
                return Err(Error::new(ErrorKind::Locked, message).hint("wait until it has finished"));
            }
            Err(errno) => {
                let call = Call::Flock { fd: FdName::of(file), operation: "LOCK_EX|LOCK_NB" };
                return Err(SysError::new(call, errno).into());
            }
        }
    }
}

/// Whether the name still leads to the file: else somebody else has ended it while we waited for it.
fn is_still_there(dirs: &Dirs, path: &AbsPath, file: &OwnedFd) -> Result<bool, Error> {
    let s = rustix::fs::fstat(file).map_err(|errno| SysError::new(Call::Fstat { fd: FdName::of(file) }, errno))?;
    match rustix::fs::statat(&dirs.journal, path.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(now) => Ok((now.st_dev, now.st_ino) == (s.st_dev, s.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => {
            let (dir, name) = fd::Entry::new(&dirs.journal, path.file_name()).shown();
            Err(SysError::new(Call::Fstatat { dir, name }, errno).into())
        }
    }
}
