//! From a directory's handle to its place in a tree.
//!
//! The path that the kernel tells of a descriptor is a hint only: it may be out of date by the time it is read, end in
//! ` (deleted)`, or belong to a part of the file system that the mount does not show. So the directory is opened again by that path,
//! beneath the top and without following a link, and counts only if it is the same inode.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use datastore_core::path::printable;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::sys::error::{Call, FdName, SysError};
use crate::sys::fd::{self, Entry};
use crate::sys::handle::{self, Handle};

/// So often a directory is looked for that is renamed all the while.
const TRIES: usize = 16;

/// How much of a path is given to the kernel at once; it takes 4095 bytes.
const PIECE: usize = 2048;

/// So many open directories are kept.
const KEPT: usize = 128;

/// A directory of the tree.
#[derive(Debug, Clone)]
pub struct Found {
    /// The directory, open for reading, on the mount of the top.
    pub dir: Arc<OwnedFd>,
    /// Its path from the top; empty for the top itself.
    pub path: Arc<[u8]>,
}

/// Finds directories by their handles. What was found is remembered, and may be out of date: use one for one pass.
#[derive(Debug)]
pub struct Resolver {
    top: OwnedFd,
    identity: (u64, u64),
    kept: HashMap<Handle, Option<Found>>,
}

/// What one try came to.
enum Try {
    Found(Found),
    NotInside,
    Moved,
}

