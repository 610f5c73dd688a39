//! What a target can hold, found by trying on a scratch file that has no name, or none for long.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use datastore_core::amount::size;
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::copy::one_file_system;
use super::survey::Survey;
use crate::sys::attr::{self, PROJECT_INHERIT, SETTINGS, Time};
use crate::sys::error::{Call, FdName};
use crate::sys::{Entry, SysError, data, fd, name, xattrs};

/// Settings that only a directory has: synchronous changes, and the top of directory hierarchies (chattr(1) `D` and `T`).
const OF_DIRECTORIES: u32 = 0x1_0000 | 0x2_0000;
/// Names that differ in case are one (chattr(1) `F`).
const CASEFOLD: u32 = 0x4000_0000;

/// What a target takes of the settings of inodes, and what is known of what is made there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holds {
    /// The inode flags that it takes, of [`SETTINGS`].
    pub flags: u32,
    /// Whether it takes a project.
    pub extra: bool,
    /// Owner and group of what is made in it, where they are the same for everything.
    pub owner: Option<(u32, u32)>,
    /// Whether what is made in it begins without settings.
    pub plain: bool,
}

/// Something that a target cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// A sentence.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// How a tree fits into a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitting {
    /// What does not fit; empty if all does.
    pub misfits: Vec<Misfit>,
    /// Inode flags that would be lost, as chattr(1) names them; they are settings, not data.
    pub lost_flags: String,
    /// Whether the copies share their contents with the originals, so that they take next to no room.
    pub shares: bool,
    /// Bytes that the copy takes, with a margin.
    pub needed: u64,
    /// Bytes that are free for it.
    pub free: u64,
    /// Inodes that are free; `None` if the file system makes them as it needs them.
    pub free_inodes: Option<u64>,
}

/// A file or a directory for trying. It has no name where the file system can do that (`O_TMPFILE`, Linux 3.11), else it loses
/// it in the end.
struct Scratch<'a> {
    dir: &'a OwnedFd,
    fd: OwnedFd,
    is_named: bool,
    is_dir: bool,
}

/// What is tried on where it must have a name. It is always the same one: what a run left that was killed is gone with the next.
const SCRATCH: &[u8] = b".datastore-try";

impl<'a> Scratch<'a> {
    fn file(dir: &'a OwnedFd) -> Result<Self, SysError> {
        match fd::open(Entry::itself(dir), OFlags::TMPFILE | OFlags::RDWR, 0o600) {
            Ok(fd) => Ok(Self { dir, fd, is_named: false, is_dir: false }),
            Err(error) if matches!(error.errno(), Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
                Self::named(
                    dir,
                    |entry: Entry<'_>| fd::open(entry, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, 0o600),
                    false,
                )
            }
            Err(error) => Err(error),
        }
    }

