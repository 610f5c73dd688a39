//! Steps: what a plan consists of. A step leaves nothing to decide: it holds absolute paths, numeric owners and the exact text to write.
//!
//! Every step says what must hold before it (`from`, `id`, or that the path is absent) and what will hold after it, so
//! its way back is no second datum that could contradict it: [`Action::inverse`] derives it.

mod back;

use serde::{Deserialize, Serialize};

use crate::amount::count;
use crate::fstab;
use crate::hook::{HookBind, HookRun};
use crate::label::Label;
use crate::manifest;
use crate::mapping::BindOptions;
use crate::moving::{Receipt, Running, TreeCopy, Verify};
use crate::owners::{DETOUR, Renumber};
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
    /// Gives a new store directory the SELinux label of its bare mount point, so that programs may do in it what they may do there.
    SetLabel {
        /// The store directory.
        path: AbsPath,
        /// What it has; `None` if the plan makes it, and it goes with its label.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        had: Option<String>,
        /// What it will have.
        gets: Label,
    },
    /// Tells SELinux's policy that a store directory is to be labelled like its mount point (semanage-fcontext(8), `-e`). That it could not
    /// be told fails nothing. There is no way back: what it says of a place that is not there says nothing.
    KeepLabels {
        /// The mount point.
        mount_point: AbsPath,
        /// The store directory.
        store: AbsPath,
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
    /// Copies trees while whoever uses them goes on, in passes, until little is left. What is there of an earlier copy is used. There is
    /// no way back: a copy that nothing came of stays until it is used or removed by `--abort`.
    Copy {
        /// The trees.
        trees: Vec<TreeCopy>,
        /// How the copies are held against the trees.
        verify: Verify,
        /// How many seconds the last pass may take, if that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_downtime: Option<u32>,
    },
    /// Copies what has changed since, now that nobody may write any more, holds the copies against the trees, and brings them to the
    /// disk. It fails if somebody still writes.
    FinishCopy {
        /// The trees.
        trees: Vec<TreeCopy>,
    },
    /// A tree that was put aside becomes the beginning of a copy: what is the same in it need not be copied. There is no way back, for
    /// from then on it is nothing but a copy.
    SeedCopy {
        /// Where it was put aside.
        from: AbsPath,
        /// Where the copy comes into being.
        to: AbsPath,
    },
    /// Fails if two trees differ.
    DemandAlike {
        /// Their app.
        app: AppName,
        /// The trees, each with the one that is to be the same.
        trees: Vec<TreeCopy>,
    },
    /// Fails if somebody has a file in a directory open for writing.
    DemandQuiet {
        /// The directories.
        paths: Vec<AbsPath>,
    },
    /// Stops the services that use an app's data, and keeps the app from starting until `StartServices`.
    StopServices {
        /// The app.
        app: AppName,
        /// The services.
        running: Running,
    },
    /// Lets an app start again, and starts its services.
    StartServices {
        /// The app.
        app: AppName,
        /// The services that ran.
        running: Running,
    },
    /// Gives a directory another name on the same file system, where nothing may be. Its mode, owner and identity are changed first, if
    /// they are to be.
    MoveDir {
        /// What it is called.
        from: AbsPath,
        /// What it will be called.
        to: AbsPath,
        /// What it has now, where that is to be changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        had: Option<Top>,
        /// What it will have.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gets: Option<Top>,
    },
    /// Shows another store at a mount point that is in use, without an instant in which nothing is there (move_mount(2) beneath the
    /// mount that is there, then umount(2); before Linux 6.5 the one after the other).
    Swap {
        /// The mount point.
        mount_point: AbsPath,
        /// What is bound.
        from: Bound,
        /// What will be bound.
        to: Bound,
        /// How.
        options: BindOptions,
    },
    /// Gives the directory of a host's stores the name of another host.
    RenameBase {
        /// What it is called.
        from: AbsPath,
        /// What it will be called; nothing may be there.
        to: AbsPath,
    },
    /// Changes owners and groups of everything in store directories, in ACLs too. Nothing else changes: set-id bits and capabilities, which
    /// the kernel takes away with the owner (chown(2)), are given back. Files that have the new number already are what was done before.
    Renumber {
        /// The store directories.
        stores: Vec<AbsPath>,
        /// Users by number. No number is both old and new.
        users: Vec<Renumber>,
        /// Groups by number.
        groups: Vec<Renumber>,
        /// Whether no file has one of the new numbers before, so that the way back is known.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        exact: bool,
    },
    /// Removes a tree that was put aside, or a copy that nothing came of.
    RemoveTree {
        /// The tree.
        path: AbsPath,
    },
    /// Keeps a receipt of what was moved; it tells `reclaim` where everything is.
    WriteReceipt(Box<Receipt>),
}

/// What the top of a store directory has beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Top {
    /// Mode, owner and group.
    pub attrs: Attrs,
    /// The identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
}

