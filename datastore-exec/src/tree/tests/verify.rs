//! A copy that differs is told from one that does not, whatever differs.

use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use super::super::limits;
use super::super::owed::Owed;
use super::super::verify::{Contents, Verified, verify};
use super::super::written::File;
use super::super::{Control, Tally, copy, sync};
use super::forest::{self, ALL};
use super::open;
use crate::testing::{Sandbox, succeeds};

struct Pair {
    from: OwnedFd,
    to: OwnedFd,
    holds: limits::Holds,
}

impl Pair {
    fn copied(from: &Path, to: &Path) -> Self {
        let (from, to) = (open(from), open(to));
        let holds = limits::holds(&to).unwrap();
        with(|control| copy(&from, &to, None, control)).unwrap();
        sync(&to).unwrap();
        Self { from, to, holds }
    }
    fn verify(&self, contents: Contents) -> Verified {
        sync(&self.to).unwrap();
        with(|control| verify(&self.from, &self.to, &self.holds, contents, control)).unwrap()
    }
    fn of(&self, paths: &[&str]) -> Vec<String> {
        let mut owed = Owed::default();
        let file = |path: &&str| File { path: path.as_bytes().to_vec(), inodes: None };
        owed.wrote(Some(paths.iter().map(file).collect()));
        let settle = |control: &Control<'_>| owed.settle(&self.from, &self.to, &self.holds, Contents::All, control);
        let found = with(settle).unwrap();
        assert_eq!(owed.is_empty(), found.differ == 0, "what differs stays owed");
        found.differences.iter().map(ToString::to_string).collect()
    }
}

fn with<T>(walk: impl FnOnce(&Control<'_>) -> T) -> T {
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    walk(&Control { label: "/srv/a", stop: &stop, tally: &tally, watch: &(), threads: 4 })
}

#[test]
fn a_good_copy_is_found_good_on_every_file_system() {
    Sandbox::run(|sandbox| {
        let original = sandbox.disk("original", "ext4", 128, &[]).join("top");
        std::fs::create_dir(&original).unwrap();
        forest::plant(&original, 11, 600, ALL);
        let mut digests = Vec::new();
        for (fstype, mib) in [("ext4", 128), ("xfs", 320), ("btrfs", 256)] {
            let copy = sandbox.disk(fstype, fstype, mib, &[]).join("top");
            std::fs::create_dir(&copy).unwrap();
            let pair = Pair::copied(&original, &copy);
            let found = pair.verify(Contents::All);
            assert!(found.differences.is_empty() && found.differ == 0, "{fstype}: {:?}", found.differences);
            assert!(found.entries > 500 && found.bytes > 0, "{found:?}");
            // The copy as the original: its digest is that of the tree, not of the place.
            let again = with(|control| verify(&pair.to, &pair.to, &pair.holds, Contents::All, control)).unwrap();
            digests.push((found.metadata, found.contents.unwrap()));
            assert_eq!(digests[0], (again.metadata, again.contents.unwrap()), "{fstype}");
        }
        assert!(digests.iter().all(|digest| *digest == digests[0]));
    });
}

/// A tree with one entry for each way to differ.
fn ways(sandbox: &Sandbox) -> Pair {
    let (from, to) = (sandbox.disk("from", "ext4", 64, &[]), sandbox.disk("to", "xfs", 320, &[]));
    let (from, to) = (from.join("top"), to.join("top"));
    std::fs::create_dir(&from).unwrap();
    std::fs::create_dir(&to).unwrap();
    for name in ["flipped", "longer", "mode", "owner", "time", "xattr", "gone", "kind", "one", "flag"] {
        std::fs::write(from.join(name), vec![7; 5000]).unwrap();
    }
    std::fs::hard_link(from.join("one"), from.join("two")).unwrap();
    symlink("here", from.join("link")).unwrap();
    std::fs::create_dir_all(from.join("dir/below")).unwrap();
    std::fs::write(from.join("dir/below/deep"), "x").unwrap();
    Pair::copied(&from, &to)
}

#[test]
fn whatever_differs_is_told() {
    Sandbox::run(|sandbox| {
        let pair = ways(sandbox);
        let to = sandbox.dir().join("to/top");
        let before = pair.verify(Contents::All);
        assert_eq!(before.differ, 0, "{:?}", before.differences);
        assert!(pair.of(&["flipped", "dir/below/deep", "dir", "link"]).is_empty());

        // One byte, with the times put back.
        let file = std::fs::File::options().write(true).open(to.join("flipped")).unwrap();
        let time = file.metadata().unwrap().modified().unwrap();
        file.write_at(b"!", 4321).unwrap();
        file.set_modified(time).unwrap();
        std::fs::File::options().write(true).open(to.join("longer")).unwrap().set_len(5001).unwrap();
        std::fs::set_permissions(to.join("mode"), std::fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(to.join("owner"), Some(4711), None).unwrap();
        let file = std::fs::File::open(to.join("time")).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_nanos(1)).unwrap();
        succeeds(std::process::Command::new("setfattr").args(["-n", "user.x", "-v", "1"]).arg(to.join("xattr")));
        std::fs::remove_file(to.join("gone")).unwrap();
        std::fs::remove_file(to.join("kind")).unwrap();
        std::fs::create_dir(to.join("kind")).unwrap();
        std::fs::copy(to.join("one"), to.join("x")).unwrap();
        std::fs::rename(to.join("x"), to.join("two")).unwrap();
        std::fs::remove_file(to.join("link")).unwrap();
        symlink("there", to.join("link")).unwrap();
        std::fs::write(to.join("dir/below/more"), "").unwrap();
        succeeds(std::process::Command::new("chattr").arg("+d").arg(to.join("flag")));

        let found = pair.verify(Contents::All);
        let told: Vec<String> = found.differences.iter().map(ToString::to_string).collect();
        for wanted in [
            "flipped (contents)",
            "longer (length",
            "mode (mode)",
            "owner (owner)",
            "time (time of change)",
            "xattr (extended attributes)",
            "gone (missing)",
            "kind (type",
            "two (",
            "link (",
            "dir/below/more (not in the original)",
            "flag (inode flags)",
        ] {
            assert!(told.iter().any(|line| line.starts_with(wanted)), "{wanted} in {told:#?}");
        }
        let names: std::collections::BTreeSet<&[u8]> = found.differences.iter().map(|d| d.path.as_slice()).collect();
        // Beside those: the directories whose times have changed, and the other name of the pair.
        let also: [&[u8]; 3] = [b"", b"dir/below", b"one"];
        assert!(names.len() <= 12 + also.len(), "{told:#?}");
        assert_ne!(found.contents, before.contents);
        assert_ne!(found.metadata, before.metadata);
        // A sample holds only some contents against each other, but everything else.
        assert!(pair.verify(Contents::Sample).differ >= 11);
        let some = pair.of(&["flipped", "mode", "gone", "dir/below/more", "dir/below/deep", "not/there"]);
        assert_eq!(
            some,
            ["dir/below/more (not in the original)", "flipped (contents)", "gone (missing)", "mode (mode)"]
        );
    });
}
