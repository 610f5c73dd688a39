//! Random trees with everything that ext4, xfs and btrfs all hold. The same numbers make the same tree.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use datastore_tests::random::Random;
use rustix::fs::{AtFlags, FileType, Gid, IFlags, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};

/// A device that no machine has.
const DEVICE: (u32, u32) = (259, 70_000);
/// cap_net_bind_service=ep, as setcap(8) stores it.
const CAPABILITIES: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A name in an open directory, and what it is.
struct Leaf {
    dir: Arc<OwnedFd>,
    name: Vec<u8>,
}

/// Fills an empty directory with about so many entries.
///
/// # Panics
/// If the file system refuses something.
pub fn plant(top: &Path, random: &mut Random, entries: usize) {
    let top = rustix::fs::open(top, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let mut forest = Forest {
        random,
        dirs: vec![Arc::new(top.expect("open the top"))],
        leaves: Vec::new(),
        linked: Vec::new(),
        flagged: Vec::new(),
    };
    if forest.one_in(6) {
        forest.dig();
    }
    (0..entries).for_each(|number| forest.one(number));
    // Directories last: their times change with what is made in them. One that was made later lies deeper.
    for leaf in std::mem::take(&mut forest.leaves).iter().rev() {
        forest.dress(leaf, FileType::Directory);
    }
    for (leaf, flags) in forest.flagged.iter().rev() {
        let file = open(&leaf.dir, &leaf.name, OFlags::RDONLY);
        let old = rustix::fs::ioctl_getflags(&file).expect("read flags");
        rustix::fs::ioctl_setflags(&file, old | IFlags::from_bits_retain(*flags)).expect("set flags");
    }
}

struct Forest<'r> {
    random: &'r mut Random,
    dirs: Vec<Arc<OwnedFd>>,
    /// Directories, as they were made.
    leaves: Vec<Leaf>,
    /// What gets further names.
    linked: Vec<Leaf>,
    flagged: Vec<(Leaf, u32)>,
}

fn open(dir: &OwnedFd, name: &[u8], flags: OFlags) -> File {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR).expect("open something of a tree").into()
}

