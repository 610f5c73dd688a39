//! Follows what changes in a tree while it is in use: fanotify(7) on its whole file system, read by a thread of our own into a
//! dirty set.
//!
//! The file system is watched, not the mount: a change through any other bind of it counts too. What happens elsewhere on the file
//! system is sorted out when it is read. An inode may have names inside and outside of the tree, so a write by an outside name
//! is kept unless that name is the only one.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use datastore_core::{Error, ErrorKind};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

use super::dirty::{Dirty, Limit, Unknown};
use super::resolver::Resolver;
use crate::sys::error::SysError;
use crate::sys::fanotify::{self, Event, Group, Queue};
use crate::sys::fd::Entry;
use crate::sys::handle::{self, Handle};

/// Events are let gather for so long. A reader that is woken by each one slows the writer down by a third, and equal events become
/// one only while they wait.
const GATHER: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// For so many directories it is remembered whether they are in the tree.
const KNOWN: usize = 50_000;

/// How much is read at once.
const BUFFER: usize = 256 << 10;

/// Why a tree cannot be watched. The passes that bring a copy up to date then compare both trees.
#[derive(Debug)]
pub enum Unwatchable {
    /// Before Linux 5.9, or in a sandbox.
    Kernel(SysError),
    /// CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH of the machine are needed.
    Privilege(SysError),
    /// A subvolume of btrfs, of which the kernel watches the top level only.
    Subvolume(SysError),
    /// The file system has no handles, or none that the kernel tells: network file systems, overlayfs, FUSE.
    FileSystem(SysError),
    /// Another error.
    Failed(SysError),
}

impl Unwatchable {
    fn new(error: SysError) -> Self {
        match error.errno() {
            Errno::NOSYS | Errno::INVAL => Self::Kernel(error),
            Errno::PERM => Self::Privilege(error),
            Errno::XDEV => Self::Subvolume(error),
            Errno::NODEV | Errno::OPNOTSUPP => Self::FileSystem(error),
            _ => Self::Failed(error),
        }
    }

    fn cause(&self) -> &SysError {
        match self {
            Self::Kernel(error)
            | Self::Privilege(error)
            | Self::Subvolume(error)
            | Self::FileSystem(error)
            | Self::Failed(error) => error,
        }
    }
}

impl fmt::Display for Unwatchable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kernel(_) => "this kernel does not tell which names are changed (Linux 5.9 does)",
            Self::Privilege(_) => "only root of the machine can ask for the changes of a file system",
            Self::Subvolume(_) => "it is a subvolume of btrfs, and the kernel watches the top level only",
            Self::FileSystem(_) => "its file system cannot tell which names are changed",
            Self::Failed(_) => "the kernel did not let its changes be watched",
        })
    }
}

impl std::error::Error for Unwatchable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.cause())
    }
}

/// How a tree is watched.
#[derive(Debug, Clone, Copy)]
struct Settings {
    queue: Queue,
    limit: Limit,
}

/// A watched tree. Watching ends when it is dropped.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    answered: Condvar,
    /// Wakes the reader.
    wake: OwnedFd,
}

#[derive(Debug)]
struct State {
    dirty: Dirty,
    /// How often somebody asked for everything that had happened by then, and how many of these wishes were met.
    asked: u64,
    met: u64,
    /// How the reader came to its end, if it was not told to.
    ended: Option<String>,
    stop: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // It fails only when the counter is full, and then the reader is awake already.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

/// How much has changed so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pending {
    /// So many names and inodes.
    Entries(usize),
    /// Everything has to be compared.
    Everything,
}

impl Watch {
    /// Watches the tree at `top`, a directory that is open for reading. When this returns, no later change goes unseen.
    pub fn start(top: &OwnedFd) -> Result<Self, Unwatchable> {
        Self::with(top, Settings { queue: Queue::Unlimited, limit: Limit::default() })
    }

