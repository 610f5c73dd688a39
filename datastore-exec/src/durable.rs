//! Files that are wholly old or wholly new, also after a power cut, and logs that only grow.

use std::os::fd::{AsFd, OwnedFd};

use datastore_core::path::printable;
use datastore_core::planted::{self, Bug};
use datastore_core::value::Attrs;
use datastore_core::{AbsPath, Error, ErrorKind};
use rustix::fs::{AtFlags, OFlags, RenameFlags, Stat, XattrFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::root::{Root, if_there};
use crate::sys::error::{Call, FdName, SysError};
use crate::sys::fd::{self, Entry};
use crate::sys::stat::{self, Kind};

/// The most that is read of a file that is to be replaced.
const LIMIT: usize = 256 << 20;

/// A digest of a file's content (SHA-256).
pub type ContentDigest = [u8; 32];

/// The digest of some content, for [`Expect::Content`].
#[must_use]
pub fn digest(bytes: &[u8]) -> ContentDigest {
    Sha256::digest(bytes).into()
}

/// What the file must be before it is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Anything, or not there.
    Anything,
    /// Not there.
    Absent,
    /// There, with this content.
    Content(ContentDigest),
}

/// What became of [`replace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Replaced {
    /// The file is new, and durable.
    Done,
    /// It had this content already, which is durable now.
    AlreadySo,
    /// It is not what was expected: somebody else changed it. Nothing was touched.
    Changed,
}

/// Puts new content in the place of a file.
///
/// When this returns [`Replaced::Done`] or [`Replaced::AlreadySo`], the new content survives a power cut. Before that,
/// a crash at any instant leaves the whole old file or the whole new one under its name, and perhaps `.NAME.TAG.tmp`
/// beside it ([`leftovers`]).
///
/// The new file has the old one's mode, owner, group, ACL and extended attributes; the security label only where that
/// is permitted, else the one that the kernel gives a new file there; `security.ima` and `security.evm`, which sign the
/// old content, are left out. A file that did not exist gets `new`. Another hard link of the old file keeps the old
/// content.
///
/// The content is compared to `expect` first, and just before the rename the file is looked at again; only a change in
/// the instant between that look and the rename goes unseen. Two callers must not use one tag for one file at one time.
///
/// # Errors
/// [`ErrorKind::Refused`] if the path is a symbolic link or no regular file. After any error the old file is untouched,
/// except that a failure of the last sync says so: then the new content is there, but may not survive a power cut.
pub fn replace(
    root: &Root,
    path: &AbsPath,
    bytes: &[u8],
    tag: &str,
    new: Attrs,
    expect: Expect,
) -> Result<Replaced, Error> {
    let dir = open_dir_of(root, path)?;
    let entry = Entry::new(&dir, path.file_name());
    let old = open_old(path, entry)?;
    match (&old, expect) {
        (Some(_), Expect::Absent) | (None, Expect::Content(_)) => return Ok(Replaced::Changed),
        (Some(old), Expect::Content(wanted)) if digest(&old.content) != wanted => return Ok(Replaced::Changed),
        (Some(old), _) if old.content == bytes => {
            // An earlier run may have crashed between the rename and the last sync.
            fd::sync(&old.fd)?;
            sync_dir(path, &dir)?;
            return Ok(Replaced::AlreadySo);
        }
        _ => {}
    }
    if planted::has(Bug::InPlaceState) && old.is_some() {
        fd::write_all(&fd::open(entry, OFlags::WRONLY | OFlags::TRUNC, 0)?, bytes)?;
        return Ok(Replaced::Done);
    }
    let name = temporary_name(path.file_name(), tag)?;
    let temporary = Entry::new(&dir, &name);
    let file = create(temporary)?;
    let outcome = fill(&file, bytes, old.as_ref(), new).and_then(|()| publish(entry, temporary, old.as_ref()));
    match outcome {
        Ok(true) => {}
        Ok(false) => {
            fd::remove_file(temporary)?;
            return Ok(Replaced::Changed);
        }
        Err(error) => {
            let left = fd::remove_file(temporary).is_err();
            let mut message = format!("cannot replace `{path}`; it is as it was");
            if left {
                message.push_str(&format!(", and `{}` is left beside it", printable(&name)));
            }
            return Err(error.because(message));
        }
    }
    sync_dir(path, &dir)?;
    Ok(Replaced::Done)
}

