//! A machine in memory, as far as the planner of volumes looks at it, to be changed by each test.

use std::collections::{BTreeMap, HashMap};

use super::super::*;
use crate::config::{Input, Role};
use crate::fstab::Fstab;
use crate::goal::{Goal, VolumeSource};
use crate::mountinfo::MountTable;
use crate::observed::{DirFacts, Identity, Observed};
use crate::plan::Plan;
use crate::resolve::{Incumbents, resolve};
use crate::standing::View;
use crate::step::{Action, Step};
use crate::value::{Attrs, Id, VolumeName};
use crate::verify;
use crate::wanted::Wanted;

pub(super) const HOST: &str = "host = \"server1\"\n";
pub(super) const ROOT_LINE: &str = "1 0 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n";

pub(super) fn path(text: &str) -> AbsPath {
    AbsPath::parse(text).unwrap()
}

pub(super) fn id(n: u8) -> Id {
    Id::from_random([n; 16])
}

pub(super) fn seed() -> Id {
    id(99)
}

pub(super) fn name(text: &str) -> VolumeName {
    VolumeName::parse(text).unwrap()
}

pub(super) fn dir(ino: u64, empty: bool) -> Place {
    Place::Dir(DirFacts {
        dev: 1,
        ino,
        attrs: Attrs::root(0o755),
        empty: Some(empty),
        immutable: Some(false),
        id: Identity::Unasked,
    })
}

pub(super) fn absent(missing: &str) -> Place {
    Place::Absent { missing: path(missing) }
}

pub(super) fn identity(n: u8) -> FileFacts<VolumeFile> {
    FileFacts::Is(VolumeFile { id: id(n), name: name("data0"), host: None })
}

/// A machine in one place, to be changed by each test.
pub(super) struct Machine {
    pub(super) config: Option<String>,
    pub(super) fstab: String,
    pub(super) mounts: String,
    pub(super) systemd: bool,
    pub(super) privileged: bool,
    pub(super) site: Site,
    pub(super) request: VolumeRequest,
}

impl Machine {
    /// Nothing is there but a configuration with the host's name.
    pub(super) fn new(source: VolumeSource) -> Self {
        let at = path("/store/data0");
        let host = HostName::parse("server1").unwrap();
        Self {
            config: Some(HOST.into()),
            fstab: String::new(),
            mounts: ROOT_LINE.into(),
            systemd: false,
            privileged: true,
            site: Site {
                layout: layout(&at, &host).into_iter().map(|p| (p, absent("/store"))).collect(),
                path: at,
                place: absent("/store"),
                file: FileFacts::Absent,
                device: None,
                directory: None,
                config: None,
                configlets: absent("/etc/datastore.d"),
            },
            request: VolumeRequest {
                name: name("data0"),
                source,
                format: None,
                force: false,
                at: None,
                options: None,
                host: None,
            },
        }
    }

    pub(super) fn here() -> Self {
        Self::new(VolumeSource::Here)
    }

    pub(super) fn directory() -> Self {
        let mut machine = Self::new(VolumeSource::Directory(path("/srv/big")));
        machine.site.directory = Some((dir(7, false), FileFacts::Absent));
        machine
    }

    /// An empty disk of 1 GiB.
    pub(super) fn device(format: Option<&str>) -> Self {
        let mut machine = Self::new(VolumeSource::Device(path("/dev/sdb1")));
        machine.request.format = format.map(Into::into);
        machine.site.device = Some(Device {
            path: Some(path("/dev/sdb1")),
            is_image: false,
            size: 1 << 30,
            signature: None,
            mounted_at: vec![],
            in_use: None,
            file: FileFacts::Absent,
        });
        machine
    }

    /// A disk with a file system.
    pub(super) fn disk(label: Option<&str>) -> Self {
        let mut machine = Self::device(None);
        machine.dev().signature = Some(filesystem(label));
        machine
    }

    pub(super) fn dev(&mut self) -> &mut Device {
        self.site.device.as_mut().unwrap()
    }

    pub(super) fn image(mut self) -> Self {
        self.request.source = VolumeSource::Device(path("/srv/disk.img"));
        self.dev().is_image = true;
        self.dev().path = Some(path("/srv/disk.img"));
        self
    }

    pub(super) fn mounted(mut self, line: &str) -> Self {
        self.mounts.push_str(line);
        self.mounts.push('\n');
        self.site.place = dir(3, false);
        self
    }

