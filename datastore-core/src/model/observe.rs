//! Answers core's probe as `datastore-exec` does for root: `load.rs`, `observe.rs`, `place.rs` and `beneath.rs` there.

use std::collections::HashMap;

use super::machine::{Machine, Miss};
use super::mounts::At;
use super::tree::Kind;
use crate::config::{CONFIGLETS, Content, GLOBALS, Input, Role, role_of};
use crate::fstab::Fstab;
use crate::label::Labels;
use crate::manifest::{DIRECTORY, Manifest, ManifestError, VolumeFile};
use crate::mountinfo::MountTable;
use crate::observed::{
    DirFacts, FileFacts, Identity, Lookup, MappingFacts, MappingProbe, Observed, Place, Probe, Space, VolumeFacts,
};
use crate::path::AbsPath;

/// Where fstab is.
pub(super) const FSTAB: &str = "/etc/fstab";

/// What is asked beyond kind, mode and owner.
#[derive(Debug, Clone, Copy, Default)]
struct Want {
    empty: bool,
    id: bool,
}

impl Machine {
    /// Every file of the configuration, or only those of one app. A file that somebody other than root could have
    /// written is not believed.
    #[must_use]
    pub fn load(&self, only: Option<&str>) -> Vec<Input> {
        let mut inputs = Vec::new();
        let mut read = |path: &AbsPath, role: Role, app: &str| {
            let Ok(at) = self.reach(path) else { return };
            let node = self.tree.node(at.ino);
            let Kind::File(bytes) = &node.kind else { return };
            let doubt = match node.attrs.mode.bits() & 0o022 {
                _ if node.attrs.uid != 0 => Some(format!("the file belongs to user {}, not to root", node.attrs.uid)),
                0 => None,
                _ => Some(format!("the file is writable by others (mode {})", node.attrs.mode)),
            };
            let content = doubt.map_or_else(|| Content::Bytes(bytes.clone()), Content::Unsafe);
            inputs.push(Input { path: path.to_string(), role, app: app.to_owned(), content });
        };
        read(&AbsPath::literal(GLOBALS), Role::Globals, "");
        let configlets = AbsPath::literal(CONFIGLETS);
        if let Ok(dir) = self.reach(&configlets) {
            for (name, _) in self.tree.names(dir.ino) {
                let named = std::str::from_utf8(name).ok().and_then(|n| role_of(CONFIGLETS, n));
                let Some((role, app)) = named.filter(|(_, app)| only.is_none_or(|only| *app == only)) else { continue };
                if let Ok(path) = configlets.join(name) {
                    read(&path, role, app);
                }
            }
        }
        inputs
    }

    /// `/etc/fstab`; an empty one if there is none.
    #[must_use]
    pub fn fstab(&self) -> Fstab {
        Fstab::parse(self.read(&AbsPath::literal(FSTAB)).ok().flatten().unwrap_or_default())
    }

    /// The mount table, through the text that the kernel would write.
    ///
    /// # Panics
    /// If the parser does not understand it.
    #[must_use]
    pub fn mount_table(&self) -> MountTable {
        MountTable::parse(self.mounts.mountinfo(&self.tree)).expect("mountinfo as the kernel writes it")
    }

    /// The facts. `beneath` says whether to look under live binds.
    #[must_use]
    pub fn observe(&self, probe: &Probe, mounts: MountTable, fstab: Fstab, beneath: bool) -> Observed {
        let mapping = |asked: &MappingProbe| {
            let store = self.look(&asked.store, Want { empty: false, id: true });
            if mounts.at(&asked.mount_point).is_none() {
                let bare = self.look(&asked.beneath, Want { empty: true, id: false });
                return MappingFacts { mount_point: bare.clone(), beneath: bare, store };
            }
            let beneath = match beneath {
                false => Place::Hidden,
                true if asked.beneath == asked.mount_point => self.look_beneath(&asked.mount_point),
                true => self.look(&asked.beneath, Want { empty: true, id: false }),
            };
            MappingFacts { mount_point: self.look(&asked.mount_point, Want::default()), beneath, store }
        };
        let mappings = probe.mappings.iter().map(|asked| asked.as_ref().map(mapping)).collect();
        let manifest = |home: &AbsPath| self.own_file(&home.child(DIRECTORY).child("manifest.toml"), Manifest::parse);
        let label = |path: &AbsPath| Some((path.clone(), self.tree.node(self.reach(path).ok()?.ino).label.to_string()));
        let stores = probe.mappings.iter().flatten().filter_map(|asked| label(&asked.store)).collect();
        Observed {
            privileged: true,
            systemd: self.systemd,
            now: i64::from(self.operations),
            boot: None,
            fstab_fixed: None,
            volumes: probe.volumes.iter().map(|path| self.volume(path)).collect(),
            mappings,
            manifests: probe.homes.iter().map(|home| (home.clone(), manifest(home))).collect(),
            users: probe.users.iter().map(|n| (n.clone(), self.number("/etc/passwd", n.as_str()))).collect(),
            groups: probe.groups.iter().map(|n| (n.clone(), self.number("/etc/group", n.as_str()))).collect(),
            labels: Labels { on: self.labels, stores, told: None },
            // Hooks are not modelled.
            hooks: HashMap::new(),
            unfinished: self.unfinished.clone(),
            running: Vec::new(),
            progress: Vec::new(),
            mark: 0,
            mounts,
            fstab,
        }
    }

