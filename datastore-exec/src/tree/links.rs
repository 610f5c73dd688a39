//! Hard links: which inode of the source is which one of the target, so that every further name becomes a link.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Condvar, Mutex, PoisonError};

use rustix::fs::OFlags;

use super::meta::{Fit, Meta, Now};
use crate::sys::attr::{self, Attr};
use crate::sys::handle::{self, Handle};
use crate::sys::{Entry, SysError, fd, name};

const SHARDS: usize = 16;

/// Where an inode of the target is found again.
#[derive(Debug, Clone)]
pub enum Place {
    /// By its handle, wherever it is.
    Handle(Handle),
    /// By its path below the target's top.
    Path(Box<[u8]>),
}

#[derive(Debug)]
enum State {
    /// Somebody copies it now.
    Copying,
    /// It is there; so many names are still to come.
    There { place: Place, left: u32 },
}

type Key = (u64, u64);
type Shard = (Mutex<HashMap<Key, State>>, Condvar);

/// The inodes with several names that were met. Those of which all names were seen are forgotten.
pub struct Links {
    top: OwnedFd,
    handles: bool,
    shards: [Shard; SHARDS],
    /// Files that may not be locked before all names are made.
    late: Mutex<Vec<(Place, Meta)>>,
}

/// What to do with a name of an inode.
pub enum Turn<'a> {
    /// It is the first one: copy it, then say where it is.
    First(Claim<'a>),
    /// It is here already: make a link.
    Link(Place),
}

/// The right to copy an inode. Dropped without an answer, the next name has it.
pub struct Claim<'a> {
    shard: &'a Shard,
    key: Key,
    names: u64,
}

impl Links {
    /// For a target that is open for reading.
    pub fn new(top: &OwnedFd) -> Result<Self, SysError> {
        let top = fd::open(Entry::itself(top), OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
        // Handles are there, and may be opened.
        let handles =
            handle::read(Entry::itself(&top)).is_ok_and(|(own, _)| handle::open(&top, &own, OFlags::PATH).is_ok());
        Ok(Self { top, handles, shards: Default::default(), late: Mutex::default() })
    }

    /// Whose turn it is with a name of this inode. Waits while another thread copies it.
    pub fn turn(&self, attr: &Attr) -> Turn<'_> {
        let key = (attr.dev, attr.ino);
        let shard = &self.shards[usize::try_from(attr.ino % SHARDS as u64).unwrap_or(0)];
        let mut map = shard.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match map.entry(key) {
                Slot::Vacant(slot) => {
                    slot.insert(State::Copying);
                    return Turn::First(Claim { shard, key, names: attr.nlink });
                }
                Slot::Occupied(mut slot) => {
                    if let State::There { place, left } = slot.get_mut() {
                        *left = left.saturating_sub(1);
                        let (place, done) = (place.clone(), *left == 0);
                        if done {
                            slot.remove();
                        }
                        return Turn::Link(place);
                    }
                }
            }
            map = shard.1.wait(map).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Where an entry of the target is found again: an open file, or a name in a directory. `path` is its path below the top.
    #[must_use]
    pub fn place(&self, entry: Entry<'_>, path: impl FnOnce() -> Vec<u8>) -> Place {
        let by_handle = if self.handles { handle::read(entry).ok() } else { None };
        by_handle.map_or_else(|| Place::Path(path().into()), |(handle, _)| Place::Handle(handle))
    }

    /// Whether an entry of the target is this inode.
    pub fn is(&self, place: &Place, entry: Entry<'_>) -> Result<bool, SysError> {
        match place {
            Place::Handle(handle) => Ok(handle::read(entry).is_ok_and(|(own, _)| own == *handle)),
            Place::Path(path) => {
                let (dir, last) = self.above(path)?;
                let (one, two) = (attr::attr(Entry::new(&dir, last))?, attr::attr(entry)?);
                Ok((one.dev, one.ino) == (two.dev, two.ino))
            }
        }
    }

    /// Gives an inode of the target one more name.
    pub fn link(&self, place: &Place, to: Entry<'_>) -> Result<(), SysError> {
        match place {
            Place::Handle(handle) => {
                let inode = handle::open(&self.top, handle, OFlags::PATH)?;
                name::link_fd(inode.as_fd(), to)
            }
            Place::Path(path) => {
                let (dir, last) = self.above(path)?;
                name::link_entry(Entry::new(&dir, last), to)
            }
        }
    }

    /// The directory of a path below the top, opened component by component without following a link, and the last name.
    fn above<'p>(&self, path: &'p [u8]) -> Result<(OwnedFd, &'p [u8]), SysError> {
        let mut names: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
        let last = names.pop().unwrap_or_default();
        let mut dir = fd::open(Entry::itself(&self.top), OFlags::PATH | OFlags::DIRECTORY, 0)?;
        for name in names {
            dir = fd::open(Entry::new(&dir, name), OFlags::PATH | OFlags::DIRECTORY, 0)?;
        }
        Ok((dir, last))
    }

    /// Remembers a file that is to be locked (immutable, append-only) once it has all its names.
    pub fn lock_later(&self, place: Place, meta: Meta) {
        self.late.lock().unwrap_or_else(PoisonError::into_inner).push((place, meta));
    }

    /// Locks what was remembered.
    pub fn lock(&self, fit: Fit) -> Result<(), SysError> {
        let late = std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner));
        for (place, meta) in late {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW;
            let file = match &place {
                Place::Handle(handle) => handle::open(&self.top, handle, flags)?,
                Place::Path(path) => {
                    let (dir, last) = self.above(path)?;
                    fd::open(Entry::new(&dir, last), flags, 0)?
                }
            };
            meta.set(Entry::itself(&file), Now::Old, fit)?;
        }
        Ok(())
    }
}

impl Claim<'_> {
    /// The inode is in the target now, here.
    pub fn there(self, place: Place) {
        let left = u32::try_from(self.names - 1).unwrap_or(u32::MAX);
        let mut map = self.shard.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(self.key, State::There { place, left });
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut map = self.shard.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(map.get(&self.key), Some(State::Copying)) {
            map.remove(&self.key);
        }
        drop(map);
        self.shard.1.notify_all();
    }
}