impl Resolver {
    /// For the tree at `top`, a directory that is open for reading.
    pub fn new(top: impl AsFd) -> Result<Self, SysError> {
        let top = fd::open(Entry::itself(&top), OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
        let identity = identity(&top)?;
        Ok(Self { top, identity, kept: HashMap::new() })
    }

    /// The directory with this handle; `None` if it is gone, or not in the tree. What lies below a mount point in the tree is not in
    /// it.
    pub fn find(&mut self, dir: &Handle) -> Result<Option<Found>, SysError> {
        if let Some(known) = self.kept.get(dir) {
            return Ok(known.clone());
        }
        let found = self.look(dir)?;
        if self.kept.len() >= KEPT {
            self.kept.clear();
        }
        self.kept.insert(dir.clone(), found.clone());
        Ok(found)
    }

    /// The same, without what is remembered.
    pub fn look(&self, dir: &Handle) -> Result<Option<Found>, SysError> {
        let Some(opened) = self.open(dir, OFlags::PATH | OFlags::DIRECTORY)? else { return Ok(None) };
        for _ in 0..TRIES {
            match self.attempt(&opened)? {
                Try::Found(found) => return Ok(Some(found)),
                Try::NotInside => return Ok(None),
                Try::Moved => {}
            }
        }
        let call = Call::Openat2 { dir: FdName::of(&self.top), path: dir.to_string(), flags: OFlags::DIRECTORY };
        Err(SysError::new(call, Errno::AGAIN))
    }

    /// Opens an inode by its handle; `None` if it is gone.
    pub fn open(&self, handle: &Handle, flags: OFlags) -> Result<Option<OwnedFd>, SysError> {
        match handle::open(&self.top, handle, flags) {
            Ok(opened) => Ok(Some(opened)),
            // ENOENT: ext4 and xfs for an inode that is being deleted.
            Err(error) if matches!(error.errno(), Errno::STALE | Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn attempt(&self, dir: &OwnedFd) -> Result<Try, SysError> {
        let s = rustix::fs::fstat(dir).map_err(|errno| SysError::new(Call::Fstat { fd: FdName::of(dir) }, errno))?;
        if s.st_nlink == 0 {
            return Ok(Try::NotInside);
        }
        let wanted = (s.st_dev, s.st_ino);
        if wanted == self.identity {
            let dir = fd::open(Entry::itself(&self.top), OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
            return Ok(Try::Found(Found { dir: Arc::new(dir), path: Arc::from([]) }));
        }
        let hint = match (path_of(dir.as_fd()), path_of(self.top.as_fd())) {
            (Ok(path), Ok(top)) => below(&path, &top).map(<[u8]>::to_vec),
            (Err(error), _) | (_, Err(error)) if error.errno() != Errno::NAMETOOLONG => return Err(error),
            _ => None,
        };
        if let Some(path) = hint {
            match self.open_beneath(&path) {
                Ok(opened) if identity(&opened)? == wanted => {
                    return Ok(Try::Found(Found { dir: Arc::new(opened), path: path.into() }));
                }
                // A mount point is on the way: the directory lies below what is mounted there.
                Err(error) if error.errno() == Errno::XDEV => return Ok(Try::NotInside),
                Ok(_) => {}
                Err(error)
                    if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG) => {}
                Err(error) => return Err(error),
            }
        }
        self.climb(dir, wanted)
    }

    /// The path by the way up, name by name, where the kernel tells none: because it is longer than 4095 bytes, or because the
    /// directory is elsewhere.
    fn climb(&self, dir: &OwnedFd, wanted: (u64, u64)) -> Result<Try, SysError> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut here = fd::open(Entry::itself(dir), OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
        let mut at = wanted;
        while at != self.identity {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let above = match rustix::fs::openat(&here, "..", flags, Mode::empty()) {
                Ok(above) => above,
                // The mount is a bind, and this directory is not below the one that is bound.
                Err(Errno::NOENT) => return Ok(Try::NotInside),
                Err(errno) => {
                    let call = Call::Openat { dir: FdName::of(&here), name: "..".into(), flags, mode: 0 };
                    return Err(SysError::new(call, errno));
                }
            };
            let next = identity(&above)?;
            if next == at || next.0 != at.0 {
                return Ok(Try::NotInside);
            }
            here = above;
            names.push(Vec::new());
            at = next;
        }
        // It is inside. Only now is it worth reading every directory on the way for the names.
        here = fd::open(Entry::itself(dir), OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
        at = wanted;
        for name in &mut names {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let Ok(above) = rustix::fs::openat(&here, "..", flags, Mode::empty()) else { return Ok(Try::Moved) };
            let Some(found) = name_of(&above, at)? else { return Ok(Try::Moved) };
            *name = found;
            at = identity(&above)?;
            here = above;
        }
        names.reverse();
        let path = names.join(&b'/');
        match self.open_beneath(&path) {
            Ok(opened) if identity(&opened)? == wanted => {
                Ok(Try::Found(Found { dir: Arc::new(opened), path: path.into() }))
            }
            Err(error) if error.errno() == Errno::XDEV => Ok(Try::NotInside),
            _ => Ok(Try::Moved),
        }
    }

    /// Opens a directory beneath the top: no link is followed and no mount entered.
    pub fn open_beneath(&self, path: &[u8]) -> Result<OwnedFd, SysError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let limits = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let mut here: Option<OwnedFd> = None;
        for piece in pieces(path) {
            let from = here.as_ref().unwrap_or(&self.top);
            let opened = match rustix::fs::openat2(from, piece, flags, Mode::empty(), limits) {
                Err(Errno::NOSYS) => by_steps(from, piece, self.identity.0)?,
                other => other.map_err(|errno| {
                    SysError::new(Call::Openat2 { dir: FdName::of(from), path: printable(piece), flags }, errno)
                })?,
            };
            here = Some(opened);
        }
        match here {
            Some(dir) => Ok(dir),
            None => fd::open(Entry::itself(&self.top), OFlags::RDONLY | OFlags::DIRECTORY, 0),
        }
    }
}

/// In a sandbox without openat2. A directory that is bound elsewhere in its own file system is not told from a plain one.
fn by_steps(from: &OwnedFd, path: &[u8], dev: u64) -> Result<OwnedFd, SysError> {
    let mut here: Option<OwnedFd> = None;
    for name in path.split(|&b| b == b'/') {
        let opened = fd::open(Entry::new(here.as_ref().unwrap_or(from), name), OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
        if identity(&opened)?.0 != dev {
            let (dir, path) = (FdName::of(from), printable(path));
            return Err(SysError::new(Call::Openat2 { dir, path, flags: OFlags::DIRECTORY }, Errno::XDEV));
        }
        here = Some(opened);
    }
    here.map_or_else(|| fd::open(Entry::itself(from), OFlags::RDONLY | OFlags::DIRECTORY, 0), Ok)
}

/// A path cut between its components into pieces that the kernel takes.
fn pieces(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = path;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len();
        if end > PIECE {
            end = rest[..PIECE].iter().rposition(|&b| b == b'/').unwrap_or(end);
        }
        let piece = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or(&[]);
        Some(piece)
    })
}

/// What follows `top/` in a path.
fn below<'p>(path: &'p [u8], top: &[u8]) -> Option<&'p [u8]> {
    let top = top.strip_suffix(b"/").unwrap_or(top);
    path.strip_prefix(top)?.strip_prefix(b"/").filter(|rest| !rest.is_empty())
}

/// The name of a directory in the one above it; `None` if it is there no more.
fn name_of(above: &OwnedFd, wanted: (u64, u64)) -> Result<Option<Vec<u8>>, SysError> {
    let mut found = None;
    let listed = fd::open(Entry::itself(above), OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
    fd::each_name(listed, |name| {
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        if rustix::fs::statat(above, name, flags).is_ok_and(|s| (s.st_dev, s.st_ino) == wanted) {
            found = Some(name.to_vec());
        }
        found.is_none()
    })?;
    Ok(found)
}

fn identity(fd: impl AsFd) -> Result<(u64, u64), SysError> {
    let s = rustix::fs::fstat(&fd).map_err(|errno| SysError::new(Call::Fstat { fd: FdName::of(&fd) }, errno))?;
    Ok((s.st_dev, s.st_ino))
}

fn path_of(fd: std::os::fd::BorrowedFd<'_>) -> Result<Vec<u8>, SysError> {
    let path = fd::proc_path(fd);
    let read = rustix::fs::readlink(&path, Vec::with_capacity(256));
    read.map(std::ffi::CString::into_bytes).map_err(|errno| SysError::new(Call::Readlink { path }, errno))
}
