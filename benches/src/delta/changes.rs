//! A tree, and changes of all kinds in it, each at a place where none was before.

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{XattrFlags, setxattr};

/// Files in one directory.
const IN_ONE: u64 = 100;
/// How many of each kind are in a round: written, made, removed, renamed, linked, with another mode, with another attribute, and
/// directories made.
const ROUND: [u64; 8] = [40, 20, 20, 20, 10, 10, 10, 10];
/// The attribute that is set.
const ATTRIBUTE: &str = "user.round";

/// One change. Paths are below the top.
#[derive(Debug)]
pub(super) enum Change {
    Write(PathBuf),
    Make(PathBuf),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Mode(PathBuf),
    Attribute(PathBuf),
    Directory(PathBuf),
}

/// The tree.
pub(super) struct Tree {
    top: PathBuf,
    files: u64,
    /// The next file to be changed, and how far it is to the one after: further than any disk reads ahead, and each file once.
    next: u64,
    step: u64,
    round: u64,
}

impl Tree {
    /// Makes it: directories of a hundred files, of which every eighth has contents.
    pub(super) fn new(top: &Path, files: u64) -> io::Result<Self> {
        for dir in 0..files / IN_ONE {
            fs::create_dir_all(top.join(place(dir)))?;
        }
        for file in 0..files {
            let mut made = File::create_new(top.join(name(file)))?;
            if file % 8 == 0 {
                writeln!(made, "{file}")?;
            }
        }
        // No divisor of the number of files, so that all are met before one is met again.
        let step = (files * 5 / 13..).find(|step| gcd(*step, files) == 1).unwrap_or(1);
        Ok(Self { top: top.to_path_buf(), files, next: 0, step, round: 0 })
    }

    pub(super) fn top(&self) -> &Path {
        &self.top
    }

    pub(super) fn files(&self) -> u64 {
        self.files
    }

    /// Another file of those that the tree had in the beginning.
    fn file(&mut self) -> PathBuf {
        self.next = (self.next + self.step) % self.files;
        name(self.next)
    }

    /// A new name in a directory of the tree.
    fn new_name(&mut self, what: &str) -> PathBuf {
        self.next = (self.next + self.step) % self.files;
        place(self.next / IN_ONE).join(format!("{what}-{}-{}", self.round, self.next))
    }

    /// Changes it.
    pub(super) fn change(&mut self) -> io::Result<Vec<Change>> {
        self.round += 1;
        let mut changes = Vec::new();
        for (kind, count) in ROUND.into_iter().enumerate() {
            for _ in 0..count {
                let change = match kind {
                    0 => Change::Write(self.file()),
                    1 => Change::Make(self.new_name("made")),
                    2 => Change::Remove(self.file()),
                    3 => Change::Rename(self.file(), self.new_name("moved")),
                    4 => Change::Link(self.file(), self.new_name("linked")),
                    5 => Change::Mode(self.file()),
                    6 => Change::Attribute(self.file()),
                    _ => Change::Directory(self.new_name("dir")),
                };
                change.make(&self.top, self.round)?;
                changes.push(change);
            }
        }
        Ok(changes)
    }
}

impl Change {
    /// Changes the tree.
    fn make(&self, top: &Path, round: u64) -> io::Result<()> {
        match self {
            Self::Write(file) => File::options().append(true).open(top.join(file))?.write_all(&[b'x'; 5000]),
            Self::Make(file) => File::create_new(top.join(file))?.write_all(&[b'y'; 5000]),
            Self::Remove(file) => fs::remove_file(top.join(file)),
            Self::Rename(from, to) => fs::rename(top.join(from), top.join(to)),
            Self::Link(from, to) => fs::hard_link(top.join(from), top.join(to)),
            Self::Mode(file) => fs::set_permissions(top.join(file), Permissions::from_mode(0o640)),
            Self::Attribute(file) => {
                Ok(setxattr(top.join(file), ATTRIBUTE, &round.to_ne_bytes(), XattrFlags::empty())?)
            }
            Self::Directory(dir) => fs::create_dir(top.join(dir)),
        }
    }

    /// Makes the same change in a copy.
    fn repeat(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self {
            Self::Write(file) | Self::Make(file) => {
                fs::copy(from.join(file), to.join(file))?;
                times(&from.join(file), &to.join(file))
            }
            Self::Directory(dir) => {
                fs::create_dir(to.join(dir))?;
                times(&from.join(dir), &to.join(dir))
            }
            Self::Mode(file) => fs::set_permissions(to.join(file), fs::metadata(from.join(file))?.permissions()),
            Self::Attribute(file) => {
                let mut value = [0; 8];
                rustix::fs::getxattr(from.join(file), ATTRIBUTE, &mut value)?;
                Ok(setxattr(to.join(file), ATTRIBUTE, &value, XattrFlags::empty())?)
            }
            Self::Remove(_) | Self::Rename(..) | Self::Link(..) => self.make(to, 0),
        }
    }

    /// The directories whose entries it changes.
    fn touched(&self) -> impl Iterator<Item = &Path> {
        let paths = match self {
            Self::Write(_) | Self::Mode(_) | Self::Attribute(_) => [None, None],
            Self::Rename(from, to) => [from.parent(), to.parent()],
            Self::Make(path) | Self::Remove(path) | Self::Link(_, path) | Self::Directory(path) => {
                [path.parent(), None]
            }
        };
        paths.into_iter().flatten()
    }
}

/// Makes the same changes in a copy, and gives the directories their times back.
pub(super) fn repeat(changes: &[Change], from: &Path, to: &Path) -> io::Result<()> {
    changes.iter().try_for_each(|change| change.repeat(from, to))?;
    let dirs: BTreeSet<&Path> = changes.iter().flat_map(Change::touched).collect();
    dirs.into_iter().try_for_each(|dir| times(&from.join(dir), &to.join(dir)))
}

/// The times of an entry, as another one has them.
fn times(from: &Path, to: &Path) -> io::Result<()> {
    let found = fs::metadata(from)?;
    File::open(to)?.set_times(FileTimes::new().set_accessed(found.accessed()?).set_modified(found.modified()?))
}

fn place(dir: u64) -> PathBuf {
    PathBuf::from(format!("d{}/e{dir}", dir / 25))
}

fn name(file: u64) -> PathBuf {
    place(file / IN_ONE).join(format!("file-{file}"))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
