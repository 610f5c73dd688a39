//! A copy of what is hidden, by the tree engine: everything is kept. What cannot be read, or not be held where the copy goes, is
//! left out and told.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use datastore_core::path::printable;
use datastore_core::peek::{Copied, LeftOut};
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::root::{Miss, Root};
use crate::sys::attr::{self, LOCKS};
use crate::sys::{Entry, SysError, fd};
use crate::tree::walk::Met;
use crate::tree::{self, Control, Fault, Tally, TreeError, Watch, meta};

/// So many things that were left out are named; the rest is counted.
const NAMED: usize = 100;

/// Opens the directory that a copy goes to; makes it, mode 0700, if it is missing.
///
/// # Errors
/// [`ErrorKind::Refused`] if something is in it, or it is no directory.
pub(super) fn receive(root: &Root, to: &AbsPath) -> Result<OwnedFd> {
    let open = || root.open_file(to, OFlags::RDONLY | OFlags::DIRECTORY, 0);
    let dir = match open() {
        Ok(dir) => dir,
        Err(Miss::Absent(missing)) if missing == *to => return Ok(fd::make_dir(root.place(to)?.entry(), 0o700)?),
        Err(other) => return Err(other.into()),
    };
    if !fd::is_empty(&dir)? {
        return Err(Error::new(ErrorKind::Refused, format!("{to} is not empty; nothing was copied"))
            .hint("name a directory that is empty or does not exist yet"));
    }
    Ok(dir)
}

/// Directories below `top`, mode 0700, made as far as they are missing; the last one, open.
pub(super) fn directories(top: &OwnedFd, names: &[&[u8]]) -> Result<OwnedFd> {
    let mut dir = fd::open(Entry::itself(top), OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
    for name in names {
        dir = directory(Entry::new(&dir, name))?;
    }
    Ok(dir)
}

fn directory(entry: Entry<'_>) -> std::result::Result<OwnedFd, SysError> {
    match fd::make_dir(entry, 0o700) {
        Err(error) if error.errno() == Errno::EXIST => fd::open(entry, OFlags::RDONLY | OFlags::DIRECTORY, 0),
        other => other,
    }
}

/// Copies, and keeps count.
pub(super) struct Copier {
    to: String,
    tally: Tally,
    left_out: Mutex<(Vec<LeftOut>, usize)>,
    /// The path of what is copied now, as it would be named without the bind.
    pub(super) shown: String,
}

impl Watch for Copier {
    fn left_out(&self, error: &TreeError) -> bool {
        let cause = error.cause().map(ToString::to_string).unwrap_or_default();
        match error.fault() {
            Fault::Source => self.leave_out(error.path(), cause),
            Fault::Unfit => self.leave_out(error.path(), format!("it cannot be held there as it is: {cause}")),
            // A copy that cannot be written ends it all.
            _ => return false,
        }
        true
    }
    fn mount(&self, path: &[u8]) {
        let path = format!("{}/{}", self.shown.trim_end_matches('/'), printable(path));
        self.leave_out(&path, "something is mounted there".into());
    }
}

impl Copier {
    pub(super) fn new(to: &AbsPath) -> Self {
        Self { to: to.to_string(), tally: Tally::default(), left_out: Mutex::default(), shown: String::new() }
    }

    /// Brings everything to the disk, and says what was done.
    pub(super) fn finish(self, top: &OwnedFd) -> Result<Copied> {
        tree::sync(top).map_err(|error| {
            self.failed(&format!("what was copied cannot be brought to the disk ({})", self.shown), error.errno())
        })?;
        let (left_out, more_left_out) = self.left_out.into_inner().unwrap_or_else(PoisonError::into_inner);
        let count = |counter: &tree::Counter| counter.load(Ordering::Relaxed);
        let names = |counters: &[&tree::Counter]| counters.iter().map(|c| usize::try_from(count(c)).unwrap_or(0)).sum();
        let tally = &self.tally;
        Ok(Copied {
            to: self.to,
            files: names(&[&tally.files, &tally.hard_links, &tally.others]),
            directories: names(&[&tally.directories]),
            links: names(&[&tally.symlinks]),
            bytes: count(&tally.written) + count(&tally.shared),
            left_out,
            more_left_out,
        })
    }

    fn failed(&self, what: &str, errno: Errno) -> Error {
        Error::new(ErrorKind::System, format!("{what}; what was copied before stands in {}", self.to))
            .with_errno(errno.raw_os_error())
            .hint(format!("make room or look after the disk, remove {}, then run the command again", self.to))
            .caused_by(errno)
    }

    fn ended(&self, error: &TreeError) -> Error {
        self.failed(&error.to_string(), error.cause().map_or(Errno::CANCELED, SysError::errno))
    }

    fn leave_out(&self, path: &str, why: String) {
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        if left_out.0.len() < NAMED {
            left_out.0.push(LeftOut { path: path.into(), why });
        } else {
            left_out.1 += 1;
        }
    }

    fn control<'a>(&'a self, stop: &'a AtomicBool) -> Control<'a> {
        Control { label: &self.shown, stop, tally: &self.tally, watch: self, threads: tree::THREADS }
    }

    /// Copies something that is no directory to a new name.
    pub(super) fn entry(&self, from: &OwnedFd, name: &[u8], to: &OwnedFd, new: &[u8]) -> Result<()> {
        let stop = AtomicBool::new(false);
        let entry = Entry::new(from, name);
        let copied = tree::Copier::new(from, to, None, self.control(&stop)).and_then(|copier| {
            let kind = attr::attr(entry).map_err(tree::Fail::source)?.kind();
            copier.entry(entry, kind, Entry::new(to, new), || new.to_vec())
        });
        match copied {
            Ok(Met::Done) => Ok(()),
            Ok(Met::Is(_)) => {
                self.leave_out(&self.shown, "it was replaced while it was looked at".into());
                Ok(())
            }
            Err(fail) => {
                let error = fail.at(self.shown.clone());
                if self.left_out(&error) { Ok(()) } else { Err(self.ended(&error)) }
            }
        }
    }

    /// Copies a directory to a new name. It may be there already, as one above another mount point or as a copy of what another one
    /// hides: what is in it stays.
    pub(super) fn directory(&self, from: &OwnedFd, to: &OwnedFd, name: &[u8]) -> Result<()> {
        let unwritten = |error: SysError| self.ended(&tree::Fail::target(error).at(self.shown.clone()));
        let made = directory(Entry::new(to, name)).map_err(unwritten)?;
        meta::unlock(Entry::itself(&made), LOCKS).map_err(unwritten)?;
        fd::each_name(&made, |name| {
            if attr::attr(Entry::new(from, name)).is_ok() {
                let path = format!("{}/{}", self.shown.trim_end_matches('/'), printable(name));
                self.leave_out(&path, "what another mount point hides was copied to its place".into());
            }
            true
        })
        .map_err(unwritten)?;
        let stop = AtomicBool::new(false);
        tree::copy(from, &made, None, &self.control(&stop)).map_err(|error| self.ended(&error))
    }
}
