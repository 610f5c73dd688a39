//! The walk over a tree: many threads, one stack of work, by descriptors alone.
//!
//! Names are taken in the order of their inodes, which on most file systems is the order on the disk.
//!
//! Work is taken from the top of the stack, so the walk goes into the depth first and what waits stays small: of every
//! directory on the way down the names of the subdirectories that are still to be entered, and pieces of a few names of those
//! that are being read. A directory is left (its attributes are set, or it is removed) when everything in it is done.
//!
//! Only the directories that were opened last keep their descriptors (`OPEN`). The others are opened again by `..` of the one
//! below, by their handles, or from the next one above that is open; it must be the same inode as before. So depth is bounded
//! neither by the number of descriptors nor by the length of a path.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use datastore_core::path::printable;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::error::{Fail, TreeError};
use super::names::{Names, Ordered};
use super::{Control, Counter};
use crate::sys::error::{Call, FdName};
use crate::sys::handle::{self, Handle};
use crate::sys::{Entry, SysError, attr, fd, name};

/// So many directories keep their descriptors, of the source and of the target. Fewer where the process may open few files.
const OPEN: u64 = 192;
/// So many names make a piece of work.
const PIECE: usize = 32;
/// So many names of a directory are put in order at once.
const SORTED: usize = 4096;
/// A path in a message is cut in the middle beyond this.
const SHOWN: usize = 1000;

/// What is done with the entries of a tree. Called from several threads.
pub trait Visit: Sync {
    /// What is remembered of a directory until it is left.
    type State: Send + Sync;

    /// A name that is said to be a directory.
    fn enter(&self, above: &Dir<Self::State>, name: &[u8]) -> Result<Entered<Self::State>, Fail>;
    /// A name that is said to be something else.
    fn entry(&self, dir: &Dir<Self::State>, name: &[u8], kind: FileType) -> Result<Met, Fail>;
    /// Everything in a directory is done.
    fn leave(&self, dir: &Dir<Self::State>) -> Result<(), Fail>;
}

/// What became of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// It was dealt with, or it is gone.
    Done,
    /// It is of another kind by now.
    Is(FileType),
}

/// What became of a name that was said to be a directory.
pub enum Entered<S> {
    /// It is one: walk it.
    Dir {
        /// Open for reading.
        source: OwnedFd,
        /// Its copy, open for reading, if there is one.
        target: Option<OwnedFd>,
        /// What to remember.
        state: S,
    },
    /// It was dealt with, or it is gone.
    Done,
    /// It is of another kind by now.
    Is(FileType),
}

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
struct Shelf<S> {
    open: Mutex<VecDeque<Weak<Dir<S>>>>,
    most: usize,
    /// Held by the one that opens directories from above: who waits for it finds its own open, most of the time.
    climbing: Mutex<()>,
}

impl<S> Shelf<S> {
    fn new(threads: usize) -> Arc<Self> {
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
    shelf: Arc<Shelf<S>>,
    above: Option<Arc<Self>>,
    name: Box<[u8]>,
    source: Kept,
    target: Option<Kept>,
    /// What is in work: the reading, pieces, subdirectories.
    pending: AtomicUsize,
    /// What the visit remembers.
    pub state: S,
}

impl<S> Dir<S> {
    fn new(
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
    fn restore_above(&self) {
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

enum Work<S> {
    /// Entries of a directory.
    Piece(Arc<Dir<S>>, Names),
    /// Subdirectories, one after the other.
    Below(Arc<Dir<S>>, Names),
}

enum Job<S> {
    Piece(Arc<Dir<S>>, Names),
    Enter(Arc<Dir<S>>, Vec<u8>),
}

struct Stack<S> {
    work: Vec<Work<S>>,
    pieces: usize,
    busy: usize,
    failed: Option<TreeError>,
}

struct Walk<'a, V: Visit> {
    visit: &'a V,
    control: &'a Control<'a>,
    stack: Mutex<Stack<V::State>>,
    changed: Condvar,
}

/// Walks a tree from its top, which is open for reading, as is its copy if there is one.
pub fn walk<V: Visit>(
    visit: &V,
    top: (OwnedFd, Option<OwnedFd>, V::State),
    control: &Control<'_>,
) -> Result<(), TreeError> {
    let here = |error| Fail::source(error).at(control.label.to_owned());
    let shelf = Shelf::new(control.threads);
    let dir = Dir::new(top, None, b"", &shelf).map_err(here)?;
    let stack = Stack { work: Vec::new(), pieces: 0, busy: 1, failed: None };
    let walk = Walk { visit, control, stack: Mutex::new(stack), changed: Condvar::new() };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| walk.begin(&dir));
        for _ in 1..control.threads.max(1) {
            scope.spawn(|| walk.work());
        }
        // What panics in a thread panics here.
        if let Err(panic) = first.join() {
            std::panic::resume_unwind(panic);
        }
    });
    drop(dir);
    let failed = walk.stack.into_inner().unwrap_or_else(PoisonError::into_inner).failed;
    failed.map_or(Ok(()), Err)
}

