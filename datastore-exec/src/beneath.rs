//! Looking under a live bind: through a private copy of the mount above it, in which the bind is not there.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use datastore_core::AbsPath;
use datastore_core::observed::{DirFacts, Identity, Place};
use datastore_core::value::Attrs;
use rustix::fs::OFlags;

use crate::root::Root;
use crate::sys::stat::{self, Kind};
use crate::sys::{Entry, fd, mount};

/// So many copies are kept; each takes a descriptor, and a process has 1024 as a rule.
const KEPT: usize = 128;

/// Private copies of the directories above mount points, each made once as a rule. Nothing sees them but this process, and they
/// vanish with it.
pub(crate) struct Beneath<'r> {
    root: &'r Root,
    copies: HashMap<AbsPath, Option<OwnedFd>>,
}

impl<'r> Beneath<'r> {
    pub(crate) fn new(root: &'r Root) -> Self {
        Self { root, copies: HashMap::new() }
    }

    /// What lies under the mount at a mount point. [`Place::Hidden`] where the kernel cannot copy the mount: before Linux 5.2, and
    /// in a user namespace above mounts that belong to another one.
    pub(crate) fn look(&mut self, mount_point: &AbsPath) -> Place {
        let Some(parent) = mount_point.parent() else { return Place::Hidden };
        let root = self.root;
        if self.copies.len() >= KEPT && !self.copies.contains_key(&parent) {
            self.copies.clear();
        }
        let copy = self.copies.entry(parent.clone()).or_insert_with(|| {
            let dir = root.open_dir(&parent).ok()?;
            mount::private_view(&dir).ok()
        });
        let Some(copy) = copy else { return Place::Hidden };
        let entry = Entry::new(copy, mount_point.file_name());
        let facts = match stat::facts(entry) {
            Ok(facts) if facts.kind == Kind::Dir => facts,
            Ok(_) => return Place::Other { at: mount_point.clone(), what: "no directory".into() },
            Err(error) if error.errno() == rustix::io::Errno::NOENT => {
                return Place::Absent { missing: mount_point.clone() };
            }
            Err(error) => return Place::Failed(error.to_string()),
        };
        let mut empty = None;
        if let Ok(dir) = fd::open(entry, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, 0) {
            empty = fd::is_empty(&dir).ok();
        }
        let attrs = Attrs { mode: facts.mode, uid: facts.uid, gid: facts.gid };
        Place::Dir(DirFacts {
            dev: facts.dev,
            ino: facts.ino,
            attrs,
            empty,
            immutable: facts.immutable,
            id: Identity::Unasked,
        })
    }
}
