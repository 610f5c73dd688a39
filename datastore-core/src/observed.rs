//! The facts about the machine that planners may use, and the list of facts to fetch.
//!
//! Core says what it must know ([`Probe`]); `datastore-exec` answers once, without opinion ([`Observed`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::fstab::Fstab;
use crate::hook::Hooks;
use crate::journal::Unfinished;
use crate::label::Labels;
use crate::manifest::{Manifest, VolumeFile};
use crate::mountinfo::MountTable;
use crate::nesting::Nesting;
use crate::path::AbsPath;
use crate::progress::Progress;
use crate::value::{Attrs, Id, OwnerName, VolumeName};
use crate::wanted::Wanted;

/// What must be known for one configuration.
#[derive(Debug, Default)]
pub struct Probe {
    /// For each mapping of [`Wanted::mappings`], in order; `None` where nothing need be known.
    pub mappings: Vec<Option<MappingProbe>>,
    /// For each volume of [`Wanted::volumes`], in order: where it is.
    pub volumes: Vec<AbsPath>,
    /// The directories that hold manifests.
    pub homes: BTreeSet<AbsPath>,
    /// Users to look up.
    pub users: BTreeSet<OwnerName>,
    /// Groups to look up.
    pub groups: BTreeSet<OwnerName>,
    /// Hooks to look at.
    pub hooks: BTreeSet<AbsPath>,
}

/// What must be known for one mapping.
#[derive(Debug, Clone)]
pub struct MappingProbe {
    /// The mount point.
    pub mount_point: AbsPath,
    /// Where the directory under the bind is: the mount point itself, or, for a mount point inside another mapping's, the place in that
    /// mapping's store, which is the same directory once the outer one is bound.
    pub beneath: AbsPath,
    /// The store directory.
    pub store: AbsPath,
}

impl Probe {
    /// What must be known to plan for these mappings: all, or those of which `of` says so.
    #[must_use]
    pub fn of(nesting: Nesting<'_>, mut of: impl FnMut(usize) -> bool) -> Self {
        let wanted = nesting.wanted;
        let mut probe = Self {
            volumes: wanted.volumes.iter().map(|v| v.path.clone()).collect(),
            // Also of volumes that no mapping is on: the data may have been there before an edit.
            homes: wanted.volumes.iter().filter_map(|v| wanted.base(v)).collect(),
            ..Self::default()
        };
        for (i, mapping) in wanted.mappings.iter().enumerate() {
            if !of(i) {
                probe.mappings.push(None);
                continue;
            }
            probe.homes.insert(mapping.home.clone());
            if !probe.users.contains(&mapping.owner) {
                probe.users.insert(mapping.owner.clone());
            }
            if !probe.groups.contains(&mapping.group) {
                probe.groups.insert(mapping.group.clone());
            }
            let of_app = wanted.app(&mapping.app).filter(|app| app.has_hooks).map(|app| &app.hooks);
            for (_, hook) in of_app.into_iter().chain([&mapping.hooks]).flat_map(Hooks::iter) {
                if !probe.hooks.contains(&hook.program) {
                    probe.hooks.insert(hook.program.clone());
                }
            }
            probe.mappings.push(Some(MappingProbe {
                mount_point: mapping.mount_point.clone(),
                beneath: nesting.beneath(&mapping.mount_point),
                store: mapping.store.clone(),
            }));
        }
        probe
    }
}

/// The facts.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Whether everything could be seen and may be changed.
    pub privileged: bool,
    /// Whether systemd runs and would read this root's fstab.
    pub systemd: bool,
    /// Seconds since 1970.
    pub now: i64,
    /// The boot of the machine, if it is known.
    pub boot: Option<Id>,
    /// The kernel's mount table, below the root given.
    pub mounts: MountTable,
    /// `/etc/fstab`.
    pub fstab: Fstab,
    /// Why fstab cannot be replaced, if so.
    pub fstab_fixed: Option<String>,
    /// For each volume, in order.
    pub volumes: Vec<VolumeFacts>,
    /// For each mapping, in order; `None` where nothing was asked.
    pub mappings: Vec<Option<MappingFacts>>,
    /// The manifests, by the directory that holds them.
    pub manifests: BTreeMap<AbsPath, ManifestFacts>,
    /// Users by name.
    pub users: HashMap<OwnerName, Lookup>,
    /// Groups by name.
    pub groups: HashMap<OwnerName, Lookup>,
    /// Labels of SELinux.
    pub labels: Labels,
    /// Hooks, by their paths; empty where nothing was asked.
    pub hooks: HashMap<AbsPath, HookFacts>,
    /// Operations that began and did not end, and that nobody is at work on.
    pub unfinished: Vec<Unfinished>,
    /// Operations that somebody is at work on.
    pub running: Vec<Unfinished>,
    /// How far the running ones are, where that was asked; of those that the caller may not see in the journals, too, and then also of those whose
    /// process has gone.
    pub progress: Vec<Progress>,
    /// Changes whenever an operation has begun or ended: whoever looks again and finds it the same knows that no other run came between.
    pub mark: u64,
}

