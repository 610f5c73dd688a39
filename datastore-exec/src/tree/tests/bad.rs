//! Full targets, targets that cannot hold something, disks that fail: told apart, with the source as it was.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use datastore_core::{Error, ErrorKind};

use super::super::limits::{self, Fitting};
use super::super::{Control, Fault, Tally};
use super::forest::{self, ALL, Dice};
use super::{assert_alike, copy_tree, open};
use crate::testing::{Sandbox, succeeds};

fn fitting(from: &Path, to: &Path) -> Fitting {
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    let control = Control { label: "/from", stop: &stop, tally: &tally, watch: &(), threads: 2 };
    let survey = super::super::survey(&open(from), &control).unwrap();
    let fitting = limits::fit(&survey, &open(from), &open(to)).unwrap();
    assert_eq!(std::fs::read_dir(to).unwrap().filter(|e| e.as_ref().unwrap().file_name() != "lost+found").count(), 0);
    fitting
}

#[test]
fn a_target_that_is_full_at_any_point_is_told_and_the_source_stays() {
    Sandbox::run(|sandbox| {
        let one = sandbox.disk("one", "ext4", 64, &[]);
        let (from, copy) = (one.join("from"), one.join("copy"));
        std::fs::create_dir(&from).unwrap();
        std::fs::create_dir(&copy).unwrap();
        forest::plant(&from, 21, 500, ALL);
        copy_tree(&from, &copy, None).unwrap();
        let two = sandbox.disk("two", "ext4", 24, &[]);
        let to = two.join("to");
        let mut dice = Dice::new(4);
        for round in 0..12 {
            let filler = std::fs::File::create(two.join("filler")).unwrap();
            let room = rustix::fs::fstatvfs(&filler).unwrap();
            let left = dice.below(200 << 10) * round;
            rustix::fs::fallocate(
                &filler,
                rustix::fs::FallocateFlags::empty(),
                0,
                room.f_bfree * room.f_frsize - left - (512 << 10),
            )
            .unwrap();
            std::fs::create_dir(&to).unwrap();
            let error = copy_tree(&from, &to, None).unwrap_err();
            assert_eq!(error.fault(), Fault::Full, "{error}: {:?}", error.cause());
            assert!(error.path().starts_with("/var/lib/data"), "{error}");
            let public = Error::from(error);
            assert_eq!(public.errno(), Some(libc::ENOSPC), "the step's reason becomes no-space");
            assert!(public.message().ends_with("the source is as it was") && public.get_hint().is_some());
            remove(&to);
            std::fs::remove_dir(&to).unwrap();
            drop(filler);
            std::fs::remove_file(two.join("filler")).unwrap();
        }
        assert_alike(&from, &copy);
    });
}

fn remove(top: &Path) {
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    let control = Control { label: "/to", stop: &stop, tally: &tally, watch: &(), threads: 3 };
    super::super::remove(&open(top), &control).unwrap();
}

#[test]
fn what_does_not_fit_is_found_before() {
    Sandbox::run(|sandbox| {
        let one = sandbox.disk("one", "xfs", 320, &[]);
        let two = sandbox.disk("two", "ext4", 16, &["-I", "128", "-N", "64"]);
        let from = one.join("from");
        std::fs::create_dir(&from).unwrap();
        let found = fitting(&from, &two);
        assert_eq!(found.misfits.len(), 1, "{found:?}");
        assert!(found.misfits[0].message.contains("no nanoseconds"), "{found:?}");
        std::fs::write(from.join("large"), "x").unwrap();
        rustix::fs::setxattr(from.join("large"), "user.large", &[b'x'; 40_000][..], rustix::fs::XattrFlags::empty())
            .unwrap();
        let file = std::fs::File::create(from.join("later")).unwrap();
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 40 << 20).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(5_000_000_000)).unwrap();
        for number in 0..80 {
            std::fs::write(from.join(format!("many{number}")), "").unwrap();
        }
        succeeds(Command::new("xfs_io").args(["-c", "chproj 42"]).arg(from.join("large")));
        succeeds(Command::new("truncate").args(["-s", "20T"]).arg(from.join("huge")));
        let found = fitting(&from, &two);
        let all: Vec<&str> = found.misfits.iter().map(|m| m.message.as_str()).collect();
        for what in [
            "no file of 20 TiB",
            "no time 5000000000",
            "no nanoseconds",
            "as large as they are: up to 40000",
            "project",
            "are free there",
            "inodes, and",
        ] {
            assert!(all.iter().any(|m| m.contains(what)), "{what}: {all:#?}");
        }
        assert_eq!(all.len(), 7, "{all:#?}");
        assert!(found.misfits.iter().all(|m| !m.hint.is_empty()));
        assert!(!found.shares);
        // The copy that is made all the same ends at one of these, and says so.
        let to = two.join("to");
        std::fs::create_dir(&to).unwrap();
        let error = copy_tree(&from, &to, None).unwrap_err();
        assert!(matches!(error.fault(), Fault::Unfit | Fault::Full), "{error}: {:?}", error.cause());
    });
}

