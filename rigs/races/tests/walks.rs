//! Root walks over trees in which their owner exchanges names for links that lead out, hard links, FIFOs, devices: survey, copy, later
//! passes, comparison, other owners, removal.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use datastore_core::owners::Renumber;
use datastore_exec::tree::dirty::Dirty;
use datastore_exec::tree::map::Map;
use datastore_exec::tree::owners::Renumbering;
use datastore_exec::tree::verify::Contents;
use datastore_exec::tree::watch::Watch;
use datastore_exec::tree::{self, Control, Tally, delta, limits, measure, owners, update, verify};
use datastore_rigs_races::arena::Decoy;
use datastore_rigs_races::vault::{self, HUGE, OWNER, STRANGER};
use datastore_rigs_races::{Arena, Race, Round, Vault, Violations, compare};
use datastore_tests::Sandbox;

/// Users who attack at once.
const ATTACKERS: usize = 1;
/// What a million tries is for.
const MILLION: u64 = 1_000_000;

/// A tree that is attacked, what must not be reached, and a place where nobody else comes.
struct Scene {
    vault: Vault,
    arena: Arena,
    tree: PathBuf,
    room: PathBuf,
    violations: Violations,
}

impl Scene {
    fn new(sandbox: &Sandbox) -> Self {
        Self::with(sandbox, Decoy::ALL)
    }

    fn with(sandbox: &Sandbox, menu: &'static [Decoy]) -> Self {
        let mut vault = Vault::new(sandbox.path("vault"));
        let arena = Arena::new(sandbox.path("ground"), &vault, menu, ATTACKERS);
        vault.seal();
        let (tree, room) = (arena.ground().join("tree"), sandbox.directory("room", 0o700));
        Arena::plant(&tree);
        arena.attack_at(Arena::slots(&tree));
        Self { vault, arena, tree, room, violations: Violations::default() }
    }

    fn race<'a>(&'a self, what: &'a str, invariants: &'a [u32], tries: u64) -> Race<'a> {
        Race { what, invariants, arena: &self.arena, vault: &self.vault, tries }
    }

    fn empty(&self, name: &str) -> PathBuf {
        let path = self.room.join(name);
        fs::create_dir(&path).expect("make a directory");
        path
    }
}

fn open(path: &Path) -> OwnedFd {
    fs::File::open(path).unwrap_or_else(|e| panic!("open {}: {e}", path.display())).into()
}

