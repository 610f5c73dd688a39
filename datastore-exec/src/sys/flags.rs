//! The immutable flag of a directory (ioctl_iflags(2)): with it, nothing can be made or removed inside, even by root.
//!
//! The flag is of the inode. On a mount point that has something mounted on it, an [`Entry`] means the mounted
//! directory: to reach the one below, open it before the mount is made and use [`set_immutable_fd`].

use std::os::fd::AsFd;

use rustix::fs::{IFlags, OFlags};
use rustix::io::Errno;

use super::error::{Call, FdName, SysError};
use super::fd::{self, Entry};
use super::proc;

/// Whether a directory is immutable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Immutable {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// The file system has no such flag (ENOTTY or EOPNOTSUPP).
    Unsupported,
}

/// What became of setting or clearing the flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum SetImmutable {
    /// It was changed.
    Changed,
    /// It was so already.
    Already,
    /// The file system has no such flag.
    Unsupported,
    /// The caller lacks CAP_LINUX_IMMUTABLE, which nobody has in a user namespace (EPERM). For one who has it this is an error: nobody
    /// expects it, and a directory would be left open that he believes to be sealed.
    NotPermitted,
}

/// Whether an entry is immutable. It must be a directory that the caller may open for reading (root may, whatever its
/// mode).
pub fn immutable(entry: Entry<'_>) -> Result<Immutable, SysError> {
    immutable_fd(open(entry)?)
}

/// Whether a file or directory that is open for reading is immutable.
pub fn immutable_fd(file: impl AsFd) -> Result<Immutable, SysError> {
    Ok(match get(file)? {
        None => Immutable::Unsupported,
        Some(flags) if flags.contains(IFlags::IMMUTABLE) => Immutable::Yes,
        Some(_) => Immutable::No,
    })
}

/// Sets or clears the flag of an entry, which must be a directory.
pub fn set_immutable(entry: Entry<'_>, on: bool) -> Result<SetImmutable, SysError> {
    set_immutable_fd(open(entry)?, on)
}

/// Sets or clears the flag of a directory that is open for reading. The other flags stay as they are.
pub fn set_immutable_fd(dir: impl AsFd, on: bool) -> Result<SetImmutable, SysError> {
    let Some(old) = get(&dir)? else {
        return Ok(SetImmutable::Unsupported);
    };
    if old.contains(IFlags::IMMUTABLE) == on {
        return Ok(SetImmutable::Already);
    }
    let mut new = old;
    new.set(IFlags::IMMUTABLE, on);
    match rustix::fs::ioctl_setflags(&dir, new) {
        Ok(()) => Ok(SetImmutable::Changed),
        Err(Errno::NOTTY | Errno::OPNOTSUPP) => Ok(SetImmutable::Unsupported),
        Err(Errno::PERM) if !proc::may_make_immutable() => Ok(SetImmutable::NotPermitted),
        Err(errno) => Err(SysError::new(Call::SetFlags { fd: FdName::of(&dir), flags: new.bits() }, errno)),
    }
}

fn open(entry: Entry<'_>) -> Result<std::os::fd::OwnedFd, SysError> {
    fd::open(entry, OFlags::RDONLY | OFlags::DIRECTORY, 0)
}

fn get(dir: impl AsFd) -> Result<Option<IFlags>, SysError> {
    match rustix::fs::ioctl_getflags(&dir) {
        Ok(flags) => Ok(Some(flags)),
        Err(Errno::NOTTY | Errno::OPNOTSUPP) => Ok(None),
        Err(errno) => Err(SysError::new(Call::GetFlags { fd: FdName::of(&dir) }, errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sandbox, in_user_namespace};
    use datastore_core::AbsPath;

    #[test]
    fn a_sealed_directory_takes_nothing_but_a_mount() {
        Sandbox::run(|sandbox| {
            sandbox.ext4("disk");
            sandbox.dirs(&["disk/point", "store"]);
            let dir = sandbox.dir().join("disk/point");
            let root = sandbox.root();
            let place = root.place(&AbsPath::literal("/disk/point")).unwrap();
            assert_eq!(immutable(place.entry()).unwrap(), Immutable::No);
            fd::set_mode(fd::open(place.entry(), OFlags::RDONLY, 0).unwrap(), 0).unwrap();
            assert_eq!(set_immutable(place.entry(), true).unwrap(), SetImmutable::Changed);
            assert_eq!(set_immutable(place.entry(), true).unwrap(), SetImmutable::Already);
            assert_eq!(immutable(place.entry()).unwrap(), Immutable::Yes);
            assert!(std::fs::write(dir.join("file"), "").is_err(), "even root");
            rustix::mount::mount_bind(sandbox.dir().join("store"), &dir).unwrap();
            std::fs::write(dir.join("file"), "").unwrap();
            assert_ne!(immutable(place.entry()).unwrap(), Immutable::Yes, "this is the mounted one");
            rustix::mount::unmount(&dir, rustix::mount::UnmountFlags::empty()).unwrap();
            assert_eq!(set_immutable(place.entry(), false).unwrap(), SetImmutable::Changed);
        });
    }

    #[test]
    fn no_flags_and_no_right_are_told_apart() {
        let root = crate::Root::open("/".as_ref()).unwrap();
        let place = root.place(&AbsPath::literal("/proc")).unwrap();
        assert_eq!(immutable(place.entry()).unwrap(), Immutable::Unsupported);
        assert_eq!(set_immutable(place.entry(), true).unwrap(), SetImmutable::Unsupported);
        in_user_namespace("sys::flags::tests::no_flags_and_no_right_are_told_apart", |sandbox| {
            sandbox.dirs(&["x"]);
            let root = sandbox.root();
            let place = root.place(&AbsPath::literal("/x")).unwrap();
            assert_eq!(set_immutable(place.entry(), true).unwrap(), SetImmutable::NotPermitted);
        });
    }
}
