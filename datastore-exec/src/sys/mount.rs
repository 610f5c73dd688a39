//! Binding one directory on another, by descriptors alone.
//!
//! | call | since Linux | instead of it |
//! | --- | --- | --- |
//! | open_tree, move_mount | 5.2 | mount(2) with `MS_BIND` between two `/proc/self/fd/N` |
//! | move_mount with `MOVE_MOUNT_BENEATH` | 6.5 | umount2 and then the bind; the mount point is bare in between |
//! | mount_setattr | 5.12 | mount(2) with `MS_REMOUNT|MS_BIND` once the bind is attached |
//!
//! With the first column a bind appears with all of its options at once. With the last, there is an instant in which it
//! has the options of the mount that it was cloned from.
//!
//! A descriptor on a mount, also one made with `O_PATH`, keeps it busy: close it (and call
//! [`Root::forget_within`](crate::Root::forget_within)) before [`unmount`].

mod seal;
mod swap;

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use datastore_core::Error;
use datastore_core::mapping::BindOptions;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use super::error::{Call, FdName, SysError};
use super::fd::{self, Entry};
pub use seal::{Seal, seal_writes, unseal_writes};
pub use swap::{swap, uncover, withdraw};

/// MOUNT_ATTR_* of linux/mount.h, and the flags of mount(2), for each option of a bind. Each is set or cleared; the others, such
/// as `noatime`, stay as the source's mount has them.
fn pairs(options: BindOptions) -> [(bool, u64, MountFlags, &'static str); 4] {
    [
        (options.ro, 0x1, MountFlags::RDONLY, "ro"),
        (options.nosuid, 0x2, MountFlags::NOSUID, "nosuid"),
        (options.nodev, 0x4, MountFlags::NODEV, "nodev"),
        (options.noexec, 0x8, MountFlags::NOEXEC, "noexec"),
    ]
}

fn names(options: BindOptions, on: bool) -> String {
    let names: Vec<_> = pairs(options).into_iter().filter(|p| p.0 == on).map(|p| p.3).collect();
    if names.is_empty() { "nothing".into() } else { names.join("|") }
}

/// A bind that was not made.
#[derive(Debug)]
pub struct BindError {
    /// Why.
    pub cause: SysError,
    /// Set if the bind had been attached already and could not be taken away again: then it is there, with options
    /// other than those asked for.
    pub left_behind: Option<SysError>,
}

impl From<SysError> for BindError {
    fn from(cause: SysError) -> Self {
        Self { cause, left_behind: None }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.left_behind {
            None => write!(f, "the bind was not made"),
            Some(why) => {
                write!(f, "the bind was made, but its options could not be set, and it is still there ({why})")
            }
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl From<BindError> for Error {
    fn from(error: BindError) -> Self {
        match &error.left_behind {
            None => error.cause.into(),
            Some(_) => {
                let message = error.to_string();
                error.cause.because(message).hint("unmount it by hand, then run the command again")
            }
        }
    }
}

/// Binds the directory `source` on the directory `on`, which is the entry `at`, and returns the new mount.
///
/// Both descriptors may be `O_PATH`; nothing is looked up by name. What is mounted below `source` does not come along.
/// The bind is cloned with the propagation of the source's mount, and lands on top of anything mounted on `on`.
///
/// In a user namespace the kernel keeps options of the source's mount that came from outside: asking to clear one is
/// EPERM.
pub fn bind(source: impl AsFd, on: impl AsFd, at: Entry<'_>, options: BindOptions) -> Result<OwnedFd, BindError> {
    let (source, on) = (source.as_fd(), on.as_fd());
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = match rustix::mount::open_tree(source, "", flags) {
        Ok(tree) => tree,
        Err(Errno::NOSYS) => return old_bind(source, on, at, options),
        Err(errno) => return Err(SysError::new(Call::OpenTree { source: FdName::of(source) }, errno).into()),
    };
    let options_set = match set_attributes(tree.as_fd(), options) {
        Ok(()) => true,
        Err(error) if error.errno() == Errno::NOSYS => false,
        Err(error) => return Err(error.into()),
    };
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    match rustix::mount::move_mount(&tree, "", on, "", flags) {
        Ok(()) => {}
        // Some sandboxes know one of the two only.
        Err(Errno::NOSYS) => return old_bind(source, on, at, options),
        Err(errno) => {
            let call = Call::MoveMount { source: FdName::of(source), target: FdName::of(on) };
            // Should it be there all the same, it must not stay: nobody would know of it.
            let _ = withdraw(&tree, at);
            return Err(SysError::new(call, errno).into());
        }
    }
    if options_set { Ok(tree) } else { finish(tree, at, options) }
}

/// Before Linux 5.2.
fn old_bind(
    source: BorrowedFd<'_>,
    on: BorrowedFd<'_>,
    at: Entry<'_>,
    options: BindOptions,
) -> Result<OwnedFd, BindError> {
    let failed = |errno| {
        let call = Call::MountBind { source: FdName::of(source), target: FdName::of(on) };
        SysError::new(call, errno)
    };
    rustix::mount::mount_bind(fd::proc_path(source), fd::proc_path(on)).map_err(failed)?;
    // `on` is the directory below the new mount; the mount itself is found by name, and must be what was bound.
    let undone = |cause: SysError| BindError { cause, left_behind: take_away(at) };
    let mount = fd::open(at, OFlags::PATH | OFlags::DIRECTORY, 0).map_err(undone)?;
    let same = || {
        let (a, b) = (rustix::fs::fstat(source)?, rustix::fs::fstat(&mount)?);
        Ok((a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
    };
    match same() {
        Ok(true) => finish(mount, at, options),
        // The name does not lead to the bind: it was renamed meanwhile. There is nothing at `at` that is ours to
        // unmount.
        Ok(false) => Err(BindError { cause: failed(Errno::STALE), left_behind: Some(failed(Errno::STALE)) }),
        Err(errno) => {
            drop(mount);
            Err(undone(failed(errno)))
        }
    }
}

/// Sets the options of a bind that is attached already; takes it away again if that fails.
fn finish(mount: OwnedFd, at: Entry<'_>, options: BindOptions) -> Result<OwnedFd, BindError> {
    match remount(mount.as_fd(), options) {
        Ok(()) => Ok(mount),
        Err(cause) => {
            // Our own descriptor would keep it busy.
            drop(mount);
            Err(BindError { cause, left_behind: take_away(at) })
        }
    }
}

fn take_away(at: Entry<'_>) -> Option<SysError> {
    let busy = || {
        let (dir, name) = at.shown();
        SysError::new(Call::Umount2 { dir, name }, Errno::BUSY)
    };
    match unmount(at) {
        Ok(Unmount::Done | Unmount::NotMounted) => None,
        Ok(Unmount::Busy) => Some(busy()),
        Err(error) => Some(error),
    }
}

/// Sets the options of a live bind, given any descriptor on its root. To become read-only while a file is open for
/// writing through it is EBUSY.
pub fn set_options(mount: impl AsFd, options: BindOptions) -> Result<(), SysError> {
    match set_attributes(mount.as_fd(), options) {
        Err(error) if error.errno() == Errno::NOSYS => remount(mount.as_fd(), options),
        other => other,
    }
}

fn set_attributes(mount: BorrowedFd<'_>, options: BindOptions) -> Result<(), SysError> {
    let (mut set, mut clear) = (0, 0);
    for (on, bit, ..) in pairs(options) {
        *(if on { &mut set } else { &mut clear }) |= bit;
    }
    set_bits(mount, set, clear).map_err(|errno| {
        let call =
            Call::MountSetattr { fd: FdName::of(mount), set: names(options, true), clear: names(options, false) };
        SysError::new(call, errno)
    })
}

#[allow(unsafe_code, reason = "rustix has no mount_setattr")]
fn set_bits(mount: BorrowedFd<'_>, set: u64, clear: u64) -> Result<(), Errno> {
    /// `struct mount_attr`, linux/mount.h.
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        userns_fd: u64,
    }
    // The same number on every architecture but Alpha; libc does not have it for all of them.
    const SYS_MOUNT_SETATTR: libc::c_long = 442;
    let attributes = Attributes { set, clear, ..Attributes::default() };
    // SAFETY: the path is an empty C string, `attributes` has the size that is given, and both outlive the call.
    let answer = super::raw(unsafe {
        libc::syscall(
            SYS_MOUNT_SETATTR,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    });
    answer.map(drop)
}

/// A private copy of the mount that a directory lies on, at that directory and without what is mounted in it: read-only, without
/// set-user-id bits, devices or programs, and (since Linux 5.14) without links that lead anywhere. Nobody sees it but who holds the
/// descriptor, and it vanishes with that.
///
/// ENOSYS before Linux 5.2. Before 5.12 it is as writable as the mount that was copied.
pub(crate) fn private_view(dir: impl AsFd) -> Result<OwnedFd, SysError> {
    /// MOUNT_ATTR_NOSYMFOLLOW, linux/mount.h.
    const NOSYMFOLLOW: u64 = 0x0020_0000;
    let dir = dir.as_fd();
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let view = rustix::mount::open_tree(dir, "", flags)
        .map_err(|errno| SysError::new(Call::OpenTree { source: FdName::of(dir) }, errno))?;
    let closed = BindOptions { ro: true, nosuid: true, nodev: true, noexec: true };
    let bits = pairs(closed).iter().fold(0, |bits, pair| bits | pair.1);
    let set = match set_bits(view.as_fd(), bits | NOSYMFOLLOW, 0) {
        Err(Errno::INVAL) => set_bits(view.as_fd(), bits, 0),
        other => other,
    };
    match set {
        Ok(()) | Err(Errno::NOSYS) => Ok(view),
        Err(errno) => {
            let call =
                Call::MountSetattr { fd: FdName::of(view.as_fd()), set: names(closed, true), clear: String::new() };
            Err(SysError::new(call, errno))
        }
    }
}

/// Before Linux 5.12: the whole set of flags is replaced, so those that are not ours are read first and kept.
fn remount(mount: BorrowedFd<'_>, options: BindOptions) -> Result<(), SysError> {
    // Flags of statvfs(3) that are not among ours, and mount(2)'s words for them.
    const KEPT: [(u64, MountFlags); 4] = [
        (0x0400, MountFlags::NOATIME),
        (0x0800, MountFlags::NODIRATIME),
        (0x1000, MountFlags::RELATIME),
        (0x2000, MountFlags::from_bits_retain(256)), // MS_NOSYMFOLLOW, Linux 5.10
    ];
    let path = fd::proc_path(mount);
    let failed =
        |errno| SysError::new(Call::MountRemount { fd: FdName::of(mount), flags: names(options, true) }, errno);
    let now = rustix::fs::statvfs(&path).map_err(failed)?.f_flag.bits();
    let mut flags = MountFlags::BIND;
    for (bit, flag) in KEPT {
        flags.set(flag, now & bit != 0);
    }
    if !flags.intersects(MountFlags::NOATIME | MountFlags::RELATIME) {
        flags |= MountFlags::STRICTATIME;
    }
    for (on, _, flag, _) in pairs(options) {
        flags.set(flag, on);
    }
    rustix::mount::mount_remount(&path, flags, "").map_err(failed)
}

/// What became of an unmount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Unmount {
    /// The topmost mount is gone.
    Done,
    /// Somebody uses it, or something is mounted below it: see [`holders`](crate::holders).
    Busy,
    /// Nothing is mounted there.
    NotMounted,
}

/// Unmounts the topmost mount at an entry (umount2(2)), following no link, never lazily.
pub fn unmount(at: Entry<'_>) -> Result<Unmount, SysError> {
    let failed = |errno| {
        let (dir, name) = at.shown();
        SysError::new(Call::Umount2 { dir, name }, errno)
    };
    match rustix::mount::unmount(at.proc_path(), UnmountFlags::NOFOLLOW) {
        Ok(()) => Ok(Unmount::Done),
        Err(Errno::BUSY) => Ok(Unmount::Busy),
        // Also what a mount that belongs to another user namespace answers.
        Err(Errno::INVAL) if !super::stat::facts(at)?.mount_root => Ok(Unmount::NotMounted),
        Err(errno) => Err(failed(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Root;
    use crate::root::Place;
    use crate::sys::statmount::{self, Answer, Mounted};
    use crate::testing::{SYS_MOUNT_SETATTR, Sandbox, in_user_namespace, without};
    use datastore_core::AbsPath;

    const SAFE: BindOptions = BindOptions { ro: false, nosuid: true, nodev: true, noexec: false };

    /// Every kernel that takes another road: all calls, before 5.12, before 5.2, and before 5.2 without openat2 and
    /// statx.
    const KERNELS: [&[i64]; 4] = [
        &[],
        &[SYS_MOUNT_SETATTR],
        &[libc::SYS_open_tree, libc::SYS_move_mount, SYS_MOUNT_SETATTR],
        &[libc::SYS_open_tree, libc::SYS_move_mount, SYS_MOUNT_SETATTR, libc::SYS_openat2, libc::SYS_statx],
    ];

    fn path(text: &'static str) -> AbsPath {
        AbsPath::literal(text)
    }

    fn bind_at(
        root: &Root,
        source: &'static str,
        on: &'static str,
        options: BindOptions,
    ) -> Result<OwnedFd, BindError> {
        let place = root.place(&path(on)).unwrap();
        let source = root.open_dir(&path(source)).unwrap();
        bind(source, root.open_dir(&path(on)).unwrap(), place.entry(), options)
    }

    fn mounted(place: &Place) -> Mounted {
        match statmount::at(place.entry()).unwrap() {
            Answer::Mount(mounted) => mounted,
            other => panic!("{other:?}"),
        }
    }

    fn on_every_kernel(body: impl Fn(&Sandbox, &Root) + Sync) {
        for missing in KERNELS {
            Sandbox::run(|sandbox| {
                sandbox.dirs(&["store/mysql", "var/lib/mysql"]);
                sandbox.file("store/mysql/data", "old");
                without(missing, || body(sandbox, &sandbox.root()));
            });
        }
    }

    #[test]
    fn a_bind_has_the_options_asked_for_and_goes_away() {
        on_every_kernel(|sandbox, root| {
            let (ro, noexec) = (true, true);
            for options in [SAFE, BindOptions::default(), BindOptions { ro, noexec, ..SAFE }] {
                let mount = bind_at(root, "/store/mysql", "/var/lib/mysql", options).unwrap();
                let inside = sandbox.dir().join("var/lib/mysql");
                assert_eq!(std::fs::read_to_string(inside.join("data")).unwrap(), "old");
                assert_eq!(std::fs::write(inside.join("new"), "x").is_err(), options.ro);
                let place = root.place(&path("/var/lib/mysql")).unwrap();
                // As mountinfo has it, which needs no new calls.
                let table = String::from_utf8(crate::sys::proc::mountinfo().unwrap()).unwrap();
                let line = table.lines().find(|l| l.contains(&format!("{} ", inside.display()))).unwrap().to_owned();
                let words: Vec<&str> = line.split(' ').collect();
                assert_eq!(words[3], "/store/mysql");
                for (on, _, _, name) in pairs(options) {
                    let name = if on || name != "ro" { name } else { "rw" };
                    assert_eq!(words[5].split(',').any(|o| o == name), on || name == "rw", "{name}: {line}");
                }
                assert!(words[5].contains("relatime"), "kept from the source: {line}");
                assert_eq!(unmount(place.entry()).unwrap(), Unmount::Busy, "our own descriptor is on it");
                drop(mount);
                assert_eq!(unmount(place.entry()).unwrap(), Unmount::Done);
                assert_eq!(unmount(place.entry()).unwrap(), Unmount::NotMounted);
                assert!(std::fs::read_dir(&inside).unwrap().next().is_none());
            }
        });
    }

    #[test]
    fn options_of_a_live_bind_change() {
        on_every_kernel(|sandbox, root| {
            let mount = bind_at(root, "/store/mysql", "/var/lib/mysql", SAFE).unwrap();
            let inside = sandbox.dir().join("var/lib/mysql/data");
            let writer = std::fs::OpenOptions::new().write(true).open(&inside).unwrap();
            let read_only = BindOptions { ro: true, ..SAFE };
            assert_eq!(set_options(&mount, read_only).unwrap_err().errno(), Errno::BUSY, "somebody is writing");
            drop(writer);
            set_options(&mount, read_only).unwrap();
            assert!(std::fs::write(&inside, "x").is_err());
            assert!(std::fs::write(sandbox.dir().join("store/mysql/data"), "x").is_ok(), "only this mount");
            set_options(&mount, SAFE).unwrap();
            std::fs::write(&inside, "x").unwrap();
        });
    }

    #[test]
    fn an_existing_atime_option_is_kept() {
        on_every_kernel(|sandbox, root| {
            let tmpfs = sandbox.dir().join("noatime");
            std::fs::create_dir(&tmpfs).unwrap();
            rustix::mount::mount("tmpfs", &tmpfs, "tmpfs", MountFlags::NOATIME | MountFlags::NODIRATIME, None).unwrap();
            let mount = bind_at(root, "/noatime", "/var/lib/mysql", SAFE).unwrap();
            let flags = rustix::fs::statvfs(fd::proc_path(mount.as_fd())).unwrap().f_flag.bits();
            assert_eq!(flags & 0x1c06, 0x0c06, "noatime, nodiratime, nosuid, nodev, but not relatime: {flags:#x}");
        });
    }

    #[test]
    fn what_is_mounted_below_the_source_stays_behind() {
        on_every_kernel(|sandbox, root| {
            sandbox.dirs(&["store/mysql/inner"]);
            let inner = sandbox.dir().join("store/mysql/inner");
            rustix::mount::mount("tmpfs", &inner, "tmpfs", MountFlags::empty(), None).unwrap();
            std::fs::write(inner.join("deep"), "").unwrap();
            let _mount = bind_at(root, "/store/mysql", "/var/lib/mysql", SAFE).unwrap();
            assert!(!sandbox.dir().join("var/lib/mysql/inner/deep").exists());
        });
    }

    #[test]
    fn a_mount_in_use_is_busy() {
        on_every_kernel(|sandbox, root| {
            drop(bind_at(root, "/store/mysql", "/var/lib/mysql", SAFE).unwrap());
            let place = root.place(&path("/var/lib/mysql")).unwrap();
            let open = std::fs::File::open(sandbox.dir().join("var/lib/mysql/data")).unwrap();
            assert_eq!(unmount(place.entry()).unwrap(), Unmount::Busy);
            drop(open);
            assert_eq!(unmount(place.entry()).unwrap(), Unmount::Done);
        });
    }

    #[test]
    fn a_link_is_not_unmounted_through() {
        on_every_kernel(|sandbox, root| {
            drop(bind_at(root, "/store/mysql", "/var/lib/mysql", SAFE).unwrap());
            std::os::unix::fs::symlink("lib/mysql", sandbox.dir().join("var/link")).unwrap();
            let place = root.place(&path("/var/link")).unwrap();
            assert_eq!(unmount(place.entry()).unwrap(), Unmount::NotMounted);
            assert!(sandbox.dir().join("var/lib/mysql/data").exists());
        });
    }

    #[test]
    fn a_bind_that_cannot_have_its_options_is_taken_away() {
        Sandbox::run(|sandbox| {
            sandbox.dirs(&["store/mysql", "var/lib/mysql"]);
            let root = sandbox.root();
            // Neither way to set options: mount(2) is missing too.
            let error = without(&[SYS_MOUNT_SETATTR, libc::SYS_mount], || {
                bind_at(&root, "/store/mysql", "/var/lib/mysql", SAFE).unwrap_err()
            });
            assert_eq!(error.cause.errno(), Errno::NOSYS);
            assert!(error.left_behind.is_none(), "{error:?}");
            assert!(!root.stat(&path("/var/lib/mysql")).unwrap().mount_root);
            // And if it cannot be taken away either, the error says that it is still there.
            let error = without(&[SYS_MOUNT_SETATTR, libc::SYS_mount, libc::SYS_umount2], || {
                bind_at(&root, "/store/mysql", "/var/lib/mysql", SAFE).unwrap_err()
            });
            assert!(error.left_behind.is_some() && error.to_string().contains("still there"), "{error}");
            assert!(root.stat(&path("/var/lib/mysql")).unwrap().mount_root);
        });
    }

    #[test]
    fn statmount_tells_what_is_there() {
        Sandbox::run(|sandbox| {
            sandbox.ext4("store");
            sandbox.dirs(&["store/live/a b", "home"]);
            let root = sandbox.root();
            let place = root.place(&path("/home")).unwrap();
            assert_eq!(statmount::at(place.entry()).unwrap(), Answer::NotAMountPoint);
            let before = statmount::containing(place.entry()).unwrap().unwrap();
            assert_eq!((before.fs_type.as_str(), before.root.as_slice()), ("tmpfs", b"/".as_slice()));
            let options = BindOptions { ro: true, ..SAFE };
            let mount = bind_at(&root, "/store/live/a b", "/home", options).unwrap();
            let told = mounted(&place);
            let facts = root.stat(&path("/home")).unwrap();
            assert_eq!((told.dev, Some(told.mnt_id)), (facts.dev, facts.mnt_id));
            assert_eq!(Some(told.parent_id), root.stat(&AbsPath::root()).unwrap().mnt_id);
            assert_eq!((told.fs_type.as_str(), told.root.as_slice()), ("ext4", b"/live/a b".as_slice()));
            assert_eq!(told.mount_point, root.outside(&path("/home")).unwrap().as_bytes());
            assert!(told.read_only && told.nosuid && told.nodev && !told.noexec && !told.fs_read_only);
            assert_eq!(statmount::at(Entry::itself(&mount)).unwrap(), Answer::Mount(told));
            for missing in [crate::testing::SYS_STATMOUNT, libc::SYS_statx] {
                let answer = without(&[missing], || statmount::at(place.entry()).unwrap());
                assert_eq!(answer, Answer::Unavailable);
            }
        });
    }

    #[test]
    fn a_very_long_mount_point_is_told_whole() {
        Sandbox::run(|sandbox| {
            let long: String = (0..14).map(|n| format!("/{}", char::from(b'a' + n).to_string().repeat(250))).collect();
            sandbox.dirs(&[&long[1..], "source"]);
            let root = sandbox.root();
            let on = AbsPath::parse(&long).unwrap();
            let place = root.place(&on).unwrap();
            let source = root.open_dir(&path("/source")).unwrap();
            bind(source, root.open_dir(&on).unwrap(), place.entry(), SAFE).unwrap();
            assert_eq!(mounted(&place).mount_point, root.outside(&on).unwrap().as_bytes());
        });
    }

    #[test]
    fn binds_work_in_a_user_namespace_and_locked_options_are_reported() {
        in_user_namespace(
            "sys::mount::tests::binds_work_in_a_user_namespace_and_locked_options_are_reported",
            |sandbox| {
                for missing in KERNELS {
                    without(missing, || {
                        sandbox.dirs(&["store/mysql", "var/lib/mysql"]);
                        let root = sandbox.root();
                        drop(bind_at(&root, "/store/mysql", "/var/lib/mysql", SAFE).unwrap());
                        let place = root.place(&path("/var/lib/mysql")).unwrap();
                        assert_eq!(unmount(place.entry()).unwrap(), Unmount::Done);
                    });
                }
                // A mount that came from outside with nosuid: only adding is allowed.
                sandbox.dirs(&["point"]);
                let locked =
                    rustix::fs::open(crate::testing::outside(), OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
                let nothing = BindOptions::default();
                let root = sandbox.root();
                let place = root.place(&path("/point")).unwrap();
                for missing in KERNELS {
                    without(missing, || {
                        let on = root.open_dir(&path("/point")).unwrap();
                        let error = bind(&locked, &on, place.entry(), nothing).unwrap_err();
                        assert_eq!(error.cause.errno(), Errno::PERM, "{error:?}");
                        assert!(error.left_behind.is_none(), "{error:?}");
                        let error = Error::from(error);
                        assert_eq!(error.kind(), datastore_core::ErrorKind::Privilege);
                        assert!(error.chain().contains("set the mount options of"), "{}", error.chain());
                        let more = BindOptions { ro: true, nosuid: true, nodev: true, noexec: true };
                        drop(bind(&locked, &on, place.entry(), more).expect("adding is allowed"));
                        assert_eq!(unmount(place.entry()).unwrap(), Unmount::Done);
                    });
                }
            },
        );
    }
}
