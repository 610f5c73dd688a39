//! Steps: what a plan consists of. A step leaves nothing to decide: it holds absolute paths, numeric owners and the exact text to write.
//!
//! Every step says what must hold before it (`from`, `id`, or that the path is absent) and what will hold after it, so
//! its way back is no second datum that could contradict it: [`Action::inverse`] derives it.

use serde::{Deserialize, Serialize};

use crate::fstab;
use crate::hook::{HookBind, HookRun};
use crate::manifest;
use crate::mapping::BindOptions;
use crate::path::AbsPath;
use crate::value::{AppName, Attrs, Id};

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The mapping that it serves, by its number in the plan. If a step of a mapping fails, the mapping's steps that
    /// were done are taken back and its other steps are left out; the other mappings go on. If a step that holds the
    /// changes of several mappings fails (fstab, a manifest), or a hook of a whole app, it fails for each of them. A step
    /// that serves none is everybody's: if it fails, the operation stops and everything is taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<u32>,
    /// What to do.
    #[serde(flatten)]
    pub action: Action,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Action {
    /// Makes a directory that must be absent, with mode, owner and identity in place before anybody can reach into it.
    MakeDir {
        /// The directory.
        path: AbsPath,
        /// Its mode, owner and group, whatever the umask.
        attrs: Attrs,
        /// The identity to give it; store directories have one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
        /// Whether others may need it too; then it is made although the mapping has failed for which it was planned, and is not taken
        /// back.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        shared: bool,
    },
    /// Removes a directory if it is empty. Only ever the way back of `MakeDir`: one in which something has been put meanwhile stays.
    RemoveDir {
        /// The directory.
        path: AbsPath,
        /// What it had.
        attrs: Attrs,
        /// The identity it carried.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<Id>,
    },
    /// Changes mode, owner and group of a directory of ours.
    SetAttrs {
        /// The directory.
        path: AbsPath,
        /// What it must have now.
        from: Attrs,
        /// What it will have.
        to: Attrs,
    },
    /// Gives a store directory its identity, or takes it away.
    SetId {
        /// The directory.
        path: AbsPath,
        /// What it must carry now.
        from: Option<Id>,
        /// What it will carry.
        to: Option<Id>,
    },
    /// Seals a bare mount point: it must be empty, and becomes mode 0000 and immutable.
    Seal {
        /// The mount point, or where it lies in an outer mapping's store.
        path: AbsPath,
        /// What it has now.
        from: Attrs,
    },
    /// Breaks the seal.
    Unseal {
        /// The mount point.
        path: AbsPath,
        /// What it will have.
        to: Attrs,
    },
    /// Binds a store directory on a mount point, which must be bare and empty.
    Bind {
        /// The store directory.
        store: AbsPath,
        /// The mount point.
        mount_point: AbsPath,
        /// The identity that the store directory must carry.
        id: Option<Id>,
        /// How.
        options: BindOptions,
    },
    /// Takes a bind off.
    Unbind {
        /// What must be bound.
        store: AbsPath,
        /// Where.
        mount_point: AbsPath,
        /// The identity that it must carry.
        id: Option<Id>,
        /// How it is bound.
        options: BindOptions,
    },
    /// Changes the options of a live bind.
    SetOptions {
        /// The mount point.
        mount_point: AbsPath,
        /// What it must have now.
        from: BindOptions,
        /// What it will have.
        to: BindOptions,
    },
    /// Rewrites `/etc/fstab` as a whole.
    Fstab {
        /// The changes, each with the mapping that it serves.
        edits: Vec<FstabEdit>,
    },
    /// Tells systemd that fstab has changed (systemctl(1) daemon-reload); else it may mount the old source again.
    ReloadSystemd,
    /// Rewrites the manifest of a base as a whole; its directory is made where missing (root, 0700).
    Manifest {
        /// The directory that holds it.
        home: AbsPath,
        /// The changes, each with the mapping that it serves.
        edits: Vec<ManifestEdit>,
    },
    /// Brings everything on the file system that holds a directory to the disk (syncfs(2)).
    Flush {
        /// The directory.
        path: AbsPath,
    },
    /// Runs a hook. There is no way back: whoever wrote it must make sure that running it again does no harm.
    RunHook(Box<HookRun>),
    /// Replaces a file of ours as a whole.
    WriteFile {
        /// The file.
        path: AbsPath,
        /// What must stand there now; `None` if there must be no file.
        from: Option<String>,
        /// What will stand there; `None` removes it.
        to: Option<String>,
        /// Its mode if it is new.
        mode: crate::value::Mode,
    },
    /// Makes a file system. There is no way back; the planner asks for it only where no signature was found, or by force.
    MakeFilesystem {
        /// The block device or image.
        device: AbsPath,
        /// `ext4`, `xfs` or `btrfs`.
        fstype: String,
        /// Its label.
        label: String,
        /// Its UUID.
        uuid: Id,
        /// Whether something that was found there may be overwritten.
        force: bool,
    },
    /// Mounts a volume.
    Mount {
        /// What, in fstab's words.
        source: String,
        /// Where.
        path: AbsPath,
        /// The file system; `none` for a bound directory.
        fstype: String,
        /// Options for mount(8).
        options: String,
    },
    /// Takes a volume off.
    Unmount {
        /// What, in fstab's words.
        source: String,
        /// Where.
        path: AbsPath,
        /// The file system.
        fstype: String,
        /// Options for mount(8).
        options: String,
    },
}

