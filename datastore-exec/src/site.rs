//! The facts about the place and the source of a volume, for the planner of volumes. Nothing is decided or changed here.

pub(crate) mod blkid;
pub(crate) mod candidates;
pub(crate) mod device;
pub(crate) mod loops;
pub(crate) mod peek;
pub(crate) mod program;
#[cfg(test)]
mod tests;

use datastore_core::config::MAX_FILE;
use datastore_core::goal::{VolumeRequest, VolumeSource};
use datastore_core::manifest::VolumeFile;
use datastore_core::mountinfo::MountTable;
use datastore_core::observed::FileFacts;
use datastore_core::plan::volume::{self, Device, Site};
use datastore_core::value::HostName;
use datastore_core::wanted::Wanted;
use datastore_core::{AbsPath, Error, ErrorKind};
use rustix::fs::OFlags;
use rustix::io::Errno;

use self::device::{Node, Usage};
use crate::place::{Want, look};
use crate::root::{Root, if_there};
use crate::sys::fd;

/// Answers what the planner of volumes asks for a request. `mounts` is the mount table below the root.
///
/// # Errors
/// A device that may not be read ([`ErrorKind::Privilege`]), a missing blkid(8), an `/etc/datastore.conf` that cannot be read.
/// What is merely not there is part of the answer.
pub(crate) fn observe(
    root: &Root,
    wanted: &Wanted,
    mounts: &MountTable,
    request: &VolumeRequest,
    host: &HostName,
) -> Result<Site, Error> {
    let path = volume::path_of(&wanted.store, request);
    // Mounts may have come and gone since the kept directories were opened.
    root.forget_within(&path);
    let (device, directory) = match &request.source {
        VolumeSource::Here => (mounted_device(root, mounts, &path)?, None),
        VolumeSource::Device(device) => (named_device(root, mounts, device)?, None),
        VolumeSource::Directory(directory) => {
            (None, Some((look(root, directory, Want::default()), peek::volume_file(root, directory))))
        }
    };
    let layout =
        volume::layout(&path, host).into_iter().map(|p| (p.clone(), look(root, &p, Want { empty: false, id: true })));
    Ok(Site {
        place: look(root, &path, Want { empty: true, id: false }),
        file: peek::volume_file(root, &path),
        layout: layout.collect(),
        device,
        directory,
        config: config(root)?,
        configlets: look(root, &AbsPath::literal("/etc/datastore.d"), Want::default()),
        path,
    })
}

/// The facts about a device or an image that was named.
fn named_device(root: &Root, mounts: &MountTable, path: &AbsPath) -> Result<Option<Device>, Error> {
    let Some(node) = device::find(root, path)? else { return Ok(None) };
    let Usage { mounted_at, otherwise } = node.usage(root, mounts)?;
    let signature = blkid::probe(&node)?;
    let file = match &signature {
        Some(found) if found.is_filesystem && mounted_at.is_empty() && otherwise.is_none() => {
            peek::peek(&node, &found.kind)
        }
        // Where it is mounted at the volume's place, the file there is looked at.
        Some(found) if found.is_filesystem => file_at(root, mounted_at.first()),
        _ => FileFacts::Absent,
    };
    let size = node.size()?;
    let is_image = node.is_image;
    Ok(Some(Device { path: Some(path.clone()), is_image, size, signature, mounted_at, in_use: otherwise, file }))
}

fn file_at(root: &Root, mounted_at: Option<&AbsPath>) -> FileFacts<VolumeFile> {
    mounted_at.map_or(FileFacts::Hidden, |at| peek::volume_file(root, at))
}

/// The facts about the device of what is mounted at a path; `None` if that has none, as a network volume.
fn mounted_device(root: &Root, mounts: &MountTable, path: &AbsPath) -> Result<Option<Device>, Error> {
    let Some(mount) = mounts.at(path) else { return Ok(None) };
    let Some((node, shown)) = device::of_source(root, &mount.source())? else { return Ok(None) };
    let image = shown.as_ref().map(|l| image_behind(root, &l.backing));
    let is_image = image.is_some();
    Ok(Some(Device {
        path: image.unwrap_or_else(|| Some(node.path.clone())),
        is_image,
        size: node.size()?,
        signature: blkid::probe(&node)?,
        mounted_at: vec![path.clone()],
        in_use: None,
        file: peek::volume_file(root, path),
    }))
}

/// Where the image behind a loop device is, below the root; `None` if it is elsewhere or gone.
fn image_behind(root: &Root, backing: &[u8]) -> Option<AbsPath> {
    let inside = root.inside(&AbsPath::from_kernel(backing).ok()?)?;
    let node: Node = device::find(root, &inside).ok()??;
    node.is_image.then_some(inside)
}

/// `/etc/datastore.conf` as it is.
fn config(root: &Root) -> Result<Option<String>, Error> {
    let path = AbsPath::literal("/etc/datastore.conf");
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let Some(file) = if_there(root.open_file(&path, flags, 0))? else { return Ok(None) };
    let limit = usize::try_from(MAX_FILE).unwrap_or(usize::MAX);
    let invalid =
        |what: &str| Error::new(ErrorKind::Invalid, format!("{path} is {what}")).hint("datastore config check");
    match fd::read_all(file, limit) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| invalid("no UTF-8 text")),
        Err(error) if error.errno() == Errno::FBIG => Err(invalid("too large to be configuration")),
        Err(error) => Err(error.into()),
    }
}
