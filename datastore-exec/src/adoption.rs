//! What a volume brings that is to be adopted: looked at where it is, without mounting it for others to see and without changing anything on it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;

use datastore_core::config::{MAX_FILE, role_of};
use datastore_core::goal::{Adopt, Goal, VolumeRequest, VolumeSource};
use datastore_core::manifest::{DIRECTORY, Manifest, VolumeFile};
use datastore_core::mountinfo::MountTable;
use datastore_core::observed::FileFacts;
use datastore_core::owners::{self, Here, Owners};
use datastore_core::plan::volume::{self, Brought, StoreFound};
use datastore_core::value::{HostName, Id, OwnerName, VolumeName};
use datastore_core::wanted::Wanted;
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use rustix::fs::OFlags;

use crate::config_copy;
use crate::load::changeable;
use crate::observe;
use crate::root::{Root, if_there};
use crate::site::loops::Window;
use crate::site::{candidates, device, peek};
use crate::sys::ids::Ids;
use crate::sys::stat::Kind;
use crate::sys::{Entry, fd};
use crate::tree;

/// What is to be adopted, as far as somebody said.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The name that the volume is to have; unless given, the one that it had.
    pub name: Option<VolumeName>,
    /// What it is made of; unless given, the only disk that carries a volume of ours which nobody here declares.
    pub source: Option<VolumeSource>,
    /// Whose data.
    pub from: Option<HostName>,
    /// The name under which this machine presents it.
    pub host: Option<HostName>,
}

/// A volume that is open to be looked at.
struct Chest {
    /// Its top. It is closed before the window is.
    root: Root,
    _window: Option<Window>,
}

impl Chest {
    /// `None` if it cannot be looked at: it is not there, or its journal must be replayed first, or somebody uses it elsewhere.
    fn open(root: &Root, mounts: &MountTable, source: &VolumeSource, path: &AbsPath) -> Result<Option<Self>> {
        let at = |path: &AbsPath| -> Result<Option<Self>> {
            let top = if_there(root.open_dir(path))?;
            Ok(top.map(|top| Self { root: Root::of(top, path.clone()), _window: None }))
        };
        let device = match source {
            VolumeSource::Here => return at(path),
            VolumeSource::Directory(directory) => return at(directory),
            VolumeSource::Device(device) => device,
        };
        let Some(node) = device::find(root, device)? else { return Ok(None) };
        let usage = node.usage(root, mounts)?;
        if usage.mounted_at.contains(path) {
            return at(path);
        }
        let signature = crate::site::blkid::probe(&node)?.filter(|found| found.is_filesystem);
        let free = usage.mounted_at.is_empty() && usage.otherwise.is_none();
        let shown = signature.filter(|_| free).and_then(|found| peek::show(&node, &found.kind));
        Ok(shown.map(|peek::Shown { top, window }| Self { root: Root::of(top, device.clone()), _window: Some(window) }))
    }

    fn file(&self) -> FileFacts<VolumeFile> {
        peek::volume_file(&self.root, &AbsPath::root())
    }

    fn hosts(&self) -> Result<Vec<HostName>> {
        let live = AbsPath::literal("/live");
        let is_dir = |host: &HostName| self.root.stat(&live.child(host.as_str())).is_ok_and(|f| f.kind == Kind::Dir);
        let mut hosts: Vec<HostName> = names(&self.root, &live)?
            .into_iter()
            .filter_map(|name| HostName::parse(std::str::from_utf8(&name).ok()?).ok())
            .filter(is_dir)
            .collect();
        hosts.sort();
        Ok(hosts)
    }
}

/// The names in a directory; none if it is not there.
fn names(root: &Root, path: &AbsPath) -> Result<Vec<Vec<u8>>> {
    let Some(dir) = if_there(root.open_file(path, OFlags::RDONLY | OFlags::DIRECTORY, 0))? else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    fd::each_name(&dir, |name| {
        names.push(name.to_vec());
        true
    })?;
    Ok(names)
}