    pub(super) fn view<T>(&self, body: impl FnOnce(&View<'_>, &Site) -> T) -> T {
        let wanted = self.wanted();
        let observed = Observed {
            privileged: self.privileged,
            systemd: self.systemd,
            now: 0,
            boot: None,
            mounts: MountTable::parse(self.mounts.as_bytes()).unwrap(),
            fstab: Fstab::parse(self.fstab.as_bytes()),
            fstab_fixed: None,
            volumes: vec![],
            mappings: vec![],
            manifests: BTreeMap::new(),
            users: HashMap::new(),
            groups: HashMap::new(),
            labels: crate::label::Labels::default(),
            hooks: HashMap::new(),
            unfinished: vec![],
            running: vec![],
            progress: Vec::new(),
            mark: 0,
        };
        let site = Site { config: self.config.clone(), ..self.site.clone() };
        body(&View::new(&wanted, &observed), &site)
    }

    pub(super) fn wanted(&self) -> Wanted {
        let input = |config: &String| Input::read(CONFIG, Role::Globals, "", &**config);
        let wanted = resolve(self.config.iter().map(input).collect(), &Incumbents::new());
        assert!(wanted.diagnostics.is_empty(), "{:?}", wanted.diagnostics);
        wanted
    }

    pub(super) fn goal(&self) -> Goal {
        Goal::VolumeAdd(self.request.clone())
    }

    pub(super) fn plan_of(&self, goal: &Goal) -> Result<Plan> {
        let plan = self.view(|view, site| {
            let plan = add(goal, view, site, seed())?;
            verify::check(plan.clone(), view.wanted, view.observed).expect("the checker has no objection");
            Ok(plan)
        })?;
        assert_eq!(self.view(|view, site| add(goal, view, site, seed()))?.id(), plan.id(), "the same again");
        Ok(plan)
    }

    pub(super) fn plan(&self) -> Plan {
        self.plan_of(&self.goal()).unwrap_or_else(|e| panic!("{e}: {e:?}"))
    }

    pub(super) fn steps(&self) -> Vec<String> {
        kinds(&self.plan())
    }

    #[track_caller]
    pub(super) fn refused(&self, kind: ErrorKind, words: &str) {
        let error = self.plan_of(&self.goal()).expect_err(words);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(words), "{error}");
        assert!(error.get_hint().is_some_and(|h| !h.is_empty()), "no hint: {error}");
    }

    /// The machine after the plan, as a second look would find it.
    pub(super) fn after(&self, plan: &Plan) -> Self {
        let mut next = Self {
            config: self.config.clone(),
            fstab: self.fstab.clone(),
            mounts: self.mounts.clone(),
            site: self.site.clone(),
            request: self.request.clone(),
            ..*self
        };
        for Step { action, .. } in &plan.steps {
            match action {
                Action::MakeDir { path, .. } => {
                    for (at, place) in &mut next.site.layout {
                        if at == path {
                            *place = dir(50, true);
                        }
                    }
                    if *path == next.site.path {
                        next.site.place = dir(3, true);
                    }
                    if *path == AbsPath::literal("/etc/datastore.d") {
                        next.site.configlets = dir(51, true);
                    }
                }
                Action::WriteFile { path, from, to, .. } if *path == AbsPath::literal(CONFIG) => {
                    assert_eq!(*from, next.config);
                    next.config.clone_from(to);
                }
                Action::WriteFile { path, from, to, .. } => {
                    assert_eq!((path.to_str(), from), (Some("/store/data0/.datastore/volume.toml"), &None));
                    next.site.file = FileFacts::Is(VolumeFile::parse(to.as_ref().unwrap()).unwrap());
                }
                Action::Fstab { edits } => {
                    let edits: Vec<_> = edits.iter().map(|e| e.edit.clone()).collect();
                    let text = Fstab::parse(next.fstab.as_bytes()).edit(&edits).unwrap();
                    next.fstab = String::from_utf8(text).unwrap();
                }
                Action::MakeFilesystem { fstype, label, uuid, .. } => {
                    next.dev().signature = Some(Signature {
                        kind: fstype.clone(),
                        is_filesystem: true,
                        label: Some(label.clone()),
                        uuid: Some(uuid.to_string()),
                        is_unfinished: false,
                    });
                }
                Action::Mount { path, fstype, .. } if fstype == "none" => {
                    next.mounts.push_str(&format!("9 1 254:0 /srv/big {path} rw - ext4 /dev/vda rw\n"));
                    next.site.place = dir(7, false);
                }
                Action::Mount { path, fstype, .. } => {
                    next.mounts.push_str(&format!("9 1 8:17 / {path} rw - {fstype} /dev/sdb1 rw\n"));
                    next.site.place = dir(3, false);
                    let found = next.site.device.as_ref().unwrap().file.clone();
                    next.site.file = found;
                    next.dev().mounted_at = vec![path.clone()];
                }
                Action::Flush { .. } | Action::ReloadSystemd => {}
                other => panic!("{other}"),
            }
        }
        if let Some(file) = next.site.directory.as_mut() {
            file.1 = next.site.file.clone();
        }
        if let Some(device) = next.site.device.as_mut() {
            device.file = next.site.file.clone();
        }
        next
    }

    /// The second run of the same command does nothing.
    #[track_caller]
    pub(super) fn converges(&self) -> Self {
        let next = self.after(&self.plan());
        assert_eq!(kinds(&next.plan()), [""; 0], "the second run");
        next
    }
}

pub(super) fn filesystem(label: Option<&str>) -> Signature {
    let (label, uuid) = (label.map(Into::into), Some("0a-0b".into()));
    Signature { kind: "ext4".into(), is_filesystem: true, label, uuid, is_unfinished: false }
}

pub(super) fn kinds(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|s| s.action.kind().to_owned()).collect()
}

pub(super) fn declared(machine: &Machine) -> crate::wanted::Volume {
    machine.wanted().volume(&name("data0")).unwrap().clone()
}

pub(super) const DISK: &str = "9 1 8:17 / /store/data0 rw - ext4 /dev/sdb1 rw";
