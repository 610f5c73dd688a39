//! A mount namespace and a root directory for one test.

use std::borrow::BorrowMut;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{IFlags, Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use crate::command::Run;
use crate::mounts::{self, Mount};
use crate::{binary, image, skeleton};

/// The environment variable that names calls which [`Sandbox::datastore`] must do without (see `nosys.rs`).
const WITHOUT: &str = "DATASTORE_TEST_WITHOUT";

/// A root directory in which one test may do anything, in a mount namespace that belongs to the test's thread (and to
/// the processes that it starts) alone: no mount of it is seen by the machine or by another test, and all vanish
/// with the thread. Dropping it unmounts what is mounted in the root and removes the root, never a file beyond.
///
/// It stays in its thread (`!Send`), because another thread would be in another namespace.
#[derive(Debug)]
pub struct Sandbox {
    root: PathBuf,
    /// What commands read from standard input.
    input: RefCell<Vec<u8>>,
    _stays_in_its_thread: PhantomData<*const ()>,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Sandbox {
    /// Moves the calling thread into a namespace of its own and makes a root with what [`skeleton`] lists.
    ///
    /// # Panics
    /// If the caller is not root, or the kernel refuses. A test that cannot run must not pass.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        let sandbox = Self::bare();
        sandbox.furnish();
        sandbox
    }

    /// The same with the root in memory (a tmpfs): quick where a test makes hundreds of roots and the disk is not the point.
    ///
    /// # Panics
    /// As [`Sandbox::new`].
    #[must_use]
    #[track_caller]
    pub fn in_memory() -> Self {
        let sandbox = Self::bare();
        sandbox.tmpfs("/", 64 << 20);
        sandbox.furnish();
        sandbox
    }

    /// The same with the root on an ext4 of its own, of this many bytes (sparse), on which nothing has been deleted yet: ext4 looks
    /// long for a free inode where many were freed in the last minutes.
    ///
    /// # Panics
    /// As [`Sandbox::new`].
    #[must_use]
    #[track_caller]
    pub fn on_fresh_disk(bytes: u64) -> Self {
        let sandbox = Self::bare();
        let image = sandbox.root.with_extension("img");
        image::make(&image, bytes, Some(("ext4", "root")));
        sandbox.mount_loop(&image, "/");
        // The loop device keeps the file until it is unmounted.
        fs::remove_file(&image).expect("remove the name of an image");
        fs::remove_dir(sandbox.path("lost+found")).expect("remove lost+found of an empty file system");
        sandbox.furnish();
        sandbox
    }

    /// The same with nothing in the root yet: something is to be mounted on it, and then [`Sandbox::furnish`]ed.
    ///
    /// # Panics
    /// As [`Sandbox::new`].
    #[must_use]
    #[track_caller]
    pub fn bare() -> Self {
        require_root(rustix::process::geteuid().is_root());
        unshare(CloneFlags::CLONE_NEWNS).unwrap_or_else(|e| panic!("unshare(CLONE_NEWNS): {e}"));
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).unwrap_or_else(|e| panic!("make all mounts private: {e}"));
        let sandbox = Self {
            root: fresh_directory("datastore-test-"),
            input: RefCell::default(),
            _stays_in_its_thread: PhantomData,
        };
        fs::set_permissions(&sandbox.root, fs::Permissions::from_mode(0o755)).expect("mode of the root");
        sandbox
    }

    /// Puts in what [`skeleton`] lists.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn furnish(&self) {
        for (path, mode) in skeleton::DIRECTORIES {
            self.directory(path, *mode);
        }
        for (path, text) in skeleton::FILES {
            self.write(path, text);
        }
    }

    /// The root, as the machine sees it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path of the root (`/etc/fstab` or `etc/fstab`) as the machine sees it.
    #[must_use]
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Writes a file, mode 0644 whatever the umask. Missing directories above it are made, mode 0755.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let full = self.path(&path);
        for dir in full.parent().into_iter().flat_map(Path::ancestors).collect::<Vec<_>>().into_iter().rev() {
            if dir.starts_with(&self.root) && !dir.exists() {
                self.directory(dir.strip_prefix(&self.root).expect("below the root"), 0o755);
            }
        }
        fs::write(&full, text).unwrap_or_else(|e| panic!("write {}: {e}", full.display()));
        fs::set_permissions(&full, fs::Permissions::from_mode(0o644)).expect("mode of a file just written");
        full
    }

    /// Writes `/etc/datastore.d/<app>.conf`.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn configlet(&self, app: &str, text: &str) -> PathBuf {
        self.write(format!("etc/datastore.d/{app}.conf"), text)
    }

    /// Makes a directory with exactly this mode. Its parent must be there.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn directory(&self, path: impl AsRef<Path>, mode: u32) -> PathBuf {
        let full = self.path(path);
        fs::create_dir(&full).unwrap_or_else(|e| panic!("make the directory {}: {e}", full.display()));
        fs::set_permissions(&full, fs::Permissions::from_mode(mode)).expect("mode of a directory just made");
        full
    }

    /// The text of a file.
    ///
    /// # Panics
    /// If it cannot be read or is not UTF-8.
    #[must_use]
    #[track_caller]
    pub fn read(&self, path: impl AsRef<Path>) -> String {
        let full = self.path(path);
        fs::read_to_string(&full).unwrap_or_else(|e| panic!("read {}: {e}", full.display()))
    }

    /// Whether something is there, a dangling link too.
    #[must_use]
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// Waits until something is there.
    ///
    /// # Panics
    /// If it does not come within half a minute.
    #[track_caller]
    pub fn wait_for(&self, path: impl AsRef<Path>) {
        let begun = Instant::now();
        while !self.exists(&path) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{} does not come", path.as_ref().display());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Runs `datastore --root ROOT ARGUMENT...` to its end.
    ///
    /// # Panics
    /// If the command is not built.
    #[track_caller]
    pub fn datastore<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        self.run(self.datastore_command(args))
    }

    /// The same, not yet started: to be killed half-way, run beside another, or given another environment.
    ///
    /// # Panics
    /// If the command is not built.
    #[must_use]
    #[track_caller]
    pub fn datastore_command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        // `cargo xtask test` runs all suites once more for each call that older kernels lack.
        let mut command = match std::env::var(WITHOUT) {
            Ok(calls) => self.nosys(&[calls.as_str()], binary::datastore()),
            Err(_) => self.command(binary::datastore()),
        };
        command.arg("--root").arg(&self.root).args(args);
        command
    }

    /// Whether [`Sandbox::datastore`] does without a call.
    #[must_use]
    pub fn lacks(call: &str) -> bool {
        std::env::var(WITHOUT).is_ok_and(|calls| calls.split(',').any(|lacking| lacking == call))
    }

    /// Runs `datastore --root ROOT ARGUMENT...` on a kernel without these system calls (see `nosys.rs` for the names).
    ///
    /// # Panics
    /// If the command or the helper is not built.
    #[track_caller]
    pub fn datastore_without<S: AsRef<OsStr>>(&self, calls: &[&str], args: &[S]) -> Run {
        let mut command = self.nosys(calls, binary::datastore());
        self.run(command.arg("--root").arg(&self.root).args(args))
    }

    /// A command for which these system calls answer ENOSYS.
    ///
    /// # Panics
    /// If the helper is not built.
    #[must_use]
    #[track_caller]
    pub fn nosys(&self, calls: &[&str], program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command(binary::nosys());
        command.arg(calls.join(",")).arg(program);
        command
    }

    /// A command with a small, fixed environment, in `/`.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        plain_command(program)
    }

    /// Runs a command, or what its builder methods return, to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn run(&self, mut command: impl BorrowMut<Command>) -> Run {
        Run::with_input(command.borrow_mut(), &self.root, &self.input.borrow())
    }

    /// Gives this to every command that is run from now on, as its standard input.
    pub fn feed(&self, input: impl AsRef<[u8]>) -> &Self {
        *self.input.borrow_mut() = input.as_ref().to_vec();
        self
    }

    /// What commands are given as their standard input.
    #[must_use]
    pub fn input(&self) -> Vec<u8> {
        self.input.borrow().clone()
    }

    /// A sparse file of this many bytes in the root, with a file system of this type, labelled with the file's stem.
    /// See [`image::make`].
    ///
    /// # Panics
    /// If it exists or mkfs refuses.
    #[track_caller]
    pub fn loop_image(&self, name: &str, bytes: u64, fs_type: Option<&str>) -> PathBuf {
        let path = self.path(name);
        let label = path.file_stem().and_then(OsStr::to_str).expect("an image has a name").to_owned();
        image::make(&path, bytes, fs_type.map(|fs_type| (fs_type, label.as_str())));
        path
    }

    /// Mounts an image through a loop device that the kernel frees at the last unmount. Makes the mount point if need be.
    ///
    /// # Panics
    /// If mount(8) refuses.
    #[track_caller]
    pub fn mount_loop(&self, image: &Path, mount_point: impl AsRef<Path>) {
        let full = self.path(mount_point);
        fs::create_dir_all(&full).unwrap_or_else(|e| panic!("make {}: {e}", full.display()));
        self.run(self.command("mount").args(["-o", "loop"]).arg(image).arg(&full)).ok();
    }

    /// Mounts an empty file system of this many bytes in memory. Makes the mount point if need be.
    ///
    /// # Panics
    /// If the kernel refuses.
    #[track_caller]
    pub fn tmpfs(&self, mount_point: impl AsRef<Path>, bytes: u64) {
        let full = self.path(mount_point);
        fs::create_dir_all(&full).unwrap_or_else(|e| panic!("make {}: {e}", full.display()));
        let options = std::ffi::CString::new(format!("size={bytes},mode=0755")).expect("no NUL in the options");
        rustix::mount::mount("datastore-test", &full, "tmpfs", MountFlags::empty(), options.as_c_str())
            .unwrap_or_else(|e| panic!("mount a tmpfs on {}: {e}", full.display()));
    }

    /// Binds one directory of the root on another, behind datastore's back.
    ///
    /// # Panics
    /// If the kernel refuses.
    #[track_caller]
    pub fn bind(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) {
        let (from, to) = (self.path(from), self.path(to));
        rustix::mount::mount_bind(&from, &to)
            .unwrap_or_else(|e| panic!("bind {} on {}: {e}", from.display(), to.display()));
    }

    /// Unmounts what stands topmost there, behind datastore's back.
    ///
    /// # Panics
    /// If the kernel refuses.
    #[track_caller]
    pub fn unmount(&self, mount_point: impl AsRef<Path>) {
        let full = self.path(mount_point);
        rustix::mount::unmount(&full, UnmountFlags::NOFOLLOW)
            .unwrap_or_else(|e| panic!("unmount {}: {e}", full.display()));
    }

    /// Lets NSS answer from the root's passwd and group, in this namespace: `getpwnam("mysql")` then works on any machine.
    ///
    /// # Panics
    /// If the kernel refuses.
    #[track_caller]
    pub fn bind_accounts(&self) {
        for file in ["/etc/passwd", "/etc/group"] {
            rustix::mount::mount_bind(self.path(file), file).unwrap_or_else(|e| panic!("bind over {file}: {e}"));
        }
    }

    /// The mounts in the root, in the kernel's order.
    #[must_use]
    pub fn mountinfo(&self) -> Vec<Mount> {
        mounts::below(&mounts::all(), &self.root)
    }

    /// What stands topmost on a mount point, if anything.
    #[must_use]
    pub fn bound(&self, mount_point: impl AsRef<Path>) -> Option<Mount> {
        let full = self.path(mount_point);
        // A mount is never listed before the one that it covers.
        mounts::all().into_iter().rfind(|m| m.mount_point == full)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Err(error) = clear(&self.root) {
            // A second panic while the first unwinds would abort the run and hide the first.
            if std::thread::panicking() {
                return;
            }
            panic!("the sandbox {} could not be cleared: {error}", self.root.display());
        }
    }
}

