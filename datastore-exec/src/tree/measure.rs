//! How much a tree takes, as du(1) tells it. Only directories are opened, so that nobody is disturbed whose files these are.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::copy::{Opened, READ_DIR, open};
use super::error::{Fail, TreeError};
use super::survey::{Several, still_there};
use super::walk::{Dir, Entered, Met, Visit, count};
use super::{Control, Counter, walk};
use crate::sys::attr::{self, Attr};
use crate::sys::{Entry, fd};

/// What was found. Of an inode with several names the contents count once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measured {
    /// Names in all, the top among them.
    pub entries: u64,
    /// What they take on the disk.
    pub allocated: u64,
    /// Length of the files.
    pub bytes: u64,
}

/// Measures everything below `top`, which is open for reading, on its mount alone. The tally counts entries as they are seen; what cannot
/// be looked at is told to whoever watches.
pub fn measure(top: &OwnedFd, control: &Control<'_>) -> Result<Measured, TreeError> {
    let here = |error| Fail::source(error).at(control.label.to_owned());
    let top = fd::open(Entry::itself(top), READ_DIR, 0).map_err(here)?;
    let attr = attr::attr(Entry::itself(&top)).map_err(here)?;
    let measurer = Measurer { control, top: attr, allocated: Counter::new(0), several: Several::default() };
    measurer.note(&attr);
    walk::walk(&measurer, (top, None, ()), control)?;
    let (tally, allocated) = (control.tally, measurer.allocated.into_inner());
    Ok(Measured { entries: tally.entries(), allocated, bytes: tally.bytes.load(Ordering::Relaxed) })
}

struct Measurer<'a> {
    control: &'a Control<'a>,
    top: Attr,
    allocated: Counter,
    several: Several,
}

impl Measurer<'_> {
    fn note(&self, attr: &Attr) {
        let tally = self.control.tally;
        if !self.several.is_first(attr) {
            return count(&tally.hard_links, 1);
        }
        count(tally.of(attr.kind()), 1);
        count(&self.allocated, attr.blocks * 512);
        if attr.kind().is_file() {
            count(&tally.bytes, attr.size);
        }
    }

    /// Whether something else is mounted there, which is not entered.
    fn is_elsewhere(&self, attr: &Attr, path: impl Fn() -> Vec<u8>) -> bool {
        let elsewhere = !attr.is_on_mount_of(&self.top);
        if elsewhere {
            count(&self.control.tally.mounts, 1);
            self.control.watch.mount(&path());
        }
        elsewhere
    }
}

impl Visit for Measurer<'_> {
    type State = ();

    fn enter(&self, above: &Dir<()>, name: &[u8]) -> Result<Entered<()>, Fail> {
        let Some(dir) = still_there(above)? else { return Ok(Entered::Done) };
        let source = match open(Entry::new(&*dir, name), OFlags::RDONLY | OFlags::DIRECTORY)? {
            Some(Opened::Fd(source)) => source,
            // Something else by now: it is not counted, for it may be anything in a moment.
            Some(Opened::Changed) | None => return Ok(Entered::Done),
        };
        let attr = attr::attr(Entry::itself(&source)).map_err(Fail::source)?;
        if self.is_elsewhere(&attr, || above.path(name)) {
            return Ok(Entered::Done);
        }
        self.note(&attr);
        Ok(Entered::Dir { source, target: None, state: () })
    }

    fn entry(&self, dir: &Dir<()>, name: &[u8], _: FileType) -> Result<Met, Fail> {
        let Some(fd) = still_there(dir)? else { return Ok(Met::Done) };
        match attr::attr(Entry::new(&*fd, name)) {
            Ok(attr) if attr.kind().is_dir() => return Ok(Met::Is(FileType::Directory)),
            Ok(attr) if self.is_elsewhere(&attr, || dir.path(name)) => {}
            Ok(attr) => self.note(&attr),
            Err(error) if error.errno() == Errno::NOENT => {}
            Err(error) => return Err(Fail::source(error)),
        }
        Ok(Met::Done)
    }

    fn leave(&self, _: &Dir<()>) -> Result<(), Fail> {
        Ok(())
    }
}
