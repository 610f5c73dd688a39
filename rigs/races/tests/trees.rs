//! Random trees go from one file system to the next and stay what they were, in the eyes of a comparer that is not the product's.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use datastore_exec::tree::{self, Control, Tally, update};
use datastore_rigs::{Effort, Evidence};
use datastore_rigs_races::{Violations, compare, forest};
use datastore_tests::Sandbox;
use datastore_tests::random::Random;

/// The way that each tree goes.
const DISKS: [(&str, &str); 3] = [("one", "ext4"), ("two", "xfs"), ("three", "btrfs")];

fn open(path: &Path) -> OwnedFd {
    fs::File::open(path).unwrap_or_else(|e| panic!("open {}: {e}", path.display())).into()
}

fn walk<T>(body: impl FnOnce(&Control<'_>) -> Result<T, tree::TreeError>) -> Result<T, String> {
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    body(&Control { label: "/tree", stop: &stop, tally: &tally, watch: &(), threads: 4 }).map_err(|error| {
        use std::error::Error as _;
        format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default())
    })
}

#[test]
fn random_trees_are_what_they_were_on_every_file_system() {
    let sandbox = Sandbox::new();
    for (name, fs_type) in DISKS {
        let image = sandbox.loop_image(&format!("{name}.img"), 512 << 20, Some(fs_type));
        sandbox.mount_loop(&image, name);
        // Who looks must not change what is looked at.
        let at = sandbox.path(name);
        sandbox.run(sandbox.command("mount").args(["-o", "remount,noatime"]).arg(&at)).ok();
    }
    let trees = Effort::asked().of(60, 5000);
    let (violations, mut random) = (Violations::default(), Random::seeded());
    let mut evidence = Evidence::new("trees", "ext4, xfs, btrfs, ext4", &[13]);
    for number in 0..trees {
        let way: Vec<PathBuf> =
            ["one/first", "two/tree", "three/tree", "one/last"].iter().map(|at| sandbox.path(at)).collect();
        way.iter().for_each(|path| fs::create_dir(path).expect("make the top of a tree"));
        let seed = random.below(u64::MAX);
        forest::plant(&way[0], &mut Random::of(seed), 40);
        for pair in way.windows(2) {
            evidence.count("copies", 1);
            let (from, to) = (open(&pair[0]), open(&pair[1]));
            let told = |what: &str| format!("tree {number} (seed {seed}), {what} to {}", pair[1].display());
            if let Err(error) = walk(|control| tree::copy(&from, &to, None, control)) {
                violations.add(format!("{}: {error}", told("copied")));
                break;
            }
            compare::trees(&pair[0], &pair[1]).iter().for_each(|d| violations.add(format!("{}: {d}", told("copied"))));
            if number % 4 == 0 {
                match walk(|control| update::update(&from, &to, None, None, control)) {
                    Ok(changed) if changed == update::Changed::default() => {}
                    other => violations.add(format!("{}: a second pass did {other:?}", told("passed"))),
                }
                let differences = compare::trees(&pair[0], &pair[1]);
                differences.iter().for_each(|d| violations.add(format!("{}: {d}", told("passed"))));
            }
        }
        evidence.count("trees", 1);
        compare::trees(&way[0], &way[3]).iter().for_each(|d| violations.add(format!("tree {number} ({seed}): {d}")));
        for path in &way {
            if let Err(error) = walk(|control| tree::remove(&open(path), control)) {
                violations.add(format!("tree {number} ({seed}): {error}"));
            }
            if let Err(error) = fs::remove_dir(path) {
                violations.add(format!("tree {number} ({seed}): {} stays: {error}", path.display()));
            }
        }
        if violations.number() > 0 {
            break;
        }
    }
    violations.verdict();
    evidence.conclude();
}
