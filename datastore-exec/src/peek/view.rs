//! The directory that a mount covers, open.

use std::os::fd::OwnedFd;
use std::path::Path;

use datastore_core::{AbsPath, Error, ErrorKind, Result};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change};

use crate::root::{Miss, Root};
use crate::sys::{Entry, SysError, fd, mount};

/// The directory at a mount point, below all that is mounted there, open for reading; `None` if there is none.
///
/// Through a private copy of the mount above it (Linux 5.2), else through a mount namespace of a thread of our own, in which the mount is
/// taken away. Either way nobody else sees anything of it.
pub(super) fn beneath(root: &Root, mount_point: &AbsPath) -> Result<Option<OwnedFd>> {
    let parent = mount_point.parent().unwrap_or_else(AbsPath::root);
    let above = root.open_dir(&parent)?;
    match mount::private_view(&above) {
        Ok(view) => opened(Entry::new(&view, mount_point.file_name()), mount_point),
        Err(error) if error.errno() == Errno::NOSYS => in_namespace(root, mount_point),
        Err(error) => Err(refused(error, mount_point)),
    }
}

fn refused(error: SysError, mount_point: &AbsPath) -> Error {
    if error.is_privilege() {
        return Error::new(ErrorKind::Privilege, format!("what lies under {mount_point} is for root alone"))
            .hint("run it as root")
            .caused_by(error);
    }
    let message = format!("this kernel gives no view of what lies under {mount_point}; nothing was changed");
    error.because(message).hint("stop the app, and look at the bare mount point")
}

fn opened(entry: Entry<'_>, mount_point: &AbsPath) -> Result<Option<OwnedFd>> {
    match fd::open(entry, OFlags::RDONLY | OFlags::DIRECTORY, 0) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(refused(error, mount_point)),
    }
}

/// Before Linux 5.2: a thread gets a mount namespace of its own and takes the mount away there. The descriptor outlives both.
fn in_namespace(root: &Root, mount_point: &AbsPath) -> Result<Option<OwnedFd>> {
    let path = root.path().clone();
    let work = move || -> Result<Option<OwnedFd>> {
        let failed = |what: &str, errno: i32| {
            let error = std::io::Error::from_raw_os_error(errno);
            let kind = if errno == Errno::PERM.raw_os_error() { ErrorKind::Privilege } else { ErrorKind::System };
            Error::new(
                kind,
                format!("{what}, so what lies under {mount_point} cannot be looked at; nothing was changed"),
            )
            .with_errno(errno)
            .hint("run it as root; or stop the app, and look at the bare mount point")
            .caused_by(error)
        };
        unshare(CloneFlags::CLONE_NEWNS).map_err(|e| failed("no mount namespace can be made", e as i32))?;
        // Before anything is taken away: else it would be taken from everybody.
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .map_err(|e| failed("the mounts of a namespace cannot be made private", e.raw_os_error()))?;
        // Descriptors from before lead into the namespace that was left; so the root is opened anew.
        let root =
            Root::open(Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(path.as_bytes())))?;
        let place = root.place(mount_point)?;
        while crate::sys::stat::facts(place.entry())?.mount_root {
            rustix::mount::unmount(place.entry().proc_path(), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
                .map_err(|e| failed("a mount cannot be taken away in a namespace of its own", e.raw_os_error()))?;
        }
        match root.stat(mount_point) {
            Ok(_) => opened(place.entry(), mount_point),
            Err(Miss::Absent(_)) => Ok(None),
            Err(other) => Err(other.into()),
        }
    };
    std::thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}
