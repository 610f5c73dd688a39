//! Random trees with everything that a file system of Linux holds. The same seed makes the same tree.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, IFlags, Mode, Timespec, Timestamps, Uid, XattrFlags};

/// A small generator of random numbers (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| u8::try_from(self.next() >> 56).unwrap_or(0)).collect()
    }
}

/// What a tree may hold beside the plain things.
#[derive(Clone, Copy)]
pub(crate) struct Kinds {
    /// Devices, `trusted.*` and `security.*`, foreign owners: what takes root of the machine.
    pub(crate) root: bool,
    /// Inode flags that ext4, xfs and btrfs all have.
    pub(crate) flags: bool,
}

pub(crate) const ALL: Kinds = Kinds { root: true, flags: true };

/// Fills a directory with about so many entries.
pub(crate) fn plant(top: &Path, seed: u64, entries: usize, kinds: Kinds) {
    let mut forest =
        Forest { dice: Dice::new(seed), dirs: vec![top.to_owned()], linked: Vec::new(), flagged: Vec::new(), kinds };
    for number in 0..entries {
        forest.one(number);
    }
    // Directories last and deepest first: their times change with what is made in them.
    for dir in forest.dirs.clone().iter().rev() {
        forest.dress(dir, FileType::Directory);
    }
    for (path, flags) in forest.flagged.iter().rev() {
        let file = File::open(path).unwrap();
        let old = rustix::fs::ioctl_getflags(&file).unwrap();
        rustix::fs::ioctl_setflags(&file, old | IFlags::from_bits_retain(*flags)).unwrap();
    }
}

struct Forest {
    dice: Dice,
    dirs: Vec<PathBuf>,
    linked: Vec<PathBuf>,
    flagged: Vec<(PathBuf, u32)>,
    kinds: Kinds,
}

impl Forest {
    fn name(&mut self, number: usize) -> Vec<u8> {
        let mut name = format!("{number}-").into_bytes();
        match self.dice.below(8) {
            0 => name.extend(b"\xff\xfe\x80 not utf-8"),
            1 => name.resize(255, b'n'),
            2 => name.extend(b" a\nb\t\\ \x01'\"*"),
            3 => name.extend("žluťoučký".bytes()),
            _ => name.extend(b"plain"),
        }
        name
    }

    fn one(&mut self, number: usize) {
        let at = usize::try_from(self.dice.next() % self.dirs.len() as u64).unwrap_or(0);
        let name = self.name(number);
        let path = self.dirs[at].join(OsStr::from_bytes(&name));
        let kind = match self.dice.below(20) {
            // Paths stay short enough for this generator, which uses them.
            0..=3 if self.dirs[at].as_os_str().len() < 2000 => {
                std::fs::create_dir(&path).unwrap();
                self.dirs.push(path);
                return;
            }
            4 | 5 => {
                let length = *[1, 20, 59, 60, 300].get(self.dice.below(5) as usize).unwrap_or(&1);
                std::os::unix::fs::symlink(OsStr::from_bytes(&vec![b'/'; length]), &path).unwrap();
                FileType::Symlink
            }
            6 => {
                let kinds = [FileType::Fifo, FileType::Socket, FileType::CharacterDevice, FileType::BlockDevice];
                let kind = kinds[self.dice.below(if self.kinds.root { 4 } else { 2 }) as usize];
                let device = if kind == FileType::Fifo || kind == FileType::Socket {
                    0
                } else {
                    rustix::fs::makedev(259, 70_000)
                };
                rustix::fs::mknodat(CWD, &path, kind, Mode::from_raw_mode(0o600), device).unwrap();
                kind
            }
            7 | 8 if !self.linked.is_empty() => {
                let old =
                    self.linked[usize::try_from(self.dice.next() % self.linked.len() as u64).unwrap_or(0)].clone();
                std::fs::hard_link(&old, &path).unwrap();
                self.linked.push(path);
                return;
            }
            _ => {
                self.file(&path);
                FileType::RegularFile
            }
        };
        self.dress(&path, kind);
        if self.dice.one_in(6) {
            self.linked.push(path);
        }
    }

    fn file(&mut self, path: &Path) {
        let file = File::create(path).unwrap();
        let size = match self.dice.below(10) {
            0 => 0,
            1 => 4096 * self.dice.below(5),
            2 => self.dice.below(400_000),
            _ => self.dice.below(20_000),
        };
        if self.dice.one_in(6) {
            // Islands of data in a file that may begin and end with a hole.
            for _ in 0..self.dice.below(4) {
                let at = 4096 * self.dice.below(300);
                let length = 1 + self.dice.below(9000);
                file.write_all_at(&self.dice.bytes(length), at).unwrap();
            }
            let end = file.metadata().unwrap().len();
            file.set_len(end + self.dice.below(100_000)).unwrap();
        } else {
            file.write_all_at(&self.dice.bytes(size), 0).unwrap();
        }
    }

