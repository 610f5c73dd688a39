//! For the tests of this crate: a mount namespace of one's own, and a kernel that lacks some calls.
//!
//! Nothing is skipped quietly: where a namespace cannot be had, the test fails and says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::UnshareFlags;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::Root;

/// statmount(2) and mount_setattr(2), which libc does not name on every platform.
pub(crate) const SYS_STATMOUNT: i64 = 457;
pub(crate) const SYS_MOUNT_SETATTR: i64 = 442;

/// An empty tmpfs in a private mount namespace, both gone when the test ends. The thread that runs the test is in it,
/// and so are the programs that it starts.
pub(crate) struct Sandbox {
    dir: PathBuf,
}

impl Sandbox {
    /// Runs a test in a sandbox.
    pub(crate) fn run(body: impl FnOnce(&Self) + Send) {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test needs root: it mounts a tmpfs and loop devices in a namespace of its own"
        );
        let home = tempfile::Builder::new().prefix("datastore-test-").tempdir().unwrap();
        let dir = home.path().to_owned();
        let thread = |sandbox: &Self| {
            enter_namespace();
            rustix::mount::mount("tmpfs", &sandbox.dir, "tmpfs", MountFlags::empty(), c"mode=0755")
                .expect("a tmpfs for the test");
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(sandbox)));
            sandbox.unmount_all();
            outcome
        };
        let sandbox = Self { dir };
        let outcome = std::thread::scope(|scope| scope.spawn(|| thread(&sandbox)).join()).flatten();
        home.close().expect("the test's directory is empty again");
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }

    /// Takes every mount of the test off, the last one first. Where that is left to the end of the namespace, some kernels keep a loop
    /// device now and then.
    fn unmount_all(&self) {
        let below = |line: &str| {
            let point = line.split(' ').nth(4).map(PathBuf::from)?;
            point.starts_with(&self.dir).then_some(point)
        };
        let table = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
        let points: Vec<PathBuf> = table.lines().filter_map(below).collect();
        for point in points.iter().rev() {
            let _ = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH);
        }
    }

    /// Where the tmpfs is.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A root on the tmpfs.
    pub(crate) fn root(&self) -> Root {
        Root::open(&self.dir).unwrap()
    }

    /// Makes directories below the tmpfs, and their parents.
    pub(crate) fn dirs(&self, paths: &[&str]) {
        for path in paths {
            std::fs::create_dir_all(self.dir.join(path)).unwrap();
        }
    }

    /// A file below the tmpfs.
    pub(crate) fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// An ext4 file system in an image, mounted on a directory below the tmpfs.
    pub(crate) fn ext4(&self, path: &str) -> PathBuf {
        self.disk(path, "ext4", 16, &[])
    }

    /// A file system of some kind and so many MiB in an image, mounted on a directory below the tmpfs, `noatime`.
    pub(crate) fn disk(&self, path: &str, fstype: &str, mib: u64, options: &[&str]) -> PathBuf {
        let image = self.dir.join(format!("{}.img", path.replace('/', "-")));
        std::fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
        let point = self.dir.join(path);
        std::fs::create_dir_all(&point).unwrap();
        // Small ext4 file systems would have blocks too small for many attributes.
        let usual: &[&str] = match fstype {
            "ext4" if mib > 16 => &["-F", "-b", "4096"],
            "ext4" => &["-F"],
            _ => &["-f"],
        };
        succeeds(Command::new(format!("mkfs.{fstype}")).arg("-q").args(usual).args(options).arg(&image));
        succeeds(Command::new("mount").args(["-o", "loop,noatime"]).args([&image, &point]));
        point
    }
}

/// Runs a program and fails the test with what it printed, if it fails.
pub(crate) fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out.into_owned()
}

#[allow(unsafe_code, reason = "a mount namespace for one thread of a test")]
fn enter_namespace() {
    // SAFETY: a new mount namespace takes along a new root and working directory of this thread (unshare(2)); neither
    // breaks what other threads rely on. Open files stay shared.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.expect("a mount namespace for the test");
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).expect("a private mount namespace for the test");
}

/// Runs a part of a test in a thread for which the kernel does not have these system calls: they answer ENOSYS.
pub(crate) fn without<T: Send>(calls: &[i64], body: impl FnOnce() -> T + Send) -> T {
    // rustix remembers for the whole process whether statx is there: it must not learn that from a filtered thread.
    let _ = rustix::fs::statx(rustix::fs::CWD, "/", rustix::fs::AtFlags::empty(), rustix::fs::StatxFlags::BASIC_STATS);
    let outcome = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                if !calls.is_empty() {
                    let rules: BTreeMap<i64, _> = calls.iter().map(|&call| (call, Vec::new())).collect();
                    let missing = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
                    let arch = std::env::consts::ARCH.try_into().unwrap();
                    let filter = SeccompFilter::new(rules, SeccompAction::Allow, missing, arch).unwrap();
                    let program: BpfProgram = filter.try_into().unwrap();
                    seccompiler::apply_filter(&program).expect("a seccomp filter for the test");
                }
                body()
            })
            .join()
    });
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs a test as root of a new user namespace: the test program starts itself again there, with this test alone.
///
/// `name` is the test's full path as the harness prints it. From outside comes a tmpfs ([`outside`]) that is mounted
/// `nosuid,nodev,noexec`, options which the namespace cannot take away.
pub(crate) fn in_user_namespace(name: &str, body: impl FnOnce(&Sandbox) + Send) {
    const MARK: &str = "DATASTORE_TEST_USER_NAMESPACE";
    if std::env::var_os(MARK).is_some() {
        return Sandbox::run(body);
    }
    Sandbox::run(|sandbox| {
        sandbox.dirs(&["outside"]);
        let outside = sandbox.dir().join("outside");
        let locked = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        rustix::mount::mount("tmpfs", &outside, "tmpfs", locked, None).unwrap();
        // The namespace's own sandbox is on the machine's temporary directory, which this one does not cover.
        let mut command = Command::new("unshare");
        command.args(["-Urm", "--"]).arg(std::env::current_exe().unwrap());
        let printed = succeeds(command.args(["--exact", name, "--nocapture"]).env(MARK, "1").env(OUTSIDE, &outside));
        assert!(printed.contains("1 passed"), "the harness found no test named {name}:\n{printed}");
    });
}

const OUTSIDE: &str = "DATASTORE_TEST_OUTSIDE";

/// In a user namespace: a mount that came from outside with `nosuid,nodev,noexec`.
pub(crate) fn outside() -> PathBuf {
    std::env::var_os(OUTSIDE).expect("only in a user namespace").into()
}

#[test]
fn a_missing_call_is_missing_in_its_thread_only() {
    let open = || {
        rustix::fs::openat2(
            rustix::fs::CWD,
            "/",
            rustix::fs::OFlags::PATH,
            rustix::fs::Mode::empty(),
            rustix::fs::ResolveFlags::empty(),
        )
    };
    assert_eq!(without(&[libc::SYS_openat2], open).unwrap_err(), rustix::io::Errno::NOSYS);
    assert!(open().is_ok());
}
