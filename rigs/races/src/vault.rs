//! What lies outside of the trees that are worked on: whoever reads, changes or removes it has followed the attacker.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use crate::Violations;

/// With this begins each file that nobody may read into a copy.
pub const CANARY: &[u8] = b"canary ";
/// With this, files that have a further name inside of the tree: they may be read, but are not to be changed.
pub const LINKED: &str = "linked ";
/// Who owns the files of the trees, and most of what is in the vault: so a change of owners that is led astray changes it.
pub const OWNER: u32 = 3000;
/// Who owns nothing but some files of the vault: whoever counts it was there.
pub const STRANGER: u32 = 4242;
/// The length of these. It is all hole.
pub const HUGE: u64 = 1 << 40;
/// So many files wait to be linked into the tree.
pub const LINKS: usize = 8;

/// Names in the vault that stand in the trees, too: whoever followed a link finds what it was looking for.
const NAMES: &[&str] =
    &["file", "f0", "f1", "f2", "inner/f0", "inner/f1", "inner/f2", "inner/file", "point/file", "h.conf"];

/// How something in the vault is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    inode: (u64, u64),
    mode: u32,
    owner: (u32, u32),
    size: u64,
    changed: (i64, i64),
    /// When anything of it changed; not of what gets further names.
    touched: Option<(i64, i64)>,
    text: Vec<u8>,
    /// The names of its attributes.
    attributes: Vec<u8>,
}

impl std::fmt::Display for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { mode, owner: (uid, gid), size, changed, .. } = self;
        let attributes = String::from_utf8_lossy(&self.attributes).replace('\0', " ");
        write!(f, "{mode:o} {uid}:{gid} {size} bytes of {}.{} {attributes}", changed.0, changed.1)
    }
}

/// A directory of canaries.
#[derive(Debug)]
pub struct Vault {
    dir: PathBuf,
    before: BTreeMap<PathBuf, Look>,
}

impl Vault {
    /// Fills a new directory.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        for sub in ["", "inner", "point", "links"] {
            fs::create_dir(dir.join(sub)).expect("make a directory of the vault");
        }
        for name in NAMES {
            let path = dir.join(name);
            fs::write(&path, [CANARY, name.as_bytes(), b"\n"].concat()).expect("write a canary");
            lchown(&path, Some(OWNER), Some(OWNER)).expect("give a canary away");
        }
        for name in ["huge", "inner/huge", "point/huge"] {
            let path = dir.join(name);
            fs::write(&path, CANARY).expect("write a canary");
            fs::File::options().write(true).open(&path).and_then(|f| f.set_len(HUGE)).expect("make a canary long");
            lchown(&path, Some(STRANGER), Some(STRANGER)).expect("give a canary away");
        }
        for number in 0..LINKS {
            let path = dir.join(format!("links/{number}"));
            fs::write(&path, format!("{LINKED}{number}\n")).expect("write a file of the vault");
            // One with bits that a new owner takes away.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o4751)).expect("mode of a file of the vault");
            lchown(&path, Some(OWNER), Some(OWNER)).expect("give a file of the vault away");
        }
        let mut vault = Self { dir, before: BTreeMap::new() };
        vault.seal();
        vault
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file that may get further names.
    #[must_use]
    pub fn link(&self, number: usize) -> PathBuf {
        self.dir.join(format!("links/{}", number % LINKS))
    }

    /// The inodes in it.
    #[must_use]
    pub fn inodes(&self) -> HashSet<(u64, u64)> {
        self.before.values().map(|look| look.inode).collect()
    }

    /// Everything is as it is meant to be from now on.
    pub fn seal(&mut self) {
        self.before = look_at(&self.dir);
    }

    /// Notes whatever is not as it was.
    pub fn check(&self, violations: &Violations, when: &str) {
        let now = look_at(&self.dir);
        if now == self.before {
            return;
        }
        for (path, was) in &self.before {
            match now.get(path) {
                None => violations.add(format!("{when}: {} of the vault is gone", path.display())),
                Some(is) if is != was => {
                    violations.add(format!("{when}: {} of the vault was {was}, is {is}", path.display()));
                }
                Some(_) => {}
            }
        }
        for path in now.keys().filter(|path| !self.before.contains_key(*path)) {
            violations.add(format!("{when}: {} came into the vault", path.display()));
        }
    }
}

