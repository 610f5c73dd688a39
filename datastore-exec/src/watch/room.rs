//! Tells when something has changed on volumes: how much room there is, or what is where.
//!
//! fanotify(7) tells of everything. To hear of all of it would cost whoever writes, so the first event is enough: then nothing is asked for some
//! seconds, and after that it is looked and asked again. On a volume that nobody writes to nobody is woken.

use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use datastore_core::AbsPath;

use crate::root::Root;
use crate::sys::fanotify::{self, Group, Queue};

/// So long nothing is asked after something has been told.
const REST: Duration = Duration::from_secs(10);
/// How often it is looked where a file system tells nothing.
const EVERY: Duration = Duration::from_secs(30);

/// What is asked of the file systems of volumes.
#[derive(Debug)]
pub(super) struct RoomWatch {
    /// What changes; `None` where the kernel cannot tell (before Linux 5.9, in a container).
    room: Option<Group>,
    /// Errors, which are told all the time.
    errors: Option<Group>,
    /// Until when nothing is asked; `None` while something is.
    rest: Option<Instant>,
    /// Whether a volume's file system tells nothing.
    is_mute: bool,
}

impl RoomWatch {
    pub(super) fn new() -> Self {
        let group = || fanotify::group(Queue::Limited).ok();
        Self { room: group(), errors: group(), rest: Some(Instant::now() + REST), is_mute: false }
    }

    /// Asks about these volumes, unless something was told a moment ago.
    pub(super) fn ask(&mut self, root: &Root, volumes: &[AbsPath]) {
        let dirs = volumes.iter().filter_map(|path| root.open_dir(path).ok());
        let is_due = self.rest.is_some_and(|until| Instant::now() >= until);
        let mut is_mute = false;
        for dir in dirs {
            if let Some(errors) = &self.errors {
                // Most file systems know no such event; then the kernel's log is what tells.
                let _ = errors.mark_filesystem(&dir, fanotify::ERRORS);
            }
            if is_due {
                is_mute |= self.room.as_ref().is_none_or(|room| room.mark_filesystem(&dir, fanotify::CHANGES).is_err());
            }
        }
        if is_due {
            self.is_mute = is_mute;
            self.rest = is_mute.then(|| Instant::now() + EVERY);
        }
    }

    /// Nothing can be asked now.
    pub(super) fn put_off(&mut self) {
        if self.rest.is_some() {
            self.rest = Some(Instant::now() + REST);
        }
    }

    /// What to poll for reading.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.room.iter().chain(&self.errors).map(Group::as_fd)
    }

    /// Takes what has been told, if anything has been.
    pub(super) fn take(&mut self) -> bool {
        let told = |group: &Option<Group>| group.as_ref().is_some_and(|group| group.waiting().is_ok_and(|n| n > 0));
        let (room, errors) = (told(&self.room), told(&self.errors));
        if let Some(group) = self.room.as_ref().filter(|_| room) {
            group.forget_filesystems();
            let _ = group.drain();
            self.rest = Some(Instant::now() + REST);
        }
        if let Some(group) = self.errors.as_ref().filter(|_| errors) {
            let _ = group.drain();
        }
        room || errors
    }

    /// When it is to be looked although nothing is told.
    pub(super) fn due(&self) -> Option<Instant> {
        self.rest
    }
}
