//! Plans `volume add` and `init`: what holds for every kind of source.

use super::{CONFIG, Site, host_of, refuse, usable};
use crate::edit;
use crate::error::{Error, ErrorKind, Result};
use crate::goal::{Goal, VolumeRequest, VolumeSource};
use crate::manifest::{DIRECTORY, VolumeFile};
use crate::observed::{DirFacts, FileFacts, Identity, Place};
use crate::path::AbsPath;
use crate::plan::{Plan, Remark, lines};
use crate::standing::View;
use crate::step::{Action, FstabEdit, Step};
use crate::value::{Attrs, HostName, Id, Mode};
use crate::wanted::Volume;

/// Where no volume can be, nor above it.
const CLOSED: &[&str] = &[
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/datastore",
];

/// Plans `volume add` and `init`.
pub fn add(goal: &Goal, view: &View<'_>, site: &Site, seed: Id) -> Result<Plan> {
    let mut adder = Adder::new(goal, view, site, seed)?;
    // The first volume of a machine without a name gives it one, whichever verb asked.
    let is_init = matches!(goal, Goal::Init { .. }) || view.wanted.host.is_none();
    if let Some(old) = &view.wanted.host
        && is_init
        && *old != adder.host
    {
        return refuse(
            format!("this machine presents its data as `{old}` already; another name would look for it elsewhere"),
            "leave out --host, or keep the old name",
        );
    }
    let volume = adder.taken()?;
    adder.directories(&volume)?;
    adder.identity_file(&volume);
    adder.configuration(&volume, is_init)?;
    adder.fstab(&volume);
    adder.remark_default(&volume, is_init);
    Ok(adder.plan(goal))
}

pub(super) struct Adder<'a> {
    pub(super) view: &'a View<'a>,
    pub(super) site: &'a Site,
    pub(super) request: &'a VolumeRequest,
    pub(super) host: HostName,
    pub(super) seed: Id,
    pub(super) declared: Option<&'a Volume>,
    pub(super) steps: Vec<Step>,
    pub(super) remarks: Vec<Remark>,
    /// Whether nobody knows before the mount if a volume is on the device.
    is_unseen: bool,
}

impl<'a> Adder<'a> {
    /// For a goal that adds a volume.
    pub(super) fn new(goal: &'a Goal, view: &'a View<'a>, site: &'a Site, seed: Id) -> Result<Self> {
        let Some(request) = goal.new_volume() else {
            return Err(Error::new(ErrorKind::Usage, format!("`{goal}` adds no volume")));
        };
        let host = host_of(goal, view.wanted)?;
        let declared = view.wanted.volume(&request.name).filter(|v| v.declared);
        Ok(Self { view, site, request, host, seed, declared, steps: Vec::new(), remarks: Vec::new(), is_unseen: false })
    }

    /// What has come together.
    pub(super) fn plan(self, goal: &Goal) -> Plan {
        Plan { steps: self.steps, remarks: self.remarks, ..Plan::empty(goal, Some(self.host), self.seed) }
    }

    /// The volume that the request comes to, with the steps up to its mount; nothing is wrong with it and its place.
    pub(super) fn taken(&mut self) -> Result<Volume> {
        self.options_are_sound()?;
        self.path_is_free()?;
        let volume = self.volume()?;
        self.clash(&volume)?;
        Ok(volume)
    }

    pub(super) fn push(&mut self, action: Action) {
        self.steps.push(Step { mapping: None, action });
    }

