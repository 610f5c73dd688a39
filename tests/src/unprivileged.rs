//! Commands of a user without privilege, in a user namespace where it is root.

use std::borrow::BorrowMut;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::Run;
use crate::sandbox::{Sandbox, plain_command};
use crate::{binary, skeleton};

/// The numeric id of `nobody` on Debian and of `nfsnobody` elsewhere, for user and group.
const NOBODY: u32 = 65_534;

/// The user `nobody` with a root directory of its own, and one user and mount namespace that lasts as long as this
/// value: what one command mounts, the next one sees, and nobody else ever. Inside, `nobody` is root, with all the
/// powers of root over mounts and none over the machine.
#[derive(Debug)]
pub struct Unprivileged {
    // Removes the directory; also the witness that the test runs as root. Dropped after the holder.
    sandbox: Sandbox,
    root: PathBuf,
    holder: Child,
}

impl Default for Unprivileged {
    fn default() -> Self {
        Self::new()
    }
}

impl Unprivileged {
    /// Starts a process of `nobody` in new namespaces, and makes a root that it owns, with what [`skeleton`] lists.
    ///
    /// # Panics
    /// If the caller is not root, or the kernel allows no user namespace. A test that cannot run must not pass.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        let sandbox = Sandbox::new();
        let root = sandbox.directory("nobody", 0o755);
        for (path, mode) in skeleton::DIRECTORIES {
            sandbox.directory(Path::new("nobody").join(path), *mode);
        }
        for (path, text) in skeleton::FILES {
            sandbox.write(Path::new("nobody").join(path), text);
        }
        give_away(&root);
        // The build may lie where nobody cannot go.
        let programs = sandbox.directory("programs", 0o755);
        let cli = binary::profile_dir().join("datastore");
        if cli.is_file() {
            let copy = programs.join("datastore");
            // By cp(1): while this process had it open for writing, a child of another thread's could keep it so (ETXTBSY).
            sandbox.run(plain_command("cp").arg(&cli).arg(&copy)).ok();
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("mode of a copied program");
        }
        let id = NOBODY.to_string();
        // Ends when its standard input does, so it cannot outlive the test.
        let holder = plain_command("setpriv")
            .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
            .args(["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start setpriv: {e}"));
        let mut this = Self { sandbox, root, holder };
        this.wait_for_namespace();
        this
    }

    /// Waits until the holder runs `cat`, which is after its namespaces are made.
    fn wait_for_namespace(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let name = format!("/proc/{}/comm", self.holder.id());
        while fs::read_to_string(&name).is_ok_and(|name| name.trim() != "cat") {
            if let Ok(Some(status)) = self.holder.try_wait() {
                panic!("no user namespace for nobody: `unshare --user` ended with {status}");
            }
            assert!(Instant::now() < deadline, "no user namespace for nobody after 10 s");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The root that nobody owns, as the machine sees it.
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

    /// Writes a file that nobody owns, mode 0644. Missing directories above it are made.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = path.as_ref();
        let full = self.sandbox.write(Path::new("nobody").join(path.strip_prefix("/").unwrap_or(path)), text);
        give_away(&self.root);
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

    /// A command in the namespaces.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = plain_command("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--user", "--mount", "--"]).arg(program);
        command
    }

    /// Runs a command, or what its builder methods return, to its end. (A failure's mount table is the test's own, not that of the namespace.)
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn run(&self, mut command: impl BorrowMut<Command>) -> Run {
        Run::new(command.borrow_mut(), &self.root)
    }

    /// Runs `datastore --root ROOT ARGUMENT...` in the namespaces.
    ///
    /// # Panics
    /// If the command is not built.
    #[track_caller]
    pub fn datastore<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        // Panics with the command that builds it.
        let _built = binary::datastore();
        let mut command = self.command(self.sandbox.path("programs/datastore"));
        self.run(command.arg("--root").arg(&self.root).args(args))
    }

    /// Runs `datastore --root ROOT ARGUMENT...` as plain `nobody`, outside the namespaces: no power over anything.
    ///
    /// # Panics
    /// If the command is not built.
    #[track_caller]
    pub fn datastore_outside<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        let _built = binary::datastore();
        let id = NOBODY.to_string();
        let mut command = plain_command("setpriv");
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]);
        self.run(command.arg(self.sandbox.path("programs/datastore")).arg("--root").arg(&self.root).args(args))
    }
}

impl Drop for Unprivileged {
    fn drop(&mut self) {
        // With its input closed `cat` ends, and with it the namespaces; then the sandbox can remove the directory.
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// Gives a tree to nobody. The sandbox made it; there is no link in it to follow.
fn give_away(dir: &Path) {
    let hand = |path: &Path| {
        rustix::fs::chownat(
            rustix::fs::CWD,
            path,
            Some(rustix::fs::Uid::from_raw(NOBODY)),
            Some(rustix::fs::Gid::from_raw(NOBODY)),
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap_or_else(|e| panic!("give {} to nobody: {e}", path.display()));
    };
    hand(dir);
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("read {}: {e}", dir.display())) {
        let path = entry.expect("an entry of a directory").path();
        if path.symlink_metadata().is_ok_and(|m| m.is_dir()) {
            give_away(&path);
        } else {
            hand(&path);
        }
    }
}
