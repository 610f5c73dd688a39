//! File systems in whose directories an operation has changed something: they are brought to the disk before it says that it is done.
//!
//! A file that is replaced is synced as it is replaced, and a journal's line as it is written. What is done to directories (made, removed,
//! renamed, given an owner, an identity or a seal) is not: an operation may do it to hundreds, and one sync for all of them is enough, if it
//! comes before the line that says that the operation has ended. Without it, a power cut after the end would undo what nobody would do
//! again: `reclaim` would forget a tree that is still there.

use std::collections::BTreeSet;

use datastore_core::AbsPath;
use datastore_core::planted::{self, Bug};
use datastore_core::step::Action;

use crate::root::{Root, if_there};
use crate::steps::Failure;
use crate::steps::system::flush;
use crate::sys::Entry;
use crate::sys::stat;

/// The directories that hold what was changed.
#[derive(Debug, Default)]
pub(crate) struct Touched(BTreeSet<AbsPath>);

impl Touched {
    /// Takes note of what an action has changed, or tried to.
    pub(crate) fn note(&mut self, root: &Root, action: &Action) {
        if let Action::Flush { path } = action {
            let flushed = device(root, path);
            self.0.retain(|dir| standing(root, dir).is_none_or(|(device, _)| Some(device) != flushed));
            return;
        }
        self.0.extend(directories(action).into_iter().filter_map(AbsPath::parent));
    }

    /// Brings their file systems to the disk, each once. One that is not mounted any more was brought there when it was taken off.
    ///
    /// # Errors
    /// The first that fails. The operation must not say then that it has ended.
    pub(crate) fn sync(&self, root: &Root) -> Result<(), Failure> {
        if planted::has(Bug::UnsyncedDirectories) {
            return Ok(());
        }
        let mut devices = BTreeSet::new();
        for (device, dir) in self.0.iter().filter_map(|dir| standing(root, dir)) {
            if devices.insert(device) {
                flush(root, &dir)?;
            }
        }
        Ok(())
    }
}

/// A directory, or the nearest above it that is still there (it may have been removed with what it held), with its file system's device.
fn standing(root: &Root, dir: &AbsPath) -> Option<(u64, AbsPath)> {
    let mut there = std::iter::once(dir.clone()).chain(dir.ancestors());
    there.find_map(|dir| Some((device(root, &dir)?, dir)))
}

/// The number of the device of the file system that holds a directory; `None` if it is not there, or cannot be told.
fn device(root: &Root, dir: &AbsPath) -> Option<u64> {
    let dir = if_there(root.open_dir(dir)).ok().flatten()?;
    stat::facts(Entry::itself(&dir)).ok().map(|facts| facts.dev)
}

/// The directories that an action makes, removes, renames or changes without syncing them itself.
fn directories(action: &Action) -> Vec<&AbsPath> {
    match action {
        Action::MakeDir { path, .. }
        | Action::RemoveDir { path, .. }
        | Action::SetAttrs { path, .. }
        | Action::SetId { path, .. }
        | Action::SetLabel { path, .. }
        | Action::Seal { path, .. }
        | Action::Unseal { path, .. }
        | Action::RemoveTree { path } => vec![path],
        Action::MoveDir { from, to, .. } | Action::SeedCopy { from, to } | Action::RenameBase { from, to } => {
            vec![from, to]
        }
        Action::Renumber { stores, .. } => stores.iter().collect(),
        _ => Vec::new(),
    }
}
