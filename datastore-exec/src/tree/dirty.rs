//! What has changed in a tree, each thing once: names in directories, and inodes that were changed under a name that may not be
//! theirs any more.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::sys::handle::Handle;

/// Beyond this a scan of the whole tree is no slower, and memory stays bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many names and inodes.
    pub entries: usize,
    /// About how many bytes they take.
    pub bytes: usize,
}

impl Default for Limit {
    fn default() -> Self {
        Self { entries: 200_000, bytes: 32 << 20 }
    }
}

/// What happened at one name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// A directory was made here or moved here: everything in it is to be compared, not only the directory itself. What happened in
    /// a directory of that name before is not told.
    pub whole: bool,
    /// The inode whose contents or attributes were changed by this name, if that is what happened.
    pub inode: Option<Handle>,
}

/// Why nobody knows what has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// The kernel's queue was full.
    Overflow,
    /// More was changed than is kept.
    TooMuch(Limit),
    /// The events cannot be read or understood any more; the text says why.
    Broken(String),
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overflow => write!(f, "the kernel's queue of changes was full, and some were lost"),
            Self::TooMuch(limit) => {
                write!(f, "more has changed than is remembered ({} entries, {} MiB)", limit.entries, limit.bytes >> 20)
            }
            Self::Broken(why) => write!(f, "the changes cannot be followed any more ({why})"),
        }
    }
}

/// The names by directory. `.` is the directory itself.
pub type Names = HashMap<Handle, HashMap<Box<[u8]>, Change>>;

/// What has changed since the set was taken the last time.
#[derive(Debug)]
pub enum Dirty {
    /// These things and no others.
    Some(Changes),
    /// It is not known: the whole tree has to be compared.
    Everything(Unknown),
}

impl Default for Dirty {
    fn default() -> Self {
        Self::Some(Changes::default())
    }
}

/// Names and inodes.
#[derive(Debug, Default)]
pub struct Changes {
    /// The names by directory.
    pub names: Names,
    /// Inodes that were changed, and for which no name stands: one that was written by another of its names, or by a name that is
    /// gone. Some may be gone themselves, or have never been in the tree.
    pub inodes: HashSet<Handle>,
    entries: usize,
    bytes: usize,
}

/// About what an entry of a hash map takes beside a name: handle, length, pointer, hash, and the room left free.
const OVERHEAD: usize = 112;

impl Changes {
    /// How many names and inodes there are.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Adds a name, with the inode that was changed by it.
    pub fn add_name(&mut self, dir: Handle, name: &[u8], whole: bool, inode: Option<Handle>) {
        let names = self.names.entry(dir).or_default();
        if let Some(change) = names.get_mut(name) {
            change.whole |= whole;
            let Some(inode) = inode else { return };
            // The name was given to another inode: the first one may live on under other names.
            if let Some(other) = change.inode.replace(inode.clone())
                && other != inode
            {
                self.add_inode(other);
            }
            return;
        }
        names.insert(name.into(), Change { whole, inode });
        self.entries += 1;
        self.bytes += OVERHEAD + name.len();
    }

    /// Adds an inode.
    pub fn add_inode(&mut self, inode: Handle) {
        if self.inodes.insert(inode) {
            self.entries += 1;
            self.bytes += OVERHEAD / 2;
        }
    }

    /// Whether a limit is exceeded.
    pub fn exceeds(&self, limit: Limit) -> bool {
        self.entries > limit.entries || self.bytes > limit.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(n: u8) -> Handle {
        Handle::new(1, &[n; 8]).unwrap()
    }

    #[test]
    fn each_name_stands_once() {
        let mut changes = Changes::default();
        assert!(changes.is_empty());
        changes.add_name(handle(1), b"a", false, None);
        changes.add_name(handle(1), b"a", true, Some(handle(7)));
        changes.add_name(handle(1), b"a", false, None);
        changes.add_name(handle(2), b"a", false, None);
        assert_eq!((changes.len(), changes.inodes.len()), (2, 0));
        assert_eq!(changes.names[&handle(1)][b"a".as_slice()], Change { whole: true, inode: Some(handle(7)) });
    }

    #[test]
    fn an_inode_that_lost_its_name_is_kept() {
        let mut changes = Changes::default();
        for inode in [7, 7, 8, 8] {
            changes.add_name(handle(1), b"a", false, Some(handle(inode)));
        }
        assert_eq!(changes.names[&handle(1)][b"a".as_slice()].inode, Some(handle(8)));
        assert_eq!((changes.inodes, changes.entries), (HashSet::from([handle(7)]), 2));
    }

    #[test]
    fn names_and_bytes_are_counted() {
        let limit = Limit { entries: 3, bytes: 4000 };
        let mut changes = Changes::default();
        for name in [b"a", b"b"] {
            changes.add_name(handle(1), name, false, None);
        }
        changes.add_inode(handle(3));
        assert!(!changes.exceeds(limit));
        changes.add_inode(handle(4));
        assert!(changes.exceeds(limit));
        let mut changes = Changes::default();
        changes.add_name(handle(1), &[b'x'; 4000], false, None);
        assert!(changes.exceeds(limit));
    }
}
