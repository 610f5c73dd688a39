//! The planner of volumes: `init`, `volume add`, `volume remove`.

use super::{Plan, Remark};
use crate::edit;
use crate::error::{Error, ErrorKind, Result};
use crate::goal::{Goal, VolumeRequest, VolumeSource};
use crate::manifest::{DIRECTORY, VolumeFile};
use crate::observed::{FileFacts, Place};
use crate::path::{AbsPath, printable};
use crate::standing::View;
use crate::step::{Action, FstabEdit, Step};
use crate::value::{Attrs, HostName, Id, Mode, VolumeName};
use crate::wanted::{Volume, Wanted};

/// The facts about the place and the source of a volume.
#[derive(Debug)]
pub struct Site {
    /// Where the volume is to be.
    pub path: AbsPath,
    /// What stands there.
    pub place: Place,
    /// The identity file there.
    pub file: FileFacts<VolumeFile>,
    /// `live`, `live/<host>`, `backup`, `log`, `sbin` and `.datastore` below it, by their path.
    pub layout: Vec<(AbsPath, Place)>,
    /// The device or image that was named, or what is mounted at the path.
    pub device: Option<Device>,
    /// The directory that was named, and the identity file in it.
    pub directory: Option<(Place, FileFacts<VolumeFile>)>,
    /// `/etc/datastore.conf` as it is; `None` if there is none.
    pub config: Option<String>,
    /// What stands at `/etc/datastore.d`.
    pub configlets: Place,
}

/// A block device or an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Whether it is a regular file, to be mounted through a loop device.
    pub is_image: bool,
    /// Its size in bytes.
    pub size: u64,
    /// What was found on it; `None` for nothing at all.
    pub signature: Option<Signature>,
    /// Where it is mounted.
    pub mounted_at: Vec<AbsPath>,
    /// The identity file on it, where it could be looked at without mounting it anywhere.
    pub file: FileFacts<VolumeFile>,
}

/// What libblkid found on a device (blkid(8)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signature {
    /// The file system, or what else: `ext4`, `swap`, `LVM2_member`, `dos`.
    pub kind: String,
    /// Whether it is a file system.
    pub is_filesystem: bool,
    /// Its label.
    pub label: Option<String>,
    /// Its UUID.
    pub uuid: Option<String>,
}

impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.kind)?;
        if let Some(label) = &self.label {
            write!(f, ", label {label}")?;
        }
        Ok(())
    }
}

/// The smallest size at which each kind of file system can be made and used.
const SMALLEST: &[(&str, u64)] = &[("ext4", 8 << 20), ("xfs", 300 << 20), ("btrfs", 114 << 20)];

const CONFIG: &str = "/etc/datastore.conf";

/// Where a request's volume is to be.
#[must_use]
pub fn path_of(view_store: &AbsPath, request: &VolumeRequest) -> AbsPath {
    request.at.clone().unwrap_or_else(|| view_store.child(request.name.as_str()))
}

/// The host's name once the goal is reached: the one it has, else the one that is given.
pub fn host_of(goal: &Goal, wanted: &Wanted) -> Result<HostName> {
    let given = match goal {
        Goal::Init { host, .. } => Some(host),
        Goal::VolumeAdd(request) => wanted.host.as_ref().or(request.host.as_ref()),
        _ => wanted.host.as_ref(),
    };
    match given {
        Some(host) => Ok(host.clone()),
        None => refuse("this machine has no data store yet", "datastore init"),
    }
}

/// The directories of a volume, parents first (DESIGN 3).
#[must_use]
pub fn layout(path: &AbsPath, host: &HostName) -> Vec<AbsPath> {
    let live = path.child("live");
    vec![
        live.clone(),
        live.child(host.as_str()),
        path.child("backup"),
        path.child("log"),
        path.child("sbin"),
        path.child(DIRECTORY),
    ]
}

fn refuse<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T> {
    Err(Error::new(ErrorKind::Refused, message).hint(hint))
}

