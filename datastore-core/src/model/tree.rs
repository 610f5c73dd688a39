//! Files and directories of the model: what is on the disks, mounted or not.

use std::collections::BTreeMap;

use crate::value::{Attrs, Id};

/// A file or a directory, by its number in the tree: also its inode number.
pub type Ino = usize;

/// What a call of the kernel answers where it refuses (errno(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errno {
    /// `ENOENT`.
    NoEntry,
    /// `EEXIST`.
    Exists,
    /// `ENOTDIR`.
    NotDirectory,
    /// `ENOTEMPTY`.
    NotEmpty,
    /// `EPERM`: the directory is immutable (ioctl_iflags(2)).
    Permission,
    /// `EROFS`.
    ReadOnly,
    /// `ENOSPC`.
    NoSpace,
    /// `EBUSY`: something is mounted on it.
    Busy,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Names in a directory.
    Dir(BTreeMap<Vec<u8>, Ino>),
    /// The content of a file.
    File(Vec<u8>),
}

/// One inode.
#[derive(Debug, Clone)]
pub struct Node {
    /// The file system that it belongs to.
    pub fs: usize,
    /// The directory that it lies in; itself for the top of a file system.
    pub up: Ino,
    /// Its name there.
    pub name: Vec<u8>,
    /// What it holds.
    pub kind: Kind,
    /// Mode, owner and group.
    pub attrs: Attrs,
    /// Whether nothing about it or in it can be changed.
    pub immutable: bool,
    /// The identity in its extended attribute.
    pub id: Option<Id>,
    /// Its SELinux label; what is made gets that of the directory above.
    pub label: u8,
    /// Whether it has been removed: a mount may still show it.
    pub removed: bool,
}

/// One file system.
#[derive(Debug, Clone)]
pub struct FileSystem {
    /// Its top directory.
    pub top: Ino,
    /// Whether no room is left for new names and longer files.
    pub full: bool,
}

/// All file systems.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: Vec<Node>,
    systems: Vec<FileSystem>,
}

impl Tree {
    /// A new, empty file system. Its top has mode 0755.
    pub fn add_system(&mut self) -> usize {
        let (fs, top) = (self.systems.len(), self.nodes.len());
        self.nodes.push(Node {
            fs,
            up: top,
            name: Vec::new(),
            kind: Kind::Dir(BTreeMap::new()),
            attrs: Attrs::root(0o755),
            immutable: false,
            id: None,
            label: 0,
            removed: false,
        });
        self.systems.push(FileSystem { top, full: false });
        fs
    }

    /// A file system.
    #[must_use]
    pub fn system(&self, fs: usize) -> &FileSystem {
        &self.systems[fs]
    }

    /// A file system, to be changed.
    pub fn system_mut(&mut self, fs: usize) -> &mut FileSystem {
        &mut self.systems[fs]
    }

    /// The top of every file system, with its number.
    pub fn tops(&self) -> impl Iterator<Item = (usize, Ino)> {
        self.systems.iter().map(|system| system.top).enumerate()
    }

    /// How many nodes there have ever been: numbers from there on are new ones.
    #[must_use]
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// A node.
    #[must_use]
    pub fn node(&self, ino: Ino) -> &Node {
        &self.nodes[ino]
    }

    /// A node, to be changed whatever it says of itself: what the kernel would refuse is asked before.
    pub fn node_mut(&mut self, ino: Ino) -> &mut Node {
        &mut self.nodes[ino]
    }

    /// What a name in a directory is.
    ///
    /// # Errors
    /// `ENOENT`, and `ENOTDIR` if this is no directory.
    pub fn child(&self, dir: Ino, name: &[u8]) -> Result<Ino, Errno> {
        match &self.node(dir).kind {
            Kind::Dir(names) => names.get(name).copied().ok_or(Errno::NoEntry),
            Kind::File(_) => Err(Errno::NotDirectory),
        }
    }

    /// The names in a directory; none for a file.
    pub fn names(&self, dir: Ino) -> impl Iterator<Item = (&[u8], Ino)> {
        let names = if let Kind::Dir(names) = &self.node(dir).kind { Some(names) } else { None };
        names.into_iter().flatten().map(|(name, ino)| (name.as_slice(), *ino))
    }

    /// Whether it is a directory without a name in it.
    #[must_use]
    pub fn is_empty(&self, ino: Ino) -> bool {
        self.names(ino).next().is_none()
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self, ino: Ino) -> bool {
        matches!(self.node(ino).kind, Kind::Dir(_))
    }

    /// A new name in a directory (mkdir(2), open(2) with `O_CREAT`).
    ///
    /// # Errors
    /// As those calls.
    pub fn add(&mut self, dir: Ino, name: &[u8], kind: Kind, mode: u32) -> Result<Ino, Errno> {
        match self.child(dir, name) {
            Ok(_) => return Err(Errno::Exists),
            Err(Errno::NoEntry) => {}
            Err(other) => return Err(other),
        }
        if self.node(dir).immutable {
            return Err(Errno::Permission);
        }
        let fs = self.node(dir).fs;
        if self.system(fs).full {
            return Err(Errno::NoSpace);
        }
        let ino = self.nodes.len();
        let mut attrs = Attrs::root(mode);
        let above = self.node(dir).attrs;
        if above.mode.is_setgid() {
            // What is made in a setgid directory has its group, and a directory the bit too (inode(7)).
            attrs.gid = above.gid;
            if matches!(kind, Kind::Dir(_)) {
                attrs.mode = attrs.mode.with_setgid();
            }
        }
        // As a policy has it: what is made in the root directory by its name, and anything else as what is above it.
        let by_name = || name.iter().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte)) | 1;
        let label = if self.nodes[dir].up == dir { by_name() } else { self.nodes[dir].label };
        self.nodes.push(Node {
            fs,
            up: dir,
            name: name.to_vec(),
            kind,
            attrs,
            immutable: false,
            id: None,
            label,
            removed: false,
        });
        if let Kind::Dir(names) = &mut self.nodes[dir].kind {
            names.insert(name.to_vec(), ino);
        }
        Ok(ino)
    }

    /// Takes a name out of its directory (unlink(2), rmdir(2)).
    ///
    /// # Errors
    /// As those calls.
    pub fn remove(&mut self, ino: Ino) -> Result<(), Errno> {
        let node = self.node(ino);
        if !self.is_empty(ino) {
            return Err(Errno::NotEmpty);
        }
        if node.immutable || self.node(node.up).immutable {
            return Err(Errno::Permission);
        }
        let (up, name) = (node.up, node.name.clone());
        if let Kind::Dir(names) = &mut self.nodes[up].kind {
            names.remove(&name);
        }
        self.nodes[ino].removed = true;
        Ok(())
    }

    /// The path of a node inside its file system, as the kernel's mount table spells it but for escapes.
    #[must_use]
    pub fn path(&self, ino: Ino) -> Vec<u8> {
        let top = self.system(self.node(ino).fs).top;
        let mut parts = Vec::new();
        let mut at = ino;
        while at != top {
            parts.push(self.node(at).name.as_slice());
            at = self.node(at).up;
        }
        let mut path = Vec::new();
        for part in parts.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(part);
        }
        if path.is_empty() { b"/".to_vec() } else { path }
    }
}