fn look_at(top: &Path) -> BTreeMap<PathBuf, Look> {
    let mut all = BTreeMap::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(name) = todo.pop() {
        let path = top.join(&name);
        // What was renamed away a moment ago is told by the other look.
        let Ok(meta) = path.symlink_metadata() else { continue };
        if meta.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            todo.extend(entries.map(|entry| name.join(entry.file_name())));
        }
        let is_linked = name.starts_with("links");
        let text =
            if meta.is_file() && meta.len() < 1 << 20 { fs::read(&path).unwrap_or_default() } else { Vec::new() };
        let look = Look {
            inode: (meta.dev(), meta.ino()),
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            size: if meta.is_dir() { 0 } else { meta.len() },
            changed: (meta.mtime(), meta.mtime_nsec()),
            touched: (!is_linked).then(|| (meta.ctime(), meta.ctime_nsec())),
            text,
            attributes: attributes(&path),
        };
        all.insert(name, look);
    }
    all
}

fn attributes(path: &Path) -> Vec<u8> {
    let mut list = vec![0; 4096];
    let length = rustix::fs::llistxattr(path, &mut list[..]).unwrap_or(0);
    list.truncate(length);
    list
}

/// Notes whatever of the vault is in a copy that nobody else can reach.
///
/// # Panics
/// If the copy cannot be read.
pub fn search(copy: &Path, violations: &Violations, when: &str) {
    use std::io::Read as _;
    let mut dirs = vec![copy.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|e| panic!("read {}: {e}", dir.display())) {
            let entry = entry.expect("an entry of a directory");
            let (path, kind) = (entry.path(), entry.file_type().expect("the kind of an entry"));
            let mut stolen = entry.file_name() == "huge";
            if kind.is_dir() {
                dirs.push(path.clone());
            } else if kind.is_file() {
                let mut head = Vec::new();
                let mut file = fs::File::open(&path).expect("open a file of the copy").take(CANARY.len() as u64);
                file.read_to_end(&mut head).expect("read a file of the copy");
                stolen |= head == CANARY;
            }
            if stolen {
                violations.add(format!("{when}: {} in the copy is from the vault", path.display()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_done_to_the_vault_is_seen() {
        type Deed = fn(&Path);
        let deeds: [(&str, Deed); 6] = [
            ("owner", |v| lchown(v.join("file"), Some(7), None).unwrap()),
            ("linked owner", |v| lchown(v.join("links/3"), Some(7), None).unwrap()),
            ("mode", |v| fs::set_permissions(v.join("inner"), fs::Permissions::from_mode(0o000)).unwrap()),
            ("removal", |v| fs::remove_file(v.join("inner/f1")).unwrap()),
            ("content", |v| fs::write(v.join("f2"), "canary").unwrap()),
            ("addition", |v| fs::write(v.join("new"), "").unwrap()),
        ];
        for (what, deed) in deeds {
            let dir = tempfile::tempdir().unwrap();
            let vault = Vault::new(dir.path().join("vault"));
            let violations = Violations::default();
            vault.check(&violations, what);
            assert_eq!(violations.number(), 0, "{what}");
            deed(vault.dir());
            vault.check(&violations, what);
            assert!(violations.number() > 0, "{what}");
        }
    }

    #[test]
    fn what_was_stolen_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (violations, copy) = (Violations::default(), dir.path().join("copy"));
        fs::create_dir_all(copy.join("deep")).unwrap();
        fs::write(copy.join("deep/mine"), "mine").unwrap();
        search(&copy, &violations, "now");
        assert_eq!(violations.number(), 0);
        fs::write(copy.join("deep/theirs"), [CANARY, b"x"].concat()).unwrap();
        search(&copy, &violations, "now");
        assert_eq!(violations.number(), 1);
    }
}