/// A change of fstab and the mapping that it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FstabEdit {
    /// The mapping, by its number in the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<u32>,
    /// The change.
    #[serde(flatten)]
    pub edit: fstab::Edit,
}

/// A change of a manifest and the mapping that it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEdit {
    /// The mapping, by its number in the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<u32>,
    /// The change.
    #[serde(flatten)]
    pub edit: manifest::Edit,
}

impl Action {
    /// The way back; `None` where there is nothing to take back (a flush) or no way (a new file system).
    #[must_use]
    pub fn inverse(&self) -> Option<Self> {
        Some(match self.clone() {
            Self::MakeDir { shared: true, .. } => return None,
            Self::MakeDir { path, attrs, id, shared: false } => Self::RemoveDir { path, attrs, id },
            Self::RemoveDir { path, attrs, id } => Self::MakeDir { path, attrs, id, shared: false },
            Self::SetAttrs { path, from, to } => Self::SetAttrs { path, from: to, to: from },
            Self::SetId { path, from, to } => Self::SetId { path, from: to, to: from },
            Self::Seal { path, from } => Self::Unseal { path, to: from },
            Self::Unseal { path, to } => Self::Seal { path, from: to },
            Self::Bind { store, mount_point, id, options } => Self::Unbind { store, mount_point, id, options },
            Self::Unbind { store, mount_point, id, options } => Self::Bind { store, mount_point, id, options },
            Self::SetOptions { mount_point, from, to } => Self::SetOptions { mount_point, from: to, to: from },
            Self::Fstab { edits } => Self::Fstab {
                edits: edits
                    .into_iter()
                    .rev()
                    .map(|e| FstabEdit { mapping: e.mapping, edit: e.edit.inverse() })
                    .collect(),
            },
            Self::Manifest { home, edits } => Self::Manifest {
                home,
                edits: edits
                    .into_iter()
                    .rev()
                    .map(|e| ManifestEdit { mapping: e.mapping, edit: e.edit.inverse() })
                    .collect(),
            },
            Self::WriteFile { path, from, to, mode } => Self::WriteFile { path, from: to, to: from, mode },
            Self::Mount { source, path, fstype, options } => Self::Unmount { source, path, fstype, options },
            Self::Unmount { source, path, fstype, options } => Self::Mount { source, path, fstype, options },
            Self::ReloadSystemd => Self::ReloadSystemd,
            Self::Flush { .. } | Self::MakeFilesystem { .. } | Self::RunHook(_) => return None,
        })
    }