    fn directory(dir: &'a OwnedFd) -> Result<Self, SysError> {
        Self::named(dir, |entry: Entry<'_>| fd::make_dir(entry, 0o700), true)
    }

    fn named(
        dir: &'a OwnedFd,
        make: impl Fn(Entry<'_>) -> Result<OwnedFd, SysError>,
        is_dir: bool,
    ) -> Result<Self, SysError> {
        let entry = Entry::new(dir, SCRATCH);
        let made = match make(entry) {
            Err(error) if error.errno() == Errno::EXIST => {
                take_away(entry)?;
                make(entry)
            }
            made => made,
        };
        Ok(Self { dir, fd: made?, is_named: true, is_dir })
    }

    /// Takes its name away, and fails where that stays.
    fn finish(mut self) -> Result<(), SysError> {
        self.remove()?;
        self.is_named = false;
        Ok(())
    }

    fn remove(&self) -> Result<(), SysError> {
        let entry = Entry::new(self.dir, SCRATCH);
        match (self.is_named, self.is_dir) {
            (false, _) => Ok(()),
            (true, true) => fd::remove_dir(entry),
            (true, false) => fd::remove_file(entry),
        }
    }

    /// Which of some flags it takes.
    fn takes(&self, wanted: u32) -> Result<u32, SysError> {
        let Some(before) = attr::flags(&self.fd)? else { return Ok(0) };
        let mut taken = 0;
        for bit in (0..32).map(|shift| 1 << shift).filter(|bit| wanted & bit != 0) {
            let set = attr::set_flags(&self.fd, before | bit).is_ok();
            if set && attr::flags(&self.fd)?.is_some_and(|now| now & bit != 0) {
                taken |= bit;
            }
            if set {
                attr::set_flags(&self.fd, before)?;
            }
        }
        Ok(taken)
    }
}

/// Removes what was tried on.
fn take_away(entry: Entry<'_>) -> Result<(), SysError> {
    let is_dir = attr::attr(entry).is_ok_and(|attr| attr.kind().is_dir());
    if is_dir { fd::remove_dir(entry) } else { fd::remove_file(entry) }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // What failed is told already; a name that stays is taken away by the next run.
        let _ = self.remove();
    }
}

/// Finds out what a target takes of settings. The directory is open for reading.
pub fn holds(to: &OwnedFd) -> Result<Holds, SysError> {
    let top = attr::attr(Entry::itself(to))?;
    let file = Scratch::file(to)?;
    let found = attr::attr(Entry::itself(&file.fd))?;
    let of_file = file.takes(SETTINGS & !OF_DIRECTORIES & !PROJECT_INHERIT)?;
    let dir = Scratch::directory(to)?;
    let of_dir = dir.takes(OF_DIRECTORIES | PROJECT_INHERIT)?;
    let extra = match attr::extra(&file.fd)? {
        Some(extra) => {
            let other = attr::Extra { project: extra.project ^ 1, ..extra };
            attr::set_extra(&file.fd, other).is_ok()
                && attr::extra(&file.fd)?.is_some_and(|now| now.project == other.project)
        }
        None => false,
    };
    let settings = attr::flags(to)?.unwrap_or(0) & SETTINGS;
    let project = attr::extra(to)?.is_some_and(|extra| extra.project != 0 || extra.flags & attr::EXTRA_SETTINGS != 0);
    // A copy that counts is no place for them.
    dir.finish()?;
    file.finish()?;
    Ok(Holds {
        flags: of_file | of_dir,
        extra,
        // In a directory with the setgid bit what is made now is not what is made once that is gone.
        owner: (top.bits() & 0o2000 == 0).then_some((found.uid, found.gid)),
        plain: settings == 0 && !project,
    })
}

/// Tries whether a target, which is open for reading, can hold what a survey of `from` found.
pub fn fit(survey: &Survey, from: &OwnedFd, to: &OwnedFd) -> Result<Fitting, SysError> {
    let holds = holds(to)?;
    let mut trial = Trial { survey, to, scratch: Scratch::file(to)?, misfits: Vec::new() };
    trial.case()?;
    trial.kinds()?;
    trial.length();
    trial.owners();
    trial.times()?;
    trial.attributes();
    trial.project(&holds);
    let shares = trial.shares(from)?;
    let (free, free_inodes, needed) = trial.room(shares)?;
    let Trial { misfits, .. } = trial;
    let lost_flags = attr::letters(survey.flags & !holds.flags);
    Ok(Fitting { misfits, lost_flags, shares, needed, free, free_inodes })
}

struct Trial<'a> {
    survey: &'a Survey,
    to: &'a OwnedFd,
    scratch: Scratch<'a>,
    misfits: Vec<Misfit>,
}

