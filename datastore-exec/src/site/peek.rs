//! The identity on a file system that is not mounted, looked at without changing anything on it.
//!
//! It is shown through a read-only loop device, so that not even its journal is replayed, and mounted without being attached
//! anywhere (fsopen(2), fsmount(2); Linux 5.2).

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use datastore_core::AbsPath;
use datastore_core::manifest::{DIRECTORY, VolumeFile};
use datastore_core::observed::FileFacts;
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::loops::Window;
use crate::root::{Miss, Root};
use crate::sys::{Entry, fd};

/// The name of the identity file of a volume.
const FILE: &str = "volume.toml";
/// The most that is read of it.
const LIMIT: usize = 64 << 10;

/// The identity file on the file system of a device that is not mounted. [`FileFacts::Hidden`] if it cannot be looked at.
pub(crate) fn peek(device: impl AsFd, fstype: &str) -> FileFacts<VolumeFile> {
    let Ok(window) = Window::open(device.as_fd()) else { return FileFacts::Hidden };
    match mount(&window, fstype, &[]) {
        Ok(top) => read_below(&top),
        // What stands in a journal that is not replayed cannot be seen, so only what is found counts.
        Err(_) => match mount(&window, fstype, without_replay(fstype)).map(|top| read_below(&top)) {
            Ok(FileFacts::Absent) | Err(_) => FileFacts::Hidden,
            Ok(found) => found,
        },
    }
}

/// A file system that is shown to nobody else.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Its top directory. It is closed before the window is.
    pub(crate) top: OwnedFd,
    /// The loop device that shows it.
    pub(crate) window: Window,
}

/// Shows the file system of a device that is not mounted, read-only. `None` if that cannot be, as where its journal must be replayed first.
pub(crate) fn show(device: impl AsFd, fstype: &str) -> Option<Shown> {
    let window = Window::open(device.as_fd()).ok()?;
    let top = mount(&window, fstype, &[]).ok()?;
    Some(Shown { top, window })
}

/// Options that leave a journal alone which could not be replayed on a read-only device.
fn without_replay(fstype: &str) -> &'static [(&'static str, Option<&'static str>)] {
    match fstype {
        "ext3" | "ext4" => &[("noload", None)],
        "xfs" => &[("norecovery", None)],
        "btrfs" => &[("rescue", Some("nologreplay"))],
        _ => &[],
    }
}

/// Mounts it read-only, attached nowhere. It is gone when the descriptor is closed.
fn mount(window: &Window, fstype: &str, options: &[(&str, Option<&str>)]) -> Result<OwnedFd, Errno> {
    let fstype = CString::new(fstype).map_err(|_| Errno::INVAL)?;
    let context = rustix::mount::fsopen(fstype.as_c_str(), FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(context.as_fd(), "source", window.path())?;
    rustix::mount::fsconfig_set_flag(context.as_fd(), "ro")?;
    if fstype.as_bytes() == b"xfs" {
        // A copy of a file system that is mounted has the same UUID.
        rustix::mount::fsconfig_set_flag(context.as_fd(), "nouuid")?;
    }
    for (key, value) in options {
        match value {
            None => rustix::mount::fsconfig_set_flag(context.as_fd(), *key)?,
            Some(value) => rustix::mount::fsconfig_set_string(context.as_fd(), *key, *value)?,
        }
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// The identity file below the top of a mount.
fn read_below(top: &OwnedFd) -> FileFacts<VolumeFile> {
    // One component after the other, none of them a link. The mount is attached nowhere, so nothing can be mounted in it.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let found = fd::open(Entry::new(top, DIRECTORY.as_bytes()), OFlags::PATH | OFlags::DIRECTORY, 0)
        .and_then(|dir| fd::open(Entry::new(&dir, FILE.as_bytes()), flags, 0));
    match found {
        Ok(file) => parse(&file),
        Err(error) => match error.errno() {
            Errno::NOENT => FileFacts::Absent,
            Errno::LOOP | Errno::NOTDIR => FileFacts::Damaged("it is no regular file".into()),
            _ => FileFacts::Hidden,
        },
    }
}

/// The identity file of the volume at a path below the root.
pub(crate) fn volume_file(root: &Root, volume: &AbsPath) -> FileFacts<VolumeFile> {
    let path = volume.child(DIRECTORY).child(FILE);
    match root.open_file(&path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, 0) {
        Ok(file) => parse(&file),
        Err(Miss::Absent(_)) => FileFacts::Absent,
        Err(Miss::Denied(..)) => FileFacts::Hidden,
        Err(other @ (Miss::NotADirectory(_) | Miss::Symlink(_) | Miss::Failed(_))) => {
            FileFacts::Damaged(other.to_string())
        }
    }
}

fn parse(file: &OwnedFd) -> FileFacts<VolumeFile> {
    if !rustix::fs::fstat(file).is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::RegularFile) {
        return FileFacts::Damaged("it is no regular file".into());
    }
    let text = match fd::read_all(file, LIMIT) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| "it is no text".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    match text.and_then(|text| VolumeFile::parse(&text).map_err(|error| error.to_string())) {
        Ok(file) => FileFacts::Is(file),
        Err(why) => FileFacts::Damaged(why),
    }
}
