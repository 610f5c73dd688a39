//! A copy of what is hidden: regular files, directories and links, with mode, owner and times. What is not copied, or not in full,
//! is told.

use std::os::fd::{AsFd, OwnedFd};

use datastore_core::path::printable;
use datastore_core::peek::{Copied, LeftOut};
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use rustix::fs::{AtFlags, Gid, OFlags, SeekFrom, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::root::{Miss, Root};
use crate::sys::stat::{self, Kind};
use crate::sys::{Entry, SysError, fd};

/// So many things that were left out are named; the rest is counted.
const NAMED: usize = 100;
/// How much is copied at once.
const BLOCK: usize = 1 << 20;

/// Opens the directory that a copy goes to; makes it, mode 0700, if it is missing.
///
/// # Errors
/// [`ErrorKind::Refused`] if something is in it, or it is no directory.
pub(super) fn receive(root: &Root, to: &AbsPath) -> Result<OwnedFd> {
    let open = || root.open_file(to, OFlags::RDONLY | OFlags::DIRECTORY, 0);
    let dir = match open() {
        Ok(dir) => dir,
        Err(Miss::Absent(missing)) if missing == *to => return Ok(fd::make_dir(root.place(to)?.entry(), 0o700)?),
        Err(other) => return Err(other.into()),
    };
    if !fd::is_empty(&dir)? {
        return Err(Error::new(ErrorKind::Refused, format!("{to} is not empty; nothing was copied"))
            .hint("name a directory that is empty or does not exist yet"));
    }
    Ok(dir)
}

/// Directories below `top`, mode 0700, made as far as they are missing; the last one, open.
pub(super) fn directories(top: &OwnedFd, names: &[&[u8]]) -> Result<OwnedFd> {
    let mut dir = fd::open(Entry::itself(top), OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
    for name in names {
        let entry = Entry::new(&dir, name);
        dir = match fd::make_dir(entry, 0o700) {
            Err(error) if error.errno() == Errno::EXIST => fd::open(entry, OFlags::RDONLY | OFlags::DIRECTORY, 0)?,
            other => other?,
        };
    }
    Ok(dir)
}

/// Copies, and keeps count.
pub(super) struct Copier {
    copied: Copied,
    /// The path of what is copied now, as it would be named without the bind.
    pub(super) shown: String,
    buffer: Vec<u8>,
}

impl Copier {
    pub(super) fn new(to: &AbsPath) -> Self {
        let copied = Copied { to: to.to_string(), ..Copied::default() };
        Self { copied, shown: String::new(), buffer: vec![0; BLOCK] }
    }

    /// Brings everything to the disk, and says what was done.
    pub(super) fn finish(self, top: &OwnedFd) -> Result<Copied> {
        match rustix::fs::syncfs(top) {
            // Before Linux 2.6.39, or a sandbox.
            Err(Errno::NOSYS) => rustix::fs::sync(),
            other => other.map_err(|errno| self.failed("what was copied cannot be brought to the disk", errno))?,
        }
        Ok(self.copied)
    }

    fn failed(&self, what: &str, errno: Errno) -> Error {
        let message = format!("{what} ({}); what was copied before stands in {}", self.shown, self.copied.to);
        Error::new(ErrorKind::System, message)
            .with_errno(errno.raw_os_error())
            .hint(format!("make room or look after the disk, remove {}, then run the command again", self.copied.to))
            .caused_by(errno)
    }

    fn unwritten(&self, error: &SysError) -> Error {
        self.failed("a copy cannot be written", error.errno())
    }

    fn leave_out(&mut self, why: &str) {
        if self.copied.left_out.len() < NAMED {
            self.copied.left_out.push(LeftOut { path: self.shown.clone(), why: why.into() });
        } else {
            self.copied.more_left_out += 1;
        }
    }

    /// Copies one entry to a new name. Something that cannot be read is left out; a copy that cannot be written ends it all.
    pub(super) fn entry(&mut self, from: Entry<'_>, to: &OwnedFd, name: &[u8], deeper: usize) -> Result<()> {
        let facts = match stat::facts(from) {
            Ok(facts) => facts,
            Err(error) => {
                self.leave_out(&error.to_string());
                return Ok(());
            }
        };
        match facts.kind {
            Kind::Dir => match fd::open(from, OFlags::RDONLY | OFlags::DIRECTORY, 0) {
                Ok(dir) => self.directory(&dir, to, name, deeper),
                Err(error) => {
                    self.leave_out(&error.to_string());
                    Ok(())
                }
            },
            Kind::File => match fd::open(from, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, 0) {
                Ok(file) => self.file(&file, to, name),
                Err(error) => {
                    self.leave_out(&error.to_string());
                    Ok(())
                }
            },
            Kind::Symlink => self.link(from, to, name),
            Kind::Other => {
                self.leave_out("a socket, a FIFO or a device is not copied");
                Ok(())
            }
        }
    }

    /// Copies a directory to a new name. Its mode, owner and times are set when all is in it.
    pub(super) fn directory(&mut self, from: &OwnedFd, to: &OwnedFd, name: &[u8], deeper: usize) -> Result<()> {
        let entry = Entry::new(to, name);
        let made = match fd::make_dir(entry, 0o700) {
            // What holds the copies of several mount points was made as a directory above another one.
            Err(error) if error.errno() == Errno::EXIST => fd::open(entry, OFlags::RDONLY | OFlags::DIRECTORY, 0),
            other => other,
        };
        let made = made.map_err(|error| self.unwritten(&error))?;
        self.copied.directories += 1;
        if let Some(deeper) = deeper.checked_sub(1) {
            let mut names: Vec<Vec<u8>> = Vec::new();
            let read = fd::each_name(from, |name| {
                names.push(name.to_vec());
                true
            });
            if let Err(error) = read {
                self.leave_out(&error.to_string());
            }
            names.sort();
            let shown = self.shown.clone();
            for name in names {
                self.shown = format!("{}/{}", shown.trim_end_matches('/'), printable(&name));
                self.entry(Entry::new(from, &name), &made, &name, deeper)?;
            }
            self.shown = shown;
        } else {
            self.leave_out("it lies too deep; what is in it was not copied");
        }
        self.attributes(from, &made)
    }

    fn file(&mut self, from: &OwnedFd, to: &OwnedFd, name: &[u8]) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let made = fd::open(Entry::new(to, name), flags, 0o600).map_err(|error| self.unwritten(&error))?;
        let s = rustix::fs::fstat(from).map_err(|errno| self.failed("it cannot be looked at", errno))?;
        if s.st_nlink > 1 {
            self.leave_out("it has other hard links; the copy stands alone");
        }
        match self.content(from, &made, s.st_size.cast_unsigned())? {
            Ok(()) => {}
            Err(errno) => self.leave_out(&format!("it cannot be read to its end ({errno}); the copy is cut")),
        }
        self.copied.files += 1;
        self.attributes(from, &made)
    }

    /// Copies what a file holds; holes stay holes. The inner error is one of reading.
    fn content(&mut self, from: &OwnedFd, to: &OwnedFd, size: u64) -> Result<std::result::Result<(), Errno>> {
        rustix::fs::ftruncate(to, size).map_err(|errno| self.failed("a copy cannot be made as long", errno))?;
        let mut at = 0;
        while at < size {
            let (data, hole) = match rustix::fs::seek(from, SeekFrom::Data(at)) {
                Ok(data) => (data, rustix::fs::seek(from, SeekFrom::Hole(data)).unwrap_or(size)),
                // Nothing but a hole is left.
                Err(Errno::NXIO) => break,
                // The file system knows no holes.
                Err(_) => (at, size),
            };
            at = data;
            while at < hole.min(size) {
                let want = usize::try_from(hole.min(size) - at).unwrap_or(BLOCK).min(BLOCK);
                let got = match rustix::io::pread(from, &mut self.buffer[..want], at) {
                    Ok(0) => return Ok(Ok(())),
                    Ok(got) => got,
                    Err(Errno::INTR) => continue,
                    Err(errno) => return Ok(Err(errno)),
                };
                let mut done = 0;
                while done < got {
                    match rustix::io::pwrite(to, &self.buffer[done..got], at + done as u64) {
                        Ok(0) => return Err(self.failed("a copy cannot be written", Errno::IO)),
                        Ok(n) => done += n,
                        Err(Errno::INTR) => {}
                        Err(errno) => return Err(self.failed("a copy cannot be written", errno)),
                    }
                }
                at += got as u64;
                self.copied.bytes += got as u64;
            }
        }
        Ok(Ok(()))
    }

    fn link(&mut self, from: Entry<'_>, to: &OwnedFd, name: &[u8]) -> Result<()> {
        let target = match rustix::fs::readlinkat(from.dir(), from.name(), Vec::new()) {
            Ok(target) => target,
            Err(errno) => {
                self.leave_out(&format!("the link cannot be read ({errno})"));
                return Ok(());
            }
        };
        rustix::fs::symlinkat(&target, to, name).map_err(|errno| self.failed("a link cannot be made", errno))?;
        self.copied.links += 1;
        let s = match rustix::fs::statat(from.dir(), from.name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(s) => s,
            Err(errno) => {
                self.leave_out(&format!("its owner and times were not kept ({errno})"));
                return Ok(());
            }
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let owner = rustix::fs::chownat(to, name, Some(Uid::from_raw(s.st_uid)), Some(Gid::from_raw(s.st_gid)), flags);
        if let Err(errno) = owner.and_then(|()| rustix::fs::utimensat(to, name, &times(&s), flags)) {
            self.leave_out(&format!("its owner and times were not kept ({errno})"));
        }
        Ok(())
    }

    /// Gives a copy the owner, mode and times of the original, in this order: a new owner takes set-user-id bits away.
    fn attributes(&mut self, from: &OwnedFd, to: &OwnedFd) -> Result<()> {
        let s = rustix::fs::fstat(from).map_err(|errno| self.failed("it cannot be looked at", errno))?;
        let owner = rustix::fs::fchown(to, Some(Uid::from_raw(s.st_uid)), Some(Gid::from_raw(s.st_gid)));
        // Without its owner a program with such a bit would run as somebody else.
        let bits = if owner.is_ok() { s.st_mode & 0o7777 } else { s.st_mode & 0o777 };
        if let Err(errno) = owner {
            self.leave_out(&format!("its owner was not kept ({errno})"));
        }
        fd::set_mode(to, bits).map_err(|error| self.unwritten(&error))?;
        if has_attributes(from, to) {
            self.leave_out("its extended attributes (an ACL is one) were not copied");
        }
        rustix::fs::futimens(to, &times(&s)).map_err(|errno| self.failed("the times of a copy cannot be set", errno))
    }
}

fn times(s: &Stat) -> Timestamps {
    let time = |tv_sec, nsec: u64| Timespec { tv_sec, tv_nsec: nsec.try_into().unwrap_or(0) };
    Timestamps { last_access: time(s.st_atime, s.st_atime_nsec), last_modification: time(s.st_mtime, s.st_mtime_nsec) }
}

/// Whether the original has extended attributes that the copy has not. (A security module gives every file one by itself.)
fn has_attributes(from: &OwnedFd, to: &OwnedFd) -> bool {
    let list = |fd: &OwnedFd| {
        let mut names = vec![0; 64 << 10];
        let length = rustix::fs::flistxattr(fd.as_fd(), &mut names[..]).unwrap_or(0);
        names.truncate(length);
        names
    };
    let copied = list(to);
    list(from).split(|&b| b == 0).any(|name| !name.is_empty() && !copied.split(|&b| b == 0).any(|c| c == name))
}
