//! Files whose contents a pass has written: what must be held against the original by itself, once everything else was.
//!
//! A file is found again by its inodes, wherever it was moved meanwhile; by its path only where one of the file systems has no
//! handles. There every later pass goes by paths too.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::dirty::Limit;
use crate::sys::Entry;
use crate::sys::handle::{self, Handle};

/// A file and its copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path below the top, when it was written; empty if nobody knew it.
    pub path: Vec<u8>,
    /// The inode of the source, and that of the target.
    pub inodes: Option<(Handle, Handle)>,
}

/// What passes have written so far. Several threads add to it.
#[derive(Debug, Default)]
pub struct Written(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The directory below the top in which a pass walks; with a slash behind it unless it is the top.
    within: Vec<u8>,
    /// By the inode of the source. The last one counts: those before it have lost their names.
    by_inode: HashMap<Handle, (Vec<u8>, Handle)>,
    by_path: Vec<Vec<u8>>,
    /// More was written than is remembered.
    more: bool,
}

impl File {
    /// A file and its copy, both open or as entries.
    pub(super) fn of(path: Vec<u8>, source: Entry<'_>, target: Entry<'_>) -> Self {
        let inodes = handle::read(source).ok().zip(handle::read(target).ok()).map(|((a, _), (b, _))| (a, b));
        Self { path, inodes }
    }
}

impl Written {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The paths that are added from now on begin in this directory below the top.
    pub(super) fn within(&self, dir: &[u8]) {
        let mut state = self.state();
        state.within.clear();
        state.within.extend_from_slice(dir);
        if !dir.is_empty() {
            state.within.push(b'/');
        }
    }

    /// Adds a file.
    pub(super) fn add(&self, path: &[u8], source: Entry<'_>, target: Entry<'_>) {
        let file = File::of(Vec::new(), source, target);
        let mut state = self.state();
        if state.by_inode.len() + state.by_path.len() >= Limit::default().entries {
            state.more = true;
            return;
        }
        let path = if path.is_empty() { Vec::new() } else { [&state.within, path].concat() };
        match file.inodes {
            Some((source, target)) => drop(state.by_inode.insert(source, (path, target))),
            None => state.by_path.push(path),
        }
    }

    /// Takes what there is; none if it was more than is remembered.
    pub fn take(&self) -> Option<Vec<File>> {
        let state = std::mem::take(&mut *self.state());
        let of_inode = |(source, (path, target))| File { path, inodes: Some((source, target)) };
        let of_path = |path| File { path, inodes: None };
        let files = state.by_inode.into_iter().map(of_inode).chain(state.by_path.into_iter().map(of_path));
        (!state.more).then(|| files.collect())
    }
}
