//! All that an inode says of itself: statx(2), times, and the settings that chattr(1) and xfs_io(8) change.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Gid, IFlags, StatxFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use rustix::ioctl::{Getter, Setter, opcode};

use super::error::{Call, FdName, SysError};
use super::fd::Entry;
use super::handle;

/// A point in time, before 1970 too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time {
    /// Seconds since 1970.
    pub sec: i64,
    /// Nanoseconds after that, less than a second.
    pub nsec: u32,
}

/// What statx(2) says of an inode, with everything that a copy needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr {
    /// Type and permission bits (inode(7)).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// How many hard links it has.
    pub nlink: u64,
    /// Length in bytes.
    pub size: u64,
    /// How many blocks of 512 bytes it takes.
    pub blocks: u64,
    /// The file system's device number (makedev(3)).
    pub dev: u64,
    /// The inode's number.
    pub ino: u64,
    /// Of a device file, the device.
    pub rdev: u64,
    /// Last read.
    pub atime: Time,
    /// Last change of contents.
    pub mtime: Time,
    /// Last change of anything.
    pub ctime: Time,
    /// The mount that it was found on. `None` only where neither statx (Linux 5.8) nor name_to_handle_at answers.
    pub mount: Option<u64>,
}

impl Attr {
    /// What kind of file it is.
    #[must_use]
    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }
    /// Whether both were found on one mount; where the kernel does not say, on one file system.
    #[must_use]
    pub fn is_on_mount_of(&self, other: &Self) -> bool {
        match (self.mount, other.mount) {
            (Some(here), Some(there)) => here == there,
            _ => self.dev == other.dev,
        }
    }
    /// Permission bits with setuid, setgid and sticky.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.mode & 0o7777
    }
}

/// Looks at an entry, without following a link or waking an automounter.
pub fn attr(entry: Entry<'_>) -> Result<Attr, SysError> {
    let mut flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    if entry.name().is_empty() {
        flags |= AtFlags::EMPTY_PATH;
    }
    let s = match rustix::fs::statx(entry.dir(), entry.name(), flags, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID) {
        Ok(s) => s,
        Err(Errno::NOSYS) => return old_attr(entry, flags),
        Err(errno) => {
            let (dir, name) = entry.shown();
            return Err(SysError::new(Call::Statx { dir, name }, errno));
        }
    };
    let time = |t: rustix::fs::StatxTimestamp| Time { sec: t.tv_sec, nsec: t.tv_nsec };
    let says_mount = StatxFlags::from_bits_retain(s.stx_mask).contains(StatxFlags::MNT_ID);
    Ok(Attr {
        mode: u32::from(s.stx_mode),
        uid: s.stx_uid,
        gid: s.stx_gid,
        nlink: u64::from(s.stx_nlink),
        size: s.stx_size,
        blocks: s.stx_blocks,
        dev: rustix::fs::makedev(s.stx_dev_major, s.stx_dev_minor),
        ino: s.stx_ino,
        rdev: rustix::fs::makedev(s.stx_rdev_major, s.stx_rdev_minor),
        atime: time(s.stx_atime),
        mtime: time(s.stx_mtime),
        ctime: time(s.stx_ctime),
        mount: if says_mount { Some(s.stx_mnt_id) } else { old_mount(entry) },
    })
}

/// Before Linux 4.11.
fn old_attr(entry: Entry<'_>, flags: AtFlags) -> Result<Attr, SysError> {
    let s = rustix::fs::statat(entry.dir(), entry.name(), flags).map_err(|errno| {
        let (dir, name) = entry.shown();
        SysError::new(Call::Fstatat { dir, name }, errno)
    })?;
    let time = |sec, nsec: u64| Time { sec, nsec: u32::try_from(nsec).unwrap_or(0) };
    Ok(Attr {
        mode: s.st_mode,
        uid: s.st_uid,
        gid: s.st_gid,
        nlink: s.st_nlink,
        size: s.st_size.cast_unsigned(),
        blocks: s.st_blocks.cast_unsigned(),
        dev: s.st_dev,
        ino: s.st_ino,
        rdev: s.st_rdev,
        atime: time(s.st_atime, s.st_atime_nsec),
        mtime: time(s.st_mtime, s.st_mtime_nsec),
        ctime: time(s.st_ctime, s.st_ctime_nsec),
        mount: old_mount(entry),
    })
}

/// Before Linux 5.8.
fn old_mount(entry: Entry<'_>) -> Option<u64> {
    handle::read(entry).ok().and_then(|(_, id)| u64::try_from(id).ok())
}

/// Sets the times of last read and last change of contents (utimensat(2)); a link is not followed.
pub fn set_times(entry: Entry<'_>, read: Time, changed: Time) -> Result<(), SysError> {
    let time = |t: Time| Timespec { tv_sec: t.sec, tv_nsec: t.nsec.into() };
    let times = Timestamps { last_access: time(read), last_modification: time(changed) };
    let done = if entry.name().is_empty() {
        rustix::fs::futimens(entry.dir(), &times)
    } else {
        rustix::fs::utimensat(entry.dir(), entry.name(), &times, AtFlags::SYMLINK_NOFOLLOW)
    };
    done.map_err(|errno| {
        let (dir, name) = entry.shown();
        SysError::new(Call::Utimensat { dir, name }, errno)
    })
}