impl<V: Visit> Walk<'_, V> {
    fn lock(&self) -> MutexGuard<'_, Stack<V::State>> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, top: &Arc<Dir<V::State>>) {
        name::own_umask();
        let result = self.read(top);
        self.end(result);
        self.work();
    }

    fn work(&self) {
        name::own_umask();
        while let Some(job) = self.take() {
            let leaving = Leaving(self);
            let result = match job {
                Job::Piece(dir, names) => self.piece(&dir, names),
                Job::Enter(above, name) => self.enter(&above, &name, 0),
            };
            std::mem::forget(leaving);
            self.end(result);
        }
    }

    /// The next thing to do; none when all is done or has failed.
    fn take(&self) -> Option<Job<V::State>> {
        let mut stack = self.lock();
        loop {
            if stack.failed.is_some() {
                return None;
            }
            if let Some(work) = stack.work.last_mut() {
                let job = match work {
                    Work::Below(dir, names) => names.pop().map(|(name, _)| Job::Enter(dir.clone(), name)),
                    Work::Piece(..) => None,
                };
                // Subdirectories stay where they are until the last one is taken: so the stack remains one of depth.
                let spent = !matches!(work, Work::Below(_, names) if names.count > 0);
                let taken = if spent { stack.work.pop() } else { None };
                stack.busy += 1;
                return match (job, taken) {
                    (None, Some(Work::Piece(dir, names))) => {
                        stack.pieces -= 1;
                        Some(Job::Piece(dir, names))
                    }
                    (job, _) => job,
                };
            }
            if stack.busy == 0 {
                return None;
            }
            stack = self.changed.wait(stack).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self, result: Result<(), TreeError>) {
        let mut stack = self.lock();
        stack.busy -= 1;
        if let Err(error) = result
            && stack.failed.is_none()
        {
            stack.failed = Some(error);
        }
        let over = stack.failed.is_some() || (stack.busy == 0 && stack.work.is_empty());
        drop(stack);
        if over {
            self.changed.notify_all();
        }
    }

    fn put(&self, work: Work<V::State>) {
        let mut stack = self.lock();
        let many = match &work {
            Work::Piece(..) => {
                stack.pieces += 1;
                false
            }
            Work::Below(_, names) => names.count > 1,
        };
        stack.work.push(work);
        drop(stack);
        if many { self.changed.notify_all() } else { self.changed.notify_one() }
    }

    /// Says where something failed, and whether the walk goes on without it.
    fn judge(&self, dir: &Dir<V::State>, name: &[u8], fail: Fail) -> Result<(), TreeError> {
        let error = fail.at(self.shown(dir, name));
        if self.control.watch.left_out(&error) { Ok(()) } else { Err(error) }
    }

    fn shown(&self, dir: &Dir<V::State>, name: &[u8]) -> String {
        self.control.shown(&dir.path(name))
    }

    fn read(&self, dir: &Arc<Dir<V::State>>) -> Result<(), TreeError> {
        let mut below = Ordered::default();
        let mut found = Ordered::default();
        let mut outcome = Ok(());
        let read = dir.source().and_then(|fd| {
            fd::each_entry(&*fd, |name, ino, kind| {
                let kind = if kind == FileType::Unknown {
                    match attr::attr(Entry::new(&*fd, name)) {
                        Ok(attr) => attr.kind(),
                        // Whoever looks at it next finds the same.
                        Err(_) => FileType::RegularFile,
                    }
                } else {
                    kind
                };
                if kind.is_dir() {
                    below.push(name, ino, kind);
                    if below.count() == SORTED {
                        self.put_below(dir, &mut below);
                    }
                    return true;
                }
                found.push(name, ino, kind);
                if found.count() < SORTED {
                    return true;
                }
                outcome = self.share_out(dir, &mut found);
                outcome.is_ok()
            })
        });
        outcome?;
        if let Err(error) = read {
            self.judge(dir, b"", Fail::source(error))?;
        }
        self.put_below(dir, &mut below);
        self.share_out(dir, &mut found)?;
        self.finish(dir)
    }

    fn put_below(&self, dir: &Arc<Dir<V::State>>, below: &mut Ordered) {
        if let Some(names) = below.take(SORTED).pop() {
            dir.pending.fetch_add(names.count, Ordering::Relaxed);
            self.put(Work::Below(dir.clone(), names));
        }
    }

    /// Deals with names of a directory in the order in which they lie on the disk: what other threads have no hands free for is done here.
    fn share_out(&self, dir: &Arc<Dir<V::State>>, found: &mut Ordered) -> Result<(), TreeError> {
        let mut pieces = found.take(PIECE);
        let room =
            if self.control.threads > 1 { (self.control.threads * 2).saturating_sub(self.lock().pieces) } else { 0 };
        let own = pieces.len().saturating_sub(room).max(1).min(pieces.len());
        // The last one first, for what was put last is taken first.
        for names in pieces.drain(own..).rev() {
            dir.pending.fetch_add(1, Ordering::Relaxed);
            self.put(Work::Piece(dir.clone(), names));
        }
        pieces.into_iter().try_for_each(|names| self.names(dir, names))
    }

    fn piece(&self, dir: &Arc<Dir<V::State>>, names: Names) -> Result<(), TreeError> {
        self.names(dir, names)?;
        self.finish(dir)
    }

    fn names(&self, dir: &Arc<Dir<V::State>>, mut names: Names) -> Result<(), TreeError> {
        while let Some((name, kind)) = names.pop() {
            if self.control.stop.load(Ordering::Relaxed) {
                return Err(TreeError::stopped(self.shown(dir, &name)));
            }
            self.one(dir, &name, kind, 0)?;
        }
        Ok(())
    }

    /// One name. What changes its kind again and again is passed over in the end; a later pass sees it.
    fn one(&self, dir: &Arc<Dir<V::State>>, name: &[u8], kind: FileType, tries: u32) -> Result<(), TreeError> {
        match self.visit.entry(dir, name, kind) {
            Ok(Met::Is(kind)) if tries < 4 && kind.is_dir() => {
                dir.pending.fetch_add(1, Ordering::Relaxed);
                self.enter(dir, name, tries + 1)
            }
            Ok(Met::Is(kind)) if tries < 4 => self.one(dir, name, kind, tries + 1),
            Ok(_) => Ok(()),
            Err(fail) => self.judge(dir, name, fail),
        }
    }

    fn enter(&self, above: &Arc<Dir<V::State>>, name: &[u8], tries: u32) -> Result<(), TreeError> {
        if self.control.stop.load(Ordering::Relaxed) {
            return Err(TreeError::stopped(self.shown(above, name)));
        }
        match self.visit.enter(above, name) {
            Ok(Entered::Dir { source, target, state }) => {
                let dir = Dir::new((source, target, state), Some(above.clone()), name, &above.shelf)
                    .map_err(|error| Fail::source(error).at(self.shown(above, name)))?;
                return self.read(&dir);
            }
            Ok(Entered::Is(kind)) if tries < 4 && !kind.is_dir() => self.one(above, name, kind, tries + 1)?,
            Ok(_) => {}
            Err(fail) => self.judge(above, name, fail)?,
        }
        self.finish(above)
    }

    /// One piece of work in a directory is done; what is complete by that is left, and so on upwards.
    fn finish(&self, dir: &Arc<Dir<V::State>>) -> Result<(), TreeError> {
        let mut dir = dir.clone();
        while dir.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            dir.restore_above();
            if let Err(fail) = self.visit.leave(&dir) {
                self.judge(&dir, b"", fail)?;
            }
            let Some(above) = dir.above.clone() else { break };
            dir = above;
        }
        Ok(())
    }
}

/// Ends the walk for all threads if one of them panics.
struct Leaving<'a, 'b, V: Visit>(&'a Walk<'b, V>);

impl<V: Visit> Drop for Leaving<'_, '_, V> {
    fn drop(&mut self) {
        self.0.end(Err(TreeError::stopped(self.0.control.label.to_owned())));
    }
}

/// A path for a message: the label, then what is below it, cut in the middle if it is very long.
pub(super) fn shown(label: &str, path: &[u8]) -> String {
    if path.is_empty() {
        return label.to_owned();
    }
    let label = label.trim_end_matches('/');
    if path.len() <= SHOWN {
        return format!("{label}/{}", printable(path));
    }
    let half = SHOWN / 2;
    format!("{label}/{} ... {}", printable(&path[..half]), printable(&path[path.len() - half..]))
}

/// Adds to a counter; for the visits.
pub(super) fn count(counter: &Counter, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