    /// Owner, mode, attributes, times; flags are kept for later.
    fn dress(&mut self, path: &Path, kind: FileType) {
        let owner = [0, 1, 1000, 65_534, 3_000_000_000][self.dice.below(5) as usize];
        let group = [0, 12, 100, 4_000_000_000_u32][self.dice.below(4) as usize];
        if self.kinds.root {
            let (owner, group) = (Some(Uid::from_raw(owner)), Some(Gid::from_raw(group)));
            rustix::fs::chownat(CWD, path, owner, group, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        }
        if kind != FileType::Symlink {
            let bits = [0o644, 0o600, 0o4755, 0o2755, 0o1777, 0o000, 0o6711, 0o400][self.dice.below(8) as usize];
            rustix::fs::chmod(path, Mode::from_raw_mode(bits)).unwrap();
        }
        let plain = kind == FileType::RegularFile || kind == FileType::Directory;
        if self.dice.one_in(4) {
            let put = |name: &str, value: &[u8]| {
                rustix::fs::lsetxattr(path, CString::new(name).unwrap(), value, XattrFlags::empty())
                    .unwrap_or_else(|e| panic!("{name} of {}: {e}", path.display()));
            };
            let (long, pick) = (self.dice.below(900), self.dice.below(5));
            if plain {
                put("user.comment", &self.dice.bytes(long));
                put("user.empty", b"");
                if pick < 2 {
                    put(
                        "system.posix_acl_access",
                        &acl(if self.kinds.root { [self.dice.below(5000) as u32, 12] } else { [0; 2] }),
                    );
                }
                if pick > 2 && kind == FileType::Directory {
                    put("system.posix_acl_default", &acl(if self.kinds.root { [77, 12] } else { [0; 2] }));
                }
            }
            if self.kinds.root {
                put("trusted.overlay.opaque", b"y");
                put("security.selinux", b"system_u:object_r:mysqld_db_t:s0\0");
                if kind == FileType::RegularFile {
                    // cap_net_bind_service=ep, as setcap(8) stores it.
                    put("security.capability", &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                }
            }
        }
        let seconds = [0, 1, -1, -2_000_000_000, 1_700_000_000, 2_147_483_648, 4_200_000_000, 6_000_000_000];
        let mut time = || Timespec {
            tv_sec: seconds[self.dice.below(8) as usize],
            tv_nsec: i64::try_from(self.dice.below(1_000_000_000)).unwrap_or(0),
        };
        let times = Timestamps { last_access: time(), last_modification: time() };
        rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        if plain && self.kinds.flags && self.dice.one_in(8) {
            // i a d A S of chattr(1).
            let flags = [0x10, 0x20, 0x40, 0x80, 0x8, 0x90][self.dice.below(6) as usize];
            self.flagged.push((path.to_owned(), flags));
        }
    }
}

fn acl([user, group]: [u32; 2]) -> Vec<u8> {
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, bits, id) in
        [(1_u16, 6_u16, u32::MAX), (2, 7, user), (4, 5, u32::MAX), (8, 3, group), (16, 7, u32::MAX), (32, 0, u32::MAX)]
    {
        acl.extend(tag.to_le_bytes());
        acl.extend(bits.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    acl
}

/// Names of a chain that goes deeper than a path can say. Made and entered by descriptor.
pub(crate) fn dig(top: &Path, levels: usize, name: &str) {
    let mut dir: std::os::fd::OwnedFd = File::open(top).unwrap().into();
    for level in 0..levels {
        rustix::fs::mkdirat(dir.as_fd(), name, Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CREATE;
        if level % 3 == 0 {
            rustix::fs::openat(dir.as_fd(), format!("file{level}"), flags, Mode::RUSR).unwrap();
            rustix::fs::mkdirat(dir.as_fd(), format!("side{level}"), Mode::RWXU).unwrap();
        }
        dir = rustix::fs::openat(dir.as_fd(), name, rustix::fs::OFlags::RDONLY, Mode::empty()).unwrap();
    }
}

/// How deep such a chain goes.
pub(crate) fn depth(top: &Path, name: &str) -> usize {
    let mut dir: std::os::fd::OwnedFd = File::open(top).unwrap().into();
    let mut levels = 0;
    while let Ok(next) = rustix::fs::openat(dir.as_fd(), name, rustix::fs::OFlags::RDONLY, Mode::empty()) {
        dir = next;
        levels += 1;
    }
    levels
}
