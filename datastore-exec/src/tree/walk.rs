//! The walk over a tree: many threads, one stack of work, by descriptors alone.
//!
//! Names are taken in the order of their inodes, which on most file systems is the order on the disk.
//!
//! Work is taken from the top of the stack, so the walk goes into the depth first and what waits stays small: of every
//! directory on the way down the names of the subdirectories that are still to be entered, and pieces of a few names of those
//! that are being read. Whoever has a piece shares it with whoever has nothing to do. A directory is left (its attributes are set, or it is removed) when everything in it is done.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use datastore_core::path::printable;
use rustix::fs::FileType;
use rustix::io::Errno;

pub use super::dir::Dir;
use super::dir::Shelf;
use super::error::{Fail, TreeError};
use super::names::{Names, Ordered};
use super::{Control, Counter};
use crate::sys::{Call, Entry, SysError, attr, fd, name, thread};

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
    /// Threads that have nothing to do.
    waiting: usize,
    /// Threads that may still be begun, and how many of them are asked for.
    left: usize,
    wanted: usize,
    failed: Option<TreeError>,
}

impl<S> Stack<S> {
    /// Whether nothing is left to do.
    fn is_over(&self) -> bool {
        self.failed.is_some() || (self.busy == 0 && self.work.is_empty())
    }
}

struct Walk<'a, V: Visit> {
    visit: &'a V,
    control: &'a Control<'a>,
    stack: Mutex<Stack<V::State>>,
    changed: Condvar,
    /// Told when a thread is asked for.
    asked: Condvar,
    /// How many threads have nothing to do or may still be begun, as the stack says.
    free: AtomicUsize,
}

/// A walk has a umask of its own, so it needs a thread.
fn no_thread(error: &std::io::Error) -> SysError {
    SysError::new(Call::Clone, Errno::from_io_error(error).unwrap_or(Errno::AGAIN))
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
    let left = control.threads.max(1) - 1;
    let stack = Stack { work: Vec::new(), pieces: 0, busy: 1, waiting: 0, left, wanted: 0, failed: None };
    let (changed, asked) = (Condvar::new(), Condvar::new());
    let walk = Walk { visit, control, stack: Mutex::new(stack), changed, asked, free: AtomicUsize::new(left) };
    std::thread::scope(|scope| {
        let first = thread::begin(scope, || walk.begin(&dir)).map_err(|error| no_thread(&error))?;
        while walk.wants_another() {
            if thread::another(scope, || walk.work()).is_none() {
                break;
            }
        }
        // What panics in a thread panics here.
        if let Err(panic) = first.join() {
            std::panic::resume_unwind(panic);
        }
        Ok(())
    })
    .map_err(here)?;
    drop(dir);
    let failed = walk.stack.into_inner().unwrap_or_else(PoisonError::into_inner).failed;
    failed.map_or(Ok(()), Err)
}

impl<V: Visit> Walk<'_, V> {
    fn lock(&self) -> MutexGuard<'_, Stack<V::State>> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a thread is asked for; false once all are begun or none is needed any more. A directory that came into a tree
    /// holds a few names as a rule, and beginning sixteen threads takes longer than copying those.
    fn wants_another(&self) -> bool {
        let mut stack = self.lock();
        while stack.wanted == 0 && stack.left > 0 && !stack.is_over() {
            stack = self.asked.wait(stack).unwrap_or_else(PoisonError::into_inner);
        }
        if stack.wanted == 0 || stack.is_over() {
            return false;
        }
        stack.wanted -= 1;
        true
    }

    fn begin(&self, top: &Arc<Dir<V::State>>) {
        name::own_umask();
        let leaving = Leaving(self);
        let result = self.read(top);
        std::mem::forget(leaving);
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
            stack.waiting += 1;
            self.count_free(&stack);
            stack = self.changed.wait(stack).unwrap_or_else(PoisonError::into_inner);
            stack.waiting -= 1;
            self.count_free(&stack);
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
        let over = stack.is_over();
        drop(stack);
        if over {
            self.changed.notify_all();
            self.asked.notify_all();
        }
    }

    fn count_free(&self, stack: &Stack<V::State>) {
        self.free.store(stack.waiting + stack.left, Ordering::Relaxed);
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
        let waiting = stack.waiting > 0;
        // Who waits may have been called for something else already.
        let more = stack.left > 0 && stack.work.len() > stack.waiting + stack.wanted;
        if more {
            stack.left -= 1;
            stack.wanted += 1;
            self.count_free(&stack);
        }
        drop(stack);
        if more {
            self.asked.notify_one();
        }
        match (waiting, many) {
            (true, true) => self.changed.notify_all(),
            (true, false) => self.changed.notify_one(),
            (false, _) => {}
        }
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
            // One of these names may be a file that takes minutes, with the others behind it.
            while names.count > 0 && self.free.load(Ordering::Relaxed) > 0 {
                dir.pending.fetch_add(1, Ordering::Relaxed);
                self.put(Work::Piece(dir.clone(), names.split()));
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
