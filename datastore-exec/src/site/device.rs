//! A block device or an image: which one a path means, how large it is, and who uses it.

use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use datastore_core::mountinfo::{Mount, MountTable};
use datastore_core::path::printable;
use datastore_core::{AbsPath, Error, ErrorKind};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::loops::{self, Loop};
use crate::root::{Miss, Root};
use crate::sys::error::{Call, FdName, SysError};
use crate::sys::proc;

/// A block device or a regular file, open for reading.
#[derive(Debug)]
pub(crate) struct Node {
    /// As it was named.
    pub(crate) path: AbsPath,
    /// Where other programs find it.
    pub(crate) real: PathBuf,
    /// Open for reading.
    pub(crate) fd: OwnedFd,
    /// Whether it is a regular file.
    pub(crate) is_image: bool,
    stat: Stat,
}

/// Who uses a device.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// Where it is mounted, below the root.
    pub(crate) mounted_at: Vec<AbsPath>,
    /// What else uses it.
    pub(crate) otherwise: Option<String>,
}

/// Finds what a path means; `None` if there is nothing, or neither a block device nor a regular file.
///
/// The path is one below the root. One in `/dev` that is not there is the machine's own, where links (`/dev/disk/by-id`) are
/// followed, for nobody but root can make any there.
pub(crate) fn find(root: &Root, path: &AbsPath) -> Result<Option<Node>, Error> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let in_dev = path.is_within(&AbsPath::literal("/dev"));
    // Never opened before it is known what it is: opening a tape or a terminal does things.
    let there = match root.stat(path) {
        Ok(_) if in_dev && root.is_machine() => false,
        Ok(facts) if facts.kind == crate::sys::Kind::Symlink && in_dev => false,
        Ok(facts) if facts.kind == crate::sys::Kind::Symlink => return Err(Miss::Symlink(path.clone()).into()),
        Ok(_) => true,
        Err(Miss::Absent(_) | Miss::Symlink(_) | Miss::NotADirectory(_)) if in_dev => false,
        Err(Miss::Absent(_) | Miss::NotADirectory(_)) => return Ok(None),
        Err(other) => return Err(other.into()),
    };
    if there {
        let look = root.open_file(path, OFlags::PATH, 0)?;
        if !is_usable(&stat(&look)?) {
            return Ok(None);
        }
        let real = PathBuf::from(std::ffi::OsStr::from_bytes(root.outside(path)?.as_bytes()));
        return node(path, real, root.open_file(path, flags, 0)?);
    }
    let Ok(real) = std::fs::canonicalize(Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()))) else {
        return Ok(None);
    };
    if !real.starts_with("/dev") || !rustix::fs::stat(&real).is_ok_and(|s| is_usable(&s)) {
        return Ok(None);
    }
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&real, flags, Mode::empty())
        .map_err(|errno| SysError::new(Call::Open { path: printable(real.as_os_str().as_bytes()), flags }, errno))?;
    node(path, real, fd)
}

fn stat(fd: &OwnedFd) -> Result<Stat, SysError> {
    rustix::fs::fstat(fd).map_err(|errno| SysError::new(Call::Fstat { fd: FdName::of(fd) }, errno))
}

fn is_usable(s: &Stat) -> bool {
    matches!(FileType::from_raw_mode(s.st_mode), FileType::BlockDevice | FileType::RegularFile)
}

fn node(path: &AbsPath, real: PathBuf, fd: OwnedFd) -> Result<Option<Node>, Error> {
    let stat = stat(&fd)?;
    let is_image = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(is_usable(&stat).then_some(Node { path: path.clone(), real, fd, is_image, stat }))
}