    fn with(top: &OwnedFd, settings: Settings) -> Result<Self, Unwatchable> {
        let group = fanotify::group(settings.queue).map_err(Unwatchable::new)?;
        // Whether the handles of the events can be opened at all is found out now.
        let resolver = Resolver::new(top).map_err(Unwatchable::Failed)?;
        let (own, _) = handle::of(Entry::itself(top)).map_err(Unwatchable::new)?;
        resolver.look(&own).map_err(Unwatchable::new)?;
        group.mark_filesystem(top, fanotify::CHANGES).map_err(Unwatchable::new)?;
        let failed = |errno| Unwatchable::Failed(SysError::new(crate::sys::Call::FanotifyInit, errno));
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(failed)?;
        let state = State { dirty: Dirty::default(), asked: 0, met: 0, ended: None, stop: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), answered: Condvar::new(), wake });
        let mut reader = Reader {
            group,
            resolver,
            shared: shared.clone(),
            limit: settings.limit,
            inside: HashMap::new(),
            alone: HashSet::new(),
        };
        let thread = std::thread::Builder::new().name("watch".into()).spawn(move || reader.run());
        let thread = thread.map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::AGAIN)))?;
        Ok(Self { shared, reader: Some(thread) })
    }

    /// Waits until every change that was finished before this call is in the set.
    pub fn settle(&self) {
        let mut state = self.shared.state();
        state.asked += 1;
        let wish = state.asked;
        self.shared.wake();
        while state.met < wish && state.ended.is_none() {
            // The time is a safety net only: a reader that panics says so when its end is noticed here.
            let waited = self.shared.answered.wait_timeout(state, Duration::from_millis(200));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.ended.is_none() && self.reader.as_ref().is_none_or(JoinHandle::is_finished) {
                state.ended = Some("the thread that reads them has ended".into());
            }
        }
    }

    /// Takes everything that has changed since the last time. What is not in the set yet, because it has just happened, will be in
    /// the next: call [`Watch::settle`] before where that matters.
    pub fn take(&self) -> Dirty {
        let mut state = self.shared.state();
        let dirty = std::mem::take(&mut state.dirty);
        match &state.ended {
            Some(why) => Dirty::Everything(Unknown::Broken(why.clone())),
            None => dirty,
        }
    }

    /// As if the queue had been full.
    #[cfg(test)]
    pub(crate) fn overflow(&self) {
        self.shared.state().dirty = Dirty::Everything(Unknown::Overflow);
    }

    /// How much there is to take.
    pub fn pending(&self) -> Pending {
        let state = self.shared.state();
        match &state.dirty {
            Dirty::Some(changes) if state.ended.is_none() => Pending::Entries(changes.len()),
            _ => Pending::Everything,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.state().stop = true;
        self.shared.wake();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl From<Unwatchable> for Error {
    fn from(why: Unwatchable) -> Self {
        let kind = match why {
            Unwatchable::Privilege(_) => ErrorKind::Privilege,
            _ => ErrorKind::System,
        };
        Self::new(kind, why.to_string()).with_errno(why.cause().errno().raw_os_error()).caused_by(why)
    }
}

/// The thread that reads.
struct Reader {
    group: Group,
    resolver: Resolver,
    shared: Arc<Shared>,
    limit: Limit,
    /// Whether a directory is in the tree. Void as soon as a directory is moved.
    inside: HashMap<Handle, bool>,
    /// Inodes that have one name only, outside of the tree. Good for the events of one read, which all happened before the look.
    alone: HashSet<Handle>,
}

impl Reader {
    fn run(&mut self) {
        let mut buffer = vec![0; BUFFER];
        let outcome = self.rounds(&mut buffer);
        let mut state = self.shared.state();
        if let Err(error) = outcome {
            state.ended = Some(error);
        }
        self.shared.answered.notify_all();
    }

    /// Round after round, until told to stop.
    fn rounds(&mut self, buffer: &mut [u8]) -> Result<(), String> {
        loop {
            self.wait()?;
            let wish = {
                let state = self.shared.state();
                if state.stop {
                    return Ok(());
                }
                state.asked
            };
            // The queue is in order: with as many read as were waiting, everything that was finished before has been seen. To wait
            // for an empty queue could take as long as somebody writes.
            let waiting = self.group.waiting().map_err(|error| error.to_string())?;
            let mut seen = 0;
            while seen < waiting {
                let Some(events) = self.group.read(buffer).map_err(|error| error.to_string())? else { break };
                // What was alone may have been linked into the tree since.
                self.alone.clear();
                for event in events {
                    match event {
                        Ok(event) => self.take_in(&event).map_err(|error| error.to_string())?,
                        Err(fanotify::Garbled) => return Err("an event of the kernel is not understood".into()),
                    }
                    seen += 1;
                }
            }
            let mut state = self.shared.state();
            state.met = wish;
            self.shared.answered.notify_all();
        }
    }

    /// Sleeps until there is something to read, and then until some of it has gathered or somebody waits for it.
    fn wait(&self) -> Result<(), String> {
        let ready = |fds: &mut [PollFd<'_>], time: Option<&Timespec>| match poll(fds, time) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(format!("poll: {errno}")),
        };
        let wake = PollFd::new(&self.shared.wake, PollFlags::IN);
        ready(&mut [PollFd::from_borrowed_fd(self.group.as_fd(), PollFlags::IN), wake.clone()], None)?;
        ready(&mut [wake], Some(&GATHER))?;
        let mut count = [0; 8];
        // EAGAIN: nobody called.
        let _ = rustix::io::read(&self.shared.wake, &mut count);
        Ok(())
    }

    fn take_in(&mut self, event: &Event<'_>) -> Result<(), SysError> {
        if event.is_overflow() {
            self.give_up(Unknown::Overflow);
            return Ok(());
        }
        if event.moves_directory() {
            self.inside.clear();
        }
        let Some((dir, name)) = &event.name else {
            // Every unlink is told of its inode too: one that is gone with its last name is nothing to bring up to date.
            if let Some(inode) = &event.inode
                && !event.is_directory()
                && self.resolver.open(inode, OFlags::PATH)?.is_some_and(|opened| is_linked(&opened))
            {
                self.add(|changes| changes.add_inode(inode.clone()));
            }
            return Ok(());
        };
        let inode = event.inode.as_ref().filter(|_| !event.is_directory());
        if self.is_inside(dir)? {
            self.add(|changes| changes.add_name(dir.clone(), name, event.brings_directory(), inode.cloned()));
        } else if let Some(inode) = inode
            && !self.alone.contains(inode)
        {
            if self.has_other_names(dir, name, inode)? {
                self.add(|changes| changes.add_inode(inode.clone()));
            } else {
                self.alone.insert(inode.clone());
            }
        }
        Ok(())
    }

    fn is_inside(&mut self, dir: &Handle) -> Result<bool, SysError> {
        if let Some(&known) = self.inside.get(dir) {
            return Ok(known);
        }
        let inside = match self.resolver.look(dir) {
            Ok(found) => found.is_some(),
            // Renamed all the while: too much is better than too little, but it is looked at again the next time.
            Err(error) if error.errno() == Errno::AGAIN => return Ok(true),
            Err(error) => return Err(error),
        };
        if self.inside.len() >= KNOWN {
            self.inside.clear();
        }
        self.inside.insert(dir.clone(), inside);
        Ok(inside)
    }

    /// Whether an inode that was changed by a name outside of the tree may have one inside.
    fn has_other_names(&self, dir: &Handle, name: &[u8], inode: &Handle) -> Result<bool, SysError> {
        let Some(opened) = self.resolver.open(inode, OFlags::PATH)? else { return Ok(false) };
        let Ok(s) = rustix::fs::fstat(&opened) else { return Ok(true) };
        if s.st_nlink != 1 {
            return Ok(s.st_nlink > 1);
        }
        // The one name that it has is this one, or another that it had before.
        let Some(dir) = self.resolver.open(dir, OFlags::PATH | OFlags::DIRECTORY)? else { return Ok(true) };
        let found = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW);
        Ok(!found.is_ok_and(|found| (found.st_dev, found.st_ino) == (s.st_dev, s.st_ino)))
    }

    fn add(&self, add: impl FnOnce(&mut super::dirty::Changes)) {
        let mut state = self.shared.state();
        let Dirty::Some(changes) = &mut state.dirty else { return };
        add(changes);
        if changes.exceeds(self.limit) {
            state.dirty = Dirty::Everything(Unknown::TooMuch(self.limit));
        }
    }

    fn give_up(&self, why: Unknown) {
        let mut state = self.shared.state();
        if matches!(state.dirty, Dirty::Some(_)) {
            state.dirty = Dirty::Everything(why);
        }
    }
}

/// Whether an inode has a name. If that cannot be told, it counts as if it had.
fn is_linked(inode: &OwnedFd) -> bool {
    rustix::fs::fstat(inode).map_or(true, |s| s.st_nlink > 0)
}

#[cfg(test)]
mod tests;
