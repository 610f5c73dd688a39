//! A measure, held against du(1) and find(1), which share no code with it.

use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::super::measure::{Measured, measure};
use super::super::{Control, Tally, TreeError, Watch};
use super::forest::{self, ALL};
use super::open;
use crate::testing::Sandbox;

fn measured(top: &Path, threads: usize) -> Measured {
    measured_of(&open(top), threads, &())
}

fn measured_of(top: &OwnedFd, threads: usize, watch: &dyn Watch) -> Measured {
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    let control = Control { label: "/top", stop: &stop, tally: &tally, watch, threads };
    measure(top, &control).unwrap()
}

fn number(program: &str, args: &[&str], top: &Path) -> u64 {
    let output = Command::new(program).args(&args[..1]).arg(top).args(&args[1..]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn it_counts_what_du_and_find_count() {
    Sandbox::run(|sandbox| {
        for fstype in ["ext4", "xfs", "btrfs"] {
            let mib = if fstype == "ext4" { 64 } else { 320 };
            let top = sandbox.disk(fstype, fstype, mib, &[]).join("top");
            std::fs::create_dir(&top).unwrap();
            forest::plant(&top, 7, 400, ALL);
            rustix::fs::sync();
            for threads in [1, 16] {
                let found = measured(&top, threads);
                assert_eq!(found.allocated, number("du", &["-sx", "--block-size=1"], &top), "{fstype}");
                let names = Command::new("find").arg(&top).args(["-xdev", "-printf", "x"]).output().unwrap().stdout;
                assert_eq!(found.entries, names.len() as u64, "{fstype}");
            }
        }
    });
}

#[test]
fn contents_count_once_holes_only_as_length_and_what_is_mounted_not_at_all() {
    Sandbox::run(|sandbox| {
        let top = sandbox.disk("one", "ext4", 64, &[]).join("top");
        let path = |name: &str| top.join(name);
        std::fs::create_dir_all(path("deep/below")).unwrap();
        std::fs::write(path("file"), vec![b'x'; 10_000]).unwrap();
        std::fs::hard_link(path("file"), path("deep/same")).unwrap();
        std::os::unix::fs::symlink("/etc", path("link")).unwrap();
        std::fs::File::create(path("hole")).unwrap().set_len(1 << 30).unwrap();
        std::fs::create_dir(path("other")).unwrap();
        rustix::fs::sync();
        let before = measured(&top, 4);
        assert_eq!((before.entries, before.bytes), (8, 10_000 + (1 << 30)));
        assert!(before.allocated < 100_000, "{before:?}");
        // Something else is mounted there: neither it nor what it covers counts.
        sandbox.disk("two", "ext4", 16, &[]);
        rustix::mount::mount_bind(sandbox.dir().join("two"), path("other")).unwrap();
        let covered = std::fs::symlink_metadata(path("deep")).unwrap().blocks() * 512;
        let after = measured(&top, 4);
        assert_eq!((after.entries, after.bytes, after.allocated), (7, before.bytes, before.allocated - covered));
        rustix::mount::unmount(path("other"), rustix::mount::UnmountFlags::empty()).unwrap();
    });
}

/// Goes on, and counts.
#[derive(Default)]
struct GoesOn(AtomicU64);

impl Watch for GoesOn {
    fn left_out(&self, error: &TreeError) -> bool {
        assert!(error.path().starts_with("/top/"), "{error}");
        self.0.fetch_add(1, Ordering::Relaxed);
        true
    }
}

#[test]
fn what_cannot_be_entered_is_told_and_the_rest_counts() {
    Sandbox::run(|sandbox| {
        let top = sandbox.disk("one", "ext4", 64, &[]).join("top");
        std::fs::create_dir_all(top.join("closed/in")).unwrap();
        std::fs::write(top.join("file"), "x").unwrap();
        std::fs::set_permissions(&top, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(top.join("closed"), std::fs::Permissions::from_mode(0o700)).unwrap();
        let opened = open(&top);
        // Another user, for this thread and those that it begins.
        let found = std::thread::scope(|scope| {
            let walk = scope.spawn(|| {
                let watch = GoesOn::default();
                rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65534)).unwrap();
                (measured_of(&opened, 1, &watch), watch.0.into_inner())
            });
            walk.join().unwrap()
        });
        assert_eq!((found.0.entries, found.1), (2, 1), "{found:?}");
    });
}
