//! Whether two trees are alike, found without any code of the copy: rsync(1) in both directions, getfattr(1), and stat, holes
//! and flags compared one by one.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::SeekFrom;

use crate::testing::succeeds;

/// What the comparison passes over.
#[derive(Clone, Copy, Default)]
pub(crate) struct But {
    /// Inode flags of ext4 that another file system has not.
    pub(crate) flags: bool,
}

/// Fails the test if two trees differ in anything.
pub(crate) fn assert_alike(a: &Path, b: &Path) {
    assert_alike_but(a, b, But::default());
}

pub(crate) fn assert_alike_but(a: &Path, b: &Path, but: But) {
    let (left, right) = (pictures(a, but), pictures(b, but));
    let paths: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let mut wrong = Vec::new();
    for path in paths {
        let (one, two) = (left.get(path), right.get(path));
        if one != two {
            wrong.push(format!("{}\n   {one:?}\n   {two:?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{} differences, first:\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
    assert_eq!(attributes(a), attributes(b));
    for (from, to) in [(a, b), (b, a)] {
        let slash = |p: &Path| format!("{}/", p.display());
        let options = ["-ncaHAXi", "--delete", "--filter=-x trusted.SGI_ACL_*"];
        let said = succeeds(Command::new("rsync").args(options).args([slash(from), slash(to)]));
        assert_eq!(said, "", "rsync from {} to {}", from.display(), to.display());
    }
}

#[derive(Debug, PartialEq)]
struct Picture {
    mode: u32,
    owner: (u32, u32),
    size: u64,
    device: u64,
    times: [(i64, i64); 2],
    text: Option<PathBuf>,
    data: Vec<(u64, u64)>,
    flags: u32,
    /// The first path, in order, of the same inode.
    first_name: PathBuf,
}

fn pictures(top: &Path, but: But) -> BTreeMap<PathBuf, Picture> {
    let mut paths = vec![PathBuf::new()];
    let mut at = 0;
    while at < paths.len() {
        let whole = top.join(&paths[at]);
        if whole.symlink_metadata().unwrap().is_dir() {
            for entry in std::fs::read_dir(&whole).unwrap() {
                paths.push(paths[at].join(entry.unwrap().file_name()));
            }
        }
        at += 1;
    }
    paths.sort();
    let mut names = BTreeMap::new();
    let mut found = BTreeMap::new();
    for path in paths {
        let whole = if path.as_os_str().is_empty() { top.to_owned() } else { top.join(&path) };
        let s = whole.symlink_metadata().unwrap();
        let first_name = names.entry((s.dev(), s.ino())).or_insert_with(|| path.clone()).clone();
        let plain = s.is_file() || s.is_dir();
        let picture = Picture {
            mode: s.mode(),
            owner: (s.uid(), s.gid()),
            size: if s.is_dir() { 0 } else { s.size() },
            device: s.rdev(),
            times: [(s.mtime(), s.mtime_nsec()), (s.atime(), s.atime_nsec())],
            text: s.is_symlink().then(|| std::fs::read_link(&whole).unwrap()),
            data: if s.is_file() { data(&whole, s.size()) } else { Vec::new() },
            flags: if plain && !but.flags { flags(&whole) } else { 0 },
            first_name,
        };
        found.insert(path, picture);
    }
    found
}

/// Where a file has data.
fn data(path: &Path, size: u64) -> Vec<(u64, u64)> {
    let file = File::open(path).unwrap();
    let mut found = Vec::new();
    let mut at = 0;
    while at < size {
        let Ok(from) = rustix::fs::seek(&file, SeekFrom::Data(at)) else { break };
        at = rustix::fs::seek(&file, SeekFrom::Hole(from)).unwrap();
        found.push((from, at));
    }
    found
}

/// Of the inode flags those that a person sets and that show in lsattr(1).
fn flags(path: &Path) -> u32 {
    let file = File::open(path).unwrap();
    rustix::fs::ioctl_getflags(&file).map_or(0, |flags| flags.bits() & 0x2083_c4ff)
}

/// What getfattr(1) prints of each file.
fn attributes(top: &Path) -> BTreeMap<String, Vec<String>> {
    let mut command = Command::new("getfattr");
    command.current_dir(top).args(["-R", "-P", "-h", "-d", "-m", "-", "-e", "hex", "."]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut found = BTreeMap::new();
    for block in output.stdout.split(|&b| b == b'\n').collect::<Vec<_>>().split(|line| line.is_empty()) {
        let mut lines = block.iter().map(|line| datastore_core::path::printable(line));
        if let Some(file) = lines.next() {
            // xfs shows every ACL a second time.
            let mut values: Vec<String> = lines.filter(|line| !line.starts_with("trusted.SGI_ACL_")).collect();
            values.sort();
            found.insert(file, values);
        }
    }
    found
}