impl Forest<'_> {
    fn one_in(&mut self, number: u64) -> bool {
        self.random.below(number) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.random.below(all.len() as u64)).unwrap_or(0)]
    }

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| u8::try_from(self.random.below(256)).unwrap_or(0)).collect()
    }

    fn name(&mut self, number: usize) -> Vec<u8> {
        let mut name = format!("{number}-").into_bytes();
        match self.random.below(8) {
            0 => name.extend(b"\xff\xfe\x80 not utf-8"),
            1 => name.resize(255, b'n'),
            2 => name.extend(b" a\nb\t\\ \x01'\"*"),
            3 => name.extend("žluťoučký".bytes()),
            _ => name.extend(b"plain"),
        }
        name
    }

    fn make_dir(&mut self, dir: &Arc<OwnedFd>, name: Vec<u8>) -> Arc<OwnedFd> {
        rustix::fs::mkdirat(&**dir, &*name, Mode::RWXU).expect("make a directory of a tree");
        let made = Arc::new(OwnedFd::from(open(dir, &name, OFlags::RDONLY | OFlags::DIRECTORY)));
        self.leaves.push(Leaf { dir: dir.clone(), name });
        self.dirs.push(made.clone());
        made
    }

    /// A chain that goes deeper than a path can say.
    fn dig(&mut self) {
        let mut dir = self.dirs[0].clone();
        for level in 0..24 {
            let mut name = format!("{level}-").into_bytes();
            name.resize(200, b'd');
            dir = self.make_dir(&dir, name);
        }
    }

    fn one(&mut self, number: usize) {
        let at = usize::try_from(self.random.below(self.dirs.len() as u64)).unwrap_or(0);
        let (dir, name) = (self.dirs[at].clone(), self.name(number));
        let kind = match self.random.below(20) {
            0..=3 => {
                self.make_dir(&dir, name);
                return;
            }
            4 | 5 => {
                let length = self.of(&[1, 20, 59, 60, 300]);
                rustix::fs::symlinkat(vec![b'/'; length], &*dir, &*name).expect("make a link");
                FileType::Symlink
            }
            6 => {
                let kind =
                    self.of(&[FileType::Fifo, FileType::Socket, FileType::CharacterDevice, FileType::BlockDevice]);
                let is_device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
                let device = if is_device { rustix::fs::makedev(DEVICE.0, DEVICE.1) } else { 0 };
                rustix::fs::mknodat(&*dir, &*name, kind, Mode::RUSR, device).expect("make a special file");
                kind
            }
            7 | 8 if !self.linked.is_empty() => {
                let pick = usize::try_from(self.random.below(self.linked.len() as u64)).unwrap_or(0);
                let old = &self.linked[pick];
                rustix::fs::linkat(&*old.dir, &*old.name, &*dir, &*name, AtFlags::empty()).expect("make a hard link");
                self.linked.push(Leaf { dir, name });
                return;
            }
            _ => {
                self.file(&dir, &name);
                FileType::RegularFile
            }
        };
        let leaf = Leaf { dir, name };
        self.dress(&leaf, kind);
        if self.one_in(5) {
            self.linked.push(leaf);
        }
    }

    fn file(&mut self, dir: &OwnedFd, name: &[u8]) {
        let file = open(dir, name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL);
        if self.one_in(5) {
            // Islands of data in a file that may begin and end with a hole.
            for _ in 0..self.random.below(4) {
                let (at, length) = (4096 * self.random.below(300), 1 + self.random.below(9000));
                file.write_all_at(&self.bytes(length), at).expect("write an island");
            }
            let end = file.metadata().expect("stat a file").len();
            file.set_len(end + self.random.below(300_000)).expect("end with a hole");
            return;
        }
        let length = match self.random.below(10) {
            0 | 1 => 0,
            2 => 4096 * self.random.below(5),
            3 => self.random.below(100_000),
            _ => self.random.below(9_000),
        };
        file.write_all_at(&self.bytes(length), 0).expect("write a file");
    }

    /// Owner, mode, attributes, times; flags are kept for the end.
    fn dress(&mut self, leaf: &Leaf, kind: FileType) {
        let (dir, name) = (&*leaf.dir, &*leaf.name);
        let owner = self.of(&[0, 1, 1000, 65_534, 3_000_000_000]);
        let group = self.of(&[0, 12, 100, 4_000_000_000]);
        let given = (Some(Uid::from_raw(owner)), Some(Gid::from_raw(group)));
        rustix::fs::chownat(dir, name, given.0, given.1, AtFlags::SYMLINK_NOFOLLOW).expect("give away");
        if kind != FileType::Symlink {
            let bits = self.of(&[0o644, 0o600, 0o4755, 0o2755, 0o1777, 0o000, 0o6711, 0o400]);
            rustix::fs::chmodat(dir, name, Mode::from_raw_mode(bits), AtFlags::empty()).expect("set a mode");
        }
        if self.one_in(3) {
            self.attributes(leaf, kind);
        }
        let seconds = [0, 1, -1, -2_000_000_000, 1_700_000_000, 2_147_483_648, 4_200_000_000, 6_000_000_000];
        let mut time = || Timespec {
            tv_sec: seconds[usize::try_from(self.random.below(8)).unwrap_or(0)],
            tv_nsec: self.random.below(1_000_000_000).cast_signed(),
        };
        let times = Timestamps { last_access: time(), last_modification: time() };
        rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW).expect("set times");
        if matches!(kind, FileType::RegularFile | FileType::Directory) && self.one_in(8) {
            // i a d A S of chattr(1), and two of them together.
            let flags = self.of(&[0x10, 0x20, 0x40, 0x80, 0x8, 0x90]);
            self.flagged.push((Leaf { dir: leaf.dir.clone(), name: leaf.name.clone() }, flags));
        }
    }

    fn attributes(&mut self, leaf: &Leaf, kind: FileType) {
        let path = [format!("/proc/self/fd/{}/", leaf.dir.as_raw_fd()).as_bytes(), &leaf.name].concat();
        let path = CString::new(path).expect("a name has no NUL");
        let put = |name: &str, value: &[u8]| {
            rustix::fs::lsetxattr(&path, name, value, XattrFlags::empty()).unwrap_or_else(|e| panic!("{name}: {e}"));
        };
        if matches!(kind, FileType::RegularFile | FileType::Directory) {
            let length = self.random.below(900);
            put("user.comment", &self.bytes(length));
            put("user.empty", b"");
            let somebody = u32::try_from(self.random.below(5000)).unwrap_or(1);
            if self.one_in(2) {
                put("system.posix_acl_access", &acl([somebody, 12]));
            }
            if kind == FileType::Directory && self.one_in(2) {
                put("system.posix_acl_default", &acl([somebody, 12]));
            }
        }
        put("trusted.overlay.opaque", b"y");
        put("security.selinux", b"system_u:object_r:mysqld_db_t:s0\0");
        if kind == FileType::RegularFile {
            put("security.capability", &CAPABILITIES);
        }
    }
}

/// An ACL as the kernel takes it (linux/posix_acl_xattr.h), which names a user and a group.
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