fn sync_dir(path: &AbsPath, dir: &OwnedFd) -> Result<(), Error> {
    if planted::has(Bug::NoDirectoryFsync) {
        return Ok(());
    }
    fd::sync(dir).map_err(|error| {
        error.because(format!(
            "`{path}` has its new content, but it may not survive a power cut: its directory was not synced"
        ))
    })
}

/// The old file: open, with what it was and what was in it.
struct Old {
    fd: OwnedFd,
    stat: Stat,
    content: Vec<u8>,
}

fn open_dir_of(root: &Root, path: &AbsPath) -> Result<OwnedFd, Error> {
    let Some(parent) = path.parent() else {
        return Err(Error::new(ErrorKind::Usage, "`/` is not a file"));
    };
    // Opened for reading, not O_PATH, so that it can be synced.
    Ok(root.open_file(&parent, OFlags::RDONLY | OFlags::DIRECTORY, 0)?)
}

fn open_old(path: &AbsPath, entry: Entry<'_>) -> Result<Option<Old>, Error> {
    match stat::facts(entry) {
        Err(error) if error.errno() == Errno::NOENT => return Ok(None),
        Err(error) => return Err(error.into()),
        Ok(facts) => refuse_unless_regular(path, facts.kind)?,
    }
    let fd = fd::open(entry, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, 0)?;
    let stat = rustix::fs::fstat(&fd).map_err(|errno| SysError::new(Call::Fstat { fd: FdName::of(&fd) }, errno))?;
    let content = fd::read_all(&fd, LIMIT)?;
    Ok(Some(Old { fd, stat, content }))
}

fn refuse_unless_regular(path: &AbsPath, kind: Kind) -> Result<(), Error> {
    let refuse = |what: &str| Err(Error::new(ErrorKind::Refused, format!("`{path}` is {what}; it was not touched")));
    match kind {
        Kind::File => Ok(()),
        Kind::Symlink => refuse("a symbolic link, and replacing it would leave the file behind it as it is")
            .map_err(|e: Error| e.hint("put the file itself in the place of the link")),
        Kind::Dir => refuse("a directory"),
        Kind::Other => refuse("not a regular file"),
    }
}

/// `.NAME.TAG.tmp`.
fn temporary_name(name: &[u8], tag: &str) -> Result<Vec<u8>, Error> {
    check_tag(tag)?;
    Ok([b".", name, b".", tag.as_bytes(), b".tmp"].concat())
}

fn check_tag(tag: &str) -> Result<(), Error> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if tag.is_empty() || !tag.bytes().all(plain) {
        return Err(Error::new(ErrorKind::Usage, format!("{tag:?} cannot be part of a temporary file's name")));
    }
    Ok(())
}

/// Makes the temporary file. One of the same tag is what a crashed run left: it is removed, if it is a plain file.
fn create(temporary: Entry<'_>) -> Result<OwnedFd, Error> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    match fd::open(temporary, flags, 0o600) {
        Err(error) if error.errno() == Errno::EXIST && stat::facts(temporary)?.kind == Kind::File => {
            fd::remove_file(temporary)?;
            Ok(fd::open(temporary, flags, 0o600)?)
        }
        // Nobody else has this name, and it may have been made all the same.
        Err(error) if error.errno() != Errno::EXIST => {
            let _ = fd::remove_file(temporary);
            Err(error.into())
        }
        other => Ok(other?),
    }
}

fn fill(file: &OwnedFd, bytes: &[u8], old: Option<&Old>, new: Attrs) -> Result<(), SysError> {
    fd::write_all(file, bytes)?;
    let (mode, uid, gid) = match old {
        Some(old) => (old.stat.st_mode & 0o7777, old.stat.st_uid, old.stat.st_gid),
        None => (new.mode.bits(), new.uid, new.gid),
    };
    let now = rustix::fs::fstat(file).map_err(|errno| SysError::new(Call::Fstat { fd: FdName::of(file) }, errno))?;
    // Not asked for where it is so already: in a user namespace it may be forbidden.
    if (now.st_uid, now.st_gid) != (uid, gid) {
        fd::set_owner(file, uid, gid)?;
    }
    fd::set_mode(file, mode)?;
    if let Some(old) = old {
        copy_attributes(&old.fd, file)?;
    }
    if planted::has(Bug::NoFsync) {
        return Ok(());
    }
    fd::sync(file)
}

