//! A target that holds anything at all becomes equal to the source.

use std::collections::HashSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::super::map::Map;
use super::super::update::{Changed, update};
use super::super::{Control, Fault, Tally, TreeError, copy};
use super::forest::{self, ALL, Dice};
use super::{assert_alike, copy_tree, open};
use crate::sys::handle;
use crate::testing::{Sandbox, succeeds, without};

pub(super) fn updated(from: &Path, to: &Path, map: Option<&Map>) -> Result<Changed, TreeError> {
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    let control = Control { label: "/from", stop: &stop, tally: &tally, watch: &(), threads: 4 };
    let done = update(&open(from), &open(to), map, None, &control)?;
    let entries = succeeds(Command::new("find").arg(from).args(["-printf", "x"])).len() as u64;
    assert_eq!(tally.entries(), entries, "every entry is counted once");
    Ok(done)
}

/// A random tree that is itself a copy: of files that were just written xfs shows room that it has set aside as data, once
/// somebody reads it.
pub(super) fn planted(top: &Path, seed: u64, entries: usize) {
    let nursery = top.with_extension("nursery");
    std::fs::create_dir(&nursery).unwrap();
    forest::plant(&nursery, seed, entries, ALL);
    copy_tree(&nursery, top, None).unwrap();
    super::others::remove_below(&nursery);
    std::fs::remove_dir(&nursery).unwrap();
}

/// A copy that is stopped after so many entries.
pub(super) fn cut_off(from: &Path, to: &Path, map: Option<&Map>, after: u64) {
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    let control = Control { label: "/from", stop: &stop, tally: &tally, watch: &(), threads: 4 };
    std::thread::scope(|scope| {
        let copying = scope.spawn(|| copy(&open(from), &open(to), map, &control));
        while tally.entries() < after && !copying.is_finished() {
            std::hint::spin_loop();
        }
        stop.store(true, Ordering::Relaxed);
        if let Err(error) = copying.join().unwrap() {
            assert_eq!(error.fault(), Fault::Stopped, "{error}: {:?}", error.cause());
        }
    });
}

/// Runs a test with an empty `from` and `to` on each of three file systems.
pub(super) fn everywhere(body: impl Fn(&Path, &Path) + Sync) {
    Sandbox::run(|sandbox| {
        let source = sandbox.disk("source", "ext4", 256, &[]);
        for (number, (fstype, mib)) in [("ext4", 256), ("xfs", 320), ("btrfs", 320)].into_iter().enumerate() {
            let disk = sandbox.disk(fstype, fstype, mib, &[]);
            // From another file system, and within one.
            for (count, from) in [&source, &disk].into_iter().enumerate() {
                let (from, to) = (from.join(format!("from{number}{count}")), disk.join(format!("to{count}")));
                std::fs::create_dir(&from).unwrap();
                std::fs::create_dir(&to).unwrap();
                body(&from, &to);
            }
        }
    });
}

#[test]
fn a_copy_that_was_cut_off_is_completed() {
    everywhere(|from, to| {
        planted(from, 41, 300);
        let mut dice = Dice::new(from.metadata().unwrap().ino());
        for _ in 0..4 {
            cut_off(from, to, None, dice.below(280));
            updated(from, to, None).unwrap();
            assert_alike(from, to);
            assert_eq!(updated(from, to, None).unwrap(), Changed::default(), "nothing is left to do");
            super::others::remove_below(to);
        }
    });
}

#[test]
fn any_tree_becomes_any_other() {
    everywhere(|from, to| {
        for seed in 0..4 {
            planted(from, 50 + seed, 250);
            // The same names with other things behind them, and others.
            planted(to, 60 + seed, 250);
            let done = updated(from, to, None).unwrap();
            assert!(done.copied > 0 && done.removed > 0, "{done:?}");
            assert_alike(from, to);
            super::others::remove_below(from);
            super::others::remove_below(to);
        }
    });
}