    /// The mappings whose changes the action holds, or that a hook runs for, by number; [`Step::mapping`] is beside it.
    pub fn serves(&self) -> impl Iterator<Item = u32> + '_ {
        let (fstab, manifest, hook): (&[FstabEdit], &[ManifestEdit], &[HookBind]) = match self {
            Self::Fstab { edits } => (edits, &[], &[]),
            Self::Manifest { edits, .. } => (&[], edits, &[]),
            Self::RunHook(run) => (&[], &[], &run.binds),
            _ => (&[], &[], &[]),
        };
        let edits = fstab.iter().filter_map(|e| e.mapping).chain(manifest.iter().filter_map(|e| e.mapping));
        edits.chain(hook.iter().map(|b| b.mapping))
    }

    /// The app that the action names by itself.
    #[must_use]
    pub fn app(&self) -> Option<&AppName> {
        match self {
            Self::RunHook(run) => Some(&run.app),
            _ => None,
        }
    }

    /// The word for it, as in JSON.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::MakeDir { .. } => "make-dir",
            Self::RemoveDir { .. } => "remove-dir",
            Self::SetAttrs { .. } => "set-attrs",
            Self::SetId { .. } => "set-id",
            Self::Seal { .. } => "seal",
            Self::Unseal { .. } => "unseal",
            Self::Bind { .. } => "bind",
            Self::Unbind { .. } => "unbind",
            Self::SetOptions { .. } => "set-options",
            Self::Fstab { .. } => "fstab",
            Self::ReloadSystemd => "reload-systemd",
            Self::Manifest { .. } => "manifest",
            Self::Flush { .. } => "flush",
            Self::RunHook(_) => "run-hook",
            Self::WriteFile { .. } => "write-file",
            Self::MakeFilesystem { .. } => "make-filesystem",
            Self::Mount { .. } => "mount",
            Self::Unmount { .. } => "unmount",
        }
    }

    /// Every word that [`Action::kind`] can say, for tests that must meet each.
    pub const KINDS: &'static [&'static str] = &[
        "make-dir",
        "remove-dir",
        "set-attrs",
        "set-id",
        "seal",
        "unseal",
        "bind",
        "unbind",
        "set-options",
        "fstab",
        "reload-systemd",
        "manifest",
        "flush",
        "run-hook",
        "write-file",
        "make-filesystem",
        "mount",
        "unmount",
    ];
}

/// What the step does, as a plan shows it: one line.
impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MakeDir { path, attrs, id: Some(_), .. } => write!(f, "make store directory {path} ({attrs})"),
            Self::MakeDir { path, attrs, id: None, .. } => write!(f, "make directory {path} ({attrs})"),
            Self::RemoveDir { path, .. } => write!(f, "remove empty directory {path}"),
            Self::SetAttrs { path, from, to } => write!(f, "set mode and owner of {path} from {from} to {to}"),
            Self::SetId { path, to: Some(id), .. } => write!(f, "give {path} the identity {id}"),
            Self::SetId { path, to: None, .. } => write!(f, "take the identity from {path}"),
            Self::Seal { path, .. } => write!(f, "seal the bare mount point {path}"),
            Self::Unseal { path, to } => write!(f, "break the seal of {path} ({to})"),
            Self::Bind { store, mount_point, options, .. } => write!(f, "bind {store} on {mount_point} ({options})"),
            Self::Unbind { mount_point, .. } => write!(f, "unbind {mount_point}"),
            Self::SetOptions { mount_point, from, to } => {
                write!(f, "change the options of {mount_point} from {from} to {to}")
            }
            Self::Fstab { edits } => write!(f, "write /etc/fstab ({})", count(edits.len(), "line")),
            Self::ReloadSystemd => write!(f, "tell systemd that fstab has changed"),
            Self::Manifest { home, edits } => write!(
                f,
                "write the manifest in {home}/{} ({})",
                manifest::DIRECTORY,
                if edits.len() == 1 { "1 entry".into() } else { format!("{} entries", edits.len()) }
            ),
            Self::Flush { path } => write!(f, "bring {path} to the disk"),
            Self::RunHook(run) => write!(f, "run {run} (at most {} s)", run.seconds),
            Self::WriteFile { path, to: Some(_), .. } => write!(f, "write {path}"),
            Self::WriteFile { path, to: None, .. } => write!(f, "remove {path}"),
            Self::MakeFilesystem { device, fstype, label, .. } => {
                write!(f, "make a file system on {device} ({fstype}, label {label})")
            }
            Self::Mount { source, path, .. } => write!(f, "mount {source} on {path}"),
            Self::Unmount { path, .. } => write!(f, "unmount {path}"),
        }
    }
}

/// "1 line", "2 lines".
fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
