//! A copy of a tree in use is brought up to date from what the kernel says of it.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, XattrFlags};

use super::super::delta::{Delta, Scan, delta};
use super::super::dirty::{Changes, Dirty};
use super::super::map::Map;
use super::super::update::Changed;
use super::super::watch::Watch;
use super::super::{Control, Fault, Tally, TreeError};
use super::forest::{self, Dice};
use super::updates::{planted, updated};
use super::{assert_alike, copy_tree, open};
use crate::sys::{Entry, handle};
use crate::testing::{Sandbox, succeeds};

/// A tree, its copy, and what is known of both.
struct Copy {
    from: PathBuf,
    to: PathBuf,
    map: Map,
    watch: Watch,
}

impl Copy {
    /// Watches, then copies.
    fn new(from: &Path, to: &Path) -> Self {
        let watch = Watch::start(&open(from)).unwrap();
        let map = Map::new(&open(to.parent().unwrap())).unwrap();
        copy_tree(from, to, Some(&map)).unwrap();
        Self { from: from.to_owned(), to: to.to_owned(), map, watch }
    }

    fn changes(&self) -> Changes {
        self.watch.settle();
        match self.watch.take() {
            Dirty::Some(changes) => changes,
            Dirty::Everything(why) => panic!("{why}"),
        }
    }

    fn pass(&self) -> Result<Delta, TreeError> {
        self.replay(&self.changes())
    }

    fn replay(&self, changes: &Changes) -> Result<Delta, TreeError> {
        let (stop, tally) = (AtomicBool::new(false), Tally::default());
        let control = Control { label: "/from", stop: &stop, tally: &tally, watch: &(), threads: 4 };
        delta(&open(&self.from), &open(&self.to), changes, &self.map, None, &control)
    }

    /// The last pass: afterwards both trees are alike.
    fn last(&self) -> Delta {
        let done = self.pass().unwrap();
        assert_eq!(done.scan, None);
        assert_alike(&self.from, &self.to);
        assert_eq!(self.pass().unwrap().changed, Changed::default(), "nothing is left to do");
        done
    }

    fn at(&self, name: &str) -> PathBuf {
        self.from.join(name)
    }

    fn inode(&self, name: &str) -> u64 {
        self.to.join(name).symlink_metadata().unwrap().ino()
    }
}

/// Runs a test on each of three file systems, with an empty source and an empty target.
fn everywhere(body: impl Fn(&Path, &Path) + Sync) {
    Sandbox::run(|sandbox| {
        for (fstype, mib) in [("ext4", 256), ("xfs", 320), ("btrfs", 320)] {
            let (one, two) = (format!("{fstype}-one"), format!("{fstype}-two"));
            let (one, two) = (sandbox.disk(&one, fstype, mib, &[]), sandbox.disk(&two, fstype, mib, &[]));
            let (from, to) = (one.join("from"), two.join("to"));
            fs::create_dir(&from).unwrap();
            fs::create_dir(&to).unwrap();
            body(&from, &to);
        }
    });
}

/// Something random on a few names of a tree; most of it fails now and then, because a name is there or is not.
fn change(tree: &Path, dice: &mut Dice) {
    let outside = tree.with_extension("outside");
    let mut name = || {
        let dir = ["", "", "a/", "b/", "a/c/", "b/c/", "a/c/d/", "new/"][dice.below(8) as usize];
        match dice.below(12) {
            0 => outside.join(format!("n{}", dice.below(3))),
            1..4 => tree.join(["a", "b", "a/c", "b/c", "a/c/d", "new"][dice.below(6) as usize]),
            _ => tree.join(format!("{dir}n{}", dice.below(6))),
        }
    };
    let (one, two) = (name(), name());
    let byte = u8::try_from(dice.below(256)).unwrap();
    let append = || File::options().append(true).open(&one).and_then(|mut file| file.write_all(&[byte; 100]));
    let _ = match dice.below(18) {
        0..3 => fs::write(&one, vec![byte; dice.below(3000) as usize]),
        3 => append(),
        4 => fs::remove_file(&one),
        5 | 6 => fs::rename(&one, &two),
        7 | 8 => fs::hard_link(&one, &two),
        9 | 10 => fs::create_dir(&one),
        11 => fs::remove_dir_all(&one),
        12 => fs::set_permissions(&one, fs::Permissions::from_mode(0o700 | u32::from(byte & 7))),
        13 => std::os::unix::fs::lchown(&one, Some(byte.into()), None),
        14 => symlink(format!("text{byte}"), &one),
        15 => File::options().write(true).open(&one).and_then(|file| file.set_len(dice.below(500))),
        16 => rustix::fs::renameat_with(CWD, &one, CWD, &two, RenameFlags::EXCHANGE).map_err(Into::into),
        _ => rustix::fs::setxattr(&one, "user.byte", &[byte], XattrFlags::empty()).map_err(Into::into),
    };
}

