//! Programs in a sandbox: a hook sees the root that is given as `/`, so its interpreter must be there.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::MountFlags;

use crate::Sandbox;

/// What [`Sandbox::programs`] puts into a root, below it: the machine's, so that nobody need look whether it has changed.
pub const PROGRAMS: &[&str] = &["dev", "proc", "usr/bin", "usr/lib", "usr/lib64", "usr/sbin"];

impl Sandbox {
    /// Puts the machine's programs and libraries (read-only), `/proc` and `/dev/null` into the root. `/usr/lib` stays the root's own.
    ///
    /// # Panics
    /// If the machine has no merged `/usr`, or the kernel refuses.
    #[track_caller]
    pub fn programs(&self) {
        let bind = |from: &Path, to: &Path| {
            rustix::mount::mount_bind(from, to)
                .unwrap_or_else(|e| panic!("bind {} on {}: {e}", from.display(), to.display()));
        };
        for name in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), self.path(name)).expect("a link to the merged /usr");
        }
        self.directory("/usr/lib", 0o755);
        let libraries = fs::read_dir("/usr/lib").expect("the machine's /usr/lib");
        let libraries = libraries.map(|entry| entry.expect("an entry").path());
        let arch = libraries.filter(|path| path.to_string_lossy().contains("-linux-gnu"));
        for from in ["/usr/bin", "/usr/sbin", "/usr/lib64"].map(PathBuf::from).into_iter().chain(arch) {
            if from.is_dir() {
                bind(&from, &self.directory(&from, 0o755));
                self.read_only(&from);
            }
        }
        let proc = self.directory("/proc", 0o755);
        rustix::mount::mount("proc", &proc, "proc", MountFlags::empty(), None).expect("a procfs for the root");
        self.directory("/dev", 0o755);
        bind(Path::new("/dev/null"), &self.write("/dev/null", ""));
    }

    /// Makes a bind of the sandbox read-only.
    ///
    /// # Panics
    /// If the kernel refuses.
    #[track_caller]
    pub fn read_only(&self, mount_point: impl AsRef<Path>) {
        let full = self.path(mount_point);
        rustix::mount::mount_remount(&full, MountFlags::BIND | MountFlags::RDONLY, c"")
            .unwrap_or_else(|e| panic!("make {} read-only: {e}", full.display()));
    }

    /// Puts the hooks that are shipped where a package puts them.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn shipped_hooks(&self) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/hooks");
        for dir in ["/usr/lib/datastore", "/usr/lib/datastore/hooks"] {
            self.directory(dir, 0o755);
        }
        for name in ["fill-web-root", "migrate-files"] {
            let text = fs::read(from.join(name)).unwrap_or_else(|e| panic!("read packaging/hooks/{name}: {e}"));
            let meta = fs::metadata(from.join(name)).expect("stat what was just read");
            assert_eq!(meta.permissions().mode() & 0o777, 0o755, "{name}");
            let hook = self.write(format!("/usr/lib/datastore/hooks/{name}"), text);
            fs::set_permissions(hook, meta.permissions()).expect("mode of a file just written");
        }
    }

    /// Writes a program: a shell script with these lines, mode 0755.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn script(&self, path: &str, lines: &str) -> PathBuf {
        let full = self.write(path, format!("#!/bin/sh\n{lines}\n"));
        fs::set_permissions(&full, fs::Permissions::from_mode(0o755)).expect("mode of a script");
        full
    }
}
