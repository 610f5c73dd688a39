//! Two trees held against each other, by code that shares nothing with the product: every name, kind, mode, owner, time to the
//! nanosecond, attribute, ACL, capability, flag, device, link text, content, hole and hard link.
//!
//! The file systems are to be mounted with `noatime`: else whoever looks changes the time of the last reading.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, SeekFrom, Stat};

/// So many differences are told.
const TOLD: usize = 20;
/// What a file of the copy may take beyond its original, in data and in blocks: file systems round differently.
const SLACK: u64 = 64 << 10;
/// The flags that ext4, xfs and btrfs all have: `i a d A S` of chattr(1).
const FLAGS: u32 = 0x10 | 0x20 | 0x40 | 0x80 | 0x8;
/// Attributes that are made up by a file system, or are the mark of a store.
const NOT_DATA: [&[u8]; 4] =
    [b"trusted.SGI_ACL_FILE", b"trusted.SGI_ACL_DEFAULT", b"trusted.datastore.id", b"user.datastore.id"];

/// What differs between two trees; nothing if they are alike.
///
/// # Panics
/// If one of them cannot be read.
#[must_use]
pub fn trees(one: &Path, other: &Path) -> Vec<String> {
    let open = |path: &Path| {
        rustix::fs::open(path, DIR, Mode::empty()).unwrap_or_else(|e| panic!("open {}: {e}", path.display()))
    };
    let mut comparer = Comparer::default();
    let (a, b) = (open(one), open(other));
    comparer.attributes((&a, b"."), (&b, b"."), "", &fstat(&a), &fstat(&b));
    comparer.directory(&a, &b, "");
    comparer.told
}

const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A name in an open directory.
type At<'a> = (&'a OwnedFd, &'a [u8]);

#[derive(Default)]
struct Comparer {
    told: Vec<String>,
    /// Which inode of the one is which of the other.
    there: HashMap<u64, u64>,
    back: HashMap<u64, u64>,
}

impl Comparer {
    fn differs(&mut self, path: &str, what: &str, one: impl std::fmt::Debug, other: impl std::fmt::Debug) {
        if self.told.len() < TOLD {
            let path: String = path.chars().take(300).collect();
            self.told.push(format!("/{path}: {what}: {one:?} and {other:?}"));
        }
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, path: &str, what: &str, one: &T, other: &T) {
        if one != other {
            self.differs(path, what, one, other);
        }
    }

    fn directory(&mut self, a: &OwnedFd, b: &OwnedFd, path: &str) {
        let (names, others) = (names(a), names(b));
        for name in names.symmetric_difference(&others) {
            let shown = format!("{path}/{}", String::from_utf8_lossy(name));
            self.differs(&shown, "there", names.contains(name), others.contains(name));
        }
        for name in names.intersection(&others) {
            let shown = format!("{path}/{}", String::from_utf8_lossy(name));
            self.entry((a, name), (b, name), shown.trim_start_matches('/'));
        }
    }

    fn entry(&mut self, a: At<'_>, b: At<'_>, path: &str) {
        let stat = |at: At<'_>| {
            rustix::fs::statat(at.0, at.1, AtFlags::SYMLINK_NOFOLLOW).unwrap_or_else(|e| panic!("stat {path}: {e}"))
        };
        let (x, y) = (stat(a), stat(b));
        self.attributes(a, b, path, &x, &y);
        let kind = FileType::from_raw_mode(x.st_mode);
        if kind != FileType::from_raw_mode(y.st_mode) {
            return;
        }
        match kind {
            FileType::Directory => {
                let open = |at: At<'_>| {
                    rustix::fs::openat(at.0, at.1, DIR, Mode::empty()).unwrap_or_else(|e| panic!("open {path}: {e}"))
                };
                self.directory(&open(a), &open(b), path);
            }
            FileType::RegularFile => self.content(a, b, path, (&x, &y)),
            FileType::Symlink => {
                let text = |at: At<'_>| rustix::fs::readlinkat(at.0, at.1, Vec::new()).expect("read a link");
                self.equal(path, "text", &text(a), &text(b));
            }
            _ => self.equal(path, "device", &x.st_rdev, &y.st_rdev),
        }
    }

    fn attributes(&mut self, a: At<'_>, b: At<'_>, path: &str, x: &Stat, y: &Stat) {
        let is_link = FileType::from_raw_mode(x.st_mode) == FileType::Symlink;
        if !is_link || FileType::from_raw_mode(y.st_mode) != FileType::Symlink {
            self.equal(path, "mode", &format!("{:o}", x.st_mode), &format!("{:o}", y.st_mode));
        }
        self.equal(path, "owner", &(x.st_uid, x.st_gid), &(y.st_uid, y.st_gid));
        self.equal(path, "time of change", &(x.st_mtime, x.st_mtime_nsec), &(y.st_mtime, y.st_mtime_nsec));
        self.equal(path, "time of reading", &(x.st_atime, x.st_atime_nsec), &(y.st_atime, y.st_atime_nsec));
        self.equal(path, "attributes", &xattrs(a), &xattrs(b));
        let kind = FileType::from_raw_mode(x.st_mode);
        if matches!(kind, FileType::Directory | FileType::RegularFile) {
            self.equal(path, "flags", &flags(a), &flags(b));
        }
        if kind != FileType::Directory {
            self.equal(path, "names", &x.st_nlink, &y.st_nlink);
            let there = *self.there.entry(x.st_ino).or_insert(y.st_ino);
            let back = *self.back.entry(y.st_ino).or_insert(x.st_ino);
            self.equal(path, "hard link", &(there, back), &(y.st_ino, x.st_ino));
        }
    }

    fn content(&mut self, a: At<'_>, b: At<'_>, path: &str, (x, y): (&Stat, &Stat)) {
        self.equal(path, "length", &x.st_size, &y.st_size);
        if x.st_size != y.st_size {
            return;
        }
        let open = |at: At<'_>| {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            File::from(
                rustix::fs::openat(at.0, at.1, flags, Mode::empty()).unwrap_or_else(|e| panic!("open {path}: {e}")),
            )
        };
        let (one, other) = (open(a), open(b));
        let (mut p, mut q, mut at) = (vec![0; 1 << 16], vec![0; 1 << 16], 0);
        let size = x.st_size.cast_unsigned();
        while at < size {
            let length = usize::try_from((size - at).min(1 << 16)).expect("a small number");
            one.read_exact_at(&mut p[..length], at).unwrap_or_else(|e| panic!("read {path}: {e}"));
            other.read_exact_at(&mut q[..length], at).unwrap_or_else(|e| panic!("read {path}: {e}"));
            if p[..length] != q[..length] {
                self.differs(path, "content", at, length);
                break;
            }
            at += length as u64;
        }
        let (wanted, found) = (data(&one, size), data(&other, size));
        if found > wanted + SLACK {
            self.differs(path, "data between the holes", wanted, found);
        }
        let blocks = y.st_blocks.cast_unsigned() * 512;
        if blocks > wanted.next_multiple_of(4096) + SLACK {
            self.differs(path, "room on the disk", wanted, blocks);
        }
    }
}

