//! Programs in a sandbox: a hook sees the root that is given as `/`, so its interpreter must be there.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::MountFlags;

use crate::Sandbox;

/// What [`Sandbox::programs`] puts into a root, below it: the machine's, so that nobody need look whether it has changed.
pub const PROGRAMS: &[&str] = &["dev", "proc", "usr/bin", "usr/lib", "usr/lib64", "usr/sbin"];

/// A directory of the root with those above it, whatever the umask.
fn directory(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut full = root.to_path_buf();
    for name in path.strip_prefix("/").unwrap_or(path) {
        full.push(name);
        if !full.exists() {
            fs::create_dir(&full)?;
            fs::set_permissions(&full, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(full)
}

/// The hooks that are shipped.
const HOOKS: [&str; 2] = ["fill-web-root", "migrate-files"];

/// Puts the machine's programs and libraries (read-only), `/proc` and `/dev/null` into a root that has none. `/usr/lib` stays the
/// root's own. Only in a mount namespace of one's own; it may be that of a user namespace.
///
/// # Errors
/// The machine has no merged `/usr`, or the kernel refuses.
pub fn bind_into(root: &Path) -> io::Result<()> {
    let directory = |path: &Path| directory(root, path);
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), root.join(name))?;
    }
    directory(Path::new("/usr/lib"))?;
    let libraries = fs::read_dir("/usr/lib")?.collect::<io::Result<Vec<_>>>()?;
    let arch = libraries.iter().map(fs::DirEntry::path).filter(|path| path.to_string_lossy().contains("-linux-gnu"));
    for from in ["/usr/bin", "/usr/sbin", "/usr/lib64"].map(PathBuf::from).into_iter().chain(arch) {
        if from.is_dir() {
            let to = directory(&from)?;
            rustix::mount::mount_bind(&from, &to)?;
            rustix::mount::mount_remount(&to, MountFlags::BIND | MountFlags::RDONLY, c"")?;
        }
    }
    let proc = directory(Path::new("/proc"))?;
    match rustix::mount::mount("proc", &proc, "proc", MountFlags::empty(), None) {
        // In a user namespace whose processes are numbered by another one.
        Err(rustix::io::Errno::PERM) => rustix::mount::mount_bind_recursive("/proc", &proc)?,
        other => other?,
    }
    let null = directory(Path::new("/dev"))?.join("null");
    fs::write(&null, "")?;
    Ok(rustix::mount::mount_bind("/dev/null", &null)?)
}

/// Puts the hooks that are shipped where a package puts them.
///
/// # Errors
/// They cannot be read, or not be written.
pub fn hooks_into(root: &Path) -> io::Result<()> {
    let from = crate::repository("packaging/hooks");
    let to = directory(root, Path::new("/usr/lib/datastore/hooks"))?;
    for name in HOOKS {
        fs::copy(from.join(name), to.join(name))?;
        fs::set_permissions(to.join(name), fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

impl Sandbox {
    /// Puts the machine's programs into the root: [`bind_into`].
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn programs(&self) {
        bind_into(self.root()).unwrap_or_else(|e| panic!("the machine's programs in the sandbox: {e}"));
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

    /// Puts the hooks that are shipped into the root: [`hooks_into`].
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn shipped_hooks(&self) {
        hooks_into(self.root()).unwrap_or_else(|e| panic!("the hooks in the sandbox: {e}"));
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
