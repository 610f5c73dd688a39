//! Copies keep everything.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use rustix::fs::OFlags;

use super::super::map::Map;
use super::super::{Control, Tally, Watch};
use super::forest::{self, ALL, Kinds};
use super::{assert_alike, copy_tree, copy_watched, open};
use crate::sys::handle;
use crate::testing::{Sandbox, in_user_namespace, succeeds, without};

/// What Linux 3.10 does not have.
const OLD: &[i64] = &[
    libc::SYS_statx,
    libc::SYS_copy_file_range,
    libc::SYS_openat2,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_sync_file_range,
    libc::SYS_fallocate,
];

/// The four disks that a tree goes through.
fn disks(sandbox: &Sandbox, mib: u64) -> [PathBuf; 4] {
    [("one", "ext4"), ("two", "xfs"), ("three", "btrfs"), ("four", "ext4")]
        .map(|(name, fstype)| sandbox.disk(name, fstype, mib, &[]))
}

/// Plants a tree on the first disk, copies it from each disk to the next one, and holds each copy against what it was copied from,
/// and the last one against the first.
fn goes_round(disks: &[PathBuf], seed: u64, entries: usize) -> Tally {
    let tops: Vec<_> = disks.iter().map(|disk| disk.join(format!("top{seed}"))).collect();
    for top in &tops {
        std::fs::create_dir(top).unwrap();
    }
    forest::plant(&tops[0], seed, entries, ALL);
    let tallies: Vec<_> = tops
        .windows(2)
        .map(|pair| {
            let tally = copy_tree(&pair[0], &pair[1], None).unwrap();
            assert_alike(&pair[0], &pair[1]);
            tally
        })
        .collect();
    assert_alike(&tops[0], &tops[3]);
    let counts: Vec<_> = tallies.iter().map(Tally::entries).collect();
    assert!(counts.iter().all(|&count| count == counts[0]), "every copy has as many entries: {counts:?}");
    tallies.into_iter().next().unwrap()
}

#[test]
fn everything_survives_three_file_systems() {
    Sandbox::run(|sandbox| {
        let disks = disks(sandbox, 320);
        for seed in 0..3 {
            goes_round(&disks, seed, 700);
        }
    });
}

#[test]
#[ignore = "takes minutes; `cargo xtask prove` runs it"]
#[allow(clippy::print_stdout, reason = "the counts are what a proof is about")]
fn a_hundred_thousand_entries_survive_three_file_systems() {
    Sandbox::run(|sandbox| {
        let tally = goes_round(&disks(sandbox, 3000), 100_000, 100_000);
        println!("ext4 to xfs to btrfs to ext4, nothing lost: {} entries, {tally:?}", tally.entries());
        assert!(tally.entries() >= 100_000);
    });
}

#[test]
fn within_one_file_system() {
    Sandbox::run(|sandbox| {
        for (fstype, mib) in [("ext4", 128), ("xfs", 320), ("btrfs", 256)] {
            let disk = sandbox.disk(fstype, fstype, mib, &[]);
            let (from, to) = (disk.join("from"), disk.join("to"));
            std::fs::create_dir(&from).unwrap();
            std::fs::create_dir(&to).unwrap();
            forest::plant(&from, 7, 500, ALL);
            let tally = copy_tree(&from, &to, None).unwrap();
            assert_alike(&from, &to);
            let shared = tally.shared.load(Ordering::Relaxed);
            assert_eq!(shared > 0, fstype != "ext4", "{fstype} shares {shared} bytes");
        }
    });
}

#[test]
fn old_kernels_copy_the_same() {
    Sandbox::run(|sandbox| {
        let (one, two) = (sandbox.disk("one", "ext4", 128, &[]), sandbox.disk("two", "xfs", 320, &[]));
        forest::plant(&one, 11, 600, ALL);
        // So long that its beginning goes to the disk before its end is copied.
        std::fs::write(one.join("long"), vec![7; 20 << 20]).unwrap();
        for missing in [&OLD[..1], &OLD[1..3], &OLD[3..], OLD] {
            for (number, disk) in [&one, &two].into_iter().enumerate() {
                let to = disk.join("copy");
                // The first copy stays within its file system, and so does not copy itself.
                let from = if number == 0 { one.join("lost+found") } else { one.clone() };
                std::fs::create_dir(&to).unwrap();
                without(missing, || copy_tree(&from, &to, None).unwrap());
                if number == 1 {
                    assert_alike(&from, &to);
                }
                without(missing, || remove(&to));
                std::fs::remove_dir(&to).unwrap();
            }
        }
    });
}

fn remove(top: &std::path::Path) {
    let (stop, tally) = (false.into(), Tally::default());
    let control = Control { label: "/copy", stop: &stop, tally: &tally, watch: &(), threads: 4 };
    super::super::remove(&open(top), &control).unwrap();
    assert_eq!(std::fs::read_dir(top).unwrap().count(), 0);
}

#[test]
fn root_of_a_user_namespace_copies_what_it_may() {
    in_user_namespace("tree::tests::copies::root_of_a_user_namespace_copies_what_it_may", |sandbox| {
        // The checker's own reading is to leave no trace.
        let flags = rustix::mount::MountFlags::NOATIME;
        rustix::mount::mount_remount(sandbox.dir(), flags, "").unwrap();
        sandbox.dirs(&["from", "to"]);
        let (from, to) = (sandbox.dir().join("from"), sandbox.dir().join("to"));
        forest::plant(&from, 3, 400, Kinds { root: false, flags: false });
        copy_tree(&from, &to, None).unwrap();
        assert_alike(&from, &to);
    });
}