impl Trial<'_> {
    fn misfit(&mut self, message: impl Into<String>, hint: &str) {
        self.misfits.push(Misfit { message: message.into(), hint: hint.into() });
    }

    fn itself(&self) -> Entry<'_> {
        Entry::itself(&self.scratch.fd)
    }

    fn case(&mut self) -> Result<(), SysError> {
        if attr::flags(self.to)?.is_some_and(|flags| flags & CASEFOLD != 0) {
            self.misfit("the target does not tell upper and lower case apart", "choose a directory without chattr +F");
        }
        Ok(())
    }

    /// Links and special files.
    fn kinds(&mut self) -> Result<(), SysError> {
        let survey = self.survey;
        let kinds = [
            (survey.symlinks, FileType::Symlink, "symbolic links"),
            (survey.others, FileType::Fifo, "FIFOs and sockets"),
            (survey.devices, FileType::CharacterDevice, "devices"),
        ];
        for (count, kind, what) in kinds {
            if count == 0 {
                continue;
            }
            let entry = Entry::new(self.to, SCRATCH);
            let _ = take_away(entry);
            let made = match kind {
                FileType::Symlink => name::symlink(entry, b"x"),
                // The null device.
                FileType::CharacterDevice => {
                    name::special(entry, kind.as_raw_mode() | 0o600, rustix::fs::makedev(1, 3))
                }
                _ => name::special(entry, kind.as_raw_mode() | 0o600, 0),
            };
            match made {
                Ok(()) => fd::remove_file(entry).inspect_err(|_| drop(take_away(entry)))?,
                Err(error) => self.misfit(
                    format!("the target takes no {what} ({}), and there are {count}", error.errno()),
                    "choose a file system of Linux, and run it as root of the machine",
                ),
            }
        }
        if survey.hard_linked > 0 && !self.links()? {
            self.misfit(
                format!("the target takes no hard links, and {} names are such", survey.hard_linked),
                "choose a file system of Linux",
            );
        }
        Ok(())
    }

    fn links(&self) -> Result<bool, SysError> {
        let (first, second) = (Entry::new(self.to, SCRATCH), Entry::new(self.to, b".datastore-try-2"));
        let clear = || [first, second].into_iter().for_each(|left| drop(take_away(left)));
        clear();
        drop(fd::open(first, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, 0o600)?);
        let linked = name::link_entry(first, second).is_ok();
        let second_is_gone = if linked { fd::remove_file(second) } else { Ok(()) };
        let gone = second_is_gone.and_then(|()| fd::remove_file(first));
        // Once more, so that nothing is left where that helps.
        gone.inspect_err(|_| clear()).map(|()| linked)
    }

    fn length(&mut self) {
        let longest = self.survey.largest_file;
        if let Err(error) = data::set_length(&self.scratch.fd, longest) {
            self.misfit(
                format!("the target takes no file of {} ({})", size(longest), error.errno()),
                "choose a volume whose file system takes such files",
            );
        }
        // A file that cannot be cut again is gone in a moment anyway.
        let _ = data::set_length(&self.scratch.fd, 0);
    }

    fn owners(&mut self) {
        let (uid, gid) = (self.survey.largest_uid, self.survey.largest_gid);
        if let Err(error) = attr::set_owner(self.itself(), uid, gid) {
            self.misfit(
                format!("the target takes no owner {uid} with group {gid} ({})", error.errno()),
                "run it as root of the machine, outside of user namespaces",
            );
        }
    }

    fn times(&mut self) -> Result<(), SysError> {
        let mut coarse = false;
        for sec in [self.survey.earliest, self.survey.latest] {
            let time = Time { sec, nsec: 999_999_999 };
            attr::set_times(self.itself(), time, time)?;
            let kept = attr::attr(self.itself())?.mtime;
            coarse |= kept.nsec != time.nsec;
            if kept.sec != sec {
                self.misfit(
                    format!("the target keeps no time {sec} seconds from 1970"),
                    "choose a volume with larger inodes (mkfs.ext4 -I 256, mkfs.xfs -m bigtime=1)",
                );
            }
        }
        if coarse {
            self.misfit("the target keeps no nanoseconds of times", "choose a volume with larger inodes");
        }
        Ok(())
    }

    fn attributes(&mut self) {
        let survey = self.survey;
        let mut refused: Vec<(&str, Errno)> = Vec::new();
        for namespace in ["user.", "trusted.", "security.", "system.posix_acl_"] {
            if !survey.xattrs.iter().any(|name| name.starts_with(namespace)) {
                continue;
            }
            let (name, value) = match namespace {
                "system.posix_acl_" => (c"system.posix_acl_access".to_owned(), smallest_acl()),
                _ => (CString::new(format!("{namespace}datastore-try")).unwrap_or_default(), b"x".to_vec()),
            };
            match xattrs::set(self.itself(), &name, &value) {
                Ok(()) => drop(xattrs::remove(self.itself(), &name)),
                Err(error) => refused.push((namespace, error.errno())),
            }
        }
        for (namespace, errno) in &refused {
            self.misfit(
                format!("the target takes no extended attributes {namespace}* ({errno})"),
                "choose a file system that takes them, and run it as root of the machine",
            );
        }
        if refused.is_empty() && survey.most_xattrs > 0 && !self.takes_sizes() {
            self.misfit(
                format!(
                    "the target takes no extended attributes as large as they are: up to {} bytes each, {} of one file",
                    survey.largest_xattr, survey.most_xattrs
                ),
                "choose an xfs volume, or an ext4 one made with -O ea_inode, or take these attributes away",
            );
        }
    }

    /// One attribute as large as the largest, then more up to the most that one inode has.
    fn takes_sizes(&self) -> bool {
        let prefix =
            if self.survey.xattrs.iter().any(|name| name.starts_with("trusted.")) { "trusted" } else { "user" };
        let name = |number: usize| CString::new(format!("{prefix}.datastore-try-{number}")).unwrap_or_default();
        let mut left = self.survey.most_xattrs.max(self.survey.largest_xattr);
        let mut number = 0;
        while left > 0 {
            let name = name(number);
            let value = vec![b'x'; left.min(self.survey.largest_xattr.max(1))];
            if xattrs::set(self.itself(), &name, &value).is_err() {
                return false;
            }
            left = left.saturating_sub(value.len() + name.as_bytes().len());
            number += 1;
        }
        true
    }

    fn project(&mut self, holds: &Holds) {
        if self.survey.extra && !holds.extra {
            self.misfit(
                "the target keeps no project numbers (quota), and there are some",
                "choose an xfs volume, or an ext4 one made with -O project,quota; or take them away (xfs_io -c chproj)",
            );
        }
    }

    fn shares(&self, from: &OwnedFd) -> Result<bool, SysError> {
        let (source, target) = (attr::attr(Entry::itself(from))?, attr::attr(Entry::itself(self.to))?);
        if !one_file_system(from, self.to, &source, &target) {
            return Ok(false);
        }
        let (first, second) = (Scratch::file(self.to)?, Scratch::file(self.to)?);
        data::write_at(&first.fd, &[b'x'; 4096], 0)?;
        Ok(data::share(&first.fd, &second.fd).is_ok())
    }

    fn room(&mut self, shares: bool) -> Result<(u64, Option<u64>, u64), SysError> {
        let room = rustix::fs::fstatvfs(self.to)
            .map_err(|errno| SysError::new(Call::Fstatvfs { fd: FdName::of(self.to) }, errno))?;
        let survey = self.survey;
        if survey.longest_name as u64 > room.f_namemax {
            self.misfit(
                format!("the target takes names up to {} bytes, and one has {}", room.f_namemax, survey.longest_name),
                "choose another file system, or rename it",
            );
        }
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        let inodes = (room.f_files > 0).then_some(room.f_favail);
        // An inode with what belongs to it, and a margin: directories, indices, and the journal take room too.
        let contents = if shares { 0 } else { survey.allocated };
        let needed = contents + survey.inodes * 512 + contents / 50 + (1 << 20);
        if needed > free {
            self.misfit(
                format!("the copy takes about {}, and {} is free there", size(needed), size(free)),
                "make room, or choose a larger volume",
            );
        }
        if let Some(inodes) = inodes.filter(|&inodes| inodes < survey.inodes) {
            self.misfit(
                format!("the copy takes {} inodes, and {inodes} are free there", survey.inodes),
                "choose a volume with more inodes (mkfs.ext4 -N), or one of xfs or btrfs",
            );
        }
        Ok((free, inodes, needed))
    }
}

/// The smallest ACL that is more than a mode: one for user 0, and a mask (linux/posix_acl_xattr.h).
fn smallest_acl() -> Vec<u8> {
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, id) in [(1_u16, u32::MAX), (2, 0), (4, u32::MAX), (16, u32::MAX), (32, u32::MAX)] {
        acl.extend(tag.to_le_bytes());
        acl.extend(4_u16.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    acl
}