/// One walk of root's, and what it met: in the beginning there are directories and files alone.
fn walk<T>(body: impl FnOnce(&Control<'_>) -> Result<T, tree::TreeError>) -> (Round, Option<T>) {
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    let control = Control { label: "/tree", stop: &stop, tally: &tally, watch: &(), threads: 2 };
    let done = body(&control).ok();
    let met = |counter: &tree::Counter| counter.load(Ordering::Relaxed);
    let swapped = met(&tally.symlinks) + met(&tally.others);
    (Round { tries: tally.entries(), swapped, failed: done.is_none() }, done)
}

#[test]
fn a_copy_holds_nothing_from_outside() {
    let sandbox = Sandbox::in_memory();
    let scene = Scene::new(&sandbox);
    let from = open(&scene.tree);
    scene.race("copy of a tree", &[18], 2 * MILLION).run(&scene.violations, |_| {
        let to = scene.empty("copy");
        let (round, _) = walk(|control| tree::copy(&from, &open(&to), None, control));
        vault::search(&to, &scene.violations, "copy");
        fs::remove_dir_all(&to).expect("remove a copy");
        round
    });
}

#[test]
fn a_pass_over_a_copy_brings_nothing_from_outside() {
    let sandbox = Sandbox::in_memory();
    let scene = Scene::new(&sandbox);
    let (from, path) = (open(&scene.tree), scene.empty("copy"));
    let to = open(&path);
    scene.race("scanning pass", &[18], MILLION).run(&scene.violations, |_| {
        let (round, _) = walk(|control| update::update(&from, &to, None, None, control));
        vault::search(&path, &scene.violations, "update");
        round
    });
    // Nobody attacks any more: it comes to what is there.
    let (round, _) = walk(|control| update::update(&from, &to, None, None, control));
    assert!(!round.failed);
    assert_eq!(differences(&scene.tree, &path), Vec::<String>::new());
}

#[test]
fn a_pass_that_follows_changes_brings_nothing_from_outside() {
    let sandbox = Sandbox::on_fresh_disk(256 << 20);
    let scene = Scene::new(&sandbox);
    let (from, path) = (open(&scene.tree), scene.empty("copy"));
    let (to, map) = (open(&path), Map::new(&open(&scene.room)).expect("make a map"));
    let watch = Watch::start(&from).expect("follow changes");
    let (first, _) = walk(|control| tree::copy(&from, &to, Some(&map), control));
    assert!(!first.failed);
    let scan = |told: &str| {
        let (round, changed) = walk(|control| update::update(&from, &to, Some(&map), None, control));
        assert!(!round.failed || !told.is_empty());
        (round, changed)
    };
    let pass = |_| {
        watch.settle();
        let changes = match watch.take() {
            Dirty::Some(changes) => changes,
            Dirty::Everything(_) => return scan("overflow").0,
        };
        let (mut round, done) = walk(|control| delta::delta(&from, &to, &changes, &map, None, control));
        round.tries += changes.len() as u64;
        if done.is_none_or(|delta| delta.scan.is_some()) {
            let (scanned, _) = scan("scan");
            (round.tries, round.swapped) = (round.tries + scanned.tries, round.swapped + scanned.swapped);
        }
        vault::search(&path, &scene.violations, "delta");
        round
    };
    scene.race("pass over changes", &[18], MILLION).run(&scene.violations, pass);
    pass(0);
    scan("");
    assert_eq!(differences(&scene.tree, &path), Vec::<String>::new());
}

/// In what two trees differ that both have been read.
fn differences(one: &Path, other: &Path) -> Vec<String> {
    compare::trees(one, other).into_iter().filter(|line| !line.contains("time of reading")).collect()
}

#[test]
fn a_comparison_reads_nothing_outside() {
    let sandbox = Sandbox::in_memory();
    let scene = Scene::new(&sandbox);
    let (from, path) = (open(&scene.tree), scene.empty("copy"));
    let to = open(&path);
    // What the copy was like before anybody attacked.
    scene.arena.attack_at(Vec::new());
    let holds = limits::holds(&to).expect("try the target out");
    walk(|control| tree::copy(&from, &to, None, control)).1.expect("a copy");
    scene.arena.attack_at(Arena::slots(&scene.tree));
    scene.race("comparison", &[18], MILLION).run(&scene.violations, |_| {
        let (mut round, found) = walk(|control| verify::verify(&from, &to, &holds, Contents::All, control));
        let Some(found) = found else { return round };
        round.tries += found.entries;
        round.swapped += found.differ;
        if found.length >= HUGE || found.differences.iter().any(|d| d.path.ends_with(b"huge")) {
            scene.violations.add(format!("{} bytes were compared: {:?}", found.length, found.differences.first()));
        }
        round
    });
}

#[test]
fn a_survey_counts_nothing_outside() {
    let sandbox = Sandbox::in_memory();
    let scene = Scene::new(&sandbox);
    let from = open(&scene.tree);
    scene.race("survey, size, owners", &[18], 2 * MILLION).run(&scene.violations, |_| {
        let (mut all, found) = walk(|control| tree::survey(&from, control));
        if let Some(found) = found
            && (found.largest_file >= HUGE || found.largest_uid == STRANGER)
        {
            scene.violations.add(format!("the survey was in the vault: {found:?}"));
        }
        let (round, found) = walk(|control| measure::measure(&from, control));
        (all.tries, all.swapped) = (all.tries + round.tries, all.swapped + round.swapped);
        if let Some(found) = found
            && found.bytes >= HUGE
        {
            scene.violations.add(format!("the measure was in the vault: {found:?}"));
        }
        let (round, found) = walk(|control| owners::census(&from, control));
        (all.tries, all.swapped) = (all.tries + round.tries, all.swapped + round.swapped);
        if let Some((users, _)) = found
            && users.contains_key(&STRANGER)
        {
            scene.violations.add(format!("the census was in the vault: {users:?}"));
        }
        all.failed |= round.failed;
        all
    });
}

#[test]
fn other_owners_are_given_to_nothing_outside() {
    let sandbox = Sandbox::in_memory();
    let scene = Scene::new(&sandbox);
    let from = open(&scene.tree);
    scene.race("change of owners", &[18, 19], 2 * MILLION).run(&scene.violations, |number| {
        let there = [Renumber { from: OWNER, to: OWNER + 1 }];
        let back = [Renumber { from: OWNER + 1, to: OWNER }];
        let numbers = if number % 2 == 0 { there } else { back };
        walk(|control| Renumbering::new(&numbers, &numbers).run(&from, control)).0
    });
}

#[test]
fn a_removal_removes_nothing_outside() {
    let sandbox = Sandbox::in_memory();
    let scene = Scene::new(&sandbox);
    scene.race("removal", &[18, 19], MILLION).run(&scene.violations, |number| {
        let top = scene.arena.ground().join(format!("gone{number}"));
        Arena::plant(&top);
        scene.arena.attack_at(Arena::slots(&top));
        let (round, _) = walk(|control| tree::remove(&open(&top), control));
        scene.arena.attack_at(Vec::new());
        // What came back after it was looked at is still there.
        let _ = walk(|control| tree::remove(&open(&top), control));
        let _ = fs::remove_dir(&top);
        scene.arena.furnish(&scene.vault);
        round
    });
}