#[test]
fn sharing_and_lost_flags_are_told() {
    Sandbox::run(|sandbox| {
        let (one, two) = (sandbox.disk("one", "ext4", 64, &[]), sandbox.disk("two", "btrfs", 256, &[]));
        for dir in [one.join("from"), two.join("from"), two.join("to"), one.join("to")] {
            std::fs::create_dir(dir).unwrap();
        }
        assert!(fitting(&two.join("from"), &two.join("to")).shares);
        assert!(!fitting(&one.join("from"), &one.join("to")).shares);
        std::fs::write(one.join("from/file"), "text").unwrap();
        succeeds(Command::new("chattr").args(["+ds"]).arg(one.join("from/file")));
        assert_eq!(fitting(&one.join("from"), &two.join("to")).lost_flags, "s");
        assert_eq!(fitting(&one.join("from"), &one.join("to")).lost_flags, "");
    });
}

#[test]
fn a_source_that_cannot_be_read_is_no_fault_of_the_target() {
    Sandbox::run(|sandbox| {
        let (one, two) = (sandbox.disk("one", "ext4", 64, &[]), sandbox.disk("two", "ext4", 64, &[]));
        std::fs::create_dir(one.join("from")).unwrap();
        std::fs::write(one.join("from/good"), vec![b'x'; 300_000]).unwrap();
        std::fs::write(one.join("from/lost"), vec![b'y'; 8 << 20]).unwrap();
        succeeds(Command::new("umount").arg(&one));
        // Half of the image is gone, and with it contents: reading beyond its end fails with EIO.
        let image = sandbox.dir().join("one.img");
        let map = succeeds(Command::new("debugfs").args(["-R", "blocks /from/lost"]).arg(&image));
        let block: u64 = map.split_whitespace().last().unwrap().parse().unwrap();
        succeeds(Command::new("mount").args(["-o", "loop,ro,noload"]).args([&image, &one]));
        std::fs::File::options().write(true).open(&image).unwrap().set_len((block - 100) * 4096).unwrap();
        let error = copy_tree(&one.join("from"), &two, None).unwrap_err();
        assert_eq!(error.fault(), Fault::Source, "{error}: {:?}", error.cause());
        assert_eq!(error.path(), "/var/lib/data/lost");
        let public = Error::from(error);
        assert_eq!((public.kind(), public.errno()), (ErrorKind::System, Some(libc::EIO)));
        assert!(public.message().contains("cannot be read"), "{public}");
    });
}

#[test]
fn whoever_asks_to_stop_is_obeyed() {
    Sandbox::run(|sandbox| {
        let one = sandbox.disk("one", "ext4", 64, &[]);
        std::fs::create_dir(one.join("from")).unwrap();
        std::fs::create_dir(one.join("to")).unwrap();
        forest::plant(&one.join("from"), 2, 50, ALL);
        let (stop, tally) = (AtomicBool::new(true), Tally::default());
        let control = Control { label: "/from", stop: &stop, tally: &tally, watch: &(), threads: 4 };
        let error = super::super::copy(&open(&one.join("from")), &open(&one.join("to")), None, &control).unwrap_err();
        assert_eq!(error.fault(), Fault::Stopped);
        assert_eq!(Error::from(error).kind(), ErrorKind::Interrupted);
    });
}
