//! Block devices that nobody uses, from sysfs, the mount table and the devices themselves. Nothing on them is changed.

use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use datastore_core::candidate::{Seen, is_looked_into};
use datastore_core::manifest::VolumeFile;
use datastore_core::mountinfo::MountTable;
use datastore_core::observed::FileFacts;
use datastore_core::path::printable;
use datastore_core::plan::volume::Signature;
use datastore_core::{AbsPath, Error, ErrorKind, Result};

use super::device::{self, is_claimed, is_of};
use super::{blkid, peek};
use crate::operation;
use crate::root::Root;
use crate::sys::proc;

/// Every disk that the kernel knows, each with its partitions below (sysfs(5)).
const DISKS: &str = "/sys/block";
/// Names of disks that stay.
const BY_ID: &str = "/dev/disk/by-id";
/// Smaller ones hold no file system: an extended partition has 1 KiB.
const SMALLEST: u64 = 1 << 20;
/// What can hold no volume: memory, floppies, optical discs (Documentation/admin-guide/devices.txt of the kernel).
const UNFIT: [u32; 3] = [1, 2, 11];
/// The size in sysfs is in sectors of so many bytes, whatever those of the disk are.
const SECTOR: u64 = 512;

/// A device as sysfs tells of it.
struct Node {
    /// Where other programs find it.
    path: PathBuf,
    number: (u32, u32),
    bytes: u64,
    model: String,
}

/// The devices that could become a volume.
///
/// # Errors
/// The mount table cannot be read.
pub(crate) fn look() -> Result<Vec<Seen>> {
    let table = MountTable::parse(proc::mountinfo()?).map_err(|error| {
        Error::new(ErrorKind::System, "cannot understand the kernel's mount table").caused_by(error)
    })?;
    let swap = swap();
    let links = links();
    let machine = Root::open(Path::new("/"))?;
    let mut seen = Vec::new();
    for node in below(Path::new(DISKS)).iter().flat_map(|disk| of_disk(disk)) {
        let numbers = HashSet::from([node.number]);
        if swap.contains(&node.number) || table.iter().any(|mount| is_of(&mount, &numbers)) {
            continue;
        }
        // A name in /dev/mapper is a link.
        let real = fs::canonicalize(&node.path).unwrap_or_else(|_| node.path.clone());
        // Also what is mounted in another namespace, or one of several devices of a file system.
        if operation::privileged() && is_claimed(&real) {
            continue;
        }
        let by_id = links.iter().find(|(_, to)| *to == real).map(|(link, _)| shown(link)).unwrap_or_default();
        let found = on(&machine, &node.path);
        seen.push(Seen { device: shown(&node.path), by_id, bytes: node.bytes, model: node.model, found });
    }
    Ok(seen)
}

fn shown(path: &Path) -> String {
    printable(path.as_os_str().as_bytes())
}

/// What is on a device; else why that cannot be seen.
fn on(machine: &Root, path: &Path) -> std::result::Result<(Option<Signature>, FileFacts<VolumeFile>), String> {
    if !operation::privileged() {
        return Err("only root can see what is on it".into());
    }
    let gone = || "it is gone".to_owned();
    let path = AbsPath::parse(path.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    let node = device::find(machine, &path).map_err(|error| error.chain())?.ok_or_else(gone)?;
    let signature = blkid::probe(&node).map_err(|error| error.chain())?;
    let file = match &signature {
        Some(found) if is_looked_into(found) => peek::peek(&node, &found.kind),
        Some(found) if found.is_filesystem => FileFacts::Hidden,
        _ => FileFacts::Absent,
    };
    Ok((signature, file))
}

/// What is in a directory.
fn below(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The unused partitions of a disk; the disk itself if it has none.
fn of_disk(disk: &Path) -> Vec<Node> {
    let mut parts = below(disk);
    parts.retain(|part| part.join("partition").exists());
    match parts.as_slice() {
        [] => unused(disk, disk).into_iter().collect(),
        parts => parts.iter().filter_map(|part| unused(part, disk)).collect(),
    }
}

/// A device that sysfs does not say to be used, unfit, or empty of space.
fn unused(dir: &Path, disk: &Path) -> Option<Node> {
    let text = |path: PathBuf| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let is_set = |path: PathBuf| text(path).is_some_and(|value| value != "0");
    let name = dir.file_name()?.to_str()?;
    let number = text(dir.join("dev"))?;
    let (major, minor) = number.split_once(':')?;
    let number: (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    let bytes = text(dir.join("size"))?.parse::<u64>().ok()?.checked_mul(SECTOR)?;
    let kind = disk.file_name()?.to_str()?;
    let is_memory = kind.starts_with("zram");
    let shows_nothing = kind.starts_with("loop") && !disk.join("loop/backing_file").exists();
    let is_held = !below(&dir.join("holders")).is_empty();
    if bytes < SMALLEST || UNFIT.contains(&number.0) || is_memory || shows_nothing || is_held {
        return None;
    }
    if is_set(dir.join("ro")) || is_set(disk.join("hidden")) {
        return None;
    }
    // A mapping has a name of its own (dm-0 is /dev/mapper/NAME); in sysfs `!` stands for a slash.
    let mapped = text(dir.join("dm/name")).map(|name| Path::new("/dev/mapper").join(name)).filter(|path| path.exists());
    let path = mapped.unwrap_or_else(|| Path::new("/dev").join(name.replace('!', "/")));
    let model = text(disk.join("device/model")).unwrap_or_default();
    Some(Node { path, number, bytes, model: printable(model.as_bytes()) })
}

/// The devices that are swap (proc(5)).
fn swap() -> HashSet<(u32, u32)> {
    let text = proc::read("/proc/swaps").unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let names = text.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    let number =
        |name: &str| rustix::fs::stat(name).ok().map(|s| (rustix::fs::major(s.st_rdev), rustix::fs::minor(s.st_rdev)));
    names.filter_map(number).collect()
}

/// Links that mean the same disk on every boot, those that a person can read in front.
fn links() -> Vec<(PathBuf, PathBuf)> {
    let entries = fs::read_dir(BY_ID).into_iter().flatten().flatten().map(|entry| entry.path());
    let target = |link: PathBuf| fs::canonicalize(&link).ok().map(|to| (link, to));
    let mut links: Vec<(PathBuf, PathBuf)> = entries.filter_map(target).collect();
    let is_number = |link: &Path| {
        let name = link.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
        [&b"wwn-"[..], b"nvme-eui.", b"nvme-nvme.", b"dm-uuid-", b"lvm-pv-uuid-"].iter().any(|n| name.starts_with(n))
    };
    links.sort_by_key(|(link, _)| (is_number(link), link.clone()));
    links
}
