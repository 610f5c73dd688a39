//! Somebody changes the source while it is copied: nothing from outside ever comes into the copy.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, XattrFlags};

use super::super::update::update;
use super::super::{Control, Tally};
use super::forest::{self, Dice, Kinds};
use super::{copy_tree, open};
use crate::testing::Sandbox;

const SECRET: &[u8] = b"a secret outside of the tree";

/// Puts links that lead out, and other things, in the place of names, until it is told to stop.
fn attack(from: &Path, outside: &Path, stop: &AtomicBool, seed: u64) {
    let mut dice = Dice::new(seed);
    let new = from.join(format!("new{seed}"));
    while !stop.load(Ordering::Relaxed) {
        let name = from.join(format!("name{}", dice.below(20)));
        // What cannot be done at this moment is done at another one.
        let _ = match dice.below(5) {
            0 => std::os::unix::fs::symlink(outside, &new),
            1 => std::os::unix::fs::symlink(outside.join("secret"), &new),
            2 => std::fs::create_dir(&new).and_then(|()| std::fs::write(new.join("inner"), "inner")),
            3 => rustix::fs::mknodat(CWD, &new, FileType::Fifo, Mode::RUSR, 0).map_err(Into::into),
            _ => std::fs::write(&new, "harmless"),
        };
        let _ = rustix::fs::renameat_with(CWD, &new, CWD, &name, RenameFlags::EXCHANGE)
            .or_else(|_| rustix::fs::rename(&new, &name));
        let _ = std::fs::remove_file(&new);
        let _ = std::fs::remove_dir_all(&new);
    }
}

#[test]
fn a_name_that_becomes_a_link_leads_nowhere() {
    Sandbox::run(|sandbox| {
        let (one, two) = (sandbox.disk("one", "ext4", 64, &[]), sandbox.disk("two", "ext4", 256, &[]));
        let (from, outside) = (one.join("from"), one.join("outside"));
        std::fs::create_dir(&from).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("secret"), SECRET).unwrap();
        forest::plant(&from, 9, 60, Kinds { root: true, flags: false });
        let stop = AtomicBool::new(false);
        let stop = &stop;
        std::thread::scope(|scope| {
            for seed in 1..3 {
                let (from, outside) = (&from, &outside);
                scope.spawn(move || attack(from, outside, stop, seed));
            }
            for round in 0..60 {
                let to = two.join(format!("to{round}"));
                std::fs::create_dir(&to).unwrap();
                let checked = std::panic::catch_unwind(|| {
                    copy_tree(&from, &to, None).unwrap();
                    check(&to);
                    std::fs::remove_dir_all(&to).unwrap();
                });
                if let Err(panic) = checked {
                    stop.store(true, Ordering::Relaxed);
                    std::panic::resume_unwind(panic);
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

fn check(top: &Path) {
    let mut dirs = vec![top.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_file() {
                assert_ne!(std::fs::read(entry.path()).unwrap(), SECRET, "{}", entry.path().display());
            }
            assert_ne!(entry.file_name(), "secret");
        }
    }
}

/// How many pairs of names are exchanged.
const PAIRS: usize = 30;

#[test]
fn what_takes_the_place_of_a_link_does_not_give_it_its_attributes() {
    Sandbox::run(|sandbox| {
        let (one, two) = (sandbox.disk("one", "ext4", 64, &[]), sandbox.disk("two", "ext4", 64, &[]));
        let (from, to) = (one.join("from"), two.join("to"));
        std::fs::create_dir(&from).unwrap();
        std::fs::create_dir(&to).unwrap();
        let names = |number: usize| (from.join(format!("a{number}")), from.join(format!("b{number}")));
        for (light, heavy) in (0..PAIRS).map(names) {
            if light.to_string_lossy().ends_with('0') {
                rustix::fs::mknodat(CWD, &light, FileType::Fifo, Mode::RUSR, 0).unwrap();
            } else {
                std::os::unix::fs::symlink("text", &light).unwrap();
            }
            std::fs::create_dir(&heavy).unwrap();
            // One that a link may not have, and one that it may.
            for attribute in ["user.mark", "trusted.mark"] {
                rustix::fs::setxattr(&heavy, attribute, b"heavy", XattrFlags::empty()).unwrap();
            }
        }
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    for (one, other) in (0..PAIRS).map(names) {
                        rustix::fs::renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                    }
                }
            });
            let checked = std::panic::catch_unwind(|| {
                for _ in 0..150 {
                    copy_tree(&from, &to, None).unwrap();
                    links_are_light(&to);
                    let (stop, tally) = (AtomicBool::new(false), Tally::default());
                    let control = Control { label: "/from", stop: &stop, tally: &tally, watch: &(), threads: 4 };
                    update(&open(&from), &open(&to), None, None, &control).unwrap();
                    links_are_light(&to);
                    super::others::remove_below(&to);
                }
            });
            stop.store(true, Ordering::Relaxed);
            if let Err(panic) = checked {
                std::panic::resume_unwind(panic);
            }
        });
    });
}

/// Demands that only directories carry the mark.
fn links_are_light(top: &Path) {
    for entry in std::fs::read_dir(top).unwrap() {
        let path = entry.unwrap().path();
        let marked = rustix::fs::lgetxattr(&path, "trusted.mark", &mut [0; 16]).is_ok();
        assert!(!marked || path.is_dir(), "{} carries the attribute of a directory", path.display());
    }
}
