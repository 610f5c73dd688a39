//! The machine: its disks, its mount table, the operations that stopped half-way, and how a path leads to a thing.

use std::collections::BTreeSet;

use super::mounts::{At, Mounts};
use super::tree::{Errno, Kind, Tree};
use crate::journal::Unfinished;
use crate::path::AbsPath;

/// A whole machine. Cloning it takes a picture from which two futures can be tried.
#[derive(Debug, Clone)]
pub struct Machine {
    /// What is on the disks.
    pub tree: Tree,
    /// What is mounted.
    pub mounts: Mounts,
    /// Mount points that programs keep busy.
    pub busy: BTreeSet<AbsPath>,
    /// Whether systemd runs.
    pub systemd: bool,
    /// Whether SELinux is on.
    pub labels: bool,
    /// Operations that began and did not end.
    pub unfinished: Vec<Unfinished>,
    /// How many operations have begun.
    pub operations: u32,
}

/// Why a path leads nowhere; the path is the component at which the walk ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    /// This does not exist.
    Absent(AbsPath),
    /// This is a file.
    NotADirectory(AbsPath),
}

/// A name in a directory that is there.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// The directory.
    pub dir: At,
    /// The name.
    pub name: &'p [u8],
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// A machine with nothing but `/`.
    #[must_use]
    pub fn new() -> Self {
        let mut tree = Tree::default();
        let fs = tree.add_system();
        let mounts = Mounts::new(tree.system(fs).top);
        Self {
            tree,
            mounts,
            busy: BTreeSet::new(),
            systemd: false,
            labels: false,
            unfinished: Vec::new(),
            operations: 0,
        }
    }

    /// Walks to what is seen at a path: every mount on the way counts, also one on the last component.
    ///
    /// # Errors
    /// See [`Miss`].
    pub fn reach(&self, path: &AbsPath) -> Result<At, Miss> {
        let mut at = self.mounts.top();
        for (depth, name) in path.components().enumerate() {
            let here = || {
                let bytes: Vec<u8> = path.components().take(depth + 1).flat_map(|c| [b"/", c].concat()).collect();
                AbsPath::from_kernel(&bytes).unwrap_or_else(|_| path.clone())
            };
            let ino = self.tree.child(at.ino, name).map_err(|errno| match errno {
                // The name that is no directory is the one before this.
                Errno::NotDirectory => Miss::NotADirectory(here().parent().unwrap_or_else(AbsPath::root)),
                _ => Miss::Absent(here()),
            })?;
            at = self.mounts.cross(At { mount: at.mount, ino });
        }
        Ok(at)
    }

    /// The directory that holds a path, which may itself be missing.
    ///
    /// # Errors
    /// See [`Miss`].
    pub fn place<'p>(&self, path: &'p AbsPath) -> Result<Place<'p>, Miss> {
        let parent = path.parent().unwrap_or_else(AbsPath::root);
        let dir = self.reach(&parent)?;
        if !self.tree.is_dir(dir.ino) {
            return Err(Miss::NotADirectory(parent));
        }
        Ok(Place { dir, name: path.file_name() })
    }

    /// What a name is, mounts on it included.
    ///
    /// # Errors
    /// `ENOENT`.
    pub fn at(&self, place: Place<'_>) -> Result<At, Errno> {
        let ino = self.tree.child(place.dir.ino, place.name)?;
        Ok(self.mounts.cross(At { mount: place.dir.mount, ino }))
    }

    /// Whether what is reached is the root of a mount (statx(2), `STATX_ATTR_MOUNT_ROOT`).
    #[must_use]
    pub fn is_mount_root(&self, at: At) -> bool {
        self.mounts.get(at.mount).is_some_and(|m| m.root == at.ino)
    }

    /// Refuses where nothing can be written.
    ///
    /// # Errors
    /// `EROFS`.
    pub fn writable(&self, at: At) -> Result<(), Errno> {
        match self.mounts.get(at.mount) {
            Some(mount) if mount.options.ro => Err(Errno::ReadOnly),
            _ => Ok(()),
        }
    }

    /// The same, of something that may be immutable.
    ///
    /// # Errors
    /// `EROFS`, `EPERM`.
    pub fn changeable(&self, at: At) -> Result<(), Errno> {
        self.writable(at)?;
        if self.tree.node(at.ino).immutable { Err(Errno::Permission) } else { Ok(()) }
    }

    /// Makes a directory (mkdir(2)) with this mode.
    ///
    /// # Errors
    /// As the call.
    pub fn make_dir(&mut self, place: Place<'_>, mode: u32) -> Result<At, Errno> {
        if let Ok(ino) = self.tree.child(place.dir.ino, place.name) {
            let _ = ino;
            return Err(Errno::Exists);
        }
        self.writable(place.dir)?;
        let ino = self.tree.add(place.dir.ino, place.name, Kind::Dir(std::collections::BTreeMap::new()), mode)?;
        Ok(At { mount: place.dir.mount, ino })
    }

    /// Removes an empty directory or a file.
    ///
    /// # Errors
    /// As rmdir(2) and unlink(2).
    pub fn remove(&mut self, place: Place<'_>) -> Result<(), Errno> {
        let ino = self.tree.child(place.dir.ino, place.name)?;
        self.writable(place.dir)?;
        if self.mounts.is_mount_point(ino) {
            return Err(Errno::Busy);
        }
        self.tree.remove(ino)
    }

    /// A whole file; `None` if it is not there.
    ///
    /// # Errors
    /// It is a directory, or what is above it is no directory.
    pub fn read(&self, path: &AbsPath) -> Result<Option<&[u8]>, Miss> {
        match self.reach(path) {
            Ok(at) => match &self.tree.node(at.ino).kind {
                Kind::File(bytes) => Ok(Some(bytes)),
                Kind::Dir(_) => Err(Miss::NotADirectory(path.clone())),
            },
            Err(Miss::Absent(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Replaces a file as a whole, by a temporary file and rename(2): mode and owner of an old one are kept.
    ///
    /// # Errors
    /// As those calls.
    pub fn replace(&mut self, path: &AbsPath, bytes: &[u8], mode: u32) -> Result<(), Errno> {
        let place = self.place(path).map_err(|_| Errno::NoEntry)?;
        self.changeable(place.dir)?;
        if self.tree.system(self.tree.node(place.dir.ino).fs).full {
            return Err(Errno::NoSpace);
        }
        let ino = match self.tree.child(place.dir.ino, place.name) {
            Ok(ino) => ino,
            Err(_) => self.tree.add(place.dir.ino, place.name, Kind::File(Vec::new()), mode)?,
        };
        self.tree.node_mut(ino).kind = Kind::File(bytes.to_vec());
        Ok(())
    }
}
