//! The program itself, on every volume: `/store/dataN/sbin/datastore` runs on whatever rescue system the disk is attached to.
//!
//! What is copied is the program that runs, with the libraries that it has in use (proc(5), `maps`) and the loader among them, so that nothing of the
//! rescue system is needed but a shell and a kernel. It is housekeeping after an operation: not synced step by step, and no operation fails for want of it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use datastore_core::goal::{Apps, Goal};
use datastore_core::path::printable;
use datastore_core::plan::Remark;
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use rustix::fs::{OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::load::changeable;
use crate::operation;
use crate::root::{Root, if_there};
use crate::sys::{Entry, fd, proc, stat};

/// The name of the program, and of what calls it.
const NAME: &str = "datastore";
/// Where the copies are, below `sbin`.
const LIBRARIES: &str = "lib";
/// A larger program carries what only its developers want; it would fill small volumes.
const LARGEST: u64 = 48 << 20;
/// A volume keeps at least so many times what the copies take.
const ROOM: u64 = 4;

/// What is copied.
struct Part {
    from: PathBuf,
    name: Vec<u8>,
    size: u64,
    time: (i64, i64),
}

/// After an operation: has each of these volumes carry the program that runs.
pub(crate) fn refresh(root: &Root, goal: &Goal, volumes: &[AbsPath]) -> Vec<Remark> {
    let all = Apps::default();
    // A new volume, and now and then: whatever applies everything comes after an upgrade too.
    let is_due = goal.new_volume().is_some() || *goal == Goal::Apply(all);
    if !is_due || volumes.is_empty() || !operation::privileged() {
        return Vec::new();
    }
    let Some(parts) = parts() else { return Vec::new() };
    let told = |volume: &AbsPath| {
        let error = place(root, volume, &parts).err()?;
        // A volume that is read-only keeps what it has, and of one that is small that is told once.
        let is_read_only = error.errno() == Some(Errno::ROFS.raw_os_error());
        let is_known = error.kind() == ErrorKind::Refused && goal.new_volume().is_none();
        (!is_read_only && !is_known).then(|| Remark {
            detail: format!("{volume} has no copy of this program: {}", error.chain()),
            hint: "a rescue system needs one of its own; everything else works".into(),
        })
    };
    volumes.iter().filter_map(told).collect()
}

/// The program and its libraries. `None` if this is another program, which uses datastore's library, or if somebody could have changed it.
fn parts() -> Option<Vec<Part>> {
    let exe = std::fs::read_link("/proc/self/exe").ok()?;
    if exe.file_name()? != NAME {
        return None;
    }
    let maps = proc::read("/proc/self/maps").ok()?;
    let mut paths: Vec<PathBuf> = vec![exe];
    for line in maps.split(|&b| b == b'\n') {
        let Some(at) = line.iter().position(|&b| b == b'/') else { continue };
        let path = Path::new(std::ffi::OsStr::from_bytes(&line[at..])).to_path_buf();
        let is_library = path.file_name().is_some_and(|name| name.as_bytes().windows(3).any(|w| w == b".so"));
        if is_library && !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths.into_iter().map(part).collect()
}

fn part(from: PathBuf) -> Option<Part> {
    let file = File::open(&from).ok()?;
    let meta = file.metadata().ok()?;
    let facts = stat::facts(Entry::itself(&file)).ok()?;
    let name = from.file_name()?.as_bytes().to_vec();
    let is_sound = meta.is_file() && meta.len() <= LARGEST && changeable(&facts, "").is_none();
    is_sound.then(|| Part { from, name, size: meta.len(), time: (meta.mtime(), meta.mtime_nsec()) })
}

/// The script that calls the copy: with the loader and the libraries beside it, whatever the system has.
fn script(parts: &[Part]) -> String {
    let is_loader =
        |part: &&Part| part.name.starts_with(b"ld-") || part.name.starts_with(b"ld.") || part.name.starts_with(b"ld64");
    let about =
        "#!/bin/sh\n# Written by datastore(8): runs the copy of the program beside it, with its own libraries.\n";
    let here = "here=$(cd \"$(dirname \"$0\")\" && pwd)\n";
    match parts.iter().find(is_loader) {
        Some(loader) => {
            let loader = printable(&loader.name);
            format!(
                "{about}{here}exec \"$here/{LIBRARIES}/{loader}\" --library-path \"$here/{LIBRARIES}\" \"$here/{LIBRARIES}/{NAME}\" \"$@\"\n"
            )
        }
        None => format!("{about}{here}exec \"$here/{LIBRARIES}/{NAME}\" \"$@\"\n"),
    }
}

fn place(root: &Root, volume: &AbsPath, parts: &[Part]) -> Result<()> {
    root.forget_within(volume);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let Some(sbin) = if_there(root.open_file(&volume.child("sbin"), flags, 0))? else { return Ok(()) };
    fd::make_dir_if_missing(Entry::new(&sbin, LIBRARIES.as_bytes()), 0o755)?;
    let lib = fd::open(Entry::new(&sbin, LIBRARIES.as_bytes()), flags, 0)?;
    let stale: Vec<&Part> = parts.iter().filter(|part| !is_there(&lib, part)).collect();
    if !stale.is_empty() {
        demand_room(volume, &lib, parts.iter().map(|part| part.size).sum())?;
    }
    for part in &stale {
        copy(&lib, part)?;
    }
    let text = script(parts);
    let is_same = fd::open(Entry::new(&sbin, NAME.as_bytes()), OFlags::RDONLY | OFlags::NONBLOCK, 0)
        .and_then(|file| fd::read_all(file, LARGEST as usize))
        .is_ok_and(|bytes| bytes == text.as_bytes());
    if !is_same {
        write(&sbin, NAME.as_bytes(), None, |file| Ok(fd::write_all(file, text.as_bytes())?))?;
    }
    if !stale.is_empty() || !is_same {
        crate::tree::sync(&sbin)?;
    }
    Ok(())
}

fn demand_room(volume: &AbsPath, dir: &OwnedFd, size: u64) -> Result<()> {
    let room = rustix::fs::fstatvfs(dir).map_or(0, |vfs| vfs.f_bavail.saturating_mul(vfs.f_frsize));
    if room / ROOM >= size {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Refused, format!("{volume} has too little room for it")))
}

fn is_there(lib: &OwnedFd, part: &Part) -> bool {
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::statat(lib, &part.name[..], flags).is_ok_and(|s| {
        (s.st_size.cast_unsigned(), (s.st_mtime, i64::try_from(s.st_mtime_nsec).unwrap_or(0))) == (part.size, part.time)
    })
}

fn copy(lib: &OwnedFd, part: &Part) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::System, format!("{} cannot be copied", part.from.display()))
            .with_errno(error.raw_os_error().unwrap_or(0))
            .caused_by(error)
    };
    let mut from = File::open(&part.from).map_err(failed)?;
    write(lib, &part.name, Some(part.time), |file| {
        let mut to = File::from(file.as_fd().try_clone_to_owned().map_err(failed)?);
        std::io::copy(&mut from, &mut to).map_err(failed)?;
        Ok(())
    })
}

/// Writes a file under another name, and gives it its own when it is whole.
fn write(
    dir: &OwnedFd,
    name: &[u8],
    time: Option<(i64, i64)>,
    fill: impl FnOnce(&OwnedFd) -> Result<()>,
) -> Result<()> {
    let temporary = [b".", name, b".tool-copy.tmp"].concat();
    let entry = Entry::new(dir, &temporary);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
    let file = fd::open(entry, flags, 0o755)?;
    let done = fill(&file).and_then(|()| {
        fd::set_mode(&file, 0o755)?;
        if let Some((seconds, nanoseconds)) = time {
            let at = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
            let times = Timestamps { last_access: at, last_modification: at };
            let failed = |errno: Errno| {
                Error::new(ErrorKind::System, "the time of a copy cannot be set").with_errno(errno.raw_os_error())
            };
            rustix::fs::futimens(&file, &times).map_err(failed)?;
        }
        let failed = |errno: Errno| {
            Error::new(ErrorKind::System, format!("{} cannot be replaced", printable(name)))
                .with_errno(errno.raw_os_error())
        };
        rustix::fs::renameat(dir, &temporary[..], dir, name).map_err(failed)
    });
    if done.is_err() {
        let _ = fd::remove_file(entry);
    }
    done
}
