//! The mount table of the model: which directory of which file system stands where, and what covers what.

use super::tree::{Ino, Tree};
use crate::fstab::escape;
use crate::mapping::BindOptions;

/// A directory or file as a walk reached it: the mount that it was seen in, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// The mount's id.
    pub mount: u32,
    /// The inode.
    pub ino: Ino,
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its id.
    pub id: u32,
    /// The mount that it lies on; its own id for the one on `/`.
    pub parent: u32,
    /// The directory of that mount which it covers.
    pub on: Ino,
    /// The directory that it shows.
    pub root: Ino,
    /// How.
    pub options: BindOptions,
}

/// The table.
#[derive(Debug, Clone)]
pub struct Mounts {
    mounts: Vec<Mount>,
    next: u32,
}

impl Mounts {
    /// A table with one mount, on `/`.
    #[must_use]
    pub fn new(root: Ino) -> Self {
        let options = BindOptions { ro: false, nosuid: false, nodev: false, noexec: false };
        Self { mounts: vec![Mount { id: 1, parent: 1, on: root, root, options }], next: 2 }
    }

    /// Every mount, the older ones first.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.mounts.iter()
    }

    /// A mount by its id.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&Mount> {
        self.mounts.iter().find(|m| m.id == id)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Mount> {
        self.mounts.iter_mut().find(|m| m.id == id)
    }

    /// The root directory.
    #[must_use]
    pub fn top(&self) -> At {
        self.cross(At { mount: self.mounts[0].id, ino: self.mounts[0].root })
    }

    /// What stands on a directory, the topmost of a stack; the directory itself if nothing does.
    #[must_use]
    pub fn cross(&self, mut at: At) -> At {
        while let Some(m) = self.mounts.iter().find(|m| m.parent == at.mount && m.on == at.ino && m.id != m.parent) {
            at = At { mount: m.id, ino: m.root };
        }
        at
    }

    /// Whether something is mounted on a directory, in whatever mount it is seen.
    #[must_use]
    pub fn is_mount_point(&self, ino: Ino) -> bool {
        self.mounts.iter().any(|m| m.on == ino && m.id != m.parent)
    }

    /// Mounts a directory on another one (mount(2), `MS_BIND`).
    pub fn add(&mut self, root: Ino, on: At, options: BindOptions) -> u32 {
        let id = self.next;
        self.next += 1;
        self.mounts.push(Mount { id, parent: on.mount, on: on.ino, root, options });
        id
    }

    /// Whether something is mounted in a mount: then it is busy.
    #[must_use]
    pub fn has_inner(&self, id: u32) -> bool {
        self.mounts.iter().any(|m| m.parent == id && m.id != id)
    }

    /// Takes a mount off (umount2(2)). The caller has asked [`Mounts::has_inner`].
    pub fn remove(&mut self, id: u32) {
        self.mounts.retain(|m| m.id != id);
    }

    /// Takes all mounts off but that on `/`: the power fails.
    pub fn clear(&mut self) {
        self.mounts.truncate(1);
    }

    /// Where a directory of a mount is seen.
    #[must_use]
    pub fn path(&self, tree: &Tree, at: At) -> Vec<u8> {
        let Some(mount) = self.get(at.mount) else { return b"/".to_vec() };
        let mut names = Vec::new();
        let mut ino = at.ino;
        while ino != mount.root && tree.node(ino).up != ino {
            names.push(tree.node(ino).name.as_slice());
            ino = tree.node(ino).up;
        }
        let mut path = match mount.id == mount.parent {
            true => Vec::new(),
            false => self.path(tree, At { mount: mount.parent, ino: mount.on }),
        };
        if path == b"/" {
            path.clear();
        }
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() { b"/".to_vec() } else { path }
    }

    /// The mount point of a mount.
    #[must_use]
    pub fn point(&self, tree: &Tree, mount: &Mount) -> Vec<u8> {
        self.path(tree, At { mount: mount.id, ino: mount.root })
    }

    /// The table as `/proc/self/mountinfo` has it.
    #[must_use]
    pub fn mountinfo(&self, tree: &Tree) -> Vec<u8> {
        let mut text = Vec::new();
        for m in &self.mounts {
            let node = tree.node(m.root);
            let parent = if m.id == m.parent { 0 } else { m.parent };
            text.extend_from_slice(format!("{} {parent} 8:{} ", m.id, node.fs).as_bytes());
            text.extend_from_slice(&escape(&tree.path(m.root)));
            if node.removed {
                text.extend_from_slice(b"//deleted");
            }
            text.push(b' ');
            text.extend_from_slice(&escape(&self.point(tree, m)));
            text.extend_from_slice(format!(" {},relatime - ext4 /dev/sd{} rw\n", m.options, node.fs).as_bytes());
        }
        text
    }
}