/// The answer to "which number has this name".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// This one.
    Found(u32),
    /// There is no such name.
    Unknown,
    /// The look-up itself failed.
    Failed(String),
}

/// What stands at the path of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookFacts {
    /// A program that nobody but root could have changed.
    Fit,
    /// Nothing. The first component that is missing.
    Absent(AbsPath),
    /// Something that cannot be run; what.
    Unfit(String),
    /// Somebody other than root could have changed it; how.
    Unsafe(String),
    /// The caller may not look.
    Hidden,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nothing. The first component that is missing.
    Absent {
        /// The nearest missing ancestor, or the path itself.
        missing: AbsPath,
    },
    /// A directory.
    Dir(DirFacts),
    /// Something else at the path or on the way to it.
    Other {
        /// Where.
        at: AbsPath,
        /// What: "a symbolic link", "a file".
        what: String,
    },
    /// The caller may not look.
    Hidden,
    /// Looking failed.
    Failed(String),
}

impl Place {
    /// The directory, if it is one.
    #[must_use]
    pub fn dir(&self) -> Option<&DirFacts> {
        match self {
            Self::Dir(dir) => Some(dir),
            _ => None,
        }
    }
}

/// A directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirFacts {
    /// Device, as stat(2) has it.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Mode, owner and group.
    pub attrs: Attrs,
    /// Whether nothing is in it; `None` where that was not asked or may not be seen.
    pub empty: Option<bool>,
    /// Whether it is immutable (ioctl_iflags(2)); `None` where the file system has no such bit.
    pub immutable: Option<bool>,
    /// The identity that it carries.
    pub id: Identity,
}

impl DirFacts {
    /// Whether it is a sealed mount point: empty, mode 0000, and immutable where the file system can.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.attrs.mode.bits() == 0 && self.immutable != Some(false)
    }
}

/// What an identity look-up says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// It was not asked.
    Unasked,
    /// This one.
    Is(Id),
    /// It carries none.
    None,
    /// The caller may not see it.
    Hidden,
    /// The file system holds no extended attributes.
    Unsupported,
    /// It carries something that is no identity.
    Garbled(String),
}

/// One mapping's places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingFacts {
    /// What a program sees at the mount point.
    pub mount_point: Place,
    /// The directory under the bind, where nothing is bound.
    pub beneath: Place,
    /// The store directory.
    pub store: Place,
}

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeFacts {
    /// Its directory.
    pub top: Place,
    /// Its identity file.
    pub file: FileFacts<VolumeFile>,
    /// Free and total; `None` if it is not there or may not be seen.
    pub space: Option<Space>,
    /// Whether nothing can be written to it.
    pub read_only: bool,
}

/// One of our own files on a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileFacts<T> {
    /// What it says.
    Is(T),
    /// It is not there.
    Absent,
    /// The caller may not look.
    Hidden,
    /// It cannot be understood.
    Damaged(String),
}

impl<T> FileFacts<T> {
    /// What it says, if it is there and can be understood.
    #[must_use]
    pub fn said(&self) -> Option<&T> {
        if let Self::Is(said) = self { Some(said) } else { None }
    }
}

/// A manifest.
pub type ManifestFacts = FileFacts<Manifest>;

/// Space on a file system (statvfs(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub bytes: u64,
    /// Bytes that root can still write.
    pub bytes_free: u64,
    /// Bytes free for others than root too.
    pub bytes_available: u64,
    /// Inodes in all; 0 where the file system does not count them.
    pub inodes: u64,
    /// Inodes still free.
    pub inodes_free: u64,
}

impl Observed {
    /// The facts about a volume.
    #[must_use]
    pub fn volume<'o>(&'o self, wanted: &Wanted, name: &VolumeName) -> Option<&'o VolumeFacts> {
        let i = wanted.volumes.binary_search_by(|v| v.name.cmp(name)).ok()?;
        self.volumes.get(i)
    }
}