    fn options_are_sound(&self) -> Result<()> {
        let Some(options) = &self.request.options else { return Ok(()) };
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if options.starts_with('-') || options.contains(odd) || options.split(',').any(str::is_empty) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("`{}` is no list of mount options", options.escape_debug()),
            )
            .hint("separate them by commas alone: --options noatime,nodev"));
        }
        Ok(())
    }

    /// No system directory, no other volume and no mapping is at, above or below the place.
    fn path_is_free(&self) -> Result<()> {
        let path = &self.site.path;
        let store = &self.view.wanted.store;
        let below = |other: &AbsPath| path.is_within(other);
        let above = |other: &AbsPath| other.is_within(path);
        let system = CLOSED.iter().map(|c| AbsPath::literal(c)).find(|c| below(c) || above(c));
        if system.is_some() || above(store) {
            return refuse(
                format!("a volume cannot be at {path}"),
                format!("leave out --at: it is below {store} then"),
            );
        }
        let others = self.view.wanted.volumes.iter().filter(|v| v.declared && v.name != self.request.name);
        if let Some(other) = others.into_iter().find(|v| below(&v.path) || above(&v.path)) {
            return refuse(
                format!("volume `{}` is at {}, so no other can be at {path}", other.name, other.path),
                "choose another place: --at DIR",
            );
        }
        let mappings = self.view.wanted.mappings.iter().filter(|m| m.enabled);
        if let Some(mapping) = mappings.into_iter().find(|m| below(&m.mount_point) || above(&m.mount_point)) {
            return refuse(
                format!("{path} lies at or around {}, the mount point of `{}`", mapping.mount_point, mapping.app),
                "choose another place: --at DIR",
            );
        }
        Ok(())
    }

    /// Decides what the volume is, and plans the steps up to its mount.
    fn volume(&mut self) -> Result<Volume> {
        match &self.request.source {
            VolumeSource::Here => self.here(),
            VolumeSource::Directory(directory) if *directory == self.site.path => self.here(),
            VolumeSource::Directory(directory) => self.directory(directory),
            VolumeSource::Device(device) => self.device(device),
        }
    }

    /// The volume as the configuration will declare it. Options that were not given now stay as they are declared; `need` is
    /// one that the source cannot do without.
    pub(super) fn base(&self, id: Id, source: Option<String>, fstype: Option<String>, need: Option<&str>) -> Volume {
        let known = self.declared.filter(|d| d.id == Some(id)).and_then(|d| d.options.clone());
        let mut options = self.request.options.clone().or(known);
        if let Some(need) = need
            && !options.iter().flat_map(|o| o.split(',')).any(|o| o.split('=').next() == need.split('=').next())
        {
            options = Some(options.map_or_else(|| need.to_owned(), |given| format!("{need},{given}")));
        }
        let (name, path) = (self.request.name.clone(), self.site.path.clone());
        Volume { name, path, declared: true, id: Some(id), source, fstype, options }
    }

    /// The identity for a volume on which this file was found.
    pub(super) fn identity(&self, file: &FileFacts<VolumeFile>) -> Result<Id> {
        match file {
            FileFacts::Is(file) => Ok(file.id),
            FileFacts::Absent => Ok(self.seed.derive(b"volume")),
            FileFacts::Hidden => {
                Err(Error::new(ErrorKind::Privilege, "the identity of the volume cannot be read without privilege")
                    .hint("run it as root"))
            }
            FileFacts::Damaged(why) => refuse(
                format!("the identity file of the volume is damaged: {why}"),
                "bring .datastore/volume.toml back from a backup",
            ),
        }
    }

    /// Makes the volume's directory and those above it.
    pub(super) fn make_place(&mut self) -> Result<()> {
        usable(&self.site.path, &self.site.place)?;
        if let Place::Absent { missing } = &self.site.place {
            let mut above: Vec<AbsPath> = self.site.path.ancestors().take_while(|a| a.is_within(missing)).collect();
            above.reverse();
            for path in above {
                self.push(Action::MakeDir { path, attrs: Attrs::root(0o755), id: None, shared: false });
            }
            let path = self.site.path.clone();
            self.push(Action::MakeDir { path, attrs: Attrs::root(0o700), id: None, shared: false });
        }
        Ok(())
    }

    /// The mount of the volume at its place, with the options that mount(8) is to see.
    pub(super) fn push_mount(&mut self, source: String, volume: &Volume) {
        let ours = |o: &str| {
            o.starts_with("x-")
                || o.starts_with("X-")
                || matches!(o, "nofail" | "noauto" | "auto" | "_netdev" | "comment")
                || o.starts_with("comment=")
        };
        let fstype = volume.fstype.clone().unwrap_or_else(|| "auto".into());
        let mut options: Vec<&str> = Vec::new();
        options.extend(volume.options.iter().flat_map(|o| o.split(',')).filter(|o| !ours(o)));
        if fstype == "none" && !options.contains(&"bind") {
            options.insert(0, "bind");
        }
        let options = options.join(",");
        self.push(Action::Mount { source, path: volume.path.clone(), fstype, options });
    }

    /// No other volume has this identity, and this name has no other identity.
    fn clash(&self, volume: &Volume) -> Result<()> {
        let twin = self.view.wanted.volumes.iter().find(|v| v.declared && v.id == volume.id && v.name != volume.name);
        if let Some(twin) = twin {
            return refuse(
                format!("this disk carries the identity of volume `{}` ({})", twin.name, twin.path),
                format!("it is that volume, or a copy of it: look at findmnt {}", twin.path),
            );
        }
        if let Some(declared) = self.declared
            && let Some(id) = declared.id
            && declared.id != volume.id
        {
            return refuse(
                format!("volume `{}` is declared already, with the identity {id}", volume.name),
                format!("give the new one another name, or first: datastore volume remove {}", volume.name),
            );
        }
        Ok(())
    }

    fn is_formatted(&self) -> bool {
        self.steps.iter().any(|s| matches!(s.action, Action::MakeFilesystem { .. }))
    }

    /// A file system that was not taken off in good order, as by a power cut, shows what is on it only once it is mounted.
    pub(super) fn unseen(&mut self, device: &AbsPath) {
        self.is_unseen = true;
        self.remarks.push(Remark {
            detail: format!(
                "{device} was not taken off in good order, so what is on it is seen only once it is mounted"
            ),
            hint: "if it turns out to hold a volume, nothing is changed on it; then run the command again".into(),
        });
    }

    pub(super) fn directories(&mut self, volume: &Volume) -> Result<()> {
        let is_formatted = self.is_formatted();
        let is_mounted = self.steps.iter().any(|s| matches!(s.action, Action::Mount { .. }));
        let ours = volume.path.child(DIRECTORY);
        let mut layout: Vec<&(AbsPath, Place)> = self.site.layout.iter().collect();
        if self.is_unseen {
            layout.sort_by_key(|(path, _)| *path != ours);
        }
        for (path, place) in layout {
            // What was looked at before the mount is not what will be there after it.
            if !is_mounted {
                usable(path, place)?;
                // An interrupted run may have made `live`, with no identity yet or the one that was drawn then: it gets the new one.
                let is_stale = |dir: &DirFacts| {
                    let other = |id: &Identity| matches!(id, Identity::Is(old) if Some(*old) != volume.id);
                    *path == volume.live() && (other(&dir.id) || dir.id == Identity::None)
                };
                if place.dir().is_some_and(|dir| !is_stale(dir)) {
                    continue;
                }
            }
            // The identity on `live` shows at once whether the file system holds extended attributes at all.
            let id = if *path == volume.live() { volume.id } else { None };
            // On a file system that was there before, it may be there; whoever makes it then leaves it as it is.
            let shared = !is_formatted;
            self.push(Action::MakeDir { path: path.clone(), attrs: Attrs::root(0o700), id, shared });
            if self.is_unseen && *path == ours {
                // An identity that is there comes to light before anything is done to what it tells of.
                self.write_identity(volume);
            }
        }
        Ok(())
    }

    /// The identity of the volume, on it and on the disk.
    pub(super) fn identity_file(&mut self, volume: &Volume) {
        let id = self.id_of(volume);
        let is_it = |file: &FileFacts<VolumeFile>| matches!(file, FileFacts::Is(file) if file.id == id);
        let device = self.site.device.as_ref().is_some_and(|d| is_it(&d.file));
        let directory = self.site.directory.as_ref().is_some_and(|d| is_it(&d.1));
        let has_file = !self.is_formatted() && (is_it(&self.site.file) || device || directory);
        if !has_file && !self.is_unseen {
            self.write_identity(volume);
        }
        if !self.steps.is_empty() {
            self.push(Action::Flush { path: volume.path.clone() });
        }
    }

    fn id_of(&self, volume: &Volume) -> Id {
        volume.id.unwrap_or_else(|| self.seed.derive(b"volume"))
    }

    fn write_identity(&mut self, volume: &Volume) {
        let text =
            VolumeFile { id: self.id_of(volume), name: volume.name.clone(), host: Some(self.host.clone()) }.render();
        let path = volume.path.child(DIRECTORY).child("volume.toml");
        self.push(Action::WriteFile { path, from: None, to: Some(text), mode: Mode::from_bits(0o600) });
    }

    /// The volume in `/etc/datastore.conf`, and the name of the host.
    pub(super) fn configuration(&mut self, volume: &Volume, is_init: bool) -> Result<()> {
        // The directory first: a configuration that names it then stands beside it.
        let configlets = AbsPath::literal("/etc/datastore.d");
        usable(&configlets, &self.site.configlets)?;
        if self.site.configlets.dir().is_none() {
            let attrs = Attrs::root(0o755);
            self.push(Action::MakeDir { path: configlets, attrs, id: None, shared: true });
        }
        let old = self.site.config.clone();
        let mut text = old.clone().unwrap_or_else(|| edit::DEFAULT_CONFIG.into());
        if is_init && self.view.wanted.host.as_ref() != Some(&self.host) {
            text = edit::host(CONFIG, &text, &self.host)?;
        }
        let usual = self.view.wanted.store.child(volume.name.as_str());
        let path = (volume.path != usual).then_some(&volume.path);
        let same = self.declared.is_some_and(|d| {
            (d.id, &d.source, &d.fstype, &d.options, &d.path)
                == (volume.id, &volume.source, &volume.fstype, &volume.options, &volume.path)
        });
        if !same {
            text = edit::volume(CONFIG, &text, volume, path)?;
        }
        if old.as_ref() != Some(&text) {
            let path = AbsPath::literal(CONFIG);
            self.push(Action::WriteFile { path, from: old, to: Some(text), mode: Mode::from_bits(0o644) });
        }
        Ok(())
    }

    pub(super) fn fstab(&mut self, volume: &Volume) {
        let Some(entry) = lines::volume(volume) else { return };
        let fstab = &self.view.observed.fstab;
        if fstab.ours(&volume.path).is_some_and(|row| *row.entry == entry) {
            return;
        }
        if entry.has_option("noauto") {
            self.remarks.push(Remark {
                detail: format!("the line of {} in /etc/fstab says `noauto`: nothing mounts it at boot", volume.path),
                hint: format!("datastore volume add {} --options OPTIONS, without noauto", volume.name),
            });
        }
        let edit = fstab.change(&volume.path, Some(entry));
        self.push(Action::Fstab { edits: vec![FstabEdit { mapping: None, edit }] });
        if self.view.observed.systemd {
            self.push(Action::ReloadSystemd);
        }
    }

    /// The first volume is not the one that mappings go to which name none.
    pub(super) fn remark_default(&mut self, volume: &Volume, is_init: bool) {
        let default = &self.view.wanted.default_volume;
        let is_declared = self.view.wanted.volume(default).is_some_and(|v| v.declared);
        if is_init && *default != volume.name && !is_declared {
            self.remarks.push(Remark {
                detail: format!("mappings that name no volume go to `{default}`, which there is not"),
                hint: format!("write default_volume = \"{}\" into {CONFIG}", volume.name),
            });
        }
    }
}
