//! File handles: a name for an inode that outlives its paths (name_to_handle_at(2), Linux 2.6.39).
//!
//! A handle says nothing of where the inode is linked, and stays good over renames. It is used as it comes from the
//! kernel and only within one file system: two handles are of one inode if type and bytes are equal.

use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::error::{Call, FdName, SysError};
use super::fd::Entry;

/// The longest handle that the kernel gives, MAX_HANDLE_SZ in linux/exportfs.h.
pub const LONGEST: usize = 128;

/// So many bytes of a handle are kept in place: those of ext4 have 8, of xfs 8 or 12, of btrfs 20.
const SHORT: usize = 22;

/// So often a handle is tried for which the kernel says that it has no memory.
const TRIES: u32 = 50;

/// A file handle: its type and its bytes. 32 bytes long, unless the file system has long ones.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Handle {
    kind: i32,
    bytes: Bytes,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Bytes {
    /// The rest is zero.
    Short(u8, [u8; SHORT]),
    Long(Box<[u8]>),
}

impl Handle {
    /// The handle with this type and these bytes, as an event of fanotify(7) holds them; `None` if they are more than
    /// [`LONGEST`].
    #[must_use]
    pub fn new(kind: i32, bytes: &[u8]) -> Option<Self> {
        if bytes.len() > LONGEST {
            return None;
        }
        let bytes = match u8::try_from(bytes.len()) {
            Ok(length) if bytes.len() <= SHORT => {
                let mut short = [0; SHORT];
                short[..bytes.len()].copy_from_slice(bytes);
                Bytes::Short(length, short)
            }
            _ => Bytes::Long(bytes.into()),
        };
        Some(Self { kind, bytes })
    }
    /// The file system's type of handle.
    #[must_use]
    pub fn kind(&self) -> i32 {
        self.kind
    }
    /// The bytes, which mean something to the file system alone.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Short(length, bytes) => &bytes[..usize::from(*length)],
            Bytes::Long(bytes) => bytes,
        }
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}:", self.kind)?;
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({self})")
    }
}

/// `struct file_handle` with room for the longest.
#[repr(C)]
struct Raw {
    length: libc::c_uint,
    kind: libc::c_int,
    bytes: [u8; LONGEST],
}

/// The handle of an entry, and the id of the mount that it is on. A link is not followed.
///
/// EOPNOTSUPP if the file system has no handles, ENOSYS if the kernel has none. An entry of a directory that is open
/// with `O_PATH` will do.
pub fn of(entry: Entry<'_>) -> Result<(Handle, i32), SysError> {
    read(entry).map_err(|errno| {
        let (dir, name) = entry.shown();
        SysError::new(Call::NameToHandleAt { dir, name }, errno)
    })
}

/// The same with the bare error, for callers that have another way.
#[allow(unsafe_code, reason = "neither rustix nor nix has name_to_handle_at")]
pub(crate) fn read(entry: Entry<'_>) -> Result<(Handle, i32), Errno> {
    let mut raw = Raw { length: 128, kind: 0, bytes: [0; LONGEST] };
    let mut mount: libc::c_int = -1;
    let name = CString::new(entry.name()).map_err(|_| Errno::INVAL)?;
    let flags = if entry.name().is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    // SAFETY: the name is a C string, `raw` has the 128 bytes that it says it has, `mount` is an int, and all of them
    // outlive the call.
    super::raw(unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            entry.dir().as_raw_fd(),
            name.as_ptr(),
            &raw mut raw,
            &raw mut mount,
            flags,
        )
    })?;
    let bytes = raw.bytes.get(..raw.length as usize).ok_or(Errno::OVERFLOW)?;
    Ok((Handle::new(raw.kind, bytes).ok_or(Errno::OVERFLOW)?, mount))
}