/// Plans `volume add` and `init`.
pub fn add(goal: &Goal, view: &View<'_>, site: &Site, seed: Id) -> Result<Plan> {
    let request = match goal {
        Goal::VolumeAdd(request) | Goal::Init { volume: request, .. } => request,
        _ => return Err(Error::new(ErrorKind::Usage, format!("`{goal}` adds no volume"))),
    };
    let host = host_of(goal, view.wanted)?;
    let is_init = matches!(goal, Goal::Init { .. }) || view.wanted.host.is_none();
    if let Some(old) = &view.wanted.host
        && is_init
        && *old != host
    {
        return refuse(
            format!("this machine presents its data as `{old}` already; another name would look for it elsewhere"),
            "leave out --host, or keep the old name",
        );
    }
    let declared = view.wanted.volume(&request.name).filter(|v| v.declared);
    let mut adder = Adder { view, site, request, host, seed, declared, steps: Vec::new(), remarks: Vec::new() };
    let volume = adder.volume()?;
    adder.clash(&volume)?;
    adder.directories(&volume);
    adder.files(&volume, is_init)?;
    adder.fstab(&volume);
    Ok(Plan {
        goal: goal.clone(),
        host: Some(adder.host),
        seed,
        mappings: Vec::new(),
        steps: adder.steps,
        notes: Vec::new(),
        remarks: adder.remarks,
    })
}

struct Adder<'a> {
    view: &'a View<'a>,
    site: &'a Site,
    request: &'a VolumeRequest,
    host: HostName,
    seed: Id,
    declared: Option<&'a Volume>,
    steps: Vec<Step>,
    remarks: Vec<Remark>,
}