fn fstat(fd: &OwnedFd) -> Stat {
    rustix::fs::fstat(fd).expect("stat an open directory")
}

fn names(dir: &OwnedFd) -> BTreeSet<Vec<u8>> {
    let all = Dir::read_from(dir).expect("read a directory").map(|entry| entry.expect("an entry of a directory"));
    let names = all.map(|entry| entry.file_name().to_bytes().to_vec());
    names.filter(|name| name != b"." && name != b"..").collect()
}

/// How much of a file is data.
fn data(file: &File, size: u64) -> u64 {
    let (mut at, mut sum) = (0, 0);
    while at < size {
        let Ok(begin) = rustix::fs::seek(file, SeekFrom::Data(at)) else { break };
        let end = rustix::fs::seek(file, SeekFrom::Hole(begin)).expect("there is a hole at the end");
        sum += end - begin;
        at = end;
    }
    sum
}

/// A path by which a name in an open directory can be reached, however deep it lies.
fn reach(at: At<'_>) -> Vec<u8> {
    [format!("/proc/self/fd/{}/", at.0.as_raw_fd()).as_bytes(), at.1].concat()
}

fn xattrs(at: At<'_>) -> BTreeMap<String, Vec<u8>> {
    let path = CString::new(reach(at)).expect("a name has no NUL");
    let mut list = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(&path, &mut list[..]).expect("list attributes");
    let mut all = BTreeMap::new();
    for name in list[..length].split(|&b| b == 0).filter(|name| !name.is_empty() && !NOT_DATA.contains(name)) {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(&path, name, &mut value[..]).expect("read an attribute");
        value.truncate(length);
        all.insert(String::from_utf8_lossy(name).into_owned(), value);
    }
    all
}

fn flags(at: At<'_>) -> u32 {
    let open = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(at.0, at.1, open, Mode::empty()).expect("open what has flags");
    rustix::fs::ioctl_getflags(&fd).map_or(0, |flags| flags.bits()) & FLAGS
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn every_difference_is_told() {
        type Deed = fn(&Path);
        let deeds: [(&str, Deed); 8] = [
            ("content", |at| fs::write(at.join("file"), "other").unwrap()),
            ("length", |at| fs::write(at.join("file"), "longer").unwrap()),
            ("mode", |at| fs::set_permissions(at.join("file"), fs::Permissions::from_mode(0o4755)).unwrap()),
            ("there", |at| fs::remove_file(at.join("dir/second")).unwrap()),
            ("hard link", |at| {
                fs::remove_file(at.join("dir/second")).unwrap();
                fs::copy(at.join("first"), at.join("dir/second")).unwrap();
            }),
            ("text", |at| {
                fs::remove_file(at.join("link")).unwrap();
                symlink("elsewhere", at.join("link")).unwrap();
            }),
            ("data between the holes", |at| fs::write(at.join("sparse"), vec![0; 1 << 20]).unwrap()),
            ("attributes", |at| {
                rustix::fs::lsetxattr(at.join("dir"), "user.x", b"1", rustix::fs::XattrFlags::empty()).unwrap();
            }),
        ];
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let plant = |name: &str| {
            let at = dir.path().join(name);
            fs::create_dir_all(at.join("dir")).unwrap();
            fs::write(at.join("file"), "plain").unwrap();
            fs::write(at.join("first"), "").unwrap();
            fs::hard_link(at.join("first"), at.join("dir/second")).unwrap();
            symlink("target", at.join("link")).unwrap();
            File::create(at.join("sparse")).unwrap().set_len(1 << 20).unwrap();
            at
        };
        let quiet = |mut told: Vec<String>| {
            told.retain(|line| !line.contains(": time of "));
            told
        };
        let one = plant("one");
        for (number, (what, deed)) in deeds.into_iter().enumerate() {
            let other = plant(&format!("other{number}"));
            assert_eq!(quiet(trees(&one, &other)), Vec::<String>::new());
            deed(&other);
            let told = quiet(trees(&one, &other));
            assert!(told.iter().any(|line| line.contains(what)), "{what}: {told:?}");
        }
    }
}
