//! What lies in a directory, as rows.

use std::os::fd::OwnedFd;

use datastore_core::path::printable;
use datastore_core::peek::{Entry as Row, EntryKind};
use rustix::fs::{AtFlags, OFlags};

use super::MOST;
use crate::sys::ids::Ids;
use crate::sys::stat::{self, Facts, Kind};
use crate::sys::{Entry, SysError, fd};

/// Gathers rows, at most [`MOST`].
pub(super) struct Lister<'a> {
    pub(super) ids: &'a Ids,
    /// Whether to enter directories.
    pub(super) deep: bool,
    pub(super) entries: Vec<Row>,
    /// Whether something was not listed.
    pub(super) cut: bool,
}

impl Lister<'_> {
    /// Everything in a directory; `path` is its own below the mount point, empty for that itself.
    pub(super) fn directory(&mut self, dir: &OwnedFd, path: &[u8], deeper: usize) -> Result<(), SysError> {
        for name in names(dir, &mut self.cut)? {
            let path = if path.is_empty() { name.clone() } else { [path, b"/", &name].concat() };
            self.one(Entry::new(dir, &name), &path, deeper)?;
            if self.entries.len() >= MOST {
                self.cut = true;
                return Ok(());
            }
        }
        Ok(())
    }

    /// One entry, and what is in it.
    pub(super) fn one(&mut self, entry: Entry<'_>, path: &[u8], deeper: usize) -> Result<(), SysError> {
        let facts = match stat::facts(entry) {
            Ok(facts) => facts,
            // Nobody sees it, and yet somebody may hold it open and remove something.
            Err(error) if error.errno() == rustix::io::Errno::NOENT => return Ok(()),
            Err(error) => return Err(error),
        };
        self.entries.push(self.row(entry, path, &facts));
        if facts.kind != Kind::Dir || !self.deep {
            return Ok(());
        }
        let Some(deeper) = deeper.checked_sub(1) else {
            self.cut = true;
            return Ok(());
        };
        let dir = fd::open(entry, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
        self.directory(&dir, path, deeper)
    }

    fn row(&self, entry: Entry<'_>, path: &[u8], facts: &Facts) -> Row {
        let target = match facts.kind {
            Kind::Symlink => {
                rustix::fs::readlinkat(entry.dir(), entry.name(), Vec::new()).map(|t| printable(t.as_bytes()))
            }
            _ => Ok(String::new()),
        };
        let modified =
            rustix::fs::statat(entry.dir(), entry.name(), AtFlags::SYMLINK_NOFOLLOW).map_or(0, |s| s.st_mtime);
        Row {
            path: printable(path),
            kind: match facts.kind {
                Kind::File => EntryKind::File,
                Kind::Dir => EntryKind::Directory,
                Kind::Symlink => EntryKind::Link,
                Kind::Other => EntryKind::Other,
            },
            size: facts.size,
            mode: facts.mode.to_string(),
            uid: facts.uid,
            gid: facts.gid,
            user: self.ids.user_name(facts.uid).unwrap_or_default(),
            group: self.ids.group_name(facts.gid).unwrap_or_default(),
            modified,
            target: target.unwrap_or_default(),
        }
    }
}

/// The names in a directory, sorted; of one that has more than can be listed, only so many.
fn names(dir: &OwnedFd, cut: &mut bool) -> Result<Vec<Vec<u8>>, SysError> {
    let mut names = Vec::new();
    fd::each_name(dir, |name| {
        if names.len() >= MOST {
            *cut = true;
            return false;
        }
        names.push(name.to_vec());
        true
    })?;
    // The descriptor may be read again, for a copy.
    let _ = rustix::fs::seek(dir, rustix::fs::SeekFrom::Start(0));
    names.sort();
    Ok(names)
}
