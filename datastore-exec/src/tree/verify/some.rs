//! The comparison of a part of a copy: what passes have looked at and written.

use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Comparer, Contents, State, Verified};
use crate::sys::handle::{self, Handle};
use crate::sys::{Entry, SysError, attr, fd, thread};
use crate::tree::Control;
use crate::tree::copy::{Opened, READ, open};
use crate::tree::error::{Fail, TreeError};
use crate::tree::limits::Holds;
use crate::tree::owed::Owed;
use crate::tree::walk::walk;
use crate::tree::written::File;

/// So many entries a thread takes at once: those that are beside each other share the way to them.
const PIECE: usize = 64;

const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// Compares what is owed but for everything: attributes of names and of what is below directories, and of files the contents too. Of a
/// sample the beginning of each of them is compared.
pub(in crate::tree) fn some(
    from: &OwnedFd,
    to: &OwnedFd,
    holds: &Holds,
    contents: Contents,
    owed: &Owed,
    control: &Control<'_>,
) -> Result<Verified, TreeError> {
    let here = |fail: Fail| fail.at(control.label.to_owned());
    let mut comparer = Comparer::new(from, holds, Contents::Nothing, control).map_err(here)?;
    if owed.attributes() {
        comparer.below(from, to, b"")?;
    } else {
        let mut names: Vec<&[u8]> = owed.names().iter().map(Vec::as_slice).collect();
        names.sort_unstable();
        names.dedup();
        comparer.spread(&names, |comparer, above: &mut Above, path| {
            comparer.one([from, to], path, Contents::Nothing, above).map_err(|fail| fail.at(control.shown(path)))
        })?;
        for dir in owed.below() {
            comparer.below(from, to, dir)?;
        }
    }
    // The names of the files were counted, if they were looked at by name.
    let counted = comparer.counted();
    let contents = if contents == Contents::Sample { Contents::Beginnings } else { contents };
    let files: Vec<&File> = owed.files().iter().collect();
    comparer.spread(&files, |comparer, above: &mut Above, file| {
        let compared = match &file.inodes {
            Some(inodes) => comparer.inodes([from, to], inodes, contents, &file.path),
            None => comparer.one([from, to], &file.path, contents, above),
        };
        compared.map_err(|fail| fail.at(control.shown(&file.path)))
    })?;
    let mut found = comparer.finish();
    (found.entries, found.length) = counted;
    (found.metadata, found.contents) = (String::new(), None);
    if found.differ == found.differences.len() as u64 {
        found.differences.dedup();
        found.differ = found.differences.len() as u64;
    }
    Ok(found)
}

/// The directories that were opened for the path before.
#[derive(Default)]
struct Above {
    path: Vec<u8>,
    /// None if one of them is not there.
    dirs: Option<[OwnedFd; 2]>,
}

impl Above {
    /// The directories of a path; whoever was on the way to the same one before has opened them.
    fn reach(&mut self, tops: [&OwnedFd; 2], path: &[u8]) -> Result<Option<&[OwnedFd; 2]>, Fail> {
        if self.dirs.is_none() || self.path != path {
            self.dirs = None;
            let (Some(a), Some(b)) = (descend(tops[0], path)?, descend(tops[1], path)?) else { return Ok(None) };
            (self.path, self.dirs) = (path.to_vec(), Some([a, b]));
        }
        Ok(self.dirs.as_ref())
    }
}

/// A directory by its path, name by name without following a link; none if it is not there (any more).
fn descend(top: &OwnedFd, path: &[u8]) -> Result<Option<OwnedFd>, Fail> {
    let mut here = fd::open(Entry::itself(top), DIR, 0).map_err(Fail::source)?;
    for name in path.split(|&b| b == b'/').filter(|name| !name.is_empty()) {
        match open(Entry::new(&here, name), DIR)? {
            Some(Opened::Fd(dir)) => here = dir,
            _ => return Ok(None),
        }
    }
    Ok(Some(here))
}