/// Gives `to` the extended attributes of `from`, ACLs among them.
fn copy_attributes(from: &OwnedFd, to: &OwnedFd) -> Result<(), SysError> {
    let mut names = vec![0; 65536]; // XATTR_LIST_MAX, linux/limits.h
    let length = match rustix::fs::flistxattr(from, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(errno) => return Err(SysError::new(Call::Flistxattr { fd: FdName::of(from) }, errno)),
    };
    let mut value = Vec::new();
    for name in names[..length].split(|&b| b == 0).filter(|n| !n.is_empty()) {
        if matches!(name, b"security.ima" | b"security.evm") {
            continue;
        }
        value.resize(65536, 0); // XATTR_SIZE_MAX
        let attribute = || printable(name);
        let length = match rustix::fs::fgetxattr(from, name, &mut value[..]) {
            Ok(length) => length,
            Err(Errno::NODATA) => continue, // gone meanwhile
            Err(errno) => {
                return Err(SysError::new(Call::Fgetxattr { fd: FdName::of(from), attribute: attribute() }, errno));
            }
        };
        match rustix::fs::fsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            Ok(()) => {}
            // The label that the kernel gave the new file stands.
            Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) if name.starts_with(b"security.") => {}
            Err(errno) => {
                return Err(SysError::new(Call::Fsetxattr { fd: FdName::of(to), attribute: attribute() }, errno));
            }
        }
    }
    Ok(())
}

