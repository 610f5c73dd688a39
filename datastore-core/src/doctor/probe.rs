//! What must be known beyond what status asks, and the answers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::journal::OperationId;
use crate::manifest::Manifest;
use crate::manifest::VolumeFile;
use crate::moving::Left;
use crate::observed::{FileFacts, Identity, Lookup, Place};
use crate::path::AbsPath;
use crate::standing::View;
use crate::value::{AppName, OwnerName, VolumeName};

/// File systems on which a copy of a volume may lie. Others are not looked at: a dead network server would keep the look for ever.
const LOCAL: &[&[u8]] = &[b"ext2", b"ext3", b"ext4", b"xfs", b"btrfs", b"f2fs"];

/// What to look at.
#[derive(Debug, Default)]
pub struct Probe {
    /// The directories that hold the hosts of volumes.
    pub lives: Vec<LiveProbe>,
    /// Mount points that only a manifest knows: what stands there.
    pub bare: BTreeSet<AbsPath>,
    /// Mounted file systems that are no volumes: which identity they carry.
    pub others: Vec<AbsPath>,
    /// Directories in which operations make temporary files.
    pub work: BTreeSet<AbsPath>,
    /// Users that only a manifest names.
    pub users: BTreeSet<OwnerName>,
    /// Groups that only a manifest names.
    pub groups: BTreeSet<OwnerName>,
    /// Services whose start scripts are to be read.
    pub services: Vec<(AppName, String)>,
}

/// One volume's directory of hosts.
#[derive(Debug, Clone)]
pub struct LiveProbe {
    /// The volume.
    pub volume: VolumeName,
    /// `<volume>/live`.
    pub live: AbsPath,
    /// The base of this host, to be searched for store directories.
    pub base: Option<AbsPath>,
    /// Store directories that are declared; they are not entered.
    pub known: BTreeSet<AbsPath>,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// For each of [`Probe::lives`] that could be looked at.
    pub lives: Vec<LiveFacts>,
    /// What stands at each of [`Probe::bare`].
    pub bare: HashMap<AbsPath, Place>,
    /// Identity files on [`Probe::others`]; only those that have one.
    pub twins: Vec<Twin>,
    /// Temporary files of operations that are over.
    pub leftovers: Vec<Leftover>,
    /// The answers to [`Probe::users`].
    pub users: HashMap<OwnerName, Lookup>,
    /// The answers to [`Probe::groups`].
    pub groups: HashMap<OwnerName, Lookup>,
    /// The files that have a say in the start of each of [`Probe::services`], in order.
    pub services: Vec<ServiceFiles>,
    /// Journals that cannot be understood.
    pub journals: Vec<BadJournal>,
    /// Trees that imports and moves have left. How much is in them is not counted.
    pub left: Vec<Left>,
    /// What the caller may not look at.
    pub unseen: BTreeSet<&'static str>,
}

/// What lies in one volume's directory of hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveFacts {
    /// The volume.
    pub volume: VolumeName,
    /// The names of the directories in it.
    pub hosts: Vec<AbsPath>,
    /// Directories below this host's base that carry an identity, other than those that are declared.
    pub stores: Vec<StoreSeen>,
    /// Whether there was too much to look at all of it.
    pub cut: bool,
}

/// A directory that carries an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSeen {
    /// Where.
    pub path: AbsPath,
    /// The identity.
    pub id: Identity,
}

/// A file system that carries a volume's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    /// Where it is mounted.
    pub path: AbsPath,
    /// What its identity file says.
    pub file: FileFacts<VolumeFile>,
}

/// A temporary file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Where.
    pub path: AbsPath,
    /// The operation that made it.
    pub operation: OperationId,
}

/// The files that have a say in the start of a service: units, drop-ins, what init scripts source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceFiles {
    /// Their texts.
    pub texts: Vec<Vec<u8>>,
}

/// A journal that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadJournal {
    /// Where.
    pub path: String,
    /// Why.
    pub why: String,
    /// Whether it is the journal of an operation that has ended.
    pub ended: bool,
    /// What to do.
    pub hint: String,
}

impl Probe {
    /// What to look at, from what is known already.
    #[must_use]
    pub fn of(view: &View<'_>) -> Self {
        let View { wanted, observed, .. } = view;
        let mut probe = Self::default();
        for (i, volume) in wanted.volumes.iter().enumerate() {
            if view.judge_volume_itself(i, volume).is_ok() {
                let mut known: BTreeSet<AbsPath> =
                    wanted.mappings.iter().filter(|m| m.volume == volume.name).map(|m| m.store.clone()).collect();
                let here = manifests(view).filter(|(home, _)| home.is_within(&volume.path));
                known.extend(here.flat_map(|(home, m)| m.iter().filter_map(|(key, _)| home.join(key).ok())));
                probe.lives.push(LiveProbe {
                    volume: volume.name.clone(),
                    live: volume.live(),
                    base: wanted.base(volume),
                    known,
                });
                probe.work.insert(volume.path.child(crate::manifest::DIRECTORY));
            }
        }
        let volumes: Vec<&AbsPath> = wanted.volumes.iter().map(|v| &v.path).collect();
        // A file system is looked at where its top shows, once for each device.
        let mut devices = BTreeMap::new();
        for mount in observed.mounts.iter().filter(|m| m.is_visible() && &*m.root() == b"/") {
            let is_volume = mount.path().is_none_or(|p| volumes.contains(&&p));
            if !is_volume && LOCAL.contains(&&*mount.fstype()) {
                devices.entry((mount.major(), mount.minor())).or_insert(mount.path());
            }
        }
        probe.others = devices.into_values().flatten().collect();
        for home in observed.manifests.keys() {
            probe.work.insert(home.child(crate::manifest::DIRECTORY));
        }
        for dir in ["/etc", "/etc/datastore.d", "/var/lib/datastore/journal", "/run/datastore/ops"] {
            probe.work.insert(AbsPath::literal(dir));
        }
        let declared = declared(view);
        for (home, manifest) in manifests(view) {
            for (key, entry) in manifest.iter() {
                let is_known = home.join(key).is_ok_and(|store| declared.contains(&store));
                if !is_known {
                    if wanted.at(&entry.mount_point).is_empty() {
                        probe.bare.insert(entry.mount_point.clone());
                    }
                    continue;
                }
                if !observed.users.contains_key(&entry.owner) {
                    probe.users.insert(entry.owner.clone());
                }
                if !observed.groups.contains_key(&entry.group) {
                    probe.groups.insert(entry.group.clone());
                }
            }
        }
        let asked = wanted.apps.iter().filter(|a| a.enabled && a.problem.is_none());
        probe.services = asked.flat_map(|a| a.services.iter().map(|s| (a.name.clone(), s.clone()))).collect();
        probe
    }
}

/// The manifests that were understood, each with the directory whose stores it tells of.
pub(super) fn manifests<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a AbsPath, &'a Manifest)> {
    view.observed.manifests.iter().filter_map(|(home, facts)| match facts {
        FileFacts::Is(manifest) => Some((home, manifest)),
        _ => None,
    })
}

/// The store directories that mappings name.
pub(super) fn declared<'a>(view: &View<'a>) -> HashSet<&'a AbsPath> {
    view.wanted.mappings.iter().map(|m| &m.store).collect()
}