/// The goal that a wish comes to.
pub(crate) fn goal(root: &Root, wanted: &Wanted, mounts: &MountTable, wish: Wish) -> Result<Goal> {
    let source = match wish.source {
        Some(source) => source,
        None => found(root, wanted, wish.name.as_ref())?,
    };
    let place = |name: &VolumeName| wanted.store.child(name.as_str());
    let file_of = |name: Option<&VolumeName>| -> Result<Option<Chest>> {
        let path = name.map_or_else(|| wanted.store.child("data0"), place);
        Chest::open(root, mounts, &source, &path)
    };
    let chest = file_of(wish.name.as_ref())?;
    let file = chest.as_ref().map_or(FileFacts::Hidden, Chest::file);
    let name = wish.name.unwrap_or_else(|| name_for(file.said(), wanted));
    let hosts = chest.as_ref().map(Chest::hosts).transpose()?.unwrap_or_default();
    let (from, host) = match (&file, hosts.is_empty()) {
        (FileFacts::Is(_), false) => volume::hosts(&hosts, wanted.host.as_ref(), wish.from, wish.host)?,
        (FileFacts::Is(file), true) => {
            let own = wanted.host.clone().or(wish.host).or(wish.from).or(file.host.clone());
            let own = own.ok_or_else(|| {
                Error::new(ErrorKind::Refused, "the volume has data of no host, and does not say whose it was")
                    .hint("say whose: --host NAME")
            })?;
            (own.clone(), own)
        }
        // The planner says what is wrong with it.
        _ => {
            let any = || HostName::parse("unknown").map_err(|error| Error::new(ErrorKind::Usage, error.to_string()));
            let own = wish.from.or_else(|| wanted.host.clone()).map_or_else(any, Ok)?;
            (own.clone(), own)
        }
    };
    let volume = VolumeRequest { name, source, format: None, force: false, at: None, options: None, host: None };
    Ok(Goal::Adopt(Adopt { volume, from, host }))
}

/// The name that it had, unless another volume has it here.
fn name_for(file: Option<&VolumeFile>, wanted: &Wanted) -> VolumeName {
    let declared = |name: &VolumeName| wanted.volume(name).filter(|volume| volume.declared);
    let by_id = file.and_then(|file| wanted.volumes.iter().find(|v| v.declared && v.id == Some(file.id)));
    if let Some(known) = by_id {
        return known.name.clone();
    }
    let had = file.map(|file| file.name.clone()).filter(|name| declared(name).is_none());
    had.or_else(|| {
        (0_u32..).find_map(|n| VolumeName::parse(&format!("data{n}")).ok().filter(|name| declared(name).is_none()))
    })
    .unwrap_or_else(|| wanted.default_volume.clone())
}

/// The only thing that can be meant: what is at the place of a volume and carries an identity, else a disk that nobody uses and that carries one.
fn found(root: &Root, wanted: &Wanted, name: Option<&VolumeName>) -> Result<VolumeSource> {
    if let Some(name) = name {
        let path = wanted.store.child(name.as_str());
        if matches!(peek::volume_file(root, &path), FileFacts::Is(_)) {
            return Ok(VolumeSource::Here);
        }
    }
    let is_new = |id: Id| !wanted.volumes.iter().any(|volume| volume.declared && volume.id == Some(id));
    let mut disks: Vec<(String, String)> = Vec::new();
    for seen in candidates::look()? {
        if let Ok((_, FileFacts::Is(file))) = &seen.found
            && is_new(file.id)
            && name.is_none_or(|name| *name == file.name)
        {
            let host = file.host.as_ref().map_or(String::new(), |host| format!(" of {host}"));
            disks.push((seen.device, format!("{}{host}", file.name)));
        }
    }
    match disks.as_slice() {
        [] => Err(Error::new(
            ErrorKind::Refused,
            "no disk that nobody uses carries a volume which is not declared here already",
        )
        .hint("name it: --device DEV; datastore volume candidates lists the disks")),
        [(device, _)] => {
            let path = AbsPath::parse(device).map_err(|error| Error::new(ErrorKind::System, error.to_string()))?;
            Ok(VolumeSource::Device(path))
        }
        several => {
            let all: Vec<String> = several.iter().map(|(device, what)| format!("{device} ({what})")).collect();
            Err(Error::new(ErrorKind::Refused, format!("several disks carry volumes: {}", all.join(", ")))
                .hint("say which: --device DEV"))
        }
    }
}

