//! Somebody changes the source while it is copied: nothing from outside ever comes into the copy.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::copy_tree;
use super::forest::{self, Dice, Kinds};
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
            3 => rustix::fs::mknodat(rustix::fs::CWD, &new, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
                .map_err(Into::into),
            _ => std::fs::write(&new, "harmless"),
        };
        let _ =
            rustix::fs::renameat_with(rustix::fs::CWD, &new, rustix::fs::CWD, &name, rustix::fs::RenameFlags::EXCHANGE)
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