/// Sets owner and group of an entry (fchownat(2)); a link is not followed. The kernel may take the setuid and setgid bits
/// away: set the mode afterwards.
pub fn set_owner(entry: Entry<'_>, uid: u32, gid: u32) -> Result<(), SysError> {
    let (owner, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    let done = if entry.name().is_empty() {
        match rustix::fs::fchown(entry.dir(), owner, group) {
            // One of `O_PATH`.
            Err(Errno::BADF) => rustix::fs::chownat(entry.dir(), "", owner, group, AtFlags::EMPTY_PATH),
            other => other,
        }
    } else {
        rustix::fs::chownat(entry.dir(), entry.name(), owner, group, AtFlags::SYMLINK_NOFOLLOW)
    };
    done.map_err(|errno| {
        let (dir, name) = entry.shown();
        SysError::new(Call::Fchownat { dir, name, uid, gid }, errno)
    })
}

/// Flags of an inode that are settings of a person, not a property of how its contents lie (ioctl_iflags(2)):
/// `s u c S i a d A m j t D T C P` of chattr(1).
pub const SETTINGS: u32 = 0x1
    | 0x2
    | 0x4
    | 0x8
    | 0x10
    | 0x20
    | 0x40
    | 0x80
    | 0x400
    | 0x4000
    | 0x8000
    | 0x1_0000
    | 0x2_0000
    | 0x80_0000
    | 0x2000_0000;
/// Flags with which nothing can be changed: immutable and append-only.
pub const LOCKS: u32 = 0x10 | 0x20;
/// Contents are never copied on write; only an empty file takes it.
pub const NOCOW: u32 = 0x80_0000;
/// What is made in the directory belongs to its project.
pub const PROJECT_INHERIT: u32 = 0x2000_0000;
/// Letters of chattr(1) for messages.
const LETTERS: &[(u32, char)] = &[
    (0x1, 's'),
    (0x2, 'u'),
    (0x4, 'c'),
    (0x8, 'S'),
    (0x10, 'i'),
    (0x20, 'a'),
    (0x40, 'd'),
    (0x80, 'A'),
    (0x400, 'm'),
    (0x4000, 'j'),
    (0x8000, 't'),
    (0x1_0000, 'D'),
    (0x2_0000, 'T'),
    (NOCOW, 'C'),
    (PROJECT_INHERIT, 'P'),
];

/// Flags as chattr(1) names them.
#[must_use]
pub fn letters(flags: u32) -> String {
    LETTERS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, letter)| *letter).collect()
}

/// The inode flags of a file or directory that is open for reading; `None` if the file system has none. All of them:
/// take [`SETTINGS`] for those that a person sets.
pub fn flags(fd: impl AsFd) -> Result<Option<u32>, SysError> {
    match rustix::fs::ioctl_getflags(&fd) {
        Ok(flags) => Ok(Some(flags.bits())),
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => Ok(None),
        Err(errno) => Err(SysError::new(Call::GetFlags { fd: FdName::of(&fd) }, errno)),
    }
}

/// Sets the inode flags, all of them.
pub fn set_flags(fd: impl AsFd, flags: u32) -> Result<(), SysError> {
    rustix::fs::ioctl_setflags(&fd, IFlags::from_bits_retain(flags))
        .map_err(|errno| SysError::new(Call::SetFlags { fd: FdName::of(&fd), flags }, errno))
}

/// `struct fsxattr`, linux/fs.h: project, hints for allocation, and flags of which most are also in [`flags`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Extra {
    /// `FS_XFLAG_*`.
    pub flags: u32,
    /// Length of extents.
    pub extent_size: u32,
    /// How many extents there are.
    pub extents: u32,
    /// The project (quota).
    pub project: u32,
    /// Length of extents of shared contents.
    pub cow_extent_size: u32,
    pub(crate) padding: [u8; 8],
}

/// Those of `FS_XFLAG_*` that are settings and not among [`SETTINGS`]: EXTSIZE, EXTSZINHERIT, NODEFRAG, FILESTREAM,
/// NOSYMLINKS and COWEXTSIZE.
pub const EXTRA_SETTINGS: u32 = 0x800 | 0x1000 | 0x2000 | 0x4000 | 0x400 | 0x1_0000;

/// The project and the hints for allocation of an open file or directory (since Linux 4.5; of xfs before too); `None` if
/// the file system has none.
#[allow(unsafe_code, reason = "rustix does not have FS_IOC_FSGETXATTR")]
pub fn extra(fd: impl AsFd) -> Result<Option<Extra>, SysError> {
    // SAFETY: FS_IOC_FSGETXATTR writes a `struct fsxattr` where its argument points to.
    let found = unsafe { rustix::ioctl::ioctl(&fd, Getter::<{ opcode::read::<Extra>(b'X', 31) }, Extra>::new()) };
    match found {
        Ok(extra) => Ok(Some(extra)),
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => Ok(None),
        Err(errno) => Err(SysError::new(Call::GetExtra { fd: FdName::of(&fd) }, errno)),
    }
}

/// Sets the project and the hints for allocation. EINVAL if the file has contents and the hints change.
#[allow(unsafe_code, reason = "rustix does not have FS_IOC_FSSETXATTR")]
pub fn set_extra(fd: impl AsFd, extra: Extra) -> Result<(), SysError> {
    // SAFETY: FS_IOC_FSSETXATTR reads a `struct fsxattr` where its argument points to.
    unsafe { rustix::ioctl::ioctl(&fd, Setter::<{ opcode::write::<Extra>(b'X', 32) }, Extra>::new(extra)) }
        .map_err(|errno| SysError::new(Call::SetExtra { fd: FdName::of(&fd), project: extra.project }, errno))
}
