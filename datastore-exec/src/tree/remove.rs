//! The removal of a whole tree.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::copy::{Opened, open};
use super::error::{Fail, TreeError};
use super::meta::unlock;
use super::survey::still_there;
use super::walk::{Dir, Entered, Met, Visit, count, walk};
use super::{Control, Fault};
use crate::sys::attr::{self, Attr, LOCKS};
use crate::sys::{Entry, SysError, fd};

/// Removes everything below `top`, which is open for reading and stays, empty. What is locked (immutable, append-only) is
/// unlocked first. Nothing on another mount is touched: such a mount ends it (EBUSY), after what could be removed before.
pub fn remove(top: &OwnedFd, control: &Control<'_>) -> Result<(), TreeError> {
    let here = |error| failed(error).at(control.label.to_owned());
    let top = fd::open(Entry::itself(top), OFlags::RDONLY | OFlags::DIRECTORY, 0).map_err(here)?;
    let attr = attr::attr(Entry::itself(&top)).map_err(here)?;
    unlock(Entry::itself(&top), LOCKS).map_err(here)?;
    walk(&Remover { control, top: attr }, (top, None, ()), control)
}

struct Remover<'a> {
    control: &'a Control<'a>,
    top: Attr,
}

impl Remover<'_> {
    fn unlink(&self, entry: Entry<'_>) -> Result<(), SysError> {
        match fd::remove_file(entry) {
            Err(error) if error.errno() == Errno::PERM => {
                // Locked, perhaps. Only a file can be, beside a directory.
                let file = fd::open(entry, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, 0)?;
                unlock(Entry::itself(&file), LOCKS)?;
                fd::remove_file(entry)
            }
            other => other,
        }
    }
}

impl Visit for Remover<'_> {
    type State = ();

    fn enter(&self, above: &Dir<()>, name: &[u8]) -> Result<Entered<()>, Fail> {
        let Some(dir) = still_there(above)? else { return Ok(Entered::Done) };
        let source = match open(Entry::new(&*dir, name), OFlags::RDONLY | OFlags::DIRECTORY)? {
            Some(Opened::Fd(source)) => source,
            Some(Opened::Changed) => return Ok(Entered::Is(FileType::RegularFile)),
            None => return Ok(Entered::Done),
        };
        let attr = attr::attr(Entry::itself(&source)).map_err(Fail::source)?;
        if !attr.is_on_mount_of(&self.top) {
            count(&self.control.tally.mounts, 1);
            self.control.watch.mount(&above.path(name));
            let (dir, name) = Entry::new(&*dir, name).shown();
            let error = SysError::new(crate::sys::Call::Unlinkat { dir, name }, Errno::BUSY);
            return Err(failed(error));
        }
        unlock(Entry::itself(&source), LOCKS).map_err(failed)?;
        Ok(Entered::Dir { source, target: None, state: () })
    }

    fn entry(&self, dir: &Dir<()>, name: &[u8], kind: FileType) -> Result<Met, Fail> {
        let Some(fd) = still_there(dir)? else { return Ok(Met::Done) };
        match self.unlink(Entry::new(&*fd, name)) {
            Ok(()) => {}
            Err(error) if error.errno() == Errno::NOENT => return Ok(Met::Done),
            Err(error) if error.errno() == Errno::ISDIR => return Ok(Met::Is(FileType::Directory)),
            Err(error) => return Err(failed(error)),
        }
        count(self.control.tally.of(kind), 1);
        Ok(Met::Done)
    }

    fn leave(&self, dir: &Dir<()>) -> Result<(), Fail> {
        let Some(above) = dir.above() else { return Ok(()) };
        let Some(fd) = still_there(above)? else { return Ok(()) };
        match fd::remove_dir(Entry::new(&*fd, dir.name())) {
            Ok(()) => count(&self.control.tally.directories, 1),
            Err(error) if error.errno() == Errno::NOENT => {}
            Err(error) => return Err(failed(error)),
        }
        Ok(())
    }
}

fn failed(error: SysError) -> Fail {
    Fail { fault: Fault::Remains, error }
}
