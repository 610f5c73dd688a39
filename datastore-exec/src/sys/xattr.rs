//! The identity of a directory: an extended attribute that says which store directory or volume it is.
//!
//! It is `trusted.datastore.id`, which only root of the machine can see and change. Where that cannot be (in a user
//! namespace, or on a file system that knows no `trusted.*`) it is `user.datastore.id`, which the directory's owner can
//! change too. When both are there, `trusted` counts. The value is the UUID as text, 36 bytes.
//!
//! And its label: what SELinux knows it by.

use std::ffi::CString;
use std::os::fd::AsRawFd;

use datastore_core::observed::Identity;
use datastore_core::path::printable;
use datastore_core::value::Id;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::error::{Call, SysError};
use super::fd::Entry;

const TRUSTED: &str = "trusted.datastore.id";
const USER: &str = "user.datastore.id";
/// The label of SELinux. The kernel keeps it with the NUL that ends it; whatever it is, it is copied as it is.
const LABEL: &str = "security.selinux";
/// No label is longer: a policy is made of shorter words.
const LONGEST: usize = 4096;

/// Under which name an identity was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// `trusted.datastore.id`.
    Trusted,
    /// `user.datastore.id`: the directory's owner can change it.
    User,
}

/// Reads the identity of a directory. One system call if it is there under `trusted`, two if not.
///
/// The last component is not followed if it is a symbolic link: that link has no identity.
pub fn identity(entry: Entry<'_>) -> Result<Identity, SysError> {
    let path = entry.proc_path();
    match read(entry, &path, TRUSTED)? {
        Read::Value(found) => return Ok(found),
        Read::Absent | Read::Unsupported => {}
    }
    match read(entry, &path, USER)? {
        Read::Value(found) => Ok(found),
        Read::Unsupported => Ok(Identity::Unsupported),
        Read::Absent if super::proc::sees_trusted() => Ok(Identity::None),
        Read::Absent => Ok(Identity::Hidden),
    }
}

/// getxattrat(2), Linux 6.13: by descriptor and name, without the walk through `/proc` that takes longer than the rest. A
/// descriptor itself is asked as its `.`, because one that was opened with `O_PATH` is refused (EBADF).
#[allow(unsafe_code, reason = "rustix has no getxattrat")]
fn getxattrat(entry: Entry<'_>, attribute: &str, buffer: &mut [u8; 64]) -> Result<usize, Errno> {
    /// `struct xattr_args`, linux/xattr.h.
    #[repr(C, align(8))]
    struct Arguments {
        value: u64,
        size: u32,
        flags: u32,
    }
    // The same number on every architecture but Alpha; libc does not have it for all of them.
    const SYS_GETXATTRAT: libc::c_long = 464;
    let (Ok(name), Ok(attribute)) = (CString::new(entry.name_or_dot()), CString::new(attribute)) else {
        return Err(Errno::INVAL);
    };
    let mut arguments = Arguments { value: buffer.as_mut_ptr() as u64, size: 64, flags: 0 };
    // SAFETY: both strings end in NUL, `value` points to `size` bytes that may be written, the structure has the size that is
    // given, and all of them outlive the call.
    let length = super::raw(unsafe {
        libc::syscall(
            SYS_GETXATTRAT,
            entry.dir().as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            attribute.as_ptr(),
            &raw mut arguments,
            size_of::<Arguments>(),
        )
    })?;
    Ok(usize::try_from(length).unwrap_or(0))
}

enum Read {
    Value(Identity),
    Absent,
    Unsupported,
}

fn read(entry: Entry<'_>, path: &[u8], attribute: &str) -> Result<Read, SysError> {
    let mut buffer = [0; 64];
    let found = match getxattrat(entry, attribute, &mut buffer) {
        // What is no directory, or may not be searched, has no `.`.
        Err(Errno::NOSYS | Errno::NOTDIR | Errno::ACCESS) => rustix::fs::lgetxattr(path, attribute, &mut buffer[..]),
        other => other,
    };
    match found {
        Ok(length) => {
            let value = &buffer[..length];
            let id = std::str::from_utf8(value).ok().and_then(|text| Id::parse(text).ok());
            Ok(Read::Value(id.map_or_else(|| Identity::Garbled(printable(value)), Identity::Is)))
        }
        Err(Errno::RANGE) => Ok(Read::Value(Identity::Garbled("more than 64 bytes".into()))),
        Err(Errno::NODATA) => Ok(Read::Absent),
        Err(Errno::OPNOTSUPP) => Ok(Read::Unsupported),
        Err(errno) => {
            let (dir, name) = entry.shown();
            Err(SysError::new(Call::Lgetxattr { dir, name, attribute: attribute.into() }, errno))
        }
    }
}

