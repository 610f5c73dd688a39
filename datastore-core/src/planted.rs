//! Bugs that are put in on purpose, so that the rigs show that they would find them.
//!
//! Without the feature `planted` nothing of this is compiled into anything: [`has`] is the constant `false`. With it, the variable
//! `DATASTORE_PLANTED` names the one bug that this run has. `cargo xtask prove` builds such a command in a directory of its own and
//! demands that a rig fails for each of them.

/// A bug that somebody could have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A file is replaced without its content being synced before the rename.
    NoFsync,
    /// A file is replaced without its directory being synced after the rename.
    NoDirectoryFsync,
    /// State is written over in its place instead of being replaced.
    InPlaceState,
    /// Another place counts before what was copied there is on the disk.
    UnsyncedCopy,
    /// An operation goes on before the line of its journal was synced.
    UnsyncedJournal,
    /// An operation says that it has ended before what it did to directories is on the disk.
    UnsyncedDirectories,
    /// A sync that fails is passed over.
    IgnoredEio,
    /// A sync that fails is tried again, and the second answer believed.
    RetriedFsync,
    /// A copy is not held against its original.
    UnverifiedCopy,
    /// What cannot be looked at is taken for right by the guard.
    OpenGuard,
    /// Recovery does again what was done.
    RepeatedRecovery,
    /// An owner is given through a path instead of a descriptor.
    PathBasedChown,
    /// A walk follows a link that stands in the place of a directory.
    FollowedLink,
    /// Who may write to the directories above a configlet is not asked.
    UncheckedParent,
    /// A bind is taken off before the other one is put on.
    UnmountThenBind,
    /// A blank in a path goes into fstab as it is.
    UnescapedFstab,
}

/// Whether this run has a bug.
#[cfg(feature = "planted")]
#[must_use]
pub fn has(bug: Bug) -> bool {
    #[allow(
        clippy::disallowed_methods,
        reason = "a run is told from outside which bug it has; only rigs are built like this"
    )]
    std::env::var("DATASTORE_PLANTED").is_ok_and(|name| name == format!("{bug:?}"))
}

/// Whether this run has a bug: never.
#[cfg(not(feature = "planted"))]
#[must_use]
pub const fn has(_: Bug) -> bool {
    false
}