/// What the planner must know. Store directories are walked over.
pub(crate) fn observe(
    root: &Root,
    ids: &Ids,
    wanted: &Wanted,
    mounts: &MountTable,
    request: &Adopt,
) -> Result<Brought> {
    let path = volume::path_of(&wanted.store, &request.volume);
    root.forget_within(&path);
    let Some(chest) = Chest::open(root, mounts, &request.volume.source, &path)? else {
        return Ok(nothing());
    };
    let file = chest.file();
    let hosts = chest.hosts()?;
    // An operation that was cut off may have renamed it.
    let is_there = |host: &HostName| hosts.contains(host);
    let host = if is_there(&request.from) || !is_there(&request.host) { &request.from } else { &request.host };
    let home = AbsPath::literal("/live").child(host.as_str());
    let manifest = observe::own(&chest.root, &home.child(DIRECTORY).child("manifest.toml"), Manifest::parse);
    let owners = observe::own(&chest.root, &home.child(DIRECTORY).child(owners::FILE), Owners::parse);
    let stores = stores(&chest.root, &home, manifest.said())?;
    let (mut users, mut groups) = (BTreeSet::new(), BTreeSet::new());
    if let Some(owners) = owners.said() {
        users.extend(owners.users.keys().chain(owners.coming_users.keys()).cloned());
        groups.extend(owners.groups.keys().chain(owners.coming_groups.keys()).cloned());
    }
    for (_, entry) in manifest.said().into_iter().flat_map(Manifest::iter) {
        users.insert(entry.owner.clone());
        groups.insert(entry.group.clone());
    }
    let users = here(&users, stores.iter().flat_map(|s| s.users.keys()), |n| ids.user(n), |n| ids.user_name(n));
    let groups = here(&groups, stores.iter().flat_map(|s| s.groups.keys()), |n| ids.group(n), |n| ids.group_name(n));
    let configlets = configlets(&chest.root, &home)?;
    let twin = match file.said() {
        Some(file) => twin(root, file.id, &request.volume.source)?,
        None => None,
    };
    let is_in_the_way = |at: &AbsPath| mounts.at(at).is_none() && matches!(root.is_empty_dir(at), Ok(false));
    let points = manifest.said().into_iter().flat_map(Manifest::iter).map(|(_, entry)| entry.mount_point.clone());
    let in_the_way = points.filter(is_in_the_way).collect();
    Ok(Brought { file, hosts, manifest, owners, configlets, stores, users, groups, in_the_way, twin })
}

fn nothing() -> Brought {
    Brought {
        file: FileFacts::Hidden,
        hosts: Vec::new(),
        manifest: FileFacts::Absent,
        owners: FileFacts::Absent,
        configlets: BTreeMap::new(),
        stores: Vec::new(),
        users: Here::default(),
        groups: Here::default(),
        in_the_way: Vec::new(),
        twin: None,
    }
}

fn here<'n>(
    names: &BTreeSet<OwnerName>,
    numbers: impl Iterator<Item = &'n u32>,
    number: impl Fn(&str) -> datastore_core::observed::Lookup,
    name: impl Fn(u32) -> Option<String>,
) -> Here {
    let numbers: BTreeSet<u32> = numbers.copied().collect();
    Here {
        numbers: names.iter().map(|known| (known.clone(), number(known.as_str()))).collect(),
        names: numbers.into_iter().filter_map(|number| Some((number, name(number)?))).collect(),
    }
}

/// The stores that the manifest names, as far as they are there, with whose files are in them.
fn stores(root: &Root, home: &AbsPath, manifest: Option<&Manifest>) -> Result<Vec<StoreFound>> {
    let mut found = Vec::new();
    for (key, _) in manifest.into_iter().flat_map(Manifest::iter) {
        let Ok(path) = home.join(key.as_bytes()) else { continue };
        let Some(top) = if_there(root.open_file(&path, OFlags::RDONLY | OFlags::DIRECTORY, 0))? else { continue };
        let label = format!("{}{path}", root.path());
        let (counted, _) = tree::followed(&label, &(), |_| {}, |control| tree::owners::census(&top, control));
        let (users, groups) = counted.map_err(Error::from)?;
        found.push(StoreFound { key: key.to_owned(), users, groups });
    }
    Ok(found)
}

/// The configlets that were kept, if nobody but root could have changed them.
fn configlets(root: &Root, home: &AbsPath) -> Result<BTreeMap<String, String>> {
    let room = home.child(DIRECTORY).child(config_copy::DIRECTORY);
    let mut kept = BTreeMap::new();
    for name in names(root, &room)? {
        let Ok(name) = String::from_utf8(name) else { continue };
        if role_of("/etc/datastore.d", &name).is_none() {
            continue;
        }
        let file = root.open_file(&room.child(&name), OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, 0)?;
        if is_roots(&file)
            && let Ok(bytes) = fd::read_all(&file, usize::try_from(MAX_FILE).unwrap_or(usize::MAX))
            && let Ok(text) = String::from_utf8(bytes)
        {
            kept.insert(name, text);
        }
    }
    Ok(kept)
}

fn is_roots(file: &OwnedFd) -> bool {
    crate::sys::stat::facts(Entry::itself(file))
        .is_ok_and(|facts| facts.kind == Kind::File && changeable(&facts, "").is_none())
}

/// Another disk with the same identity, which nobody uses.
fn twin(root: &Root, id: Id, source: &VolumeSource) -> Result<Option<String>> {
    let own = match source {
        VolumeSource::Device(device) => device::find(root, device)?.map(|node| node.real),
        VolumeSource::Here | VolumeSource::Directory(_) => None,
    };
    let own = own.and_then(|path| std::fs::canonicalize(path).ok());
    let is_twin = |seen: &datastore_core::candidate::Seen| {
        matches!(&seen.found, Ok((_, FileFacts::Is(file))) if file.id == id)
            && std::fs::canonicalize(&seen.device).ok() != own
    };
    Ok(candidates::look()?.into_iter().find(is_twin).map(|seen| seen.device))
}