    /// What stands at a path.
    fn look(&self, path: &AbsPath, want: Want) -> Place {
        match self.reach(path) {
            Ok(at) if self.tree.is_dir(at.ino) => Place::Dir(self.dir_facts(at, want)),
            Ok(_) => Place::Other { at: path.clone(), what: "a file".into() },
            Err(Miss::Absent(missing)) => Place::Absent { missing },
            Err(Miss::NotADirectory(at)) => Place::Other { at, what: "a file".into() },
        }
    }

    /// What lies under the mount at a mount point: seen through a copy of the mount above it, without the mounts in it.
    fn look_beneath(&self, mount_point: &AbsPath) -> Place {
        let Ok(place) = self.place(mount_point) else { return Place::Hidden };
        match self.tree.child(place.dir.ino, place.name) {
            Ok(ino) if self.tree.is_dir(ino) => {
                Place::Dir(self.dir_facts(At { mount: place.dir.mount, ino }, Want { empty: true, id: false }))
            }
            Ok(_) => Place::Other { at: mount_point.clone(), what: "no directory".into() },
            Err(_) => Place::Absent { missing: mount_point.clone() },
        }
    }

    fn dir_facts(&self, at: At, want: Want) -> DirFacts {
        let node = self.tree.node(at.ino);
        let id = match (want.id, node.id) {
            (false, _) => Identity::Unasked,
            (true, Some(id)) => Identity::Is(id),
            (true, None) => Identity::None,
        };
        DirFacts {
            dev: node.fs as u64,
            ino: at.ino as u64,
            attrs: node.attrs,
            empty: want.empty.then(|| self.tree.is_empty(at.ino)),
            immutable: Some(node.immutable),
            id,
        }
    }

    fn volume(&self, path: &AbsPath) -> VolumeFacts {
        let top = self.look(path, Want::default());
        let mut facts = VolumeFacts { top, file: FileFacts::Absent, space: None, read_only: false };
        let Ok(at) = self.reach(path) else { return facts };
        if facts.top.dir().is_none() {
            return facts;
        }
        facts.file = self.own_file(&path.child(DIRECTORY).child("volume.toml"), VolumeFile::parse);
        facts.read_only = self.writable(at).is_err();
        let full = self.tree.system(self.tree.node(at.ino).fs).full;
        let free = if full { 0 } else { 1 << 30 };
        facts.space =
            Some(Space { bytes: 1 << 30, bytes_free: free, bytes_available: free, inodes: 0, inodes_free: 0 });
        facts
    }

    fn own_file<T>(&self, path: &AbsPath, parse: impl Fn(&str) -> Result<T, ManifestError>) -> FileFacts<T> {
        match self.read(path) {
            Ok(None) => FileFacts::Absent,
            Err(miss) => FileFacts::Damaged(format!("{miss:?}")),
            Ok(Some(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) => parse(text).map_or_else(|e| FileFacts::Damaged(e.to_string()), FileFacts::Is),
                Err(_) => FileFacts::Damaged("it is not UTF-8".into()),
            },
        }
    }

    /// A number from passwd(5) or group(5).
    fn number(&self, file: &'static str, name: &str) -> Lookup {
        let bytes = self.read(&AbsPath::literal(file)).ok().flatten().unwrap_or_default();
        let text = String::from_utf8_lossy(bytes);
        let found = text.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
        });
        found.map_or(Lookup::Unknown, Lookup::Found)
    }
}