/// Renames the temporary file over the old one. `false` if the name does not lead to the old file any more, or to one
/// that has changed since it was read.
fn publish(entry: Entry<'_>, temporary: Entry<'_>, old: Option<&Old>) -> Result<bool, SysError> {
    let failed = |errno| {
        let (dir, old) = temporary.shown();
        SysError::new(Call::Renameat { dir, old, new: printable(entry.name()) }, errno)
    };
    let now = match rustix::fs::statat(entry.dir(), entry.name(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(now) => Some(now),
        Err(Errno::NOENT) => None,
        Err(errno) => {
            let (dir, name) = entry.shown();
            return Err(SysError::new(Call::Fstatat { dir, name }, errno));
        }
    };
    if now.as_ref().map(version) != old.map(|old| version(&old.stat)) {
        return Ok(false);
    }
    let rename = |flags| rustix::fs::renameat_with(temporary.dir(), temporary.name(), entry.dir(), entry.name(), flags);
    if old.is_none() {
        match rename(RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(true),
            Err(Errno::EXIST) => return Ok(false),
            // Before Linux 3.15, or a file system that cannot: the look above must do.
            Err(Errno::NOSYS | Errno::INVAL) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    rustix::fs::renameat(temporary.dir(), temporary.name(), entry.dir(), entry.name()).map_err(failed)?;
    Ok(true)
}

/// What differs between two versions of a file.
fn version(s: &Stat) -> impl PartialEq + use<> {
    (s.st_dev, s.st_ino, s.st_size, s.st_mtime, s.st_mtime_nsec, s.st_ctime, s.st_ctime_nsec)
}

/// The temporary files of a tag that a crash left in a directory, in the order of their names.
pub fn leftovers(root: &Root, dir: &AbsPath, tag: &str) -> Result<Vec<AbsPath>, Error> {
    check_tag(tag)?;
    let Some(opened) = if_there(root.open_file(dir, OFlags::RDONLY | OFlags::DIRECTORY, 0))? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    fd::each_name(opened, |name| {
        if is_temporary(name, tag) {
            found.extend(dir.join(name));
        }
        true
    })?;
    found.sort();
    Ok(found)
}

fn is_temporary(name: &[u8], tag: &str) -> bool {
    let middle = name.strip_prefix(b".").and_then(|rest| rest.strip_suffix(format!(".{tag}.tmp").as_bytes()));
    middle.is_some_and(|original| !original.is_empty())
}

/// Removes one of [`leftovers`]. Anything else, by its name or because it is no regular file, is refused; if it is gone
/// already, good.
pub fn remove_leftover(root: &Root, path: &AbsPath, tag: &str) -> Result<(), Error> {
    check_tag(tag)?;
    if !is_temporary(path.file_name(), tag) {
        let message = format!("`{path}` is not a temporary file of `{tag}`; it was not touched");
        return Err(Error::new(ErrorKind::Refused, message));
    }
    let dir = open_dir_of(root, path)?;
    let entry = Entry::new(&dir, path.file_name());
    match stat::facts(entry) {
        Err(error) if error.errno() == Errno::NOENT => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(facts) => refuse_unless_regular(path, facts.kind)?,
    }
    fd::remove_file(entry)?;
    Ok(fd::sync(&dir)?)
}

/// Adds one line to a log, in one write at its end, and a newline after it. The file is made with `new` if it is not
/// there.
///
/// Without `sync` the line survives a crash of the program but not of the machine. With it, it survives both when this
/// returns. A crash meanwhile may leave a part of the line: if the last line has no end when this is called, it is
/// ended first, so that a torn line never runs into the next one.
///
/// # Errors
/// [`ErrorKind::Usage`] if the line has a newline in it, [`ErrorKind::Refused`] if the log is not a regular file. If
/// the disk is full a part of the line may have been written.
pub fn append_line(root: &Root, path: &AbsPath, line: &[u8], new: Attrs, sync: bool) -> Result<(), Error> {
    if line.contains(&b'\n') {
        return Err(Error::new(ErrorKind::Usage, format!("a line for `{path}` has a line break in it")));
    }
    let dir = open_dir_of(root, path)?;
    let entry = Entry::new(&dir, path.file_name());
    let (file, made) = open_log(path, entry, new)?;
    let mut text = Vec::with_capacity(line.len() + 2);
    if is_torn(&file)? {
        text.push(b'\n');
    }
    text.extend_from_slice(line);
    text.push(b'\n');
    let failed = |errno| {
        let message = format!("cannot add a line to `{path}`; a part of it may be there");
        SysError::new(Call::Write { fd: FdName::of(&file), bytes: text.len() }, errno).because(message)
    };
    match rustix::io::write(&file, &text) {
        Ok(written) if written == text.len() => {}
        // A regular file takes less than all only when there is no more room.
        Ok(_) => return Err(failed(Errno::NOSPC)),
        Err(errno) => return Err(failed(errno)),
    }
    if sync {
        fd::sync(&file)?;
        if made {
            fd::sync(&dir)?;
        }
    }
    Ok(())
}

fn open_log(path: &AbsPath, entry: Entry<'_>, new: Attrs) -> Result<(OwnedFd, bool), Error> {
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY;
    match stat::facts(entry) {
        Ok(facts) => {
            refuse_unless_regular(path, facts.kind)?;
            Ok((fd::open(entry, flags, 0)?, false))
        }
        Err(error) if error.errno() == Errno::NOENT => {
            match fd::open(entry, flags | OFlags::CREATE | OFlags::EXCL, 0o600) {
                Ok(file) => {
                    let now = rustix::fs::fstat(&file)
                        .map_err(|errno| SysError::new(Call::Fstat { fd: FdName::of(&file) }, errno))?;
                    if (now.st_uid, now.st_gid) != (new.uid, new.gid) {
                        fd::set_owner(&file, new.uid, new.gid)?;
                    }
                    fd::set_mode(&file, new.mode.bits())?;
                    Ok((file, true))
                }
                // Somebody else has just made it.
                Err(error) if error.errno() == Errno::EXIST => Ok((fd::open(entry, flags, 0)?, false)),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the last line has no end.
fn is_torn(file: &OwnedFd) -> Result<bool, SysError> {
    let failed = |errno| SysError::new(Call::Read { fd: FdName::of(file) }, errno);
    let size = rustix::fs::fstat(file.as_fd()).map_err(failed)?.st_size.cast_unsigned();
    let mut last = [0];
    Ok(size > 0 && rustix::io::pread(file, &mut last[..], size - 1).map_err(failed)? == 1 && last != *b"\n")
}

#[cfg(test)]
mod tests;