#[test]
fn whatever_is_done_meanwhile_comes_after() {
    everywhere(|from, to| {
        let mut scans = 0;
        for seed in 0..12 {
            planted(from, seed, 40);
            fs::create_dir(from.with_extension("outside")).unwrap();
            let mut dice = Dice::new(seed);
            (0..150).for_each(|_| change(from, &mut dice));
            let stop = AtomicBool::new(false);
            let (copy, owed) = std::thread::scope(|scope| {
                let (stop, dice) = (&stop, &mut dice);
                let writer = scope.spawn(move || {
                    let mut count = 0;
                    while !stop.load(Ordering::Relaxed) && count < 20_000 {
                        change(from, dice);
                        count += 1;
                    }
                });
                let result = std::panic::catch_unwind(|| {
                    let copy = Copy::new(from, to);
                    let owed = (0..4).map(|_| copy.pass().unwrap()).filter(|delta| delta.scan.is_some()).count();
                    (copy, owed)
                });
                stop.store(true, Ordering::Relaxed);
                writer.join().unwrap();
                result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            // One scan for all of them, now that it is quiet.
            let delta = copy.pass().unwrap();
            // While names come and go a number may be used again before the name of its last inode has gone. Not any more.
            assert_ne!(delta.scan, Some(Scan::Split));
            if delta.scan.is_some() || owed > 0 {
                scans += 1;
                updated(from, to, Some(&copy.map)).unwrap();
            }
            assert_alike(from, to);
            // And what is done in one go.
            (0..60).for_each(|_| change(from, &mut dice));
            if copy.pass().unwrap().scan.is_some() {
                updated(from, to, Some(&copy.map)).unwrap();
            }
            assert_alike(from, to);
            drop(copy);
            super::others::remove_below(from);
            super::others::remove_below(to);
            fs::remove_dir_all(from.with_extension("outside")).unwrap();
        }
        // A link may be changed by a name that is gone, and have another one.
        assert!(scans < 4, "{scans} of 12");
    });
}

#[test]
fn a_file_that_gets_a_second_name_is_linked() {
    everywhere(|from, to| {
        fs::create_dir(from.join("mail")).unwrap();
        fs::write(from.join("mail/1."), "a letter").unwrap();
        let copy = Copy::new(from, to);
        let inode = copy.inode("mail/1.");
        fs::hard_link(copy.at("mail/1."), copy.at("2.")).unwrap();
        copy.last();
        assert_eq!((copy.inode("mail/1."), copy.inode("2.")), (inode, inode));
        // A write by one name reaches the other, which is not dirty.
        fs::write(copy.at("2."), "another letter").unwrap();
        copy.last();
        assert_eq!(copy.inode("mail/1."), inode);
        assert_eq!(fs::read(to.join("mail/1.")).unwrap(), b"another letter");
        // So does one by a name that is gone, or was never in the tree.
        let outside = from.with_extension("outside");
        fs::write(copy.at("2."), "a third one").unwrap();
        fs::rename(copy.at("2."), &outside).unwrap();
        copy.last();
        fs::write(&outside, "a fourth one").unwrap();
        copy.last();
        assert_eq!(fs::read(to.join("mail/1.")).unwrap(), b"a fourth one");
        fs::rename(outside, copy.at("mail/3.")).unwrap();
        copy.last();
        assert_eq!(copy.inode("mail/3."), inode);
    });
}

#[test]
fn what_takes_the_place_of_something_else() {
    everywhere(|from, to| {
        for name in ["replaced", "one", "two", "kind"] {
            fs::write(from.join(name), format!("contents of {name}")).unwrap();
        }
        fs::create_dir(from.join("dir")).unwrap();
        fs::write(from.join("dir/inner"), "").unwrap();
        symlink("dir", from.join("link")).unwrap();
        fs::hard_link(from.join("two"), from.join("three")).unwrap();
        let copy = Copy::new(from, to);
        let two = copy.inode("two");
        fs::write(copy.at("new"), "a new one").unwrap();
        fs::rename(copy.at("new"), copy.at("replaced")).unwrap();
        rustix::fs::renameat_with(CWD, copy.at("one"), CWD, copy.at("two"), RenameFlags::EXCHANGE).unwrap();
        fs::remove_file(copy.at("kind")).unwrap();
        fs::create_dir(copy.at("kind")).unwrap();
        fs::write(copy.at("kind/inner"), "").unwrap();
        fs::remove_dir_all(copy.at("dir")).unwrap();
        rustix::fs::mknodat(CWD, copy.at("dir"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        fs::remove_file(copy.at("link")).unwrap();
        symlink("elsewhere", copy.at("link")).unwrap();
        fs::write(copy.at("line\nbreak"), "x").unwrap();
        copy.last();
        assert_eq!((copy.inode("one"), copy.inode("three")), (two, two));
    });
}

#[test]
fn links_with_several_names_stay_one() {
    everywhere(|from, to| {
        symlink("text", from.join("one")).unwrap();
        let copy = Copy::new(from, to);
        fs::hard_link(copy.at("one"), copy.at("two")).unwrap();
        copy.last();
        assert_eq!((copy.inode("one"), to.join("two").symlink_metadata().unwrap().nlink()), (copy.inode("two"), 2));
        // Another link takes the place of a name, and the other name stays what it was.
        fs::remove_file(copy.at("one")).unwrap();
        symlink("other", copy.at("one")).unwrap();
        fs::hard_link(copy.at("one"), copy.at("three")).unwrap();
        copy.last();
        assert_eq!(copy.inode("one"), copy.inode("three"));
    });
}

#[test]
fn an_old_name_that_goes_later_asks_for_no_comparison_of_everything() {
    everywhere(|from, to| {
        symlink("text", from.join("link")).unwrap();
        fs::create_dir(from.join("dir")).unwrap();
        let copy = Copy::new(from, to);
        fs::rename(copy.at("link"), copy.at("dir/link")).unwrap();
        let mut changes = copy.changes();
        // As if the pass had begun between the two.
        let top = handle::of(Entry::itself(&open(from))).unwrap().0;
        let gone = changes.names.remove(&top).unwrap();
        assert!(gone.contains_key(b"link".as_slice()), "{gone:?}");
        let done = copy.replay(&changes).unwrap();
        assert_eq!((done.scan, done.changed.copied), (None, 1));
        assert!(to.join("link").is_symlink() && to.join("dir/link").is_symlink());
        changes.names.insert(top, gone);
        assert_eq!(copy.replay(&changes).unwrap().changed.removed, 1);
        assert_alike(from, to);
    });
}

#[test]
fn directories_that_move_are_not_copied_again() {
    everywhere(|from, to| {
        let outside = from.with_extension("outside");
        for dir in ["a/b/c", "d"] {
            fs::create_dir_all(from.join(dir)).unwrap();
        }
        fs::create_dir(&outside).unwrap();
        fs::write(from.join("a/b/c/deep"), vec![b'x'; 9000]).unwrap();
        fs::write(outside.join("came"), "came").unwrap();
        fs::hard_link(from.join("a/b/c/deep"), from.join("alias")).unwrap();
        let copy = Copy::new(from, to);
        let (deep, b) = (copy.inode("alias"), copy.inode("a/b"));
        fs::rename(copy.at("a/b"), copy.at("d/moved")).unwrap();
        fs::write(copy.at("d/moved/c/more"), "more").unwrap();
        let done = copy.last();
        assert_eq!((copy.inode("d/moved"), copy.inode("d/moved/c/deep")), (b, deep));
        assert!(done.changed.bytes < 9000, "{done:?}");
        // What was below becomes what is above.
        fs::rename(copy.at("d/moved/c"), copy.at("c")).unwrap();
        fs::rename(copy.at("d"), copy.at("c/d")).unwrap();
        copy.last();
        assert_eq!(copy.inode("c/d/moved"), b);
        fs::rename(copy.at("c/d"), outside.join("went")).unwrap();
        fs::rename(outside.join("came"), copy.at("c/came")).unwrap();
        copy.last();
        fs::write(outside.join("went/moved/unseen"), "written outside of the tree").unwrap();
        fs::rename(outside.join("went"), copy.at("back")).unwrap();
        copy.last();
    });
}

#[test]
fn locks_and_times_are_kept() {
    everywhere(|from, to| {
        planted(from, 3, 30);
        fs::create_dir_all(from.join("dir/sub")).unwrap();
        for name in ["dir/locked", "dir/log", "dir/sub/file", "dir/gone"] {
            fs::write(from.join(name), "first line\n").unwrap();
        }
        // The kernel tells nobody of chattr(1); what is told here is chmod(1).
        let touch = |path: &Path| fs::set_permissions(path, path.metadata().unwrap().permissions());
        let lock = |flags: &str, path: &Path| {
            let before = touch(path);
            succeeds(Command::new("chattr").arg(flags).arg(path));
            before.or_else(|_| touch(path)).unwrap();
        };
        lock("+a", &from.join("dir/log"));
        lock("+i", &from.join("dir/locked"));
        lock("+i", &from.join("dir/gone"));
        lock("+i", &from.join("dir/sub"));
        lock("+i", &from.join("dir"));
        let copy = Copy::new(from, to);
        File::options().append(true).open(copy.at("dir/log")).unwrap().write_all(b"second line\n").unwrap();
        let before = copy.at("dir").metadata().unwrap().mtime_nsec();
        fs::write(copy.at("dir/sub/file"), "changed").unwrap();
        copy.last();
        for path in ["dir", "dir/locked", "dir/gone"] {
            lock("-i", &copy.at(path));
        }
        fs::write(copy.at("dir/locked"), "locked again").unwrap();
        fs::remove_file(copy.at("dir/gone")).unwrap();
        fs::hard_link(copy.at("dir/locked"), copy.at("dir/locked too")).unwrap();
        let file = File::open(copy.at("dir")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        lock("+i", &copy.at("dir/locked"));
        lock("+i", &copy.at("dir"));
        copy.last();
        assert_eq!((to.join("dir").metadata().unwrap().mtime(), before != 0), (0, true));
        lock("-i", &copy.at("dir/locked"));
        lock("-i", &copy.at("dir"));
        fs::hard_link(copy.at("dir/locked"), copy.at("third")).unwrap();
        lock("+i", &copy.at("third"));
        copy.last();
        for path in ["dir/locked", "dir/sub", "dir/log"] {
            lock("-ia", &copy.at(path));
        }
        copy.last();
    });
}

#[test]
fn a_chain_deeper_than_a_path_is_followed() {
    Sandbox::run(|sandbox| {
        let (one, two) = (sandbox.disk("one", "ext4", 128, &[]), sandbox.disk("two", "xfs", 320, &[]));
        let (from, to) = (one.join("from"), two.join("to"));
        fs::create_dir(&from).unwrap();
        fs::create_dir(&to).unwrap();
        forest::dig(&from, 600, "some-level");
        let copy = Copy::new(&from, &to);
        let mut dir = open(&from);
        for _ in 0..600 {
            dir = rustix::fs::openat(&dir, "some-level", rustix::fs::OFlags::RDONLY, Mode::empty()).unwrap();
        }
        rustix::fs::mkdirat(&dir, "some-level", Mode::RWXU).unwrap();
        let done = copy.pass().unwrap();
        assert_eq!((done.scan, done.changed.copied), (None, 1));
        assert_eq!(forest::depth(&to, "some-level"), 601);
        fs::rename(from.join("some-level/some-level"), from.join("up")).unwrap();
        assert_eq!(copy.pass().unwrap().changed.copied, 0);
        assert_eq!(forest::depth(&to.join("up"), "some-level"), 599);
    });
}

#[test]
fn a_target_that_gets_full_is_told_and_the_source_stays() {
    Sandbox::run(|sandbox| {
        let (one, two) = (sandbox.disk("one", "ext4", 64, &[]), sandbox.disk("two", "ext4", 16, &[]));
        let (from, to) = (one.join("from"), two.join("to"));
        fs::create_dir(&from).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("file"), "small").unwrap();
        fs::write(from.join("other"), "other").unwrap();
        let copy = Copy::new(&from, &to);
        let mut large = vec![0; 30 << 20];
        large.iter_mut().zip(1..).for_each(|(byte, n): (&mut u8, u32)| *byte = n.to_le_bytes()[0] | 1);
        File::options().write(true).open(from.join("file")).unwrap().write_all_at(&large, 0).unwrap();
        fs::remove_file(from.join("other")).unwrap();
        let error = copy.pass().unwrap_err();
        assert_eq!((error.fault(), error.path()), (Fault::Full, "/from/file"));
        assert_eq!(fs::read(from.join("file")).unwrap(), large);
        // The changes are spent: what is left is compared.
        fs::write(from.join("file"), "small again").unwrap();
        updated(&from, &to, Some(&copy.map)).unwrap();
        assert_alike(&from, &to);
        fs::write(from.join("file"), "and watched again").unwrap();
        copy.last();
    });
}