#[test]
fn each_difference_is_seen() {
    everywhere(|from, to| {
        let at = |name: &str| from.join(name);
        std::fs::create_dir_all(at("dir/below")).unwrap();
        for name in ["grown", "cut", "mode", "owner", "attribute", "time", "kind", "gone", "locked", "dir/below/deep"] {
            std::fs::write(at(name), format!("contents of {name}")).unwrap();
        }
        std::fs::write(at("line\nbreak"), "x").unwrap();
        for (old, new) in [("grown", "grown2"), ("mode", "mode2"), ("gone", "not gone")] {
            std::fs::hard_link(at(old), at(new)).unwrap();
        }
        symlink("one", at("link")).unwrap();
        rustix::fs::mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        copy_tree(from, to, None).unwrap();
        assert_alike(from, to);
        let kept = to.join("grown2").metadata().unwrap().ino();
        let source = from.metadata().unwrap();

        std::fs::write(at("grown"), vec![b'x'; 100_000]).unwrap();
        std::fs::write(at("cut"), "").unwrap();
        std::fs::set_permissions(at("mode"), std::fs::Permissions::from_mode(0o4711)).unwrap();
        std::os::unix::fs::chown(at("owner"), Some(7), Some(8)).unwrap();
        rustix::fs::setxattr(at("attribute"), "user.new", b"value", rustix::fs::XattrFlags::empty()).unwrap();
        let file = std::fs::File::options().write(true).open(at("time")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        std::fs::remove_file(at("kind")).unwrap();
        std::fs::create_dir(at("kind")).unwrap();
        std::fs::write(at("kind/inner"), "").unwrap();
        std::fs::remove_file(at("gone")).unwrap();
        std::fs::remove_file(at("line\nbreak")).unwrap();
        std::fs::remove_file(at("link")).unwrap();
        symlink("two", at("link")).unwrap();
        std::fs::remove_file(at("fifo")).unwrap();
        rustix::fs::mknodat(CWD, at("fifo"), FileType::Socket, Mode::RUSR, 0).unwrap();
        std::fs::rename(at("dir/below"), at("moved")).unwrap();
        std::fs::hard_link(at("cut"), at("cut2")).unwrap();
        std::fs::write(at("locked"), "locked now").unwrap();
        succeeds(Command::new("chattr").arg("+i").args([at("locked"), at("moved")]));
        succeeds(Command::new("chattr").arg("+a").arg(to.join("cut")));
        succeeds(Command::new("chattr").arg("+i").args([to.join("dir"), to.join("line\nbreak")]));
        rustix::fs::utimensat(
            CWD,
            from,
            &rustix::fs::Timestamps {
                last_access: rustix::fs::Timespec { tv_sec: source.atime(), tv_nsec: source.atime_nsec() },
                last_modification: rustix::fs::Timespec { tv_sec: source.mtime(), tv_nsec: source.mtime_nsec() },
            },
            rustix::fs::AtFlags::empty(),
        )
        .unwrap();
        updated(from, to, None).unwrap();
        assert_alike(from, to);
        assert_eq!(to.join("grown").metadata().unwrap().ino(), kept, "an inode with several names is filled in place");
        assert_eq!(updated(from, to, None).unwrap(), Changed::default());
    });
}

#[test]
fn names_that_share_an_inode_wrongly_are_parted() {
    everywhere(|from, to| {
        for name in ["a", "b", "c", "d"] {
            std::fs::write(from.join(name), format!("contents of {name}")).unwrap();
        }
        std::fs::hard_link(from.join("c"), from.join("e")).unwrap();
        // Each pair is one inode there and two here, or the other way round.
        std::fs::write(to.join("a"), "?").unwrap();
        for name in ["b", "c", "d"] {
            std::fs::hard_link(to.join("a"), to.join(name)).unwrap();
        }
        std::fs::write(to.join("e"), "other contents").unwrap();
        updated(from, to, None).unwrap();
        assert_alike(from, to);
    });
}

#[test]
fn the_map_holds_every_inode_afterwards() {
    everywhere(|from, to| {
        planted(from, 5, 200);
        let map = Map::new(&open(to.parent().unwrap())).unwrap();
        cut_off(from, to, Some(&map), 90);
        updated(from, to, Some(&map)).unwrap();
        let paths = succeeds(Command::new("find").arg(from).args(["-type", "f", "-o", "-type", "d"]).arg("-print0"));
        let top = open(to);
        let mut seen = 0;
        for path in paths.split_terminator('\0') {
            // Names that are not UTF-8 come out changed.
            let (Ok(path), Ok(s)) = (Path::new(path).strip_prefix(from), Path::new(path).symlink_metadata()) else {
                continue;
            };
            let inode = (s.dev(), s.ino());
            let found = map.find_all(&HashSet::from([inode])).unwrap();
            assert_eq!(found[&inode].len(), 1, "{}", path.display());
            let opened = handle::open(&top, &found[&inode][0], OFlags::PATH).unwrap();
            assert_eq!(rustix::fs::fstat(&opened).unwrap().st_ino, to.join(path).metadata().unwrap().ino());
            seen += 1;
        }
        assert!(seen > 20, "{seen}");
    });
}

#[test]
fn a_chain_deeper_than_a_path_is_compared() {
    Sandbox::run(|sandbox| {
        let (one, two) = (sandbox.disk("one", "ext4", 128, &[]), sandbox.disk("two", "ext4", 128, &[]));
        let (from, to) = (one.join("from"), two.join("to"));
        std::fs::create_dir(&from).unwrap();
        std::fs::create_dir(&to).unwrap();
        forest::dig(&from, 1500, "some-level");
        cut_off(&from, &to, None, 900);
        updated(&from, &to, None).unwrap();
        assert_eq!(forest::depth(&to, "some-level"), 1500);
        assert_eq!(updated(&from, &to, None).unwrap(), Changed::default());
        super::others::remove_below(&from);
        assert_eq!(updated(&from, &to, None).unwrap().removed, 1 + 2);
    });
}

#[test]
fn old_kernels_compare_the_same() {
    const OLD: &[i64] = &[libc::SYS_statx, libc::SYS_openat2, libc::SYS_name_to_handle_at, libc::SYS_open_by_handle_at];
    everywhere(|from, to| {
        planted(from, 70, 200);
        planted(to, 71, 200);
        without(OLD, || updated(from, to, None)).unwrap();
        assert_alike(from, to);
    });
}

#[test]
fn a_full_target_is_told() {
    Sandbox::run(|sandbox| {
        let (one, two) = (sandbox.disk("one", "ext4", 64, &[]), sandbox.disk("two", "ext4", 16, &[]));
        let (from, to) = (one.join("from"), two.join("to"));
        std::fs::create_dir(&from).unwrap();
        std::fs::create_dir(&to).unwrap();
        std::fs::write(from.join("file"), "small").unwrap();
        copy_tree(&from, &to, None).unwrap();
        std::fs::write(from.join("file"), vec![b'x'; 30 << 20]).unwrap();
        let error = updated(&from, &to, None).unwrap_err();
        assert_eq!((error.fault(), error.path()), (Fault::Full, "/from/file"));
        // What stands there now is not taken for the whole.
        std::fs::write(from.join("file"), vec![b'y'; 1 << 20]).unwrap();
        updated(&from, &to, None).unwrap();
        assert_alike(&from, &to);
    });
}
