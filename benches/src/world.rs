//! A root with a given number of mappings: three in the first configlet, as real apps have, one hundred in each of the others.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use datastore_tests::{Run, Sandbox, mounts};
use rustix::mount::UnmountFlags;

/// Mappings in the configlet of the app that is guarded.
const IN_FIRST: usize = 3;
/// Mappings in each other configlet.
const IN_ONE: usize = 100;
/// The size of the volume: room for the inodes of all stores.
const DISK: u64 = 2 << 30;
/// The size of the root's file system: room for the mount points, and for the volume's image.
const ROOT: u64 = 6 << 30;
/// Above all mount points.
const TOP: &str = "/srv";

/// A bind, with the paths as the machine sees them.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) store: PathBuf,
    pub(crate) mount_point: PathBuf,
}

/// The root, in a fresh mount namespace, prepared up to the first `apply`.
pub(crate) struct World {
    sandbox: Sandbox,
    datastore: PathBuf,
    size: usize,
}

impl World {
    /// Makes a root with an ext4 image as its volume, as a server has a disk of its own for its data, and the configlets.
    pub(crate) fn new(datastore: &Path, size: usize) -> Self {
        let this = Self { sandbox: Sandbox::on_fresh_disk(ROOT), datastore: datastore.to_path_buf(), size };
        this.sandbox.loop_image("disk.img", DISK, None);
        let add = ["volume", "add", "data0", "--device", "/disk.img", "--format", "ext4", "--yes"];
        Run::new(&mut this.datastore(&add), this.sandbox.root()).ok();
        let mut left = size;
        for app in 0.. {
            let here = left.min(if app == 0 { IN_FIRST } else { IN_ONE });
            if here == 0 {
                break;
            }
            left -= here;
            let mut text = format!("title = \"Load {app}\"\n");
            for number in 0..here {
                write!(
                    text,
                    "\n[mapping.\"{TOP}/a{app:03}/m{number:03}\"]\ntarget = \"%{{base}}/a{app:03}/m{number:03}\"\n\
                     permissions = \"0755\"\nowner = \"root\"\ngroup = \"root\"\n"
                )
                .expect("writing to a string");
            }
            this.sandbox.configlet(&format!("a{app:03}"), &text);
        }
        this
    }

    /// `datastore --root ROOT ARGUMENT...`
    pub(crate) fn datastore(&self, args: &[&str]) -> Command {
        let mut command = self.sandbox.command(&self.datastore);
        command.arg("--root").arg(self.sandbox.root()).args(args);
        command
    }

    /// The root, as the machine sees it.
    pub(crate) fn root(&self) -> &Path {
        self.sandbox.root()
    }

    /// Any other program, with the same small environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        self.sandbox.command(program)
    }

    /// Demands that each mount point has exactly one mount.
    pub(crate) fn expect_bound(&self, by: &str) -> Result<(), String> {
        let mut points: Vec<_> = self.mounts().into_iter().map(|m| m.mount_point).collect();
        let count = points.len();
        points.sort();
        points.dedup();
        if (count, points.len()) == (self.size, self.size) {
            return Ok(());
        }
        Err(format!(
            "after {by} there are {count} mounts on {} mount points; {} on as many were wanted",
            points.len(),
            self.size
        ))
    }

    /// Takes all binds off, newest first. The directories stay.
    pub(crate) fn unbind(&self) -> Result<(), String> {
        for mount in self.mounts().iter().rev() {
            rustix::mount::unmount(&mount.mount_point, UnmountFlags::DETACH)
                .map_err(|e| format!("unmount {}: {e}", mount.mount_point.display()))?;
        }
        Ok(())
    }

    fn mounts(&self) -> Vec<mounts::Mount> {
        mounts::below(&mounts::all(), &self.sandbox.path(TOP))
    }

    /// The binds that `apply` wrote to fstab, one for each mapping.
    pub(crate) fn pairs(&self) -> Result<Vec<Pair>, String> {
        let fstab = self.sandbox.read("/etc/fstab");
        let pairs: Vec<Pair> = bind_lines(&fstab)
            .map(|fields| Pair { store: self.sandbox.path(fields[0]), mount_point: self.sandbox.path(fields[1]) })
            .collect();
        if pairs.len() == self.size {
            return Ok(pairs);
        }
        Err(format!("fstab has {} binds below {TOP}; {} were wanted", pairs.len(), self.size))
    }

    /// The same lines with the machine's paths, as a file for `mount -a -T`: nothing but the root's path is added.
    pub(crate) fn fstab_for_mount(&self) -> Result<PathBuf, String> {
        let root = self.sandbox.root().to_str().ok_or("the root's path is not UTF-8")?;
        let fstab = self.sandbox.read("/etc/fstab");
        let mut text = String::new();
        for fields in bind_lines(&fstab) {
            let rest = fields[2..].join(" ");
            writeln!(text, "{root}{} {root}{} {rest}", fields[0], fields[1]).expect("writing to a string");
        }
        Ok(self.sandbox.write("/etc/fstab.for-mount", text))
    }
}

/// The fields of each line of fstab that binds something below [`TOP`].
fn bind_lines(fstab: &str) -> impl Iterator<Item = Vec<&str>> {
    fstab.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|fields| {
        fields.len() >= 4
            && !fields[0].starts_with('#')
            && Path::new(fields[1]).starts_with(TOP)
            && fields[3].split(',').any(|option| option == "bind")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_are_told_from_other_lines() {
        let fstab = "# /store/a /srv/a none bind 0 0\n/dev/sdb /srv/disk ext4 rw 0 0\n/store/b /srv/b none bind,rw,nofail 0 0\n/store/c /srvc none bind 0 0\n";
        let lines: Vec<_> = bind_lines(fstab).collect();
        assert_eq!(lines, [["/store/b", "/srv/b", "none", "bind,rw,nofail", "0", "0"]]);
    }
}
