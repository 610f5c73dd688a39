//! The trees that are copied. What is random in them is so from a fixed seed.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};

/// A tree, and room for it.
pub(crate) struct Set {
    pub(crate) name: &'static str,
    /// Of each of the two file systems.
    pub(crate) mib: u64,
    /// Inodes of each of them.
    pub(crate) inodes: u64,
    /// Makes it in an empty directory, so many times smaller.
    pub(crate) make: fn(&Path, u64) -> io::Result<()>,
}

pub(crate) const SMALL: Set = Set { name: "50,000 small files", mib: 1024, inodes: 65_536, make: small };
pub(crate) const MAILS: Set = Set { name: "20,000 mails", mib: 3072, inodes: 65_536, make: mails };
pub(crate) const LARGE: Set = Set { name: "8 files of 512 MiB with holes", mib: 5120, inodes: 65_536, make: large };
pub(crate) const MANY: Set = Set { name: "1,000,000 entries", mib: 2048, inodes: 1_200_000, make: many };

/// Bytes that are not zero, of which every file takes a stretch of its own.
const POOL: usize = 2 << 20;
const MIB: usize = 1 << 20;

/// Random numbers (xorshift64), and bytes.
struct Source {
    state: u64,
    pool: Vec<u8>,
}

impl Source {
    fn new() -> Self {
        let mut this = Self { state: 0x9E37_79B9_7F4A_7C15, pool: Vec::with_capacity(POOL) };
        while this.pool.len() < POOL {
            let number = this.next() | 0x0101_0101_0101_0101;
            this.pool.extend_from_slice(&number.to_ne_bytes());
        }
        this
    }
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or(0)
    }
    fn bytes(&mut self, length: usize) -> &[u8] {
        let start = self.below(POOL - length + 1);
        &self.pool[start..start + length]
    }
    fn file(&mut self, path: &Path, length: usize) -> io::Result<()> {
        let file = File::create_new(path)?;
        if length == 0 { Ok(()) } else { file.write_all_at(self.bytes(length), 0) }
    }
}

/// 500 directories of 100 files.
fn small(top: &Path, shrink: u64) -> io::Result<()> {
    const SIZES: [usize; 8] = [0, 50, 300, 1000, 2000, 4000, 6000, 9000];
    let mut source = Source::new();
    for dir in directories(top, 500, shrink)? {
        for number in 0..100 {
            let size = SIZES[source.below(SIZES.len())];
            source.file(&dir.join(format!("file-{number}.dat")), size)?;
        }
    }
    Ok(())
}

/// 20 directories of 1,000 mails, each of 5 to 200 KiB.
fn mails(top: &Path, shrink: u64) -> io::Result<()> {
    let mut source = Source::new();
    for dir in directories(top, 20, shrink)? {
        for number in 0..1000 {
            let size = (5 << 10) + source.below(195 << 10);
            source.file(&dir.join(format!("17000{number:05}.M{number}P1.host,S={size}:2,S")), size)?;
        }
    }
    Ok(())
}

/// Of every 16 MiB the last one is a hole.
fn large(top: &Path, shrink: u64) -> io::Result<()> {
    let mut source = Source::new();
    for number in 0..8 {
        let file = File::create_new(top.join(format!("table{number}.ibd")))?;
        let mib = (512 / shrink).max(16);
        for at in (0..mib).filter(|at| at % 16 != 15) {
            file.write_all_at(source.bytes(MIB), at * MIB as u64)?;
        }
        file.set_len(mib * MIB as u64)?;
    }
    Ok(())
}

/// 900 directories of 1,000 entries, empty files, links and hard links from one directory to another; and one large directory.
fn many(top: &Path, shrink: u64) -> io::Result<()> {
    let dirs = directories(top, 900, shrink)?;
    for dir in &dirs {
        for number in 0..949 {
            File::create_new(dir.join(format!("file-{number}")))?;
        }
        for number in 0..25 {
            symlink("file-1", dir.join(format!("link-{number}")))?;
        }
    }
    for (at, dir) in dirs.iter().enumerate() {
        let other = &dirs[(at + dirs.len() / 2) % dirs.len()];
        for number in 0..25 {
            std::fs::hard_link(other.join(format!("file-{number}")), dir.join(format!("hard-{number}")))?;
        }
    }
    let wide = top.join("wide");
    std::fs::create_dir(&wide)?;
    (0..100_000 / shrink).try_for_each(|number| File::create_new(wide.join(format!("file-{number}"))).map(drop))
}

/// So many directories, 25 of them in one.
fn directories(top: &Path, count: u64, shrink: u64) -> io::Result<Vec<PathBuf>> {
    let count = (count / shrink).max(1);
    let paths: Vec<_> = (0..count).map(|number| top.join(format!("d{}/e{number}", number / 25))).collect();
    paths.iter().try_for_each(std::fs::create_dir_all)?;
    Ok(paths)
}