impl Adder<'_> {
    fn push(&mut self, action: Action) {
        self.steps.push(Step { mapping: None, action });
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

    fn base(&self, id: Id, source: Option<String>, fstype: Option<String>, options: Option<String>) -> Volume {
        let options = self.request.options.clone().or(options);
        Volume {
            name: self.request.name.clone(),
            path: self.site.path.clone(),
            declared: true,
            id: Some(id),
            source,
            fstype,
            options,
        }
    }

    /// The identity for a volume on which this file was found.
    fn identity(&self, file: &FileFacts<VolumeFile>) -> Result<Id> {
        match file {
            FileFacts::Is(file) => Ok(file.id),
            FileFacts::Absent => Ok(self.seed.derive(b"volume")),
            FileFacts::Hidden => {
                refuse("the identity of the volume cannot be read without privilege", "run it as root")
            }
            FileFacts::Damaged(why) => refuse(
                format!("the identity file of the volume is damaged: {why}"),
                "bring .datastore/volume.toml back from a backup",
            ),
        }
    }

    /// Makes the volume's directory and those above it.
    fn make_place(&mut self, mode: u32) -> Result<()> {
        match &self.site.place {
            Place::Dir(_) => Ok(()),
            Place::Absent { missing } => {
                let mut above: Vec<AbsPath> = self.site.path.ancestors().take_while(|a| a.is_within(missing)).collect();
                above.reverse();
                for path in above {
                    self.push(Action::MakeDir { path, attrs: Attrs::root(0o755), id: None, shared: false });
                }
                self.push(Action::MakeDir {
                    path: self.site.path.clone(),
                    attrs: Attrs::root(mode),
                    id: None,
                    shared: false,
                });
                Ok(())
            }
            Place::Other { at, what } => refuse(format!("{at} is {what}, not a directory"), format!("ls -ld {at}")),
            Place::Hidden => Err(Error::new(ErrorKind::Privilege, format!("{} may not be looked at", self.site.path))
                .hint("run it as root")),
            Place::Failed(why) => {
                Err(Error::new(ErrorKind::System, format!("{} cannot be looked at: {why}", self.site.path)))
            }
        }
    }

    /// A plain directory, or a file system that is mounted at the path already.
    fn here(&mut self) -> Result<Volume> {
        if self.request.format.is_some() {
            return Err(Error::new(ErrorKind::Usage, "--format needs --device")
                .hint("name the disk or the image: --device DEV"));
        }
        let path = &self.site.path;
        let mount = self.view.observed.mounts.at(path);
        let lines = self.view.observed.fstab.foreign(path);
        let ours = self.view.observed.fstab.ours(path).map(|row| row.entry.clone());
        let line = ours.clone().or_else(|| lines.first().map(|row| row.entry.clone()));
        if lines.len() > 1 {
            return refuse(format!("/etc/fstab has {} lines for {path}", lines.len()), "keep one of them");
        }
        if let Some(line) = &line
            && mount.is_none()
        {
            return refuse(
                format!("fstab mounts {} on {path}, but it is not mounted", printable(&line.spec)),
                format!("mount {path}"),
            );
        }
        let id = self.identity(&self.site.file)?;
        let Some(mount) = mount else {
            self.make_place(0o700)?;
            return Ok(self.base(id, None, None, None));
        };
        let fstype = printable(mount.fstype().as_ref());
        if let Some(line) = line {
            let text = |bytes: &[u8]| printable(bytes);
            let options = Some(text(&line.options)).filter(|_| ours.is_none());
            let known = self.declared.and_then(|v| v.options.clone());
            let kind = if line.is_bind() { "none".into() } else { text(&line.vfstype) };
            return Ok(self.base(id, Some(text(&line.spec)), Some(kind), known.or(options)));
        }
        let signature = self.site.device.as_ref().and_then(|d| d.signature.as_ref());
        let source = match signature.and_then(|s| s.uuid.as_ref()) {
            Some(uuid) => format!("UUID={uuid}"),
            None => printable(mount.source().as_ref()),
        };
        Ok(self.base(id, Some(source), Some(fstype), None))
    }

    fn directory(&mut self, directory: &AbsPath) -> Result<Volume> {
        if self.request.format.is_some() {
            return Err(Error::new(ErrorKind::Usage, "--format needs --device, not --directory"));
        }
        if directory.is_within(&self.view.wanted.store) {
            return refuse(
                format!("{directory} lies in {}, where volumes are mounted", self.view.wanted.store),
                "name a directory elsewhere",
            );
        }
        let Some((place, file)) = &self.site.directory else {
            return Err(Error::new(ErrorKind::Usage, format!("{directory} was not looked at")));
        };
        match place {
            Place::Dir(_) => {}
            Place::Absent { .. } => return refuse(format!("{directory} does not exist"), format!("mkdir {directory}")),
            Place::Other { at, what } => {
                return refuse(format!("{at} is {what}, not a directory"), "name the real path");
            }
            Place::Hidden => return Err(Error::new(ErrorKind::Privilege, format!("{directory} may not be looked at"))),
            Place::Failed(why) => {
                return Err(Error::new(ErrorKind::System, format!("{directory} cannot be looked at: {why}")));
            }
        }
        let mounted = self.view.observed.mounts.at(&self.site.path);
        let already = mounted.is_some() && self.declared.is_some_and(|v| v.source.as_deref() == directory.to_str());
        let id = self.identity(if already { &self.site.file } else { file })?;
        let volume = self.base(id, Some(directory.to_string()), Some("none".into()), None);
        if !already {
            self.free_place()?;
            self.make_place(0o700)?;
            self.push(Action::Mount {
                source: directory.to_string(),
                path: self.site.path.clone(),
                fstype: "none".into(),
                options: "bind".into(),
            });
        }
        Ok(volume)
    }

    /// Nothing is mounted at the path, and nothing stands in it.
    fn free_place(&self) -> Result<()> {
        let path = &self.site.path;
        if let Some(mount) = self.view.observed.mounts.at(path) {
            let what = printable(mount.source().as_ref());
            return refuse(
                format!("{what} is mounted at {path} already"),
                format!("umount {path}, or take it as it is: datastore volume add {}", self.request.name),
            );
        }
        match &self.site.place {
            Place::Dir(dir) if dir.empty == Some(false) => refuse(
                format!("{path} is not empty; a file system mounted there would hide what is in it"),
                format!("move it away: ls -A {path}"),
            ),
            _ => Ok(()),
        }
    }

    fn device(&mut self, device: &AbsPath) -> Result<Volume> {
        let Some(facts) = &self.site.device else {
            return refuse(format!("{device} does not exist, or is neither a block device nor a file"), "lsblk");
        };
        let path = self.site.path.clone();
        let here = facts.mounted_at.contains(&path);
        if let Some(elsewhere) = facts.mounted_at.iter().find(|p| **p != path) {
            return refuse(format!("{device} is mounted at {elsewhere}"), format!("umount {elsewhere}"));
        }
        // A second run of the same command finds its own file system, and must not make it again.
        let found = if here { &self.site.file } else { &facts.file };
        let mine =
            matches!((found, self.declared), (FileFacts::Is(file), Some(declared)) if declared.id == Some(file.id));
        let make = match (&self.request.format, &facts.signature) {
            (Some(_), _) if mine => None,
            (Some(format), None) => Some(format.clone()),
            (Some(format), Some(_)) if self.request.force && !here => Some(format.clone()),
            (Some(_), Some(signature)) => {
                let take =
                    if signature.is_filesystem { "leave out --format to take it as it is, or add" } else { "add" };
                return refuse(
                    format!("{device} is not empty: it holds {signature}"),
                    format!("{take} --force to destroy what is on it"),
                );
            }
            (None, None) => {
                return refuse(format!("{device} holds no file system"), "make one: --format ext4 (or xfs, btrfs)");
            }
            (None, Some(signature)) if !signature.is_filesystem => {
                return refuse(
                    format!("{device} holds {signature}, which is no file system"),
                    "name a partition or a volume that holds one",
                );
            }
            (None, Some(_)) => None,
        };
        let loop_option = if facts.is_image { Some("loop".to_owned()) } else { None };
        let (volume, fstype) = if let Some(format) = make {
            self.check_size(device, &format, facts.size)?;
            let uuid = self.seed.derive(b"filesystem");
            let label = self.request.name.as_str().to_owned();
            let longest = if format == "xfs" { 12 } else { 16 };
            if label.len() > longest && format != "btrfs" {
                return refuse(
                    format!("{format} labels hold {longest} characters; `{label}` is longer"),
                    "choose a shorter name for the volume",
                );
            }
            self.push(Action::MakeFilesystem {
                device: device.clone(),
                fstype: format.clone(),
                label: label.clone(),
                uuid,
                force: self.request.force,
            });
            let source = if facts.is_image { device.to_string() } else { format!("LABEL={label}") };
            (self.base(self.seed.derive(b"volume"), Some(source), Some(format.clone()), loop_option), format)
        } else {
            let signature = facts.signature.clone().unwrap_or_default();
            let id = self.identity(found)?;
            let labelled = signature.label.as_deref() == Some(self.request.name.as_str());
            let source = match (&signature.uuid, facts.is_image) {
                (_, true) => device.to_string(),
                _ if labelled => format!("LABEL={}", self.request.name),
                (Some(uuid), _) => format!("UUID={uuid}"),
                (None, _) => device.to_string(),
            };
            (self.base(id, Some(source), Some(signature.kind.clone()), loop_option), signature.kind)
        };
        if !here {
            self.free_place()?;
            self.make_place(0o700)?;
            let mut options: Vec<String> =
                volume.options.iter().flat_map(|o| o.split(',')).map(str::to_owned).collect();
            options.retain(|o| {
                !o.starts_with("x-")
                    && !o.starts_with("X-")
                    && !matches!(o.as_str(), "nofail" | "noauto" | "auto" | "_netdev")
            });
            self.push(Action::Mount { source: device.to_string(), path, fstype, options: options.join(",") });
        }
        Ok(volume)
    }

    fn check_size(&self, device: &AbsPath, format: &str, size: u64) -> Result<()> {
        match SMALLEST.iter().find(|(name, _)| *name == format) {
            None => Err(Error::new(
                ErrorKind::Usage,
                format!("`{}` is no file system that datastore makes", format.escape_debug()),
            )
            .hint("ext4, xfs or btrfs")),
            Some((_, smallest)) if size < *smallest => refuse(
                format!("{device} has {} MiB; {format} needs {} MiB at least", size >> 20, smallest >> 20),
                "name a larger device, or another file system",
            ),
            Some(_) => Ok(()),
        }
    }

    /// No other volume has this identity, and this name has no other source.
    fn clash(&self, volume: &Volume) -> Result<()> {
        let twin = self.view.wanted.volumes.iter().find(|v| v.declared && v.id == volume.id && v.name != volume.name);
        if let Some(twin) = twin {
            return refuse(
                format!("this disk carries the identity of volume `{}` ({})", twin.name, twin.path),
                format!("it is that volume, or a copy of it: look at findmnt {}", twin.path),
            );
        }
        if let Some(declared) = self.declared
            && declared.id.is_some()
            && declared.id != volume.id
        {
            return refuse(
                format!(
                    "volume `{}` is declared already, with the identity {}",
                    volume.name,
                    declared.id.map_or_else(String::new, |i| i.to_string())
                ),
                format!("give the new one another name, or first: datastore volume remove {}", volume.name),
            );
        }
        Ok(())
    }

    fn directories(&mut self, volume: &Volume) {
        let formatted = self.steps.iter().any(|s| matches!(s.action, Action::MakeFilesystem { .. }));
        let bound = self.steps.iter().any(|s| matches!(s.action, Action::Mount { .. }));
        for (path, place) in &self.site.layout {
            // What was looked at before the mount is not what will be there after it; `known` says whether it still holds.
            let known = !formatted && !bound;
            if known && place.dir().is_some() {
                continue;
            }
            let is_live = *path == volume.live();
            // The identity on `live` shows at once whether the file system holds extended attributes at all.
            let id = if is_live { volume.id } else { None };
            self.steps.push(Step {
                mapping: None,
                action: Action::MakeDir { path: path.clone(), attrs: Attrs::root(0o700), id, shared: !formatted },
            });
        }
    }

    fn files(&mut self, volume: &Volume, is_init: bool) -> Result<()> {
        let file = volume.path.child(DIRECTORY).child("volume.toml");
        let id = volume.id.unwrap_or_else(|| self.seed.derive(b"volume"));
        let formatted = self.steps.iter().any(|s| matches!(s.action, Action::MakeFilesystem { .. }));
        let has_file = !formatted
            && [
                Some(&self.site.file),
                self.site.device.as_ref().map(|d| &d.file),
                self.site.directory.as_ref().map(|d| &d.1),
            ]
            .into_iter()
            .flatten()
            .any(|f| matches!(f, FileFacts::Is(f) if f.id == id));
        if !has_file {
            let text = VolumeFile { id, name: volume.name.clone(), host: Some(self.host.clone()) }.render();
            self.push(Action::WriteFile { path: file, from: None, to: Some(text), mode: Mode::from_bits(0o600) });
        }
        if !self.steps.is_empty() {
            self.push(Action::Flush { path: volume.path.clone() });
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
            self.push(Action::WriteFile {
                path: AbsPath::literal(CONFIG),
                from: old,
                to: Some(text),
                mode: Mode::from_bits(0o644),
            });
        }
        if matches!(self.site.configlets, Place::Absent { .. }) {
            let path = AbsPath::literal("/etc/datastore.d");
            self.push(Action::MakeDir { path, attrs: Attrs::root(0o755), id: None, shared: true });
        }
        Ok(())
    }

    fn fstab(&mut self, volume: &Volume) {
        let Some(entry) = super::lines::volume(volume) else { return };
        let fstab = &self.view.observed.fstab;
        if fstab.ours(&volume.path).is_some_and(|row| *row.entry == entry) {
            return;
        }
        let edit = fstab.change(&volume.path, Some(entry));
        self.push(Action::Fstab { edits: vec![FstabEdit { mapping: None, edit }] });
        if self.view.observed.systemd {
            self.push(Action::ReloadSystemd);
        }
    }
}

