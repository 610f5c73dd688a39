//! What the making of a copy came to: the passes, and what was compared.

use std::time::Duration;

use datastore_core::AbsPath;

use super::verify::Verified;

/// The account of one copy, as it stands once the copy is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The tree.
    pub from: AbsPath,
    /// Its copy.
    pub to: AbsPath,
    /// What the last comparison of the whole tree found.
    pub whole: Compared,
    /// A digest of names and attributes as they were then.
    pub metadata: String,
    /// A digest of all contents as they were then; none if only some were compared.
    pub contents: Option<String>,
    /// What has changed since, and was compared by itself. Where that is nothing, the digests are those of the tree as it is.
    pub since: Compared,
    /// The passes, the first one in front.
    pub passes: Vec<Pass>,
}

/// How much was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compared {
    /// Names.
    pub entries: u64,
    /// Length of the files among them.
    pub bytes: u64,
    /// Files whose contents were compared, or their beginnings.
    pub files: u64,
    /// How much of those was read and compared.
    pub read: u64,
}

/// One pass over the tree, or over what had changed in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// What it was led by.
    pub kind: Kind,
    /// Names that were copied, changed or removed.
    pub entries: u64,
    /// Length of the files that were copied.
    pub bytes: u64,
    /// How long it took, with the way to the disk.
    pub took: Duration,
    /// Whether the services were stopped by then.
    pub stopped: bool,
}

/// What a pass was led by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The target was empty: everything was copied.
    Copy,
    /// Both trees were compared, name by name.
    Scan,
    /// What the kernel had told of changes.
    Changes,
}

impl Account {
    /// Of a copy that is about to be made.
    pub(crate) fn new(from: AbsPath, to: AbsPath) -> Self {
        let (whole, since) = (Compared::default(), Compared::default());
        Self { from, to, whole, metadata: String::new(), contents: None, since, passes: Vec::new() }
    }

    /// Notes a comparison of everything.
    pub(crate) fn whole(&mut self, found: &Verified) {
        self.whole = found.into();
        self.metadata.clone_from(&found.metadata);
        self.contents.clone_from(&found.contents);
        self.since = Compared::default();
    }

    /// Notes a comparison of what has changed.
    pub(crate) fn since(&mut self, found: &Verified) {
        let found = Compared::from(found);
        self.since.entries += found.entries;
        self.since.bytes += found.bytes;
        self.since.files += found.files;
        self.since.read += found.read;
    }
}

impl From<&Verified> for Compared {
    fn from(found: &Verified) -> Self {
        Self { entries: found.entries, bytes: found.length, files: found.files, read: found.bytes }
    }
}
