//! Survey and removal.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use rustix::fs::FileType;

use super::super::walk::{Dir, Entered, Met, Visit, walk};
use super::super::{Control, Fail, Fault, Survey, Tally, remove, survey};
use super::forest::{self, ALL};
use super::open;
use crate::testing::{Sandbox, succeeds};

fn surveyed(top: &Path) -> Survey {
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    let control = Control { label: "/top", stop: &stop, tally: &tally, watch: &(), threads: 4 };
    let found = survey(&open(top), &control).unwrap();
    assert_eq!(tally.entries(), found.entries);
    found
}

fn find(top: &Path, args: &[&str]) -> u64 {
    let printed = succeeds(std::process::Command::new("find").arg(top).args(args).args(["-printf", "x"]));
    printed.len() as u64
}

#[test]
fn a_survey_counts_what_find_counts() {
    Sandbox::run(|sandbox| {
        let one = sandbox.disk("one", "ext4", 128, &[]);
        let top = one.join("top");
        std::fs::create_dir(&top).unwrap();
        forest::plant(&top, 31, 800, ALL);
        let found = surveyed(&top);
        assert_eq!(found.entries, find(&top, &[]));
        assert_eq!(found.directories, find(&top, &["-type", "d"]));
        assert_eq!(found.files, find(&top, &["-type", "f"]));
        assert_eq!(found.symlinks, find(&top, &["-type", "l"]));
        assert_eq!(found.devices, find(&top, &["(", "-type", "b", "-o", "-type", "c", ")"]));
        assert_eq!(found.hard_linked, find(&top, &["!", "-type", "d", "-links", "+1"]));
        let du = succeeds(std::process::Command::new("du").args(["-s", "-B1"]).arg(&top));
        assert_eq!(found.allocated.to_string(), du.split_whitespace().next().unwrap());
        assert_eq!((found.largest_uid, found.largest_gid, found.longest_name), (3_000_000_000, 4_000_000_000, 255));
        assert!(found.has_acls() && found.xattrs.contains("security.capability") && found.flags & 0x10 != 0);
        assert_eq!((found.earliest, found.latest), (-2_000_000_000, 6_000_000_000));
        assert!(found.largest_xattr > 500 && found.most_xattrs > found.largest_xattr);
    });
}

#[test]
fn removal_stops_at_a_mount() {
    Sandbox::run(|sandbox| {
        let one = sandbox.disk("one", "ext4", 64, &[]);
        let top = one.join("top");
        std::fs::create_dir_all(top.join("a/b")).unwrap();
        std::fs::create_dir(one.join("precious")).unwrap();
        std::fs::write(one.join("precious/file"), "").unwrap();
        forest::plant(&top, 8, 200, ALL);
        rustix::mount::mount_bind(one.join("precious"), top.join("a/b")).unwrap();
        assert_eq!(surveyed(&top).mounted, [b"a/b"]);
        let (stop, tally) = (AtomicBool::new(false), Tally::default());
        let control = Control { label: "/top", stop: &stop, tally: &tally, watch: &(), threads: 4 };
        let error = remove(&open(&top), &control).unwrap_err();
        assert_eq!((error.fault(), error.path()), (Fault::Remains, "/top/a/b"));
        assert_eq!(tally.mounts.load(Ordering::Relaxed), 1);
        assert!(one.join("precious/file").exists());
        rustix::mount::unmount(top.join("a/b"), rustix::mount::UnmountFlags::empty()).unwrap();
        remove(&open(&top), &control).unwrap();
        assert_eq!(std::fs::read_dir(&top).unwrap().count(), 0);
    });
}

/// Empties a directory.
pub(super) fn remove_below(top: &Path) {
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    let control = Control { label: "/top", stop: &stop, tally: &tally, watch: &(), threads: 4 };
    remove(&open(top), &control).unwrap();
}

/// Holds everybody who has a name until as many have one as there are names.
struct Together {
    met: Mutex<usize>,
    changed: Condvar,
    names: usize,
}

impl Visit for Together {
    type State = ();

    fn enter(&self, _: &Dir<()>, _: &[u8]) -> Result<Entered<()>, Fail> {
        Ok(Entered::Done)
    }

    fn entry(&self, _: &Dir<()>, _: &[u8], _: FileType) -> Result<Met, Fail> {
        let mut met = self.met.lock().unwrap();
        *met += 1;
        self.changed.notify_all();
        let all = |met: &mut usize| *met < self.names;
        let (_met, late) = self.changed.wait_timeout_while(met, Duration::from_secs(60), all).unwrap();
        assert!(!late.timed_out(), "a name waits behind another one, and there are threads with nothing to do");
        Ok(Met::Done)
    }

    fn leave(&self, _: &Dir<()>) -> Result<(), Fail> {
        Ok(())
    }
}

#[test]
fn no_name_waits_behind_another_while_a_thread_has_nothing_to_do() {
    let top = tempfile::tempdir().unwrap();
    for number in 0..8 {
        std::fs::write(top.path().join(number.to_string()), "").unwrap();
    }
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    let control = Control { label: "/top", stop: &stop, tally: &tally, watch: &(), threads: 8 };
    let together = Together { met: Mutex::new(0), changed: Condvar::new(), names: 8 };
    walk(&together, (open(top.path()), None, ()), &control).unwrap();
}