/// Plans `volume remove`: it is unmounted and forgotten; its data stays on it.
pub fn remove(name: &VolumeName, view: &View<'_>, config: Option<&str>, seed: Id) -> Result<Plan> {
    let Some(volume) = view.wanted.volume(name).filter(|v| v.declared) else {
        let names: Vec<&str> = view.wanted.volumes.iter().filter(|v| v.declared).map(|v| v.name.as_str()).collect();
        let hint = match crate::diag::nearest(name.as_str(), &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("volumes: {}", names.join(", ")),
        };
        return Err(Error::new(ErrorKind::Usage, format!("no volume is called `{name}`")).hint(hint));
    };
    let users: Vec<String> =
        view.wanted.mappings.iter().filter(|m| m.enabled && m.volume == *name).map(|m| m.app.to_string()).collect();
    if let Some(first) = users.first() {
        let apps: std::collections::BTreeSet<&String> = users.iter().collect();
        return refuse(
            format!(
                "volume `{name}` holds {} of {} ({} in all)",
                if users.len() == 1 { "a store" } else { "stores" },
                first,
                apps.len()
            ),
            format!(
                "move them first, or: datastore disable {}",
                apps.into_iter().map(String::as_str).collect::<Vec<_>>().join(" ")
            ),
        );
    }
    let bound = view.observed.mounts.iter().filter(|m| m.is_visible() && m.mount_point() != volume.path.as_bytes());
    let still = bound
        .filter_map(|m| view.landscape.source_of(&m).map(|s| (s, m.path())))
        .find(|(s, _)| s.is_below(&volume.path));
    if let Some((source, at)) = still {
        let at = at.map(|p| p.to_string()).unwrap_or_default();
        return refuse(format!("{source} of volume `{name}` is still bound on {at}"), format!("umount {at}"));
    }
    let mut steps = Vec::new();
    let mut push = |action| steps.push(Step { mapping: None, action });
    let i = view.wanted.volumes.iter().position(|v| v.name == *name).unwrap_or_default();
    if let (Some(source), true) = (&volume.source, view.landscape.is_mounted(i)) {
        push(Action::Unmount {
            source: source.clone(),
            path: volume.path.clone(),
            fstype: volume.fstype.clone().unwrap_or_else(|| "auto".into()),
            options: volume.options.clone().unwrap_or_default(),
        });
    }
    if view.observed.fstab.ours(&volume.path).is_some() {
        let edit = view.observed.fstab.change(&volume.path, None);
        push(Action::Fstab { edits: vec![FstabEdit { mapping: None, edit }] });
        if view.observed.systemd {
            push(Action::ReloadSystemd);
        }
    }
    let old = config.unwrap_or_default();
    let text = edit::without_volume(CONFIG, old, name)?;
    push(Action::WriteFile {
        path: AbsPath::literal(CONFIG),
        from: Some(old.into()),
        to: Some(text),
        mode: Mode::from_bits(0o644),
    });
    let goal = Goal::VolumeRemove { name: name.clone() };
    let remark = Remark {
        detail: format!("the data on `{name}` stays on it; nothing is deleted"),
        hint: format!("datastore volume add {name} takes it back as it is"),
    };
    Ok(Plan {
        goal,
        host: view.wanted.host.clone(),
        seed,
        mappings: Vec::new(),
        steps,
        notes: Vec::new(),
        remarks: vec![remark],
    })
}
