//! Two file systems in images: one with a tree, and one to which it is copied.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use datastore_tests::Sandbox;
use rustix::fs::StatVfs;

use super::data::Set;
use crate::disk;

/// The directories of both in the sandbox.
const FROM: &str = "/from";
const TO: &str = "/to";
/// The least size of a file system in MiB.
const LEAST: u64 = 256;
/// By so many bytes the directories of a small tree may differ.
const SLACK: u64 = 4 << 20;
/// The tree's top on each.
const TOP: &str = "top";

/// Both, the source filled and the target not yet made.
pub(crate) struct Pair {
    pub(crate) sandbox: Sandbox,
    /// Entries of the tree, its top among them.
    pub(crate) entries: u64,
    /// Bytes of its files.
    pub(crate) bytes: u64,
    image: PathBuf,
    inodes: u64,
}

impl Pair {
    pub(crate) fn new(set: &Set, shrink: u64) -> Result<Self, String> {
        let sandbox = Sandbox::new();
        let io = |e: io::Error| format!("make {}: {e}", set.name);
        let mib = (set.mib / shrink).max(LEAST);
        let source = sandbox.path("from.img");
        disk::sparse(&source, mib)?;
        let inodes = (set.inodes / shrink).max(16_384);
        disk::format(&sandbox, &source, inodes)?;
        sandbox.mount_loop(&source, FROM);
        let top = sandbox.path(FROM).join(TOP);
        fs::create_dir(&top).and_then(|()| (set.make)(&top, shrink)).map_err(io)?;
        let image = sandbox.path("to.img");
        disk::full(&image, mib)?;
        let (entries, bytes) = disk::read(&top).map_err(io)?;
        Ok(Self { sandbox, entries, bytes, image, inodes })
    }

    /// The tree, and the directory for its copy.
    pub(crate) fn directories(&self) -> (PathBuf, PathBuf) {
        (self.sandbox.path(FROM).join(TOP), self.sandbox.path(TO).join(TOP))
    }

    /// Makes the target a new file system.
    pub(crate) fn renew(&self) -> Result<(), String> {
        disk::renew(&self.sandbox, &self.image, self.inodes, TO)?;
        let top = self.sandbox.path(TO).join(TOP);
        fs::create_dir(&top).map_err(|e| format!("make {}: {e}", top.display()))?;
        rustix::fs::sync();
        Ok(())
    }

    /// Brings the tree into memory.
    pub(crate) fn remember(&self) -> Result<(), String> {
        disk::read(&self.directories().0).map(drop).map_err(|e| format!("read the tree: {e}"))
    }

    /// Demands that the target has as many inodes in use as the source, and no fewer blocks, but for directories: those differ with the
    /// order in which names came.
    pub(crate) fn expect_whole(&self, by: &OsStr) -> Result<(), String> {
        let used = |point: &str| -> Result<(u64, u64), String> {
            let s: StatVfs =
                rustix::fs::statvfs(self.sandbox.path(point)).map_err(|e| format!("statvfs {point}: {e}"))?;
            Ok((s.f_files - s.f_ffree, (s.f_blocks - s.f_bfree) * s.f_frsize))
        };
        let (from, to) = (used(FROM)?, used(TO)?);
        if from.0 == to.0 && to.1 + SLACK >= from.1 && to.1 <= from.1 + from.1 / 10 + SLACK {
            return Ok(());
        }
        let by = Path::new(by).display();
        Err(format!("{by} copied {} inodes and {} bytes; the tree has {} and {}", to.0, to.1, from.0, from.1))
    }
}