/// A store as a bind shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The store directory.
    pub store: AbsPath,
    /// The identity that it must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
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
            Self::StopServices { app, .. } | Self::StartServices { app, .. } | Self::DemandAlike { app, .. } => {
                Some(app)
            }
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
            Self::SetLabel { .. } => "set-label",
            Self::KeepLabels { .. } => "keep-labels",
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
            Self::Copy { .. } => "copy",
            Self::FinishCopy { .. } => "finish-copy",
            Self::SeedCopy { .. } => "seed-copy",
            Self::DemandAlike { .. } => "demand-alike",
            Self::DemandQuiet { .. } => "demand-quiet",
            Self::StopServices { .. } => "stop-services",
            Self::StartServices { .. } => "start-services",
            Self::MoveDir { .. } => "move-dir",
            Self::Swap { .. } => "swap",
            Self::RenameBase { .. } => "rename-base",
            Self::Renumber { .. } => "renumber",
            Self::RemoveTree { .. } => "remove-tree",
            Self::WriteReceipt(_) => "write-receipt",
        }
    }

    /// Every word that [`Action::kind`] can say, for tests that must meet each.
    pub const KINDS: &'static [&'static str] = &[
        "make-dir",
        "remove-dir",
        "set-attrs",
        "set-id",
        "set-label",
        "keep-labels",
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
        "copy",
        "finish-copy",
        "seed-copy",
        "demand-alike",
        "demand-quiet",
        "stop-services",
        "start-services",
        "move-dir",
        "swap",
        "rename-base",
        "renumber",
        "remove-tree",
        "write-receipt",
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
            Self::SetLabel { path, gets, .. } => write!(f, "give {path} the SELinux label {gets}"),
            Self::KeepLabels { mount_point, store } => {
                write!(f, "tell SELinux's policy that {store} is to be labelled like {mount_point}")
            }
            Self::Seal { path, .. } => write!(f, "seal the bare mount point {path}"),
            Self::Unseal { path, to } => write!(f, "break the seal of {path} ({to})"),
            Self::Bind { store, mount_point, options, .. } => write!(f, "bind {store} on {mount_point} ({options})"),
            Self::Unbind { mount_point, .. } => write!(f, "unbind {mount_point}"),
            Self::SetOptions { mount_point, from, to } => {
                write!(f, "change the options of {mount_point} from {from} to {to}")
            }
            Self::Fstab { edits } => write!(f, "write /etc/fstab ({})", count(edits.len(), "line")),
            Self::ReloadSystemd => write!(f, "tell systemd that fstab has changed"),
            Self::Manifest { home, edits } => {
                write!(f, "write the manifest in {home}/{} ({})", manifest::DIRECTORY, count(edits.len(), "entry"))
            }
            Self::Flush { path } => write!(f, "bring {path} to the disk"),
            Self::RunHook(run) => write!(f, "run {run} (at most {} s)", run.seconds),
            Self::WriteFile { path, to: Some(_), .. } => write!(f, "write {path}"),
            Self::WriteFile { path, to: None, .. } => write!(f, "remove {path}"),
            Self::MakeFilesystem { device, fstype, label, .. } => {
                write!(f, "make a file system on {device} ({fstype}, label {label})")
            }
            Self::Mount { source, path, .. } => write!(f, "mount {source} on {path}"),
            Self::Unmount { path, .. } => write!(f, "unmount {path}"),
            Self::Copy { trees, .. } => write!(f, "copy {} while in use", list(trees.iter().map(|t| &t.from))),
            Self::FinishCopy { trees } => {
                write!(f, "copy what has changed of {}, and compare", list(trees.iter().map(|t| &t.from)))
            }
            Self::SeedCopy { from, to } => write!(f, "use {from} as the beginning of the copy in {to}"),
            Self::DemandAlike { trees, .. } => {
                write!(f, "make sure that nothing has changed in {}", list(trees.iter().map(|t| &t.from)))
            }
            Self::DemandQuiet { paths } => write!(f, "make sure that nobody writes to {}", list(paths.iter())),
            Self::StopServices { app, running } if running.is_empty() => write!(f, "keep `{app}` from starting"),
            Self::StopServices { running, .. } => write!(f, "stop {}", list(running.down())),
            Self::StartServices { app, running } if running.is_empty() => write!(f, "let `{app}` start again"),
            Self::StartServices { running, .. } => write!(f, "start {}", list(running.up())),
            Self::MoveDir { from, to, .. } => write!(f, "rename {from} to {to}"),
            Self::Swap { mount_point, to, .. } => {
                write!(f, "bind {} on {mount_point} in place of what is there", to.store)
            }
            Self::RenameBase { from, to } => write!(f, "rename {from} to {to}"),
            Self::Renumber { stores, users, groups, .. } => {
                let told = |kind: &'static str, pairs: &[Renumber]| -> Vec<String> {
                    let number = |n: u32| n & !DETOUR;
                    pairs.iter().map(|p| format!("{kind} {} to {}", number(p.from), number(p.to))).collect()
                };
                let (away, home) = (|p: &Renumber| p.to & DETOUR != 0, |p: &Renumber| p.from & DETOUR != 0);
                let all = || users.iter().chain(groups);
                if all().any(home) {
                    return write!(f, "give the files that were set apart in {} their new owners", list(stores.iter()));
                }
                let verb = if all().any(away) { "set apart" } else { "give new owners to" };
                let pairs = [told("user", users), told("group", groups)].concat().join(", ");
                write!(f, "{verb} the files in {} whose numbers change: {pairs}", list(stores.iter()))
            }
            Self::RemoveTree { path } => write!(f, "remove {path} with all that is in it"),
            Self::WriteReceipt(_) => write!(f, "keep a receipt"),
        }
    }
}

/// "a, b, c".
fn list(items: impl Iterator<Item: ToString>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