/// Gives a directory an identity, in place of any that it has. Says under which name it is kept.
///
/// It is in the page cache when this returns; sync the directory to make it durable. An entry that is no directory
/// is not refused here: look first.
pub fn set_identity(entry: Entry<'_>, id: Id) -> Result<Kept, SysError> {
    let kept = set_first_identity(entry, id)?;
    if kept == Kept::Trusted {
        // One that an unprivileged reader would believe must not stay beside it.
        remove(entry, &entry.proc_path(), USER)?;
    }
    Ok(kept)
}

/// The same for a directory that was made a moment ago and carries none.
pub fn set_first_identity(entry: Entry<'_>, id: Id) -> Result<Kept, SysError> {
    let path = entry.proc_path();
    match set(entry, &path, TRUSTED, id) {
        Ok(()) => Ok(Kept::Trusted),
        Err(error) if matches!(error.errno(), Errno::PERM | Errno::OPNOTSUPP) => {
            set(entry, &path, USER, id).map(|()| Kept::User)
        }
        Err(error) => Err(error),
    }
}

fn set(entry: Entry<'_>, path: &[u8], attribute: &str, id: Id) -> Result<(), SysError> {
    rustix::fs::lsetxattr(path, attribute, id.to_string().as_bytes(), XattrFlags::empty()).map_err(|errno| {
        let (dir, name) = entry.shown();
        SysError::new(Call::Lsetxattr { dir, name, attribute: attribute.into() }, errno)
    })
}

