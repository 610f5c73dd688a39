//! Descriptors, and the calls that act on one name in an open directory.
//!
//! A function that takes an [`Entry`] cannot reach anything but that one name: no path is resolved, no link followed.
//! Every descriptor is closed on exec.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use datastore_core::path::printable;
use datastore_core::planted::{self, Bug};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RawDir, SeekFrom, Uid};
use rustix::io::Errno;

use super::error::{Call, FdName, SysError};

/// One name in an open directory, or the directory itself.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    dir: BorrowedFd<'a>,
    name: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The entry `name` of `dir`. The name is one component of a path: never empty, `.` or `..`, and without a slash.
    pub(crate) fn new(dir: &'a impl AsFd, name: &'a [u8]) -> Self {
        debug_assert!(!name.is_empty() && !name.contains(&b'/') && name != b"." && name != b"..");
        Self { dir: dir.as_fd(), name }
    }
    /// An open directory itself.
    pub(crate) fn itself(dir: &'a impl AsFd) -> Self {
        Self { dir: dir.as_fd(), name: b"" }
    }
    /// The directory that holds it.
    #[must_use]
    pub fn dir(&self) -> BorrowedFd<'a> {
        self.dir
    }
    /// Its name; empty for the directory itself.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.name
    }
    /// The name for the calls that do not take an empty one.
    pub(crate) fn name_or_dot(&self) -> &'a [u8] {
        if self.name.is_empty() { b"." } else { self.name }
    }
    /// A path that names exactly this entry, for calls that take no descriptor: `/proc/self/fd/N/name`.
    pub(crate) fn proc_path(&self) -> Vec<u8> {
        let mut path = proc_path(self.dir).into_bytes();
        path.push(b'/');
        path.extend_from_slice(self.name_or_dot());
        path
    }
    /// The directory and the name as an error shows them.
    pub(crate) fn shown(&self) -> (FdName, String) {
        (FdName::of(self.dir), printable(self.name))
    }

    fn failed(&self, call: impl FnOnce(FdName, String) -> Call) -> impl FnOnce(Errno) -> SysError {
        let (dir, name) = self.shown();
        let call = call(dir, name);
        move |errno| SysError::new(call, errno)
    }
}

/// A path that names exactly what a descriptor names: `/proc/self/fd/N`.
pub(crate) fn proc_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Opens an entry (openat(2)); a symbolic link is not followed: ELOOP, or ENOTDIR with `O_DIRECTORY`.
pub fn open(entry: Entry<'_>, flags: OFlags, mode: u32) -> Result<OwnedFd, SysError> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(entry.dir, entry.name_or_dot(), flags, Mode::from_raw_mode(mode))
        .map_err(|errno| entry.failed(|dir, name| Call::Openat { dir, name, flags, mode })(errno))
}

/// Makes a directory, unless something of that name is there already.
pub(crate) fn make_dir_if_missing(entry: Entry<'_>, mode: u32) -> Result<(), SysError> {
    match make_dir(entry, mode) {
        Err(error) if error.errno() != Errno::EXIST => Err(error),
        _ => Ok(()),
    }
}

/// Makes a directory with exactly this mode, whatever the umask, and opens it for reading.
///
/// It is made with no more than that mode and given what the umask took away afterwards, so that it is never more open than
/// asked, and with a usual umask a crash in between leaves it as it should be.
pub fn make_dir(entry: Entry<'_>, mode: u32) -> Result<OwnedFd, SysError> {
    let first = mode & 0o777;
    rustix::fs::mkdirat(entry.dir, entry.name, Mode::from_raw_mode(first))
        .map_err(|errno| entry.failed(|dir, name| Call::Mkdirat { dir, name, mode: first })(errno))?;
    let made = || {
        let fd = open(entry, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
        // With a usual umask there is nothing to give, and a change that changes nothing is written to the disk all the same.
        if super::stat::facts(Entry::itself(&fd))?.mode.bits() != mode {
            set_mode(&fd, mode)?;
        }
        Ok(fd)
    };
    // One that has not the mode that was asked for is none; if even this fails, the error that matters is the first one.
    made().inspect_err(|_| drop(remove_dir(entry)))
}

/// Sets the permission bits of an open file or directory (fchmod(2)); not of an `O_PATH` descriptor.
pub fn set_mode(fd: impl AsFd, mode: u32) -> Result<(), SysError> {
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode))
        .map_err(|errno| SysError::new(Call::Fchmod { fd: FdName::of(&fd), mode }, errno))
}