impl Node {
    /// A path that means this very file or device for other programs too.
    pub(crate) fn proc_path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.fd.as_raw_fd())
    }

    /// Its size in bytes.
    pub(crate) fn size(&self) -> Result<u64, Error> {
        if self.is_image {
            return Ok(self.stat.st_size.cast_unsigned());
        }
        // For a block device this is what BLKGETSIZE64 tells, without an ioctl.
        rustix::fs::seek(&self.fd, rustix::fs::SeekFrom::End(0)).map_err(|errno| {
            SysError::new(Call::Fstat { fd: FdName::of(&self.fd) }, errno)
                .because(format!("cannot find out how large {} is", self.path))
        })
    }

    /// Whether it is a disk as a whole, not a partition or a mapping.
    pub(crate) fn is_whole_disk(&self) -> bool {
        let (major, minor) = self.number();
        let dir = format!("/sys/dev/block/{major}:{minor}");
        !self.is_image && Path::new(&dir).exists() && !Path::new(&dir).join("partition").exists()
    }

    fn number(&self) -> (u32, u32) {
        (rustix::fs::major(self.stat.st_rdev), rustix::fs::minor(self.stat.st_rdev))
    }

    /// The loop devices that show an image.
    fn loops(&self) -> Vec<Loop> {
        if !self.is_image {
            return Vec::new();
        }
        loops::all().into_iter().filter(|l| l.shows(self.stat.st_dev, self.stat.st_ino)).collect()
    }

    /// Who uses it. `mounts` is the mount table below the root.
    pub(crate) fn usage(&self, root: &Root, mounts: &MountTable) -> Result<Usage, Error> {
        let loops = self.loops();
        let devices: HashSet<(u32, u32)> =
            if self.is_image { loops.iter().map(|l| l.device).collect() } else { HashSet::from([self.number()]) };
        let mut usage = Usage::default();
        if !devices.is_empty() {
            let on: Vec<Mount<'_>> = mounts.iter().filter(|m| is_of(m, &devices)).collect();
            // The binds of what lies on it do not count where the whole is mounted.
            let whole = on.iter().any(|m| m.root().as_ref() == b"/");
            usage.mounted_at =
                on.iter().filter(|m| !whole || m.root().as_ref() == b"/").filter_map(Mount::path).collect();
            usage.mounted_at.sort();
            usage.mounted_at.dedup();
        }
        if usage.mounted_at.is_empty() {
            usage.otherwise = self.otherwise(root, &loops, &devices)?;
        }
        Ok(usage)
    }

    fn otherwise(&self, root: &Root, loops: &[Loop], devices: &HashSet<(u32, u32)>) -> Result<Option<String>, Error> {
        if !root.is_machine() && !devices.is_empty() {
            let table = MountTable::parse(proc::mountinfo()?).map_err(|error| {
                Error::new(ErrorKind::System, "cannot understand the kernel's mount table").caused_by(error)
            })?;
            if let Some(mount) = table.iter().find(|m| is_of(m, devices)) {
                return Ok(Some(format!("it is mounted at {}, outside the root", printable(mount.mount_point()))));
            }
        }
        if let Some(busy) = loops.iter().find(|l| !l.autoclear || l.is_in_use()) {
            return Ok(Some(format!("it is attached to /dev/{}", busy.name)));
        }
        let busy = !self.is_image && is_claimed(&self.real);
        Ok(busy.then(|| {
            "the kernel has it in use: as swap, in a device mapper or RAID, or mounted in another namespace".into()
        }))
    }
}

/// Whether somebody, such as a mount, holds a block device for himself alone (open(2), `O_EXCL`).
pub(crate) fn is_claimed(real: &Path) -> bool {
    let flags = OFlags::RDONLY | OFlags::EXCL | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(real, flags, Mode::empty()).err() == Some(Errno::BUSY)
}

/// Whether what is mounted there lies on one of these devices.
pub(crate) fn is_of(mount: &Mount<'_>, devices: &HashSet<(u32, u32)>) -> bool {
    if devices.contains(&(mount.major(), mount.minor())) {
        return true;
    }
    // btrfs has numbers of its own; its source is one of its devices.
    let source = mount.source();
    mount.major() == 0
        && source.starts_with(b"/dev/")
        && rustix::fs::stat(source.as_ref()).is_ok_and(|s| {
            FileType::from_raw_mode(s.st_mode) == FileType::BlockDevice
                && devices.contains(&(rustix::fs::major(s.st_rdev), rustix::fs::minor(s.st_rdev)))
        })
}

/// The device that a mount table names as a source, and, if that is a loop device, the image behind it.
pub(crate) fn of_source(root: &Root, source: &[u8]) -> Result<Option<(Node, Option<Loop>)>, Error> {
    let Ok(path) = AbsPath::from_kernel(source) else { return Ok(None) };
    if !path.is_below(&AbsPath::literal("/dev")) {
        return Ok(None);
    }
    let machine = if root.is_machine() { root.clone() } else { Root::open(Path::new("/"))? };
    let Some(node) = find(&machine, &path)?.filter(|node| !node.is_image) else { return Ok(None) };
    let number = node.number();
    let shown = loops::all().into_iter().find(|l| l.device == number);
    Ok(Some((node, shown)))
}

impl AsFd for Node {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
