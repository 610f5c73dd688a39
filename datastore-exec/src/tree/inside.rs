//! Inodes with several names: whether all of those are in the trees that are walked.
//!
//! Who may write to a directory of a tree may give a file of somebody else's a name in it, where `fs.protected_hardlinks` is 0, and may
//! rename that while the tree is walked, so that it is met more than once. A name counts once, by its directory and itself; and what was
//! renamed or linked between two of its names being met has another time of change than before (statx(2); to the nanosecond since
//! Linux 6.13, before that within a tick of the kernel's clock).

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::sys::attr::{Attr, Time};

/// Names that were met.
#[derive(Debug, Default)]
pub(super) struct Inside(Mutex<HashMap<(u64, u64), Group>>);

/// An inode whose names were not all met yet.
#[derive(Debug)]
struct Group {
    names: HashSet<(u64, Box<[u8]>)>,
    changed: Time,
}

impl Inside {
    /// Notes a name of an inode, in the directory of this number. Says whether all names of that inode were met by now.
    pub(super) fn is_whole(&self, attr: &Attr, dir: u64, name: &[u8]) -> bool {
        let id = (attr.dev, attr.ino);
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let group = groups.entry(id).or_insert_with(|| Group { names: HashSet::new(), changed: attr.ctime });
        if group.changed != attr.ctime {
            // One of the names that were met may be somewhere else by now.
            *group = Group { names: HashSet::new(), changed: attr.ctime };
        }
        group.names.insert((dir, name.into()));
        let whole = group.names.len() as u64 == attr.nlink;
        if whole {
            groups.remove(&id);
        }
        whole
    }

    /// How many inodes have names that were not met.
    pub(super) fn left(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
