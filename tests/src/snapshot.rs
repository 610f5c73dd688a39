//! Everything of a root that a refusal must leave alone.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{IFlags, Mode, OFlags};

use crate::Sandbox;
use crate::programs::PROGRAMS;

/// Files up to this many bytes are compared byte for byte, larger ones by their size.
const WHOLE: u64 = 64 << 10;

/// What datastore writes for itself: locks, progress, the journal, and the log of a volume. All else must stay as it is.
const OURS: [&str; 3] = ["run/datastore", "var/lib/datastore", "log/operations.log"];

/// What stands before the inode at the end of a line of the tree.
const INODE: &str = " inode ";

/// A root at one moment: fstab, the whole tree with modes, owners, seals and contents, and the mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    fstab: Option<Vec<u8>>,
    fstab_inode: Option<u64>,
    tree: String,
    mounts: String,
}

impl Snapshot {
    /// Looks at everything.
    ///
    /// # Panics
    /// If the tree cannot be read.
    #[must_use]
    #[track_caller]
    pub fn of(sandbox: &Sandbox) -> Self {
        let fstab = sandbox.path("/etc/fstab");
        let mut tree = String::new();
        walk(sandbox.root(), sandbox.root(), &mut tree);
        let mut table = String::new();
        for m in sandbox.mountinfo() {
            let (at, dir) = (m.mount_point.display(), m.root.display());
            writeln!(table, "{at} {} {}[{dir}] {}", m.fs_type, m.source, m.options).expect("writing to a string");
        }
        Self {
            fstab: fs::read(&fstab).ok(),
            fstab_inode: fstab.symlink_metadata().ok().map(|m| m.ino()),
            tree,
            mounts: table,
        }
    }

    /// Demands that everything is as it was, but that files may have been replaced by equal ones: what holds after
    /// something was done and taken back.
    ///
    /// # Panics
    /// With what is new and what is gone.
    #[track_caller]
    pub fn assert_same_but_for_inodes(&self, sandbox: &Sandbox, after: &str) {
        let plain =
            |tree: &str| tree.lines().map(|l| l.split_once(INODE).map_or(l, |(l, _)| l).to_owned() + "\n").collect();
        let (mut old, mut new) = (self.clone(), Self::of(sandbox));
        for side in [&mut old, &mut new] {
            side.tree = plain(&side.tree);
            side.fstab_inode = None;
        }
        old.compare(&new, after);
    }

    /// Demands that everything is as it was.
    ///
    /// # Panics
    /// With what is new and what is gone.
    #[track_caller]
    pub fn assert_unchanged(&self, sandbox: &Sandbox, after: &str) {
        self.compare(&Self::of(sandbox), after);
    }

    #[track_caller]
    fn compare(&self, now: &Self, after: &str) {
        if now == self {
            return;
        }
        let mut out = format!("{after}: something was changed");
        if now.fstab_inode != self.fstab_inode {
            out.push_str("\nfstab was replaced");
        }
        for (what, old, new) in [("tree", &self.tree, &now.tree), ("mount table", &self.mounts, &now.mounts)] {
            for line in old.lines().filter(|l| !new.lines().any(|n| n == *l)) {
                let _ = write!(out, "\n{what} - {line}");
            }
            for line in new.lines().filter(|l| !old.lines().any(|o| o == *l)) {
                let _ = write!(out, "\n{what} + {line}");
            }
        }
        panic!("{out}");
    }
}

fn walk(root: &Path, dir: &Path, out: &mut String) {
    let Ok(entries) = fs::read_dir(dir) else { panic!("read {}", dir.display()) };
    let mut entries: Vec<_> = entries.map(|e| e.expect("an entry of a directory").path()).collect();
    entries.sort();
    for path in entries {
        let name = path.strip_prefix(root).expect("below the root");
        if PROGRAMS.iter().any(|put| name.starts_with(put))
            || OURS.iter().any(|ours| name.starts_with(ours) || name.ends_with(ours))
        {
            continue;
        }
        let meta = path.symlink_metadata().unwrap_or_else(|e| panic!("stat {}: {e}", path.display()));
        let _ = write!(out, "/{} {:o} {}:{}", name.display(), meta.mode(), meta.uid(), meta.gid());
        if meta.is_symlink() {
            let _ = write!(out, " -> {}", fs::read_link(&path).unwrap_or_default().display());
        } else if meta.is_dir() || meta.is_file() {
            let flags = immutable(&path).map_or("", |is| if is { " immutable" } else { "" });
            out.push_str(flags);
        }
        if meta.is_file() {
            if meta.len() <= WHOLE {
                let _ = write!(out, " {:?}", String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()));
            } else {
                let _ = write!(out, " {} bytes", meta.len());
            }
        }
        let _ = writeln!(out, "{INODE}{}", meta.ino());
        if meta.is_dir() {
            walk(root, &path, out);
        }
    }
}

/// Whether a file or directory is immutable; `None` where the file system has no such bit.
#[must_use]
pub fn immutable(path: &Path) -> Option<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    rustix::fs::ioctl_getflags(&fd).ok().map(|flags| flags.contains(IFlags::IMMUTABLE))
}