#[test]
fn deeper_than_a_path_can_say() {
    Sandbox::run(|sandbox| {
        let (one, two) = (sandbox.disk("one", "ext4", 160, &["-N", "40000"]), sandbox.disk("two", "xfs", 320, &[]));
        let (from, to) = (one.join("from"), two.join("to"));
        std::fs::create_dir(&from).unwrap();
        std::fs::create_dir(&to).unwrap();
        forest::dig(&from, 10_100, "deeper");
        let tally = copy_tree(&from, &to, None).unwrap();
        assert_eq!(tally.directories.load(Ordering::Relaxed), 1 + 10_100 + 3367);
        assert_eq!(tally.files.load(Ordering::Relaxed), 3367);
        assert_eq!(forest::depth(&to, "deeper"), 10_100);
        remove(&to);
        remove(&from);
    });
}

#[test]
fn links_of_every_kind_and_locked_ones() {
    Sandbox::run(|sandbox| {
        let (one, two) = (sandbox.disk("one", "ext4", 64, &[]), sandbox.disk("two", "btrfs", 256, &[]));
        let (from, to) = (one.join("from"), two.join("to"));
        for dir in ["a/b/c", "x/y", "z"] {
            std::fs::create_dir_all(from.join(dir)).unwrap();
        }
        std::fs::create_dir(&to).unwrap();
        std::fs::write(from.join("z/file"), "text").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", from.join("z/link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            from.join("z/fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        for name in ["file", "link", "fifo"] {
            for dir in ["a/b/c", "x/y", "a"] {
                std::fs::hard_link(from.join("z").join(name), from.join(dir).join(name)).unwrap();
            }
        }
        succeeds(std::process::Command::new("chattr").arg("+i").arg(from.join("z/file")));
        for missing in [&[][..], OLD] {
            let tally = without(missing, || copy_tree(&from, &to, None).unwrap());
            assert_alike(&from, &to);
            assert_eq!(tally.hard_links.load(Ordering::Relaxed), 9);
            assert_eq!(to.join("a/file").metadata().unwrap().nlink(), 4);
            remove(&to);
        }
    });
}

#[derive(Default)]
struct Mounts(Mutex<Vec<Vec<u8>>>);

impl Watch for Mounts {
    fn mount(&self, path: &[u8]) {
        self.0.lock().unwrap().push(path.to_vec());
    }
}

#[test]
fn no_other_mount_is_entered_not_even_of_the_same_file_system() {
    Sandbox::run(|sandbox| {
        let (one, two) = (sandbox.disk("one", "ext4", 64, &[]), sandbox.disk("two", "ext4", 64, &[]));
        let (from, to) = (one.join("from"), two.join("to"));
        for dir in ["from/bind", "from/tmp", "other/inside"] {
            std::fs::create_dir_all(one.join(dir)).unwrap();
        }
        std::fs::create_dir(&to).unwrap();
        std::fs::write(from.join("covered"), "below").unwrap();
        std::fs::write(one.join("secret"), "above").unwrap();
        rustix::mount::mount_bind(one.join("other"), from.join("bind")).unwrap();
        rustix::mount::mount_bind(one.join("secret"), from.join("covered")).unwrap();
        rustix::mount::mount("t", from.join("tmp"), "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
        std::fs::write(from.join("tmp/file"), "in tmpfs").unwrap();
        for missing in [&[][..], &OLD[..1]] {
            let mounts = Mounts::default();
            without(missing, || copy_watched(&from, &to, None, &mounts).unwrap());
            let mut told = mounts.0.into_inner().unwrap();
            told.sort();
            assert_eq!(told, [&b"bind"[..], b"covered", b"tmp"]);
            assert_eq!(std::fs::read_dir(to.join("bind")).unwrap().count(), 0);
            assert_eq!(std::fs::read_dir(to.join("tmp")).unwrap().count(), 0);
            assert_eq!(std::fs::read(to.join("covered")).unwrap(), b"");
            remove(&to);
        }
    });
}

#[test]
fn the_map_finds_every_inode_again() {
    Sandbox::run(|sandbox| {
        let (one, two) = (sandbox.disk("one", "ext4", 256, &[]), sandbox.disk("two", "xfs", 320, &[]));
        let (from, to) = (one.join("from"), two.join("to"));
        std::fs::create_dir(&from).unwrap();
        std::fs::create_dir(&to).unwrap();
        forest::plant(&from, 5, 3000, Kinds { root: true, flags: false });
        let map = Map::new(&open(&two)).unwrap();
        let tally = copy_tree(&from, &to, Some(&map)).unwrap();
        assert!(map.is_whole());
        let mut paths = vec![from.clone()];
        let mut wanted = std::collections::HashMap::new();
        while let Some(path) = paths.pop() {
            let s = path.symlink_metadata().unwrap();
            if s.is_dir() {
                paths.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            }
            if s.is_dir() || s.is_file() {
                wanted.insert((s.dev(), s.ino()), to.join(path.strip_prefix(&from).unwrap()));
            }
        }
        let found = map.find_all(&wanted.keys().copied().collect::<HashSet<_>>()).unwrap();
        assert_eq!(found.len(), wanted.len());
        let inodes = tally.files.load(Ordering::Relaxed) + tally.directories.load(Ordering::Relaxed);
        assert_eq!(found.len() as u64, inodes);
        let top = open(&to);
        for (inode, path) in wanted {
            assert_eq!(found[&inode].len(), 1);
            let opened = handle::open(&top, &found[&inode][0], OFlags::PATH).unwrap();
            assert_eq!(rustix::fs::fstat(opened).unwrap().st_ino, path.symlink_metadata().unwrap().ino());
        }
    });
}