/// Reads the label of a directory; `None` if it has none, or if its file system holds none.
pub fn label(entry: Entry<'_>) -> Result<Option<Vec<u8>>, SysError> {
    let mut buffer = vec![0; LONGEST];
    match rustix::fs::lgetxattr(entry.proc_path(), LABEL, &mut buffer[..]) {
        Ok(length) => {
            buffer.truncate(length);
            Ok(Some(buffer))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(errno) => {
            let (dir, name) = entry.shown();
            Err(SysError::new(Call::Lgetxattr { dir, name, attribute: LABEL.into() }, errno))
        }
    }
}

/// Gives a directory a label, in place of the one that it has.
pub fn set_label(entry: Entry<'_>, label: &[u8]) -> Result<(), SysError> {
    rustix::fs::lsetxattr(entry.proc_path(), LABEL, label, XattrFlags::empty()).map_err(|errno| {
        let (dir, name) = entry.shown();
        SysError::new(Call::Lsetxattr { dir, name, attribute: LABEL.into() }, errno)
    })
}

/// Takes the identity away, under both names. None there is fine too.
pub fn remove_identity(entry: Entry<'_>) -> Result<(), SysError> {
    let path = entry.proc_path();
    remove(entry, &path, USER)?;
    remove(entry, &path, TRUSTED)
}

fn remove(entry: Entry<'_>, path: &[u8], attribute: &str) -> Result<(), SysError> {
    match rustix::fs::lremovexattr(path, attribute) {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        // Without privilege nobody can say whether a `trusted` one is there; if it were, it would have been seen.
        Err(Errno::PERM) if attribute == TRUSTED && !super::proc::sees_trusted() => Ok(()),
        Err(errno) => {
            let (dir, name) = entry.shown();
            Err(SysError::new(Call::Lremovexattr { dir, name, attribute: attribute.into() }, errno))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sandbox, in_user_namespace};
    use datastore_core::AbsPath;

    fn id(n: u8) -> Id {
        Id::from_random([n; 16])
    }

    #[test]
    fn an_identity_is_kept_and_taken_away() {
        Sandbox::run(|sandbox| {
            sandbox.ext4("disk");
            sandbox.dirs(&["disk/mysql"]);
            let root = sandbox.root();
            let place = root.place(&AbsPath::literal("/disk/mysql")).unwrap();
            assert_eq!(identity(place.entry()).unwrap(), Identity::None);
            assert_eq!(set_identity(place.entry(), id(1)).unwrap(), Kept::Trusted);
            assert_eq!(identity(place.entry()).unwrap(), Identity::Is(id(1)));
            assert_eq!(set_identity(place.entry(), id(2)).unwrap(), Kept::Trusted);
            assert_eq!(identity(place.entry()).unwrap(), Identity::Is(id(2)));
            let text = crate::testing::succeeds(
                std::process::Command::new("getfattr")
                    .args(["-n", TRUSTED, "--only-values", "--absolute-names"])
                    .arg(sandbox.dir().join("disk/mysql")),
            );
            assert_eq!(text, id(2).to_string());
            let itself = root.open_dir(&AbsPath::literal("/disk/mysql")).unwrap();
            assert_eq!(identity(Entry::itself(&itself)).unwrap(), Identity::Is(id(2)));
            remove_identity(place.entry()).unwrap();
            remove_identity(place.entry()).unwrap();
            assert_eq!(identity(place.entry()).unwrap(), Identity::None);
        });
    }

    #[test]
    fn trusted_counts_and_garbage_is_shown() {
        Sandbox::run(|sandbox| {
            sandbox.ext4("disk");
            let dir = sandbox.dir().join("disk/x");
            std::fs::create_dir(&dir).unwrap();
            let root = sandbox.root();
            let place = root.place(&AbsPath::literal("/disk/x")).unwrap();
            let put = |name: &str, value: &[u8]| {
                rustix::fs::lsetxattr(&dir, name, value, XattrFlags::empty()).unwrap();
            };
            put(USER, id(1).to_string().as_bytes());
            assert_eq!(identity(place.entry()).unwrap(), Identity::Is(id(1)));
            put(TRUSTED, id(2).to_string().as_bytes());
            assert_eq!(identity(place.entry()).unwrap(), Identity::Is(id(2)));
            put(TRUSTED, b"not\na uuid");
            assert_eq!(identity(place.entry()).unwrap(), Identity::Garbled("not\\x0aa uuid".into()));
            put(TRUSTED, &[b'a'; 200]);
            assert!(matches!(identity(place.entry()).unwrap(), Identity::Garbled(_)));
            set_identity(place.entry(), id(3)).unwrap();
            assert!(rustix::fs::lgetxattr(&dir, USER, &mut [0; 64][..]).is_err(), "the one under `user` is gone");
        });
    }

    #[test]
    fn a_link_has_no_identity() {
        Sandbox::run(|sandbox| {
            sandbox.ext4("disk");
            sandbox.dirs(&["disk/real"]);
            std::os::unix::fs::symlink("real", sandbox.dir().join("disk/link")).unwrap();
            let root = sandbox.root();
            set_identity(root.place(&AbsPath::literal("/disk/real")).unwrap().entry(), id(1)).unwrap();
            let link = root.place(&AbsPath::literal("/disk/link")).unwrap();
            assert_eq!(identity(link.entry()).unwrap(), Identity::None);
            assert!(root.place(&AbsPath::literal("/disk/none")).is_ok_and(|p| identity(p.entry()).is_err()));
        });
    }

    #[test]
    fn what_cannot_be_seen_is_said_to_be_hidden() {
        Sandbox::run(|sandbox| {
            sandbox.ext4("disk");
            sandbox.dirs(&["disk/x"]);
            let root = sandbox.root();
            let place = root.place(&AbsPath::literal("/disk/x")).unwrap();
            set_identity(place.entry(), id(1)).unwrap();
            crate::testing::without(&[], || {
                rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65534)).unwrap();
                assert_eq!(identity(place.entry()).unwrap(), Identity::Hidden);
            });
        });
    }

    #[test]
    fn no_attributes_at_all() {
        let root = crate::Root::open("/".as_ref()).unwrap();
        let place = root.place(&AbsPath::literal("/proc/self")).unwrap();
        assert_eq!(identity(Entry::itself(&place.entry().dir())).unwrap(), Identity::Unsupported);
    }

    #[test]
    fn a_user_namespace_keeps_it_under_user() {
        in_user_namespace("sys::xattr::tests::a_user_namespace_keeps_it_under_user", |sandbox| {
            sandbox.dirs(&["x"]);
            let root = sandbox.root();
            let place = root.place(&AbsPath::literal("/x")).unwrap();
            assert_eq!(identity(place.entry()).unwrap(), Identity::Hidden);
            assert_eq!(set_identity(place.entry(), id(1)).unwrap(), Kept::User);
            assert_eq!(identity(place.entry()).unwrap(), Identity::Is(id(1)));
            remove_identity(place.entry()).unwrap();
            assert_eq!(identity(place.entry()).unwrap(), Identity::Hidden);
        });
    }
}
