//! Two file systems in images: one with a tree, and one to which it is copied.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use datastore_tests::Sandbox;
use rustix::fs::{Advice, StatVfs};

use super::data::Set;
use crate::measure::run;

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
        File::create_new(&source).and_then(|file| file.set_len(mib << 20)).map_err(io)?;
        let inodes = (set.inodes / shrink).max(16_384);
        format(&sandbox, &source, inodes)?;
        sandbox.mount_loop(&source, FROM);
        let top = sandbox.path(FROM).join(TOP);
        fs::create_dir(&top).and_then(|()| (set.make)(&top, shrink)).map_err(io)?;
        // Written once in full, so that no copy has to find room for the image itself.
        let image = sandbox.path("to.img");
        fill(&image, mib).map_err(io)?;
        let (entries, bytes) = read(&top).map_err(io)?;
        Ok(Self { sandbox, entries, bytes, image, inodes })
    }

    /// The tree, and the directory for its copy.
    pub(crate) fn directories(&self) -> (PathBuf, PathBuf) {
        (self.sandbox.path(FROM).join(TOP), self.sandbox.path(TO).join(TOP))
    }

    /// Makes the target a new file system: ext4 is slow where many inodes were freed in the last minute.
    pub(crate) fn renew(&self) -> Result<(), String> {
        let point = self.sandbox.path(TO);
        if self.sandbox.bound(TO).is_some() {
            self.sandbox.unmount(TO);
        }
        format(&self.sandbox, &self.image, self.inodes)?;
        rustix::fs::sync();
        // What a disk is, is not in memory.
        File::open(&self.image)
            .and_then(|file| Ok(rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?))
            .map_err(|e| format!("{}: {e}", self.image.display()))?;
        self.sandbox.mount_loop(&self.image, TO);
        fs::create_dir(point.join(TOP)).map_err(|e| format!("make {TO}/{TOP}: {e}"))?;
        rustix::fs::sync();
        Ok(())
    }

    /// Brings the tree into memory.
    pub(crate) fn remember(&self) -> Result<(), String> {
        read(&self.directories().0).map(drop).map_err(|e| format!("read the tree: {e}"))
    }

    /// Takes everything out of memory that is on a disk.
    pub(crate) fn forget(&self) -> Result<(), String> {
        rustix::fs::sync();
        fs::write("/proc/sys/vm/drop_caches", "3").map_err(|e| format!("drop the caches: {e}"))
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

/// An ext4 on which the kernel has nothing left to do by itself.
fn format(sandbox: &Sandbox, image: &Path, inodes: u64) -> Result<(), String> {
    let mut mkfs = sandbox.command("mkfs.ext4");
    mkfs.args(["-q", "-F", "-b", "4096", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", "-N"]);
    run(mkfs.arg(inodes.to_string()).arg(image)).map(drop)
}

fn fill(image: &Path, mib: u64) -> io::Result<()> {
    let mut file = File::create_new(image)?;
    let zeros = vec![0; 1 << 20];
    (0..mib).try_for_each(|_| file.write_all(&zeros))?;
    file.sync_all()
}

/// Reads a whole tree; says how many entries and bytes it has.
fn read(top: &Path) -> io::Result<(u64, u64)> {
    let mut buffer = vec![0; 1 << 20];
    let (mut entries, mut bytes) = (1, 0);
    let mut dirs = vec![top.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            entries += 1;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_file() {
                let mut file = File::open(entry.path())?;
                loop {
                    let got = file.read(&mut buffer)?;
                    if got == 0 {
                        break;
                    }
                    bytes += got as u64;
                }
            }
        }
    }
    Ok((entries, bytes))
}
