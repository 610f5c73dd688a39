//! A directory that is being walked, and its descriptors.
//!
//! Only the directories that were opened last keep their descriptors (`OPEN`). The others are opened again by `..` of the one
//! below, by their handles, or from the next one above that is open; it must be the same inode as before. So depth is bounded
//! neither by the number of descriptors nor by the length of a path.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use datastore_core::path::printable;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::sys::error::{Call, FdName};
use crate::sys::handle::{self, Handle};
use crate::sys::{Entry, SysError};

/// So many directories keep their descriptors, of the source and of the target. Fewer where the process may open few files.
const OPEN: u64 = 192;

/// A descriptor that may be closed meanwhile, and the inode that it must lead to.
struct Kept {
    fd: Mutex<Option<Arc<OwnedFd>>>,
    /// Taken when it is closed, so that it is found again at once where handles may be opened.
    handle: Mutex<Option<Handle>>,
    id: (u64, u64),
}

impl Kept {
    fn new(fd: OwnedFd) -> Result<Self, SysError> {
        let id = id(&fd)?;
        Ok(Self { fd: Mutex::new(Some(Arc::new(fd))), handle: Mutex::default(), id })
    }
    fn get(&self) -> Option<Arc<OwnedFd>> {
        self.fd.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn put(&self, fd: Option<Arc<OwnedFd>>) {
        *self.fd.lock().unwrap_or_else(PoisonError::into_inner) = fd;
    }
    fn close(&self) {
        let closed = self.fd.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut kept = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(fd), None) = (closed, &*kept) {
            *kept = handle::read(Entry::itself(&*fd)).ok().map(|(handle, _)| handle);
        }
    }
    /// Opens it by its handle, on the file system of the top.
    fn reopen(&self, top: &OwnedFd) -> Option<Arc<OwnedFd>> {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let fd = handle::open(top, &handle, OFlags::RDONLY | OFlags::DIRECTORY).ok()?;
        (id(&fd).ok()? == self.id).then(|| Arc::new(fd))
    }
    /// Opens a name below `dir`, if it is this inode.
    fn open(&self, dir: &OwnedFd, name: &[u8]) -> Result<Arc<OwnedFd>, SysError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed =
            |errno| SysError::new(Call::Openat { dir: FdName::of(dir), name: printable(name), flags, mode: 0 }, errno);
        let fd = rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(failed)?;
        if id(&fd)? == self.id { Ok(Arc::new(fd)) } else { Err(failed(Errno::STALE)) }
    }
}

fn id(fd: &OwnedFd) -> Result<(u64, u64), SysError> {
    rustix::fs::fstat(fd)
        .map(|s| (s.st_dev, s.st_ino))
        .map_err(|errno| SysError::new(Call::Fstat { fd: FdName::of(fd) }, errno))
}

#[derive(Clone, Copy)]
enum Side {
    Source,
    Target,
}

/// The directories that are open, the one that was opened first in front.
pub(super) struct Shelf<S> {
    open: Mutex<VecDeque<Weak<Dir<S>>>>,
    most: usize,
    /// Held by the one that opens directories from above: who waits for it finds its own open, most of the time.
    climbing: Mutex<()>,
}

impl<S> Shelf<S> {
    pub(super) fn new(threads: usize) -> Arc<Self> {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
        // Two for each directory; every thread has a few files open, and the rest of the program too.
        let left = limit.saturating_sub(64).saturating_sub(6 * threads as u64) / 3;
        Arc::new(Self {
            open: Mutex::default(),
            climbing: Mutex::default(),
            most: usize::try_from(left.clamp(4, OPEN)).unwrap_or(4),
        })
    }

    /// Puts a directory that was just opened on it, and closes one in exchange. The top is never put here.
    fn put(&self, dir: Weak<Dir<S>>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // An older entry of the same directory would close it too early.
        open.retain(|other| !Weak::ptr_eq(other, &dir));
        open.push_back(dir);
        let first = if open.len() > self.most { open.pop_front() } else { None };
        drop(open);
        if let Some(dir) = first.and_then(|dir| dir.upgrade()) {
            dir.close();
        }
    }
}

/// A directory that is being walked.
pub struct Dir<S> {
    own: Weak<Self>,
    pub(super) shelf: Arc<Shelf<S>>,
    pub(super) above: Option<Arc<Self>>,
    name: Box<[u8]>,
    source: Kept,
    target: Option<Kept>,
    /// What is in work: the reading, pieces, subdirectories.
    pub(super) pending: AtomicUsize,
    /// What the visit remembers.
    pub state: S,
}

