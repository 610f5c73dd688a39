//! The least work that binds a list of directories: three system calls for each, nothing checked, nothing recorded.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags};

use crate::world::Pair;

/// `struct mount_attr` (mount_setattr(2)).
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// `MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV` (linux/mount.h): what datastore sets on every bind.
const NOSUID_NODEV: u64 = 0x2 | 0x4;

/// Binds each store on its mount point and says how long it took.
pub(crate) fn bind_all(pairs: &[Pair]) -> Result<Duration, String> {
    let start = Instant::now();
    for Pair { store, mount_point } in pairs {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree =
            rustix::mount::open_tree(CWD, store, flags).map_err(|e| format!("open_tree({}): {e}", store.display()))?;
        let attr = MountAttr { set: NOSUID_NODEV, clear: 0, propagation: 0, userns_fd: 0 };
        #[allow(unsafe_code, reason = "rustix has no mount_setattr(2)")]
        // SAFETY: the path is an empty C string, the structure lives through the call, and its true size is given.
        let result = unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                tree.as_fd().as_raw_fd(),
                c"".as_ptr(),
                libc::AT_EMPTY_PATH,
                &raw const attr,
                size_of::<MountAttr>(),
            )
        };
        if result != 0 {
            return Err(format!("mount_setattr({}): {}", store.display(), std::io::Error::last_os_error()));
        }
        rustix::mount::move_mount(tree, "", CWD, mount_point, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(|e| format!("move_mount({}): {e}", mount_point.display()))?;
    }
    Ok(start.elapsed())
}
