//! The journals of all operations, for those who only look: ended, running and interrupted ones alike.

use datastore_core::journal::{OperationId, Told};
use datastore_core::{AbsPath, Error};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::files::{names, operation_of, path_of};
use super::scan::{is_held, read};
use super::{DONE, JOURNAL};
use crate::root::{Root, if_there};
use crate::sys::fd::{self, Entry};

/// The two directories: of operations that have not ended, and of the others.
pub(crate) const DIRECTORIES: [&str; 2] = [JOURNAL, DONE];

/// A journal that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The operation.
    pub(crate) operation: OperationId,
    /// One of [`DIRECTORIES`].
    dir: &'static str,
}

/// What a journal is.
#[derive(Debug)]
pub(crate) enum Found {
    /// It is understood; `running` if somebody is at work on it.
    Told {
        /// What it tells.
        told: Box<Told>,
        /// Whether somebody is at work on it.
        running: bool,
    },
    /// Not even its first line reached the disk.
    Nothing,
    /// It cannot be understood.
    Damaged(Error),
    /// It is not there any more.
    Gone,
}

/// All journals, oldest first, each operation once.
///
/// # Errors
/// [`Privilege`](datastore_core::ErrorKind::Privilege) for whoever is not root.
pub(crate) fn list(root: &Root) -> Result<Vec<Listed>, Error> {
    let mut all = Vec::new();
    for dir in DIRECTORIES {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let Some(opened) = if_there(root.open_file(&AbsPath::literal(dir), flags, 0))? else { continue };
        all.extend(names(&opened)?.iter().filter_map(|n| operation_of(n)).map(|operation| Listed { operation, dir }));
    }
    // Where one lies under both names, that of those that have not ended is what every verb goes by.
    all.sort_by(|a, b| (&a.operation, a.has_ended()).cmp(&(&b.operation, b.has_ended())));
    all.dedup_by(|a, b| a.operation == b.operation);
    Ok(all)
}

impl Listed {
    /// Its path below the root.
    pub(crate) fn path(&self) -> AbsPath {
        path_of(self.dir, &self.operation)
    }

    /// Whether it lies among those that have ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.dir == DONE
    }

    /// Reads it. One that has ended and moved since it was listed is found where it is now.
    pub(crate) fn open(&self, root: &Root) -> Result<Found, Error> {
        for dir in [self.dir, DONE] {
            let path = path_of(dir, &self.operation);
            let place = root.place(&path)?;
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
            let file = match fd::open(Entry::new(&place.entry().dir(), path.file_name()), flags, 0) {
                Ok(file) => file,
                Err(error) if error.errno() == Errno::NOENT => continue,
                Err(error) => return Err(error.into()),
            };
            // First the lock, then the content: of a journal that is free nothing is still to be written.
            let running = is_held(&file)?;
            // Not held while it is read, which may take long: `recover` waits only an instant for those who look.
            let _ = rustix::fs::flock(&file, rustix::fs::FlockOperation::Unlock);
            return Ok(match read(&path, &self.operation, &file) {
                Ok(Some(told)) => Found::Told { told: Box::new(told), running },
                Ok(None) => Found::Nothing,
                Err(error) if error.kind() == datastore_core::ErrorKind::Invalid => Found::Damaged(error),
                Err(error) => return Err(error),
            });
        }
        Ok(Found::Gone)
    }
}