/// Opens what a handle names (open_by_handle_at(2)), on the mount that `mount` is on: any file or directory there, but not
/// one opened with `O_PATH` (EBADF). It takes CAP_DAC_READ_SEARCH, in the first user namespace up to Linux 6.12: EPERM. ESTALE if the inode is gone.
#[allow(unsafe_code, reason = "neither rustix nor nix has open_by_handle_at")]
pub fn open(mount: impl AsFd, handle: &Handle, flags: OFlags) -> Result<OwnedFd, SysError> {
    let failed = |errno| {
        let (mount, handle) = (FdName::of(&mount), handle.to_string());
        SysError::new(Call::OpenByHandleAt { mount, handle, flags }, errno)
    };
    let bytes = handle.bytes();
    let length = libc::c_uint::try_from(bytes.len()).map_err(|_| failed(Errno::INVAL))?;
    let mut raw = Raw { length, kind: handle.kind, bytes: [0; LONGEST] };
    raw.bytes[..bytes.len()].copy_from_slice(bytes);
    let number = (flags | OFlags::CLOEXEC).bits().cast_signed();
    let mut tries = 0;
    let fd = loop {
        // SAFETY: `raw` has at least the bytes that it says it has, and outlives the call.
        let opened = super::raw(unsafe {
            libc::syscall(libc::SYS_open_by_handle_at, mount.as_fd().as_raw_fd(), &raw mut raw, number)
        });
        match opened {
            // So says ext4 also while an inode with the same number is being made: it is stale a moment later.
            Err(Errno::NOMEM) if tries < TRIES => {
                tries += 1;
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            other => break other.map_err(failed)?,
        }
    };
    let fd = i32::try_from(fd).map_err(|_| failed(Errno::BADF))?;
    // SAFETY: the kernel has just given this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::testing::{Sandbox, in_user_namespace, without};

    #[test]
    fn a_handle_follows_its_inode() {
        Sandbox::run(|sandbox| {
            let disk = sandbox.ext4("disk");
            std::fs::write(disk.join("one"), "text").unwrap();
            let top = std::fs::File::open(&disk).unwrap();
            let (first, mount) = of(Entry::new(&top, b"one")).unwrap();
            let file = std::fs::File::open(disk.join("one")).unwrap();
            assert_eq!(of(Entry::itself(&file)).unwrap(), (first.clone(), mount));
            assert_ne!(of(Entry::itself(&top)).unwrap().0, first);
            assert_eq!(Handle::new(first.kind(), first.bytes()), Some(first.clone()));
            std::fs::create_dir(disk.join("dir")).unwrap();
            std::fs::rename(disk.join("one"), disk.join("dir/two")).unwrap();
            let opened = open(&top, &first, OFlags::RDONLY).unwrap();
            assert_eq!(rustix::fs::fstat(&opened).unwrap().st_ino, file.metadata().unwrap().ino());
            drop((opened, file));
            std::fs::remove_file(disk.join("dir/two")).unwrap();
            assert_eq!(open(&top, &first, OFlags::PATH).unwrap_err().errno(), Errno::STALE);
        });
    }

    #[test]
    fn where_there_are_none_the_error_says_so() {
        let proc = std::fs::File::open("/proc").unwrap();
        let error = of(Entry::itself(&proc)).unwrap_err();
        assert_eq!(error.errno(), Errno::OPNOTSUPP);
        assert!(error.to_string().starts_with("name_to_handle_at({"), "{error}");
        without(&[libc::SYS_name_to_handle_at, libc::SYS_open_by_handle_at], || {
            assert_eq!(of(Entry::itself(&proc)).unwrap_err().errno(), Errno::NOSYS);
            let handle = Handle::new(1, &[7; 8]).unwrap();
            let error = open(&proc, &handle, OFlags::PATH).unwrap_err();
            assert_eq!(error.errno(), Errno::NOSYS);
            assert!(error.to_string().contains("0x1:0707070707070707, O_PATH"), "{error}");
        });
    }

    #[test]
    fn a_user_namespace_may_not_open_by_handle_what_is_not_its_own() {
        in_user_namespace("sys::handle::tests::a_user_namespace_may_not_open_by_handle_what_is_not_its_own", |_| {
            let outside = crate::testing::outside();
            let top = std::fs::File::open(&outside).unwrap();
            let (handle, _) = of(Entry::itself(&top)).unwrap();
            assert_eq!(open(&top, &handle, OFlags::PATH).unwrap_err().errno(), Errno::PERM);
        });
    }

    #[test]
    fn long_ones_are_kept_whole() {
        assert!(Handle::new(1, &[1; 129]).is_none());
        for length in [0, 1, 22, 23, 128] {
            let bytes: Vec<u8> = (0..length).collect();
            assert_eq!(Handle::new(-3, &bytes).unwrap().bytes(), bytes);
        }
        assert_ne!(Handle::new(1, &[0; 8]), Handle::new(1, &[0; 9]));
        assert_ne!(Handle::new(1, &[0; 8]), Handle::new(2, &[0; 8]));
        assert_eq!(size_of::<Handle>(), 32);
    }
}
