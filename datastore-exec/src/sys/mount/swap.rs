//! Another directory in the place of the one that is bound somewhere.

use std::os::fd::{AsFd, OwnedFd};

use datastore_core::mapping::BindOptions;
use datastore_core::planted::{self, Bug};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags};

use super::{BindError, bind, set_attributes};
use crate::sys::error::{Call, FdName, SysError};
use crate::sys::fd::{self, Entry};

/// `MOVE_MOUNT_BENEATH` (linux/mount.h), which rustix does not name.
const BENEATH: MoveMountFlags = MoveMountFlags::from_bits_retain(0x200);

/// Puts `source` beneath the mount that is topmost at `at`, and takes that one off, so that there is no instant in which neither is
/// seen. Whoever has something open on the old one keeps it. Before Linux 6.5, and where the kernel refuses that, the old one is
/// taken off first: then the bare mount point is seen for an instant.
///
/// If it fails, what was bound is bound still; where the old one had to be taken off first, nothing may be.
pub fn swap(source: impl AsFd, at: Entry<'_>, options: BindOptions) -> Result<OwnedFd, BindError> {
    // The kernel would say so too, but not before the old one is off.
    let dir = fd::open(Entry::itself(&source), OFlags::PATH | OFlags::DIRECTORY, 0)?;
    let source = dir.as_fd();
    let done = if planted::has(Bug::UnmountThenBind) { None } else { beneath(source, at, options)? };
    match done {
        Some(tree) => Ok(tree),
        None => {
            detach(at)?;
            let on = fd::open(at, OFlags::PATH | OFlags::DIRECTORY, 0)?;
            bind(source, &on, at, options)
        }
    }
}

/// `None` where the kernel cannot do it.
fn beneath(source: impl AsFd, at: Entry<'_>, options: BindOptions) -> Result<Option<OwnedFd>, BindError> {
    let source = source.as_fd();
    let top = fd::open(at, OFlags::PATH | OFlags::DIRECTORY, 0)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = match rustix::mount::open_tree(source, "", flags) {
        Ok(tree) => tree,
        Err(Errno::NOSYS) => return Ok(None),
        Err(errno) => return Err(SysError::new(Call::OpenTree { source: FdName::of(source) }, errno).into()),
    };
    match set_attributes(tree.as_fd(), options) {
        Ok(()) => {}
        Err(error) if error.errno() == Errno::NOSYS => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH | BENEATH;
    match rustix::mount::move_mount(&tree, "", &top, "", flags) {
        Ok(()) => {}
        Err(Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP) => return Ok(None),
        Err(errno) => {
            let call = Call::MoveMount { source: FdName::of(source), target: FdName::of(&top) };
            return Err(SysError::new(call, errno).into());
        }
    }
    drop(top);
    match detach(at) {
        Ok(()) => Ok(Some(tree)),
        Err(cause) => {
            // The new one lies hidden beneath the old one.
            let left_behind = withdraw(&tree, at).err();
            Err(BindError { cause, left_behind })
        }
    }
}

/// Takes the topmost mount at an entry off, also while somebody uses it, so that what lies beneath it is seen.
pub fn uncover(at: Entry<'_>) -> Result<(), SysError> {
    detach(at)
}

/// Takes a mount off that was made a moment ago, wherever it is by now. `at` is where it was to be, for a message.
pub fn withdraw(made: &OwnedFd, at: Entry<'_>) -> Result<(), SysError> {
    take_off(fd::proc_path(made.as_fd()), UnmountFlags::empty(), at)
}

fn detach(at: Entry<'_>) -> Result<(), SysError> {
    take_off(at.proc_path(), UnmountFlags::NOFOLLOW, at)
}

fn take_off(path: impl rustix::path::Arg, flags: UnmountFlags, at: Entry<'_>) -> Result<(), SysError> {
    rustix::mount::unmount(path, flags | UnmountFlags::DETACH).map_err(|errno| {
        let (dir, name) = at.shown();
        SysError::new(Call::Umount2 { dir, name }, errno)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use datastore_core::AbsPath;

    use super::*;
    use crate::Root;
    use crate::testing::{SYS_MOUNT_SETATTR, Sandbox, without};

    const AT: &str = "/var/lib/mysql";
    const PLAIN: BindOptions = BindOptions { ro: false, nosuid: true, nodev: true, noexec: false };

    fn path(text: &'static str) -> AbsPath {
        AbsPath::literal(text)
    }

    fn dir(root: &Root, at: &'static str) -> OwnedFd {
        root.open_file(&path(at), OFlags::PATH | OFlags::DIRECTORY, 0).unwrap()
    }

    fn bound(sandbox: &Sandbox) -> Root {
        sandbox.file("store/old/data", "old");
        sandbox.file("store/new/data", "new");
        sandbox.dirs(&["var/lib/mysql"]);
        let root = sandbox.root();
        drop(bind(dir(&root, "/store/old"), dir(&root, AT), root.place(&path(AT)).unwrap().entry(), PLAIN).unwrap());
        root
    }

    #[test]
    fn on_every_kernel_the_other_directory_is_there_alone() {
        Sandbox::run(|sandbox| {
            for missing in
                [&[][..], &[SYS_MOUNT_SETATTR], &[libc::SYS_open_tree, libc::SYS_move_mount, SYS_MOUNT_SETATTR]]
            {
                let root = bound(sandbox);
                // Somebody uses the old one, which keeps it.
                let held = std::fs::File::open(sandbox.dir().join("var/lib/mysql/data")).unwrap();
                without(missing, || {
                    let place = root.place(&path(AT)).unwrap();
                    drop(swap(dir(&root, "/store/new"), place.entry(), PLAIN).unwrap());
                });
                let at = sandbox.dir().join("var/lib/mysql");
                assert_eq!(std::fs::read_to_string(at.join("data")).unwrap(), "new");
                assert_eq!(std::io::read_to_string(held).unwrap(), "old");
                rustix::mount::unmount(&at, UnmountFlags::empty()).unwrap();
                assert!(std::fs::read_dir(&at).unwrap().next().is_none(), "nothing lies beneath");
            }
        });
    }

    #[test]
    fn there_is_no_instant_without_data() {
        Sandbox::run(|sandbox| {
            let root = bound(sandbox);
            let file = sandbox.dir().join("var/lib/mysql/data");
            let (over, reads, gone) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        gone.fetch_add(u64::from(std::fs::read(&file).is_err()), Ordering::Relaxed);
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                });
                while reads.load(Ordering::Relaxed) < 2000 {
                    for store in ["/store/new", "/store/old"] {
                        drop(swap(dir(&root, store), root.place(&path(AT)).unwrap().entry(), PLAIN).unwrap());
                    }
                }
                over.store(true, Ordering::Relaxed);
            });
            // The kernel of the tests has had the call since 6.5.
            assert_eq!(gone.into_inner(), 0);
            root.forget();
            rustix::mount::unmount(sandbox.dir().join("var/lib/mysql"), UnmountFlags::empty()).unwrap();
        });
    }

    #[test]
    fn what_cannot_be_bound_leaves_the_old_one() {
        Sandbox::run(|sandbox| {
            let root = bound(sandbox);
            let file = std::fs::File::open(sandbox.dir().join("store/new/data")).unwrap();
            assert!(swap(&file, root.place(&path(AT)).unwrap().entry(), PLAIN).is_err());
            let at = sandbox.dir().join("var/lib/mysql");
            assert_eq!(std::fs::read_to_string(at.join("data")).unwrap(), "old");
            root.forget();
            rustix::mount::unmount(&at, UnmountFlags::empty()).unwrap();
        });
    }
}
