//! Long files: what is written past the page cache, and how it lies there.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;

use super::super::direct;
use super::{assert_alike, copy_tree};
use crate::testing::{Sandbox, succeeds};

const MIB: u64 = 1 << 20;

/// Bytes that differ from one place to the next.
fn bytes(length: u64) -> Vec<u8> {
    (0..length).map(|at| (at % 251 + 1) as u8).collect()
}

/// Data of these lengths in MiB at offsets of `unit`, holes between them, and a bit at the end.
fn with_holes(path: &Path, unit: u64) {
    let file = File::create_new(path).unwrap();
    let mut at = unit;
    for mib in [1, 2, 5] {
        file.write_all_at(&bytes(mib * MIB), at).unwrap();
        at += mib * MIB + 64 * 1024 + unit;
    }
    file.write_all_at(b"end", at + 7).unwrap();
    file.set_len(at + 3 * MIB + 1).unwrap();
}

/// How many bytes of a file are in the page cache.
fn cached(path: &Path) -> u64 {
    let printed = succeeds(Command::new("fincore").args(["--bytes", "--noheadings", "--output", "RES"]).arg(path));
    printed.trim().parse().unwrap()
}

fn pair(one: &Path, two: &Path) -> (PathBuf, PathBuf) {
    let (from, to) = (one.join("from"), two.join("to"));
    fs::create_dir(&from).unwrap();
    fs::create_dir(&to).unwrap();
    (from, to)
}

#[test]
fn they_go_past_the_cache_where_that_pays() {
    Sandbox::run(|sandbox| {
        let one = sandbox.disk("one", "ext4", 128, &[]);
        for (fstype, mib, past) in [("ext4", 128, true), ("xfs", 320, true), ("btrfs", 256, false)] {
            let (from, to) = pair(&one, &sandbox.disk(fstype, fstype, mib, &[]));
            for length in [MIB - 1, MIB, MIB + 1, 3 * MIB + 4097, 8 * MIB] {
                fs::write(from.join(length.to_string()), bytes(length)).unwrap();
            }
            with_holes(&from.join("holes"), 4096);
            let tally = copy_tree(&from, &to, None).unwrap();
            // Before the comparison reads it.
            let (whole, rest) = (to.join((8 * MIB).to_string()), to.join((3 * MIB + 4097).to_string()));
            assert_eq!(cached(&whole) == 0, past, "{fstype}: {} bytes in the cache", cached(&whole));
            assert!(!past || cached(&rest) <= 8192, "{fstype}: {} bytes in the cache", cached(&rest));
            assert_alike(&from, &to);
            let lengths = fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
            assert_eq!(tally.bytes.load(Ordering::Relaxed), lengths.sum::<u64>());
            fs::remove_dir_all(&from).unwrap();
        }
    });
}

#[test]
fn they_are_counted_as_they_go() {
    Sandbox::run(|sandbox| {
        let disk = sandbox.disk("one", "ext4", 64, &[]);
        fs::write(disk.join("from"), bytes(3 * MIB + 100)).unwrap();
        let (from, to) = (File::open(disk.join("from")).unwrap().into(), File::create(disk.join("to")).unwrap().into());
        let mut told = Vec::new();
        let came = direct::copy(&from, &to, 0, 3 * MIB + 100, |at| told.push(at)).unwrap();
        assert!(came.works);
        assert_eq!((came.to, told), (3 * MIB, vec![MIB, 2 * MIB, 3 * MIB]));
    });
}

#[test]
fn data_may_begin_where_nothing_can_be_written_past_the_cache() {
    Sandbox::run(|sandbox| {
        let small = ["-b", "1024"];
        let (from, to) = pair(&sandbox.disk("one", "ext4", 64, &small), &sandbox.disk("two", "ext4", 64, &small));
        with_holes(&from.join("holes"), 1024);
        fs::write(from.join("dense"), bytes(2 * MIB + 1024)).unwrap();
        copy_tree(&from, &to, None).unwrap();
        assert!(cached(&to.join("dense")) <= 4096);
        assert_alike(&from, &to);
    });
}

#[test]
fn several_that_grow_at_once_lie_in_one_piece_each() {
    Sandbox::run(|sandbox| {
        for (fstype, mib) in [("ext4", 256), ("xfs", 320)] {
            let (from, to) = pair(
                &sandbox.disk(&format!("from-{fstype}"), "ext4", 128, &[]),
                &sandbox.disk(fstype, fstype, mib, &[]),
            );
            for number in 0..4 {
                fs::write(from.join(number.to_string()), bytes(20 * MIB)).unwrap();
            }
            copy_tree(&from, &to, None).unwrap();
            for number in 0..4 {
                let told = succeeds(Command::new("filefrag").arg(to.join(number.to_string())));
                let pieces = told.rsplit(": ").next().and_then(|text| text.split(' ').next()?.parse::<u32>().ok());
                // A file may begin at the end of a block group.
                assert!(pieces.is_some_and(|pieces| (1..=2).contains(&pieces)), "{fstype}: {told}");
            }
            assert_alike(&from, &to);
        }
    });
}
