//! A scene that is set once, and then copied for each run: files, attributes and mounts, in a mount namespace of the run's own.

use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use datastore_tests::scenes::Scene;
use datastore_tests::{Sandbox, mounts, picture};
use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use crate::copy;

/// How large the file systems of a copy may become.
const BYTES: u64 = 64 << 20;

/// A scene before its command, of which any number of copies can be had.
#[derive(Debug)]
pub struct Stage {
    sandbox: Sandbox,
    /// The namespace in which it was set.
    home: OwnedFd,
    /// Its file systems as they are, whatever is mounted on them.
    originals: Vec<OwnedFd>,
    /// Its mounts, in the order in which they were made.
    mounts: Vec<Placed>,
    /// What it looks like.
    before: String,
    /// What lies about in it.
    left: Vec<String>,
}

/// A mount of the scene.
#[derive(Debug)]
struct Placed {
    what: What,
    at: PathBuf,
    options: String,
}

/// What is mounted.
#[derive(Debug)]
enum What {
    /// One of the file systems.
    Whole(usize),
    /// A directory of one of them.
    Directory(usize, PathBuf),
    /// Something of the machine's, which is the same for all copies.
    Machine,
}

impl Stage {
    /// Sets a scene, and tries that a copy of it does what it does.
    ///
    /// # Panics
    /// If it cannot be set, or cannot be copied.
    #[must_use]
    pub fn of(scene: &Scene) -> Self {
        let stage = Self::freeze(scene.set());
        // The copies must be as good as what they are copies of, or all that follows is about something else.
        let copied = stage.perform(|sandbox| picture::exact(sandbox.root()));
        picture::same(&copied, &stage.before, &format!("{}: the copy of the scene", scene.name));
        stage
    }

    /// Takes a root as it is. It must lie in memory with all that is mounted below it and may change.
    ///
    /// # Panics
    /// If its mounts cannot be seen.
    #[must_use]
    pub fn freeze(sandbox: Sandbox) -> Self {
        let home = rustix::fs::open("/proc/thread-self/ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .expect("the namespace of this thread");
        let (mut devices, mut originals, mut placed) = (Vec::new(), Vec::new(), Vec::new());
        let table = mounts::text("thread-self");
        for (line, mount) in table.lines().zip(mounts::all()) {
            if !mount.mount_point.starts_with(sandbox.root()) {
                continue;
            }
            let device = line.split(' ').nth(2).expect("a device in a line of mountinfo");
            let what = match devices.iter().position(|known| *known == device) {
                Some(known) => What::Directory(known, mount.root),
                None if mount.fs_type == "tmpfs" && mount.root == Path::new("/") => {
                    devices.push(device);
                    originals.push(clone(&mount.mount_point));
                    What::Whole(devices.len() - 1)
                }
                None => What::Machine,
            };
            placed.push(Placed { what, at: mount.mount_point, options: mount.options });
        }
        let before = picture::exact(sandbox.root());
        let left = picture::leftovers(sandbox.root());
        Self { sandbox, home, originals, mounts: placed, before, left }
    }

    /// What it looks like before the command: [`picture::exact`], the same in all copies.
    #[must_use]
    pub fn before(&self) -> &str {
        &self.before
    }

    /// Whether a copy is still as it was, journals and temporary files among it.
    #[must_use]
    pub fn is_untouched(&self, now: &str) -> bool {
        now == self.before && picture::leftovers(self.sandbox.root()) == self.left
    }

    /// Lets something happen in a copy, under the same path. The copy is gone afterwards.
    ///
    /// # Panics
    /// If the copy cannot be made, or when that which happens does.
    pub fn perform<T>(&self, act: impl FnOnce(&Sandbox) -> T) -> T {
        unshare(CloneFlags::CLONE_NEWNS).unwrap_or_else(|e| panic!("unshare(CLONE_NEWNS): {e}"));
        let came = std::panic::catch_unwind(AssertUnwindSafe(|| {
            self.copy();
            act(&self.sandbox)
        }));
        // A thread that was waited for may still be on its way out, and share the working directory with this one: then the kernel refuses.
        unshare(CloneFlags::CLONE_FS).unwrap_or_else(|e| panic!("unshare(CLONE_FS): {e}"));
        setns(self.home.as_fd(), CloneFlags::CLONE_NEWNS).unwrap_or_else(|e| panic!("back to the namespace: {e}"));
        came.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn copy(&self) {
        let root = self.sandbox.root();
        // The kernel copies mounts of the own namespace alone.
        let machines = self.mounts.iter().filter(|placed| matches!(placed.what, What::Machine));
        let mut machines: Vec<OwnedFd> = machines.rev().map(|placed| clone(&placed.at)).collect();
        // All that is mounted below goes with it; in this namespace alone.
        rustix::mount::unmount(root, UnmountFlags::DETACH).unwrap_or_else(|e| panic!("unmount the scene: {e}"));
        let mut copies: Vec<OwnedFd> = Vec::new();
        for placed in &self.mounts {
            let at = &placed.at;
            match &placed.what {
                What::Whole(of) => {
                    let options = CString::new(format!("size={BYTES},mode=0755")).expect("no NUL in the options");
                    rustix::mount::mount("datastore-test", at, "tmpfs", MountFlags::empty(), options.as_c_str())
                        .unwrap_or_else(|e| panic!("mount a tmpfs on {}: {e}", at.display()));
                    copy::tree(&self.originals[*of], at);
                    copies.push(clone(at));
                }
                What::Directory(of, directory) => {
                    let below = directory.strip_prefix("/").expect("roots of mounts are absolute");
                    bind(&copies[*of], below, at);
                    options(at, &placed.options);
                }
                What::Machine => attach(&machines.pop().expect("one for each"), at),
            }
        }
    }
}

/// A mount of what stands at a path alone, without what is mounted below, that is itself mounted nowhere.
fn clone(at: &Path) -> OwnedFd {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(rustix::fs::CWD, at, flags).unwrap_or_else(|e| panic!("clone {}: {e}", at.display()))
}

/// Binds a directory of a mount.
fn bind(of: &OwnedFd, below: &Path, at: &Path) {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = rustix::mount::open_tree(of, below, flags)
        .unwrap_or_else(|e| panic!("clone {} for {}: {e}", below.display(), at.display()));
    attach(&tree, at);
}

/// Mounts what was cloned.
fn attach(tree: &OwnedFd, at: &Path) {
    let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", rustix::fs::CWD, at, empty)
        .unwrap_or_else(|e| panic!("mount on {}: {e}", at.display()));
}

/// Gives a mount the options of mountinfo. Those of access times are the same for all.
fn options(at: &Path, options: &str) {
    let mut flags = MountFlags::BIND;
    for option in options.split(',') {
        flags |= match option {
            "ro" => MountFlags::RDONLY,
            "nosuid" => MountFlags::NOSUID,
            "nodev" => MountFlags::NODEV,
            "noexec" => MountFlags::NOEXEC,
            _ => MountFlags::empty(),
        };
    }
    rustix::mount::mount_remount(at, flags, c"").unwrap_or_else(|e| panic!("options of {}: {e}", at.display()));
}
