//! Receipts: what was moved, how, and where everything is.

use serde::{Deserialize, Serialize};

use crate::checksum;
use crate::path::AbsPath;
use crate::state::words;
use crate::step::Top;
use crate::value::{AppName, VolumeName};

/// What was moved, and where everything is: kept until all that was put aside has been removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// [`Receipt::VERSION`].
    pub version: u32,
    /// `import`, `move` or `undo`.
    pub verb: String,
    /// The app.
    pub app: AppName,
    /// Its trees.
    pub trees: Vec<Moved>,
    /// The changes of configuration that went with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Rewritten>,
    /// When it was done, in seconds since 1970; written by whoever does it, as is the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
    /// Until when what was put aside is to be kept, in seconds since 1970. Nothing removes it by itself then; `reclaim --expired` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// How each copy was made and verified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<Account>,
    /// How long the app could not be used, as far as that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime: Option<Downtime>,
}

impl Receipt {
    /// The version that is written.
    pub const VERSION: u32 = 1;
    /// The verb of one that tells how another one was undone.
    pub const UNDO: &str = "undo";
    /// For so many seconds what was put aside is to be kept: 30 days.
    pub const KEPT: i64 = 30 * 24 * 60 * 60;

    /// Reads it.
    ///
    /// # Errors
    /// A sentence if it is damaged or was written by a newer program.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        checksum::read_json(bytes, Self::VERSION, |this: &Self| this.version)
    }

    /// Writes it.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        checksum::write_json(self)
    }

    /// Whether the last thing that was done is an undo, so that there is nothing to undo.
    #[must_use]
    pub fn is_undone(&self) -> bool {
        self.verb == Self::UNDO
    }
}

/// One tree that was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The mount point.
    pub mount_point: AbsPath,
    /// Where it was.
    pub from: AbsPath,
    /// The volume on which it was; `None` for what was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_volume: Option<VolumeName>,
    /// Where it is.
    pub to: AbsPath,
    /// The volume on which it is; `None` for what stands in a plain directory again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_volume: Option<VolumeName>,
    /// Where the old tree was put aside; `None` if it was renamed, so that there is no old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<AbsPath>,
    /// What the top of the old tree had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub had: Option<Top>,
}

/// A file of configuration that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewritten {
    /// The file.
    pub path: AbsPath,
    /// What stood there; `None` if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What stands there now; `None` if it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// How a copy was made and verified, as it stands once the copy is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<String>,
    /// What has changed since, and was compared by itself. Where that is nothing, the digests are those of the tree as it is.
    pub since: Compared,
    /// The passes, the first one in front.
    pub passes: Vec<Pass>,
}

impl Account {
    /// Of a copy that is about to be made.
    #[must_use]
    pub fn new(from: AbsPath, to: AbsPath) -> Self {
        let (whole, since) = (Compared::default(), Compared::default());
        Self { from, to, whole, metadata: String::new(), contents: None, since, passes: Vec::new() }
    }

    /// Notes a comparison of what has changed.
    pub fn add(&mut self, found: Compared) {
        self.since.entries += found.entries;
        self.since.bytes += found.bytes;
        self.since.files += found.files;
        self.since.read += found.read;
    }
}

/// How much was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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

/// One pass over a tree, or over what had changed in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// What it was led by.
    pub led: Led,
    /// Names that were copied, changed or removed.
    pub entries: u64,
    /// Length of the files that were copied.
    pub bytes: u64,
    /// How many milliseconds it took, with the way to the disk.
    pub ms: u64,
    /// Whether the services were stopped by then.
    pub stopped: bool,
}

words! {
    /// What a pass was led by.
    Led {
        /// The target was empty: everything was copied.
        All = "all",
        /// Both trees were compared, name by name.
        Scan = "scan",
        /// What the kernel had told of changes.
        Changes = "changes",
    }
}

/// How long an app could not be used: from when its services were told to stop until they were up again, or until it might start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Downtime {
    /// In milliseconds.
    pub ms: u64,
    /// The parts of it, in order.
    pub parts: Vec<Part>,
}

/// A part of a downtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What was done.
    pub what: String,
    /// How many milliseconds it took.
    pub ms: u64,
}