impl Comparer<'_> {
    fn counted(&self) -> (u64, u64) {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        (found.entries, found.length)
    }

    /// Does something with each of some things, in several threads.
    fn spread<T: Sync, S: Default>(
        &self,
        things: &[T],
        each: impl Fn(&Self, &mut S, &T) -> Result<(), TreeError> + Sync,
    ) -> Result<(), TreeError> {
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
        let work = || {
            let mut state = S::default();
            loop {
                let start = next.fetch_add(PIECE, Ordering::Relaxed);
                let Some(piece) = things.get(start..things.len().min(start + PIECE)) else { return };
                for thing in piece {
                    let done = if self.control.stop.load(Ordering::Relaxed) {
                        Err(TreeError::stopped(self.control.label.to_owned()))
                    } else {
                        each(self, &mut state, thing)
                    };
                    if let Err(error) = done {
                        next.store(usize::MAX / 2, Ordering::Relaxed);
                        failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        return;
                    }
                }
            }
        };
        let threads = self.control.threads.min(things.len().div_ceil(PIECE));
        std::thread::scope(|scope| {
            for _ in 1..threads {
                if thread::another(scope, work).is_none() {
                    break;
                }
            }
            work();
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// One entry by its path, and nothing below it.
    fn one(&self, tops: [&OwnedFd; 2], path: &[u8], contents: Contents, above: &mut Above) -> Result<(), Fail> {
        if path.is_empty() {
            return self.top(tops[0], tops[1]).map(drop);
        }
        let at = path.iter().rposition(|&b| b == b'/');
        let (dir, name) = at.map_or((&[][..], path), |at| (&path[..at], &path[at + 1..]));
        // Where one is not there it went with a directory above it, which is an entry of its own.
        let Some([a, b]) = above.reach(tops, dir)? else { return Ok(()) };
        let (a, b) = (Entry::new(a, name), Entry::new(b, name));
        let kind = |entry| match attr::attr(entry) {
            Ok(attr) => Ok(Some(attr.kind())),
            Err(error) if error.errno() == Errno::NOENT => Ok(None),
            Err(error) => Err(error),
        };
        match (kind(a).map_err(Fail::source)?, kind(b).map_err(Fail::target)?) {
            (None, None) => {}
            (None, Some(_)) => self.differs(path.to_vec(), vec!["not in the original"]),
            (Some(kind), Some(_)) if kind.is_dir() => {
                self.directory(a, b, || path.to_vec())?;
            }
            (Some(kind), _) => {
                self.file(a, b, kind, contents, || path.to_vec())?;
            }
        }
        Ok(())
    }

    /// The attributes of everything below a directory, and which names there are; those of the top too.
    fn below(&mut self, from: &OwnedFd, to: &OwnedFd, path: &[u8]) -> Result<(), TreeError> {
        let label = self.control.shown(path);
        let here = |fail: Fail| fail.at(label.clone());
        let (source, target) = (descend(from, path).map_err(here)?, descend(to, path).map_err(here)?);
        // Its name is looked at by itself.
        let (Some(source), Some(target)) = (source, target) else { return Ok(()) };
        let state = if path.is_empty() { self.top(&source, &target).map_err(here)? } else { State::of([0; 32]) };
        self.within = if path.is_empty() { Vec::new() } else { [path, b"/"].concat() };
        let walked = walk(&*self, (source, Some(target), state), &Control { label: &label, ..*self.control });
        self.within.clear();
        walked
    }

    /// A file by its inodes. One that is gone was removed, or copied anew into another inode.
    fn inodes(
        &self,
        [from, to]: [&OwnedFd; 2],
        (a, b): &(Handle, Handle),
        contents: Contents,
        path: &[u8],
    ) -> Result<(), Fail> {
        let find = |top: &OwnedFd, handle: &Handle| match handle::open(top, handle, READ | OFlags::NOATIME) {
            Ok(file) => Ok(Some(file)),
            Err(error) if matches!(error.errno(), Errno::STALE | Errno::NOENT) => Ok(None),
            Err(error) => Err::<_, SysError>(error),
        };
        let Some(a) = find(from, a).map_err(Fail::source)? else { return Ok(()) };
        let Some(b) = find(to, b).map_err(Fail::target)? else { return Ok(()) };
        let shown = || match path {
            // It was written by a name outside of the tree, or by one that is gone.
            [] => rustix::fs::readlink(fd::proc_path(b.as_fd()), Vec::new()).map_or(Vec::new(), CString::into_bytes),
            path => path.to_vec(),
        };
        self.pair(&a, &b, contents, shown).map(drop)
    }
}