impl<S> Dir<S> {
    pub(super) fn new(
        entered: (OwnedFd, Option<OwnedFd>, S),
        above: Option<Arc<Self>>,
        name: &[u8],
        shelf: &Arc<Shelf<S>>,
    ) -> Result<Arc<Self>, SysError> {
        let (source, target, state) = entered;
        let (source, target) = (Kept::new(source)?, target.map(Kept::new).transpose()?);
        let pending = AtomicUsize::new(1);
        let (name, shelf, is_top) = (name.into(), shelf.clone(), above.is_none());
        let dir = Arc::new_cyclic(|own| Self { own: own.clone(), shelf, above, name, source, target, pending, state });
        if !is_top {
            dir.shelf.put(dir.own.clone());
        }
        Ok(dir)
    }
    /// The directory above; none for the top.
    #[must_use]
    pub fn above(&self) -> Option<&Self> {
        self.above.as_deref()
    }
    /// Its name; empty for the top.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }
    /// The directory, open for reading. ESTALE or ENOENT if it is no more where it was.
    pub fn source(&self) -> Result<Arc<OwnedFd>, SysError> {
        self.opened(Side::Source)
    }
    /// Its copy, open for reading.
    pub fn target(&self) -> Result<Arc<OwnedFd>, SysError> {
        self.opened(Side::Target)
    }
    /// The path below the top, with a name in the directory if that is not empty.
    #[must_use]
    pub fn path(&self, name: &[u8]) -> Vec<u8> {
        let mut names: Vec<&[u8]> = std::iter::successors(Some(self), |dir| dir.above()).map(Dir::name).collect();
        names.pop();
        names.reverse();
        if !name.is_empty() {
            names.push(name);
        }
        names.join(&b'/')
    }

    fn side(&self, side: Side) -> &Kept {
        match side {
            Side::Source => &self.source,
            // There is a target at every level or at none.
            Side::Target => self.target.as_ref().unwrap_or(&self.source),
        }
    }

    fn opened(&self, side: Side) -> Result<Arc<OwnedFd>, SysError> {
        if let Some(fd) = self.side(side).get() {
            return Ok(fd);
        }
        let top = std::iter::successors(Some(self), |dir| dir.above()).last().and_then(|top| top.side(side).get());
        if let Some(fd) = top.and_then(|top| self.side(side).reopen(&top)) {
            self.side(side).put(Some(fd.clone()));
            self.shelf.put(self.own.clone());
            return Ok(fd);
        }
        let _climbing = self.shelf.climbing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fd) = self.side(side).get() {
            return Ok(fd);
        }
        // Down from the next one above that is open. The top always is.
        let mut way = vec![self];
        let mut fd = None;
        while let (None, Some(above)) = (&fd, way[way.len() - 1].above()) {
            fd = above.side(side).get();
            way.push(above);
        }
        let mut fd = fd.ok_or_else(|| {
            SysError::new(Call::Openat2 { dir: FdName::gone(), path: String::new(), flags: OFlags::PATH }, Errno::BADF)
        })?;
        way.pop();
        for (left, dir) in way.into_iter().enumerate().rev() {
            fd = dir.side(side).open(&fd, &dir.name)?;
            // The way back leads through those above: without this every level would be reached from the top anew.
            if left < self.shelf.most / 2 {
                dir.side(side).put(Some(fd.clone()));
                dir.shelf.put(dir.own.clone());
            }
        }
        Ok(fd)
    }

    fn close(&self) {
        self.source.close();
        if let Some(target) = &self.target {
            target.close();
        }
    }

    /// Opens the directory above, if it was closed, by `..`.
    pub(super) fn restore_above(&self) {
        let Some(above) = self.above() else { return };
        let mut opened = false;
        for side in [Side::Source, Side::Target] {
            if above.side(side).get().is_none()
                && let Some(own) = self.side(side).get()
                && let Ok(fd) = above.side(side).open(&own, b"..")
            {
                above.side(side).put(Some(fd));
                opened = true;
            }
        }
        if opened {
            self.shelf.put(above.own.clone());
        }
    }
}

impl<S> Drop for Dir<S> {
    /// Level by level: a chain of ten thousand is too long for the stack.
    fn drop(&mut self) {
        let mut next = self.above.take();
        while let Some(mut dir) = next.and_then(Arc::into_inner) {
            next = dir.above.take();
        }
    }
}
