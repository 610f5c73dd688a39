//! What a root looks like, as text that is equal for two runs that came to the same: every entry with mode, owner, seal,
//! identity and content, and the mount table. Random identities are numbered in the order in which they are met, so that
//! it still shows which of them belong together; what tells of the way (journals, logs, locks) is left out.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{IFlags, Mode, OFlags};

use crate::mounts;
use crate::programs::PROGRAMS;

/// Below the root: what differs from run to run, or is the test's own.
const LEFT_OUT: &[&str] = &["run/datastore", "var/lib/datastore", "images"];
/// In any directory: the log of a volume has a line for each operation.
const LOG: &str = "operations.log";
/// Beside a manifest: what another machine would want to know. It is written after an operation, which does not fail for want of it.
const KEPT: [&str; 3] = ["etc", "owners.toml", ".owners.toml.config-copy.tmp"];
/// Larger files are told by their size alone.
const LARGEST: u64 = 1 << 20;

/// The marker lines of datastore's block in fstab.
const BEGIN: &str = "# datastore: begin";
const END: &str = "# datastore: end";

/// Draws the picture of a root.
///
/// # Panics
/// If something in it cannot be read.
#[must_use]
pub fn of(root: &Path) -> String {
    without_sums(&number_marks(&number_identities(&exact(root))))
}

/// The same with the identities themselves: for one root at two moments.
///
/// # Panics
/// If something in it cannot be read.
#[must_use]
pub fn exact(root: &Path) -> String {
    let mut text = String::new();
    walk(root, Path::new(""), &mut text);
    let prefix = root.to_str().expect("the sandbox has a plain name");
    let mut table: Vec<String> = mounts::below(&mounts::all(), root)
        .iter()
        .filter(|m| m.mount_point != root)
        .map(|m| {
            let point = m.mount_point.strip_prefix(root).expect("below the root").display().to_string();
            let source = m.root.display().to_string();
            format!("mount /{point} {} [{}] {}", m.fs_type, source.trim_start_matches(prefix), m.options)
        })
        .collect();
    table.sort();
    text.push_str(&table.join("\n"));
    text
}

fn walk(dir: &Path, name: &Path, out: &mut String) {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("read {}: {e}", dir.display()));
    let mut entries: Vec<_> = entries.map(|e| e.expect("an entry of a directory")).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), name.join(entry.file_name()));
        let is_kept = dir.file_name().is_some_and(|dir| dir == ".datastore")
            && KEPT.iter().any(|kept| entry.file_name() == *kept);
        if LEFT_OUT.iter().chain(PROGRAMS).any(|left| name == Path::new(left)) || entry.file_name() == LOG || is_kept {
            continue;
        }
        let meta = path.symlink_metadata().unwrap_or_else(|e| panic!("stat {}: {e}", path.display()));
        let mode = meta.mode();
        let _ = write!(out, "{mode:06o} {}:{} /{}", meta.uid(), meta.gid(), name.display());
        if meta.is_dir() {
            if is_immutable(&path) {
                out.push_str(" immutable");
            }
            for attribute in ["trusted.datastore.id", "user.datastore.id"] {
                let mut value = [0; 64];
                if let Ok(length) = rustix::fs::lgetxattr(&path, attribute, &mut value) {
                    let _ = write!(out, " {attribute}={}", String::from_utf8_lossy(&value[..length]));
                }
            }
            out.push('\n');
            walk(&path, &name, out);
        } else if meta.is_file() && meta.len() <= LARGEST {
            let bytes = fs::read(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
            let _ = writeln!(out, " {{\n{}}}", String::from_utf8_lossy(&bytes));
        } else {
            let _ = writeln!(out, " {} bytes", meta.len());
        }
    }
}

fn is_immutable(dir: &Path) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(fd) = rustix::fs::open(dir, flags, Mode::empty()) else { return false };
    rustix::fs::ioctl_getflags(&fd).is_ok_and(|flags| flags.contains(IFlags::IMMUTABLE))
}

