//! What one directory entry is.

use std::os::fd::AsRawFd;

use datastore_core::value::Mode;
use rustix::fs::{AtFlags, FileType, OFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use super::error::{Call, SysError};
use super::fd::{self, Entry};
use super::handle;

/// What kind of file something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A socket, FIFO or device.
    Other,
}

impl Kind {
    fn of(mode: u32) -> Self {
        match FileType::from_raw_mode(mode) {
            FileType::Directory => Self::Dir,
            FileType::RegularFile => Self::File,
            FileType::Symlink => Self::Symlink,
            _ => Self::Other,
        }
    }
}

/// What statx(2) says of one directory entry. Where something is mounted on it, this is the mounted directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The file system's device number (makedev(3)).
    pub dev: u64,
    /// The inode's number.
    pub ino: u64,
    /// What kind of file it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: Mode,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// How many hard links it has.
    pub nlink: u64,
    /// Length in bytes.
    pub size: u64,
    /// Whether it is immutable (chattr(1) `+i`); `None` if the file system or the kernel (before 4.11) does not say.
    pub immutable: Option<bool>,
    /// The id of the mount that it is on, as in the first column of mountinfo (proc(5)); it may be given again after an
    /// unmount. `None` only where neither statx (Linux 5.8), name_to_handle_at nor `/proc/self/fdinfo` answers.
    pub mnt_id: Option<u64>,
    /// Whether it is the root of a mount: that is, something is mounted here.
    pub mount_root: bool,
}

/// Looks at an entry, without following a link or waking an automounter. One system call since Linux 5.8; up to three
/// more before.
pub fn facts(entry: Entry<'_>) -> Result<Facts, SysError> {
    ask(entry).map_err(|refusal| refusal.told(entry))
}

/// The same where nothing may be there, which is worth no message.
pub fn facts_if_there(entry: Entry<'_>) -> Result<Option<Facts>, SysError> {
    match ask(entry) {
        Ok(facts) => Ok(Some(facts)),
        Err(Refusal { errno: Errno::NOENT, .. }) => Ok(None),
        Err(refusal) => Err(refusal.told(entry)),
    }
}

/// Which call failed, before anybody has asked what its descriptor is.
struct Refusal {
    errno: Errno,
    is_old: bool,
}

impl Refusal {
    fn told(self, entry: Entry<'_>) -> SysError {
        let (dir, name) = entry.shown();
        let call = if self.is_old { Call::Fstatat { dir, name } } else { Call::Statx { dir, name } };
        SysError::new(call, self.errno)
    }
}

fn ask(entry: Entry<'_>) -> Result<Facts, Refusal> {
    let mut flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    if entry.name().is_empty() {
        flags |= AtFlags::EMPTY_PATH;
    }
    let found = rustix::fs::statx(entry.dir(), entry.name(), flags, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID);
    let s = match found {
        Ok(s) => s,
        Err(Errno::NOSYS) => return old_facts(entry, flags),
        Err(errno) => return Err(Refusal { errno, is_old: false }),
    };
    let known = s.stx_attributes_mask;
    let immutable =
        known.contains(StatxAttributes::IMMUTABLE).then(|| s.stx_attributes.contains(StatxAttributes::IMMUTABLE));
    let says_mount = StatxFlags::from_bits_retain(s.stx_mask).contains(StatxFlags::MNT_ID);
    let (mnt_id, mount_root) = if says_mount && known.contains(StatxAttributes::MOUNT_ROOT) {
        (Some(s.stx_mnt_id), s.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    } else {
        old_mount(entry)
    };
    Ok(Facts {
        dev: rustix::fs::makedev(s.stx_dev_major, s.stx_dev_minor),
        ino: s.stx_ino,
        kind: Kind::of(u32::from(s.stx_mode)),
        mode: Mode::from_bits(u32::from(s.stx_mode)),
        uid: s.stx_uid,
        gid: s.stx_gid,
        nlink: u64::from(s.stx_nlink),
        size: s.stx_size,
        immutable,
        mnt_id,
        mount_root,
    })
}

/// Before Linux 4.11.
fn old_facts(entry: Entry<'_>, flags: AtFlags) -> Result<Facts, Refusal> {
    let s = rustix::fs::statat(entry.dir(), entry.name(), flags).map_err(|errno| Refusal { errno, is_old: true })?;
    let (mnt_id, mount_root) = old_mount(entry);
    Ok(Facts {
        dev: s.st_dev,
        ino: s.st_ino,
        kind: Kind::of(s.st_mode),
        mode: Mode::from_bits(s.st_mode),
        uid: s.st_uid,
        gid: s.st_gid,
        nlink: s.st_nlink,
        size: s.st_size.cast_unsigned(),
        immutable: None,
        mnt_id,
        mount_root,
    })
}

/// Before Linux 5.8: an entry is the root of a mount if it is on another mount than the directory that holds it.
fn old_mount(entry: Entry<'_>) -> (Option<u64>, bool) {
    let id = old_mnt_id(entry);
    let above = if entry.name().is_empty() {
        fd::open_above(entry.dir()).and_then(|above| old_mnt_id(Entry::itself(&above)))
    } else {
        old_mnt_id(Entry::itself(&entry.dir()))
    };
    // The root directory of the process is above itself, and is the root of a mount unless it was entered by chroot(2).
    let top = entry.name().is_empty() && above == id && fd::is_its_own_parent(entry.dir());
    (id, top || (id.is_some() && above != id))
}

/// The mount's id from name_to_handle_at(2), or from `/proc/self/fdinfo` for a file system without handles.
fn old_mnt_id(entry: Entry<'_>) -> Option<u64> {
    let id = handle::read(entry).ok().and_then(|(_, id)| u64::try_from(id).ok());
    id.or_else(|| {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let opened = fd::open(entry, flags, 0).ok()?;
        let text = std::fs::read(format!("/proc/self/fdinfo/{}", opened.as_raw_fd())).ok()?;
        super::proc::mnt_id_of_fdinfo(&text)
    })
}