/// Sets the owner and group of an open file or directory (fchown(2)); not of an `O_PATH` descriptor. The kernel may
/// take the setuid and setgid bits away: set the mode afterwards.
pub fn set_owner(fd: impl AsFd, uid: u32, gid: u32) -> Result<(), SysError> {
    rustix::fs::fchown(&fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .map_err(|errno| SysError::new(Call::Fchown { fd: FdName::of(&fd), uid, gid }, errno))
}

/// Removes a file or a link (unlinkat(2)), never a directory.
pub fn remove_file(entry: Entry<'_>) -> Result<(), SysError> {
    unlink(entry, AtFlags::empty())
}

/// Removes an empty directory (unlinkat(2) with `AT_REMOVEDIR`).
pub fn remove_dir(entry: Entry<'_>) -> Result<(), SysError> {
    unlink(entry, AtFlags::REMOVEDIR)
}

fn unlink(entry: Entry<'_>, flags: AtFlags) -> Result<(), SysError> {
    rustix::fs::unlinkat(entry.dir, entry.name, flags)
        .map_err(|errno| entry.failed(|dir, name| Call::Unlinkat { dir, name })(errno))
}

/// Brings a file or a directory to the disk (fsync(2)). An error is final: a second call may succeed with the data
/// lost.
pub fn sync(fd: impl AsFd) -> Result<(), SysError> {
    let synced = match rustix::fs::fsync(&fd) {
        Err(_) if planted::has(Bug::IgnoredEio) => Ok(()),
        Err(_) if planted::has(Bug::RetriedFsync) => rustix::fs::fsync(&fd),
        synced => synced,
    };
    synced.map_err(|errno| SysError::new(Call::Fsync { fd: FdName::of(&fd) }, errno))
}

/// Everything that is in an open file, from its beginning; at most `limit` bytes, else EFBIG.
pub fn read_all(fd: impl AsFd, limit: usize) -> Result<Vec<u8>, SysError> {
    let failed = |errno| SysError::new(Call::Read { fd: FdName::of(&fd) }, errno);
    // Most files are smaller; a larger one is told by the first read.
    let mut bytes = Vec::with_capacity(8 * 1024);
    loop {
        let room = bytes.capacity() - bytes.len();
        if room == 0 {
            bytes.reserve(bytes.len().max(64 * 1024));
        }
        match rustix::io::read(&fd, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) => return Ok(bytes),
            Ok(_) if bytes.len() > limit => return Err(failed(Errno::FBIG)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
}

/// Writes all of it, in as many calls as it takes.
pub fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> Result<(), SysError> {
    while !bytes.is_empty() {
        match rustix::io::write(&fd, bytes) {
            Ok(0) => return Err(SysError::new(Call::Write { fd: FdName::of(&fd), bytes: bytes.len() }, Errno::IO)),
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(SysError::new(Call::Write { fd: FdName::of(&fd), bytes: bytes.len() }, errno)),
        }
    }
    Ok(())
}

/// Whether a directory that is open for reading has no entries.
pub fn is_empty(fd: impl AsFd) -> Result<bool, SysError> {
    let mut empty = true;
    each_name(fd, |_| {
        empty = false;
        false
    })?;
    Ok(empty)
}

/// Calls `each` with every name in a directory that is open for reading, until it answers `false`. Reads from the beginning; a
/// directory that was removed has none.
pub fn each_name(fd: impl AsFd, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), SysError> {
    each_entry(fd, |name, _, _| each(name))
}

/// Calls `each` with every name in a directory that is open for reading, without `.` and `..`, with its inode number, and its kind
/// where the file system says it, until it answers `false`. Reads from the beginning, wherever the descriptor stands. A directory that
/// was removed has no entries.
pub(crate) fn each_entry(fd: impl AsFd, mut each: impl FnMut(&[u8], u64, FileType) -> bool) -> Result<(), SysError> {
    rustix::fs::seek(&fd, SeekFrom::Start(0))
        .map_err(|errno| SysError::new(Call::Lseek { fd: FdName::of(&fd), offset: 0 }, errno))?;
    let mut buffer = Vec::with_capacity(32 << 10);
    let mut names = RawDir::new(fd.as_fd(), buffer.spare_capacity_mut());
    while let Some(entry) = names.next() {
        let entry = match entry {
            Ok(entry) => entry,
            // It was removed meanwhile.
            Err(Errno::NOENT) => break,
            Err(errno) => return Err(SysError::new(Call::Getdents { fd: FdName::of(&fd) }, errno)),
        };
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." && !each(name, entry.ino(), entry.file_type()) {
            break;
        }
    }
    Ok(())
}

/// The directory above an open one; `None` if it cannot be opened.
pub(crate) fn open_above(dir: BorrowedFd<'_>) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(dir, "..", flags, Mode::empty()).ok()
}

/// Whether a directory is the root directory of the process, which is the only one that is above itself.
pub(crate) fn is_its_own_parent(dir: BorrowedFd<'_>) -> bool {
    let same = |above: OwnedFd| {
        let (a, b) = (rustix::fs::fstat(above).ok()?, rustix::fs::fstat(dir).ok()?);
        Some((a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
    };
    open_above(dir).and_then(same).unwrap_or(false)
}