/// Puts `#1`, `#2`... for the UUIDs in a text.
fn number_identities(text: &str) -> String {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match text.get(at..at + 36) {
            Some(uuid) if is_uuid(uuid) => {
                let next = numbers.len() + 1;
                let _ = write!(out, "#{}", numbers.entry(uuid).or_insert(next));
                at += 36;
            }
            _ => {
                let c = text[at..].chars().next().expect("inside the text");
                out.push(c);
                at += c.len_utf8();
            }
        }
    }
    out
}

/// Puts `#` for the marks in the names of places where trees are put aside.
fn number_marks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) =
        ["datastore-parked-", ".datastore/parked/"].iter().filter_map(|m| Some(rest.find(m)? + m.len())).min()
    {
        let (head, tail) = rest.split_at(at);
        let mark = tail.bytes().take(8).take_while(u8::is_ascii_hexdigit).count();
        out.push_str(head);
        out.push_str(if mark == 8 { "#" } else { "" });
        rest = &tail[if mark == 8 { 8 } else { 0 }..];
    }
    out.push_str(rest);
    out
}

/// Puts `#` for the checksums in files of ours, which are others where identities are.
#[must_use]
pub fn without_sums(text: &str) -> String {
    let is_sum = |line: &str| line.strip_prefix("sum = \"").is_some_and(|rest| rest.len() == 9 && rest.ends_with('"'));
    text.lines().map(|line| if is_sum(line) { "sum = #" } else { line }.to_owned() + "\n").collect()
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(i, b)| match i {
        8 | 13 | 18 | 23 => b == b'-',
        _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
    })
}

/// Demands that two pictures are equal.
///
/// # Panics
/// With the lines that only one of them has.
#[track_caller]
pub fn same(now: &str, wanted: &str, when: &str) {
    if now == wanted {
        return;
    }
    let only = |a: &str, b: &str| {
        let there: std::collections::HashSet<&str> = b.lines().collect();
        a.lines().filter(|line| !there.contains(line)).take(40).collect::<Vec<_>>().join("\n  ")
    };
    panic!(
        "{when}: not what an undisturbed run comes to\nonly now:\n  {}\nonly in the undisturbed run:\n  {}",
        only(now, wanted),
        only(wanted, now)
    );
}

/// Demands that nothing has changed between two [`exact`] pictures, but for directories that came: those above what
/// was made stay, because others may use them by now, and so does what holds one of them.
///
/// # Panics
/// With what else differs.
#[track_caller]
pub fn same_but_for_new_directories(now: &str, before: &str, when: &str) {
    let known: std::collections::HashSet<&str> = before.lines().collect();
    let is_new_dir = |line: &&str| !known.contains(line) && line.starts_with("04") && !line.contains(" immutable");
    let rest: Vec<&str> = now.lines().filter(|line| !is_new_dir(line)).collect();
    same(&rest.join("\n"), &before.lines().collect::<Vec<_>>().join("\n"), when);
}

/// What an fstab holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Fstab {
    /// Everything outside of datastore's block, byte for byte.
    pub foreign: String,
    /// The lines of the block.
    pub ours: Vec<String>,
}

/// Takes an fstab apart.
///
/// # Panics
/// If a marker is missing or there twice, or a line of the block has not six fields: it was torn.
#[must_use]
#[track_caller]
pub fn fstab(text: &str) -> Fstab {
    let (mut foreign, mut ours, mut inside, mut blocks) = (String::new(), Vec::new(), false, 0);
    for line in text.split_inclusive('\n') {
        if line.starts_with(BEGIN) {
            assert!(!inside, "a block within the block: {text}");
            (inside, blocks) = (true, blocks + 1);
        } else if line.starts_with(END) {
            assert!(inside, "an end without a begin: {text}");
            inside = false;
        } else if inside {
            assert_eq!(line.split_whitespace().count(), 6, "a torn line {line:?} in {text}");
            ours.push(line.trim_end().to_owned());
        } else {
            foreign.push_str(line);
        }
    }
    assert!(!inside, "the block has no end: {text}");
    assert!(blocks <= 1, "{blocks} blocks: {text}");
    Fstab { foreign, ours }
}

