//! One question to the kernel: what is mounted here? (statmount(2), Linux 6.8)
//!
//! Before 6.8 the answer is [`Answer::Unavailable`] and the caller reads the whole table
//! ([`proc::mountinfo`](super::proc::mountinfo)).

use datastore_core::path::printable;
use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use super::error::{Call, SysError};
use super::fd::Entry;

/// STATX_MNT_ID_UNIQUE, linux/stat.h: rustix has no name for it.
const UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// What the kernel says of one mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// Its id, never given again while the machine runs.
    pub unique_id: u64,
    /// Its id as in mountinfo, which may be given again.
    pub mnt_id: u64,
    /// The id of the mount that it is mounted on, as in mountinfo.
    pub parent_id: u64,
    /// The file system's device number (makedev(3)).
    pub dev: u64,
    /// The file system's type, such as `ext4`.
    pub fs_type: String,
    /// The directory of the file system that is the root of this mount: `/` for a whole volume, the store directory's
    /// path on its volume for a bind. Ends in `//deleted` if that directory was removed.
    pub root: Vec<u8>,
    /// Where it is mounted, seen from the root directory of the process (not from `--root`).
    pub mount_point: Vec<u8>,
    /// `ro` of this mount. The file system itself may be read-only too: see `fs_read_only`.
    pub read_only: bool,
    /// `nosuid`.
    pub nosuid: bool,
    /// `nodev`.
    pub nodev: bool,
    /// `noexec`.
    pub noexec: bool,
    /// Whether the file system itself is read-only, so that no mount of it can be written.
    pub fs_read_only: bool,
}

impl Mounted {
    /// The same as a line of `/proc/self/mountinfo` (proc(5)), as far as it is known: the source and the file system's own options are
    /// not, and stand as `none` and `rw` or `ro`.
    #[must_use]
    pub fn mountinfo_line(&self) -> Vec<u8> {
        use datastore_core::fstab::escape;
        let word = |on: bool, word: &'static str| if on { word } else { "" };
        let options = [
            if self.read_only { "ro" } else { "rw" },
            word(self.nosuid, ",nosuid"),
            word(self.nodev, ",nodev"),
            word(self.noexec, ",noexec"),
        ];
        let mut line = format!(
            "{} {} {}:{} ",
            self.mnt_id,
            self.parent_id,
            rustix::fs::major(self.dev),
            rustix::fs::minor(self.dev)
        )
        .into_bytes();
        line.extend(escape(&self.root));
        line.push(b' ');
        line.extend(escape(&self.mount_point));
        let fs = if self.fs_read_only { "ro" } else { "rw" };
        line.extend(format!(" {} - {} none {fs}\n", options.concat(), self.fs_type).into_bytes());
        line
    }
}

/// The answer to [`at`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This is mounted at the entry; if several things are, the topmost.
    Mount(Mounted),
    /// Nothing is mounted exactly here.
    NotAMountPoint,
    /// The kernel or a sandbox does not have the call.
    Unavailable,
}

/// What is mounted exactly at an entry. Two system calls, about 5 microseconds.
///
/// Only the mounts that can be reached from the root directory of the process are told; EPERM for others.
pub fn at(entry: Entry<'_>) -> Result<Answer, SysError> {
    // A mount can go away between the two calls: then look again.
    for _ in 0..8 {
        let Some((id, root)) = unique_id(entry)? else { return Ok(Answer::Unavailable) };
        if !root {
            return Ok(Answer::NotAMountPoint);
        }
        match ask(id) {
            Err(error) if error.errno() == Errno::NOENT => {}
            Err(error) if error.errno() == Errno::NOSYS => return Ok(Answer::Unavailable),
            other => return other.map(Answer::Mount),
        }
    }
    Ok(Answer::Unavailable)
}

/// The mount that an entry is on, whether or not it is its root; `None` if the kernel cannot say.
pub fn containing(entry: Entry<'_>) -> Result<Option<Mounted>, SysError> {
    for _ in 0..8 {
        let Some((id, _)) = unique_id(entry)? else { return Ok(None) };
        match ask(id) {
            Err(error) if error.errno() == Errno::NOENT => {}
            Err(error) if error.errno() == Errno::NOSYS => return Ok(None),
            other => return other.map(Some),
        }
    }
    Ok(None)
}