/// What [`Sandbox::new`] asks first.
#[track_caller]
fn require_root(is_root: bool) {
    assert!(
        is_root,
        "needs root: run `cargo xtask test` as root, or leave the suites on real mounts out with \
         `cargo nextest run --workspace -E 'not package(datastore-tests)'`"
    );
}

/// A new directory, mode 0700, on a disk: `$TMPDIR` or /var/tmp. (/tmp may be a tmpfs, which lacks some attributes.)
pub(crate) fn fresh_directory(prefix: &str) -> PathBuf {
    let parent = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
    let parent = parent.canonicalize().unwrap_or_else(|e| panic!("{}: {e}", parent.display()));
    tempfile::Builder::new()
        .prefix(prefix)
        .tempdir_in(&parent)
        .unwrap_or_else(|e| panic!("make a directory in {}: {e}", parent.display()))
        .keep()
}

/// A command with a small, fixed environment, in `/`.
pub(crate) fn plain_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C.UTF-8").env("RUST_BACKTRACE", "1").current_dir("/");
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    // Which bug a command has that was built with some (`datastore_core::planted`).
    command.envs(std::env::var_os("DATASTORE_PLANTED").map(|bug| ("DATASTORE_PLANTED", bug)));
    command
}

/// Unmounts everything in the root, last mounted first, then removes the root. Nothing is removed while a mount
/// remains: it may be somebody's data.
///
/// # Errors
/// What could not be unmounted or removed. The rest of the root is then left as it is.
pub fn clear(root: &Path) -> io::Result<()> {
    for mount in mounts::below(&mounts::all(), root).iter().rev() {
        rustix::mount::unmount(&mount.mount_point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
            .map_err(|e| io::Error::other(format!("unmount {}: {e}", mount.mount_point.display())))?;
    }
    let left = mounts::below(&mounts::all(), root);
    if let Some(mount) = left.first() {
        return Err(io::Error::other(format!("{} is still mounted", mount.mount_point.display())));
    }
    unseal(root)?;
    fs::remove_dir_all(root)
}

/// Takes the immutable and append-only flags off every directory and file in a tree (ioctl_iflags(2)): what has one
/// cannot be removed. Without privilege there are none, but a directory of mode 0000 keeps its own owner out. Links are
/// not followed.
fn unseal(dir: &Path) -> io::Result<()> {
    let privileged = rustix::process::geteuid().is_root();
    if privileged {
        clear_flags(dir)?;
    } else {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            unseal(&entry.path())?;
        } else if kind.is_file() && privileged {
            clear_flags(&entry.path())?;
        }
    }
    Ok(())
}

fn clear_flags(path: &Path) -> io::Result<()> {
    let fd =
        rustix::fs::open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    // A file system without such flags has nothing to take off.
    let Ok(flags) = rustix::fs::ioctl_getflags(&fd) else { return Ok(()) };
    let sealing = IFlags::IMMUTABLE | IFlags::APPEND;
    if flags.intersects(sealing) {
        rustix::fs::ioctl_setflags(&fd, flags - sealing)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "needs root: run `cargo xtask test` as root")]
    fn without_root_a_test_fails_and_says_why() {
        require_root(false);
    }
}