/// Files below a root that nobody but a crash leaves: temporary files, and journals that have not ended.
///
/// # Panics
/// If something cannot be read.
#[must_use]
pub fn leftovers(root: &Path) -> Vec<String> {
    fn look(root: &Path, dir: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("read {}: {e}", dir.display())) {
            let entry = entry.expect("an entry of a directory");
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.as_bytes();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                // What is for onlookers lasts until the next boot at most.
                let is_put = PROGRAMS.iter().any(|put| path == root.join(put));
                if is_put || path.ends_with("run/datastore") {
                    continue;
                }
                look(root, &path, found);
            } else if name.ends_with(b".tmp")
                || name.ends_with(b".new")
                || (name.ends_with(b".journal") && !has_ended(&path))
            {
                found.push(path.display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    look(root, root, &mut found);
    found.sort();
    found
}

/// Makes files old that did not become a journal: while they are young they are left alone, for their run may be alive.
///
/// # Panics
/// If one cannot be touched.
pub fn let_time_pass(root: &Path) {
    for path in leftovers(root).iter().filter(|path| path.ends_with(".new")) {
        let file = fs::File::options().write(true).open(path).unwrap_or_else(|e| panic!("open {path}: {e}"));
        file.set_modified(std::time::UNIX_EPOCH).unwrap_or_else(|e| panic!("touch {path}: {e}"));
    }
}

/// Whether the last line of a journal is there. (One that has ended and could not be moved is moved by the next run.)
fn has_ended(journal: &Path) -> bool {
    fs::read_to_string(journal).is_ok_and(|text| text.contains("{\"record\":\"end\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "85d66326-7743-45d2-acc2-602869ebb309";
    const B: &str = "1d8435bb-1ea4-4daf-9a84-949f8d8004d1";

    #[test]
    fn identities_are_numbered_as_they_come() {
        assert_eq!(number_identities(&format!("é {A} {B}, {A}.")), "é #1 #2, #1.");
        assert_eq!(number_identities("85d66326-7743"), "85d66326-7743");
    }

    #[test]
    fn an_fstab_is_taken_apart_and_a_torn_one_is_told() {
        let block = "# datastore: begin (x)\na b c d 0 0\n# datastore: end\n";
        let taken = fstab(&format!("LABEL=a / ext4\n{block}# last"));
        assert_eq!(
            (taken.foreign.as_str(), taken.ours.as_slice()),
            ("LABEL=a / ext4\n# last", &["a b c d 0 0".into()][..])
        );
        for torn in
            ["# datastore: begin\na b c d 0 0\n", "# datastore: begin\na b\n# datastore: end\n", "# datastore: end\n"]
        {
            assert!(std::panic::catch_unwind(|| fstab(torn)).is_err(), "{torn:?}");
        }
        assert!(std::panic::catch_unwind(|| fstab(&block.repeat(2))).is_err());
    }

    #[test]
    fn a_difference_is_told() {
        same("a\nb", "a\nb", "now");
        let told = std::panic::catch_unwind(|| same("a\nb", "a\nc", "after the test")).unwrap_err();
        let told = told.downcast_ref::<String>().unwrap();
        assert!(told.contains("after the test") && told.contains("  b") && told.contains("  c"), "{told}");
    }

    #[test]
    fn leftovers_are_found() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["etc", "var/lib/datastore/done", "var/lib/datastore/journal"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        assert!(leftovers(dir.path()).is_empty());
        for path in ["etc/.fstab.x.tmp", "var/lib/datastore/done/a.journal", "var/lib/datastore/journal/b.journal"] {
            let text = if path.contains("done") { "0 {\"record\":\"end\",\"at\":1}\n" } else { "" };
            fs::write(dir.path().join(path), text).unwrap();
        }
        assert_eq!(leftovers(dir.path()).len(), 2);
    }
}