/// The unique id of the mount that an entry is on, and whether the entry is its root.
fn unique_id(entry: Entry<'_>) -> Result<Option<(u64, bool)>, SysError> {
    let mut flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    if entry.name().is_empty() {
        flags |= AtFlags::EMPTY_PATH;
    }
    match rustix::fs::statx(entry.dir(), entry.name(), flags, UNIQUE) {
        Ok(s) if StatxFlags::from_bits_retain(s.stx_mask).contains(UNIQUE) => {
            Ok(Some((s.stx_mnt_id, s.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))))
        }
        Ok(_) | Err(Errno::NOSYS | Errno::INVAL) => Ok(None),
        Err(errno) => {
            let (dir, name) = entry.shown();
            Err(SysError::new(Call::Statx { dir, name }, errno))
        }
    }
}

/// The fixed part of `struct statmount` (linux/mount.h), 512 bytes; strings follow it. Only what we ask for is named.
#[repr(C)]
#[derive(Clone, Copy)]
struct Head {
    size: u32,
    options: u32,
    mask: u64,
    dev_major: u32,
    dev_minor: u32,
    magic: u64,
    sb_flags: u32,
    fs_type: u32,
    mnt_id: u64,
    parent_id: u64,
    old_id: u32,
    old_parent_id: u32,
    attributes: u64,
    propagation: u64,
    peer_group: u64,
    master: u64,
    propagate_from: u64,
    root: u32,
    point: u32,
    rest: [u64; 50],
}

const HEAD: usize = size_of::<Head>();
const _: () = assert!(HEAD == 512);

#[allow(unsafe_code, reason = "no crate has statmount yet")]
fn ask(id: u64) -> Result<Mounted, SysError> {
    /// `struct mnt_id_req`, its first version.
    #[repr(C)]
    struct Request {
        size: u32,
        spare: u32,
        id: u64,
        param: u64,
    }
    const SYS_STATMOUNT: libc::c_long = 457;
    // STATMOUNT_SB_BASIC, MNT_BASIC, MNT_ROOT, MNT_POINT, FS_TYPE.
    const WANTED: u64 = 0x1 | 0x2 | 0x8 | 0x10 | 0x20;
    let failed = |errno| SysError::new(Call::Statmount { id }, errno);
    let request = Request { size: 24, spare: 0, id, param: WANTED };
    // In units of 8 bytes, so that the fixed part is aligned. Two paths of 4095 bytes and a word fit the second size.
    let mut buffer = vec![0_u64; 256];
    loop {
        // SAFETY: the request has the size that it names; the kernel writes at most as many bytes as the buffer has.
        // Both outlive the call.
        let answer = super::raw(unsafe {
            libc::syscall(SYS_STATMOUNT, &raw const request, buffer.as_mut_ptr(), buffer.len() * 8, 0)
        });
        match answer {
            Ok(_) => break,
            Err(Errno::OVERFLOW) if buffer.len() < 8192 => buffer.resize(8192, 0),
            Err(errno) => return Err(failed(errno)),
        }
    }
    // SAFETY: the buffer is longer than the fixed part and aligned for it, wholly initialised, and every bit pattern is
    // a valid `Head`.
    let head = unsafe { *buffer.as_ptr().cast::<Head>() };
    if head.mask & WANTED != WANTED {
        return Err(failed(Errno::NOSYS));
    }
    let bytes: Vec<u8> = buffer[HEAD / 8..].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let text = |offset: u32| {
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        rest.split(|&b| b == 0).next().unwrap_or_default()
    };
    Ok(Mounted {
        unique_id: head.mnt_id,
        mnt_id: u64::from(head.old_id),
        parent_id: u64::from(head.old_parent_id),
        dev: rustix::fs::makedev(head.dev_major, head.dev_minor),
        fs_type: printable(text(head.fs_type)),
        root: text(head.root).to_vec(),
        mount_point: text(head.point).to_vec(),
        read_only: head.attributes & 0x1 != 0,
        nosuid: head.attributes & 0x2 != 0,
        nodev: head.attributes & 0x4 != 0,
        noexec: head.attributes & 0x8 != 0,
        fs_read_only: head.sb_flags & 0x1 != 0, // SB_RDONLY
    })
}
