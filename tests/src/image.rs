//! Disks for tests: sparse files with a file system in them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Run, Sandbox};

/// The smallest size at which mkfs.xfs makes a file system (xfsprogs 5.19 and later), in bytes.
pub const XFS_MINIMUM: u64 = 300 << 20;

/// Makes a sparse file of this many bytes, with a file system of this type and label (ext4, xfs or btrfs) if one is
/// named. Nothing is attached: `mount -o loop` does that, and frees the loop device at the last unmount.
///
/// # Panics
/// If the file exists, or mkfs refuses (the sizes that it wants: xfs [`XFS_MINIMUM`], btrfs 110 MiB).
pub fn make(path: &Path, bytes: u64, format: Option<(&str, &str)>) {
    let file = File::create_new(path).unwrap_or_else(|e| panic!("create {}: {e}", path.display()));
    file.set_len(bytes).unwrap_or_else(|e| panic!("make {} {bytes} bytes long: {e}", path.display()));
    drop(file);
    let Some((fs_type, label)) = format else { return };
    let mut command = Command::new(format!("mkfs.{fs_type}"));
    match fs_type {
        "ext4" => command.args(["-q", "-F", "-L", label]),
        "xfs" | "btrfs" => command.args(["-q", "-f", "-L", label]),
        other => panic!("no test makes a file system of type {other:?}"),
    };
    Run::new(command.arg(path), path.parent().expect("an image lies in a directory")).ok();
}

/// Makes a sparse file of this many bytes with an ext4 file system that holds a copy of a directory, with owners and extended attributes. Its
/// label is `root`.
///
/// # Panics
/// As [`make`].
pub fn of_directory(path: &Path, bytes: u64, directory: &Path) {
    make(path, bytes, None);
    let mut command = Command::new("mkfs.ext4");
    command.args(["-q", "-F", "-L", "root", "-d"]).arg(directory).arg(path);
    Run::new(&mut command, path.parent().expect("an image lies in a directory")).ok();
}

/// A block device that shows an image, freed at the end of the test.
#[derive(Debug)]
pub struct Loop {
    /// Its path.
    pub device: PathBuf,
}

impl Loop {
    /// Attaches one, with these options of losetup(8).
    ///
    /// # Panics
    /// If losetup refuses.
    #[must_use]
    #[track_caller]
    pub fn new(sandbox: &Sandbox, image: &Path, options: &[&str]) -> Self {
        let run = sandbox.run(sandbox.command("losetup").args(["--find", "--show"]).args(options).arg(image)).ok();
        Self { device: PathBuf::from(run.stdout.trim()) }
    }

    /// Its path as text.
    ///
    /// # Panics
    /// Never: losetup names no other.
    #[must_use]
    pub fn path(&self) -> &str {
        self.device.to_str().expect("a plain name")
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // While it is mounted somewhere the kernel frees it at the last unmount.
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
    }
}
