//! A file system in memory, copied with all that datastore looks at: modes, owners, times, attributes, seals, hard links, holes.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, IFlags, Timespec, Timestamps, XattrFlags};

/// Copies what a mount shows to an empty directory.
///
/// # Panics
/// If that fails.
pub(crate) fn tree(from: &OwnedFd, to: &Path) {
    let from = PathBuf::from(format!("/proc/self/fd/{}/", from.as_raw_fd()));
    directory(&from, to, &mut HashMap::new());
}

/// What is in a directory, and what it is itself.
fn directory(from: &Path, to: &Path, links: &mut HashMap<u64, PathBuf>) {
    let entries = fs::read_dir(from).unwrap_or_else(|e| panic!("read {}: {e}", from.display()));
    for entry in entries {
        let entry = entry.expect("an entry of a directory");
        let (old, new) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().expect("the kind of an entry");
        if kind.is_dir() {
            fs::create_dir(&new).unwrap_or_else(|e| panic!("make {}: {e}", new.display()));
            directory(&old, &new, links);
            continue;
        }
        let meta = old.symlink_metadata().unwrap_or_else(|e| panic!("stat {}: {e}", old.display()));
        if meta.nlink() > 1 {
            if let Some(first) = links.get(&meta.ino()) {
                fs::hard_link(first, &new).unwrap_or_else(|e| panic!("link {}: {e}", new.display()));
                continue;
            }
            links.insert(meta.ino(), new.clone());
        }
        if kind.is_symlink() {
            let target = fs::read_link(&old).unwrap_or_else(|e| panic!("read {}: {e}", old.display()));
            symlink(target, &new).unwrap_or_else(|e| panic!("link {}: {e}", new.display()));
        } else {
            assert!(kind.is_file(), "{} is no file", old.display());
            contents(&old, &new, meta.len());
        }
        attributes(&old, &new, &meta);
    }
    let meta = from.metadata().unwrap_or_else(|e| panic!("stat {}: {e}", from.display()));
    attributes(from, to, &meta);
    if is_immutable(from) {
        let dir = File::open(to).unwrap_or_else(|e| panic!("open {}: {e}", to.display()));
        rustix::fs::ioctl_setflags(&dir, IFlags::IMMUTABLE).unwrap_or_else(|e| panic!("seal {}: {e}", to.display()));
    }
}

/// What is in a file. Holes stay holes.
fn contents(from: &Path, to: &Path, length: u64) {
    let mut old = File::open(from).unwrap_or_else(|e| panic!("open {}: {e}", from.display()));
    let mut new = File::create(to).unwrap_or_else(|e| panic!("make {}: {e}", to.display()));
    new.set_len(length).expect("the length of a file");
    let mut at = 0;
    while let Ok(data) = rustix::fs::seek(&old, rustix::fs::SeekFrom::Data(at)) {
        let end = rustix::fs::seek(&old, rustix::fs::SeekFrom::Hole(data)).expect("where data end");
        let mut bytes = vec![0; usize::try_from(end - data).expect("a small file")];
        old.seek(SeekFrom::Start(data)).expect("seek");
        old.read_exact_at(&mut bytes, data).unwrap_or_else(|e| panic!("read {}: {e}", from.display()));
        new.seek(SeekFrom::Start(data)).expect("seek");
        new.write_all(&bytes).unwrap_or_else(|e| panic!("write {}: {e}", to.display()));
        at = end;
    }
}

/// Owner, mode, extended attributes, and last the times.
fn attributes(from: &Path, to: &Path, meta: &fs::Metadata) {
    let told = |what: &str| format!("{what} of {}", to.display());
    if meta.is_symlink() {
        lchown(to, Some(meta.uid()), Some(meta.gid())).unwrap_or_else(|e| panic!("{}: {e}", told("owner")));
    } else {
        chown(to, Some(meta.uid()), Some(meta.gid())).unwrap_or_else(|e| panic!("{}: {e}", told("owner")));
        let mode = fs::Permissions::from_mode(meta.mode() & 0o7777);
        fs::set_permissions(to, mode).unwrap_or_else(|e| panic!("{}: {e}", told("mode")));
        let mut names = [0; 4096];
        let length = rustix::fs::listxattr(from, &mut names).unwrap_or_else(|e| panic!("{}: {e}", told("attributes")));
        for name in names[..length].split(|b| *b == 0).filter(|name| !name.is_empty()) {
            let mut value = [0; 4096];
            let length = rustix::fs::getxattr(from, name, &mut value).expect("an attribute that is listed");
            rustix::fs::setxattr(to, name, &value[..length], XattrFlags::empty())
                .unwrap_or_else(|e| panic!("{}: {e}", told("attributes")));
        }
    }
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time(meta.atime(), meta.atime_nsec()),
        last_modification: time(meta.mtime(), meta.mtime_nsec()),
    };
    rustix::fs::utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)
        .unwrap_or_else(|e| panic!("{}: {e}", told("times")));
}

fn is_immutable(dir: &Path) -> bool {
    let dir = File::open(dir).unwrap_or_else(|e| panic!("open {}: {e}", dir.display()));
    rustix::fs::ioctl_getflags(&dir).is_ok_and(|flags| flags.contains(IFlags::IMMUTABLE))
}
