//! Somebody goes on writing while data is moved, though no service is known to stop: what was promised before the switch is there after
//! it, or the move gives up.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use datastore_rigs::{Budget, Evidence};
use datastore_rigs_races::Violations;
use datastore_rigs_races::ledger::Ledger;
use datastore_rigs_races::user::{USER, become_user};
use datastore_tests::Sandbox;
use datastore_tests::random::Random;

const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\nowner = \"alice\"\ngroup = \"alice\"\n";
const WRITERS: usize = 2;

/// Writers that go on until this is dropped, each with its ledger.
struct Writers<'a> {
    over: &'a AtomicBool,
}

impl Drop for Writers<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
    }
}

/// Runs something over and over while writers of the user write to a directory, and after each time holds the directory against what they
/// were promised. The time between two writes is longer every other round, so that some moves come through.
fn while_writing(
    dir: &Path,
    ledgers: &[Mutex<Ledger>],
    violations: &Violations,
    mut round: impl FnMut(u64) -> Option<bool>,
) -> (u64, u64) {
    let (over, slow) = (AtomicBool::new(false), AtomicBool::new(false));
    let (mut done, mut refused) = (0, 0);
    let mut seeds = Random::seeded();
    std::thread::scope(|scope| {
        let _writers = Writers { over: &over };
        for ledger in ledgers {
            let (over, slow, mut random) = (&over, &slow, Random::of(seeds.below(u64::MAX)));
            scope.spawn(move || {
                become_user();
                while !over.load(Ordering::Acquire) {
                    ledger.lock().unwrap_or_else(PoisonError::into_inner).write(&mut random);
                    let most = if slow.load(Ordering::Acquire) { 150_000 } else { 3_000 };
                    std::thread::sleep(Duration::from_micros(random.below(most)));
                }
            });
        }
        for number in 0.. {
            slow.store(number % 4 != 0, Ordering::Release);
            let outcome = round(number);
            match outcome {
                Some(true) => done += 1,
                Some(false) => refused += 1,
                None => break,
            }
            let now = fs::metadata(dir).map(|meta| (meta.dev(), meta.ino()));
            let when = format!("round {number}, done: {outcome:?}, now {now:?}");
            for ledger in ledgers {
                // Nobody writes while this is held.
                let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
                ledger.check(dir, violations, &when);
            }
            if violations.are_enough() {
                break;
            }
        }
    });
    (done, refused)
}

fn ledgers(dir: &Path) -> Vec<Mutex<Ledger>> {
    (0..WRITERS).map(|number| Mutex::new(Ledger::new(dir.to_owned(), number))).collect()
}

/// What all writers were promised.
fn count(evidence: &mut Evidence, ledgers: &[Mutex<Ledger>]) {
    for ledger in ledgers {
        let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        evidence.count("promises", ledger.promises);
        evidence.count("unclear", ledger.unclear);
    }
}

fn machine() -> Sandbox {
    let sandbox = Sandbox::in_memory();
    sandbox.bind_accounts();
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    sandbox.tmpfs("/srv/disk", 32 << 20);
    sandbox.datastore(&["volume", "add", "data1", "--directory", "/srv/disk", "--yes"]).ok();
    sandbox
}

/// Runs a command that is done or refused.
fn attempt(sandbox: &Sandbox, args: &[&str], violations: &Violations) -> bool {
    let run = sandbox.datastore(args);
    match run.status.code() {
        Some(0) => true,
        Some(3)
            if ["still writes", "still written", "has changed", "in use"]
                .iter()
                .any(|why| run.stderr.contains(why)) =>
        {
            false
        }
        code => {
            violations.add(format!("{args:?} ended with {code:?}: {}", run.stderr));
            false
        }
    }
}

#[test]
fn a_move_loses_no_write_that_was_promised() {
    let sandbox = machine();
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(&["apply", "--yes"]).ok();
    let (dir, violations) = (sandbox.path("/var/shop"), Violations::default());
    let ledgers = ledgers(&dir);
    give(&dir);
    let mut evidence = Evidence::new("races", "writers during moves", &[14]);
    let budget = Budget::of(Duration::from_secs(8));
    let (done, refused) = while_writing(&dir, &ledgers, &violations, |number| {
        if budget.is_spent(number >= 2000) {
            return None;
        }
        let volume = sandbox.row("/var/shop")["volume"].as_str().unwrap_or("data1").to_owned();
        let to = if volume == "data0" { "data1" } else { "data0" };
        let moved = attempt(&sandbox, &["move", "shop", "--to", to, "--yes"], &violations);
        sandbox.datastore(&["reclaim", "shop", "--yes"]).ok();
        Some(moved)
    });
    violations.verdict();
    evidence.count("moves", done);
    evidence.count("moves that gave up", refused);
    count(&mut evidence, &ledgers);
    assert!(done > 0 && refused > 0, "{done} moves were done, {refused} gave up: both were wanted");
    evidence.conclude();
}

#[test]
fn an_import_loses_no_write_that_was_promised() {
    let budget = Budget::of(Duration::from_secs(8));
    let violations = Violations::default();
    let mut evidence = Evidence::new("races", "writers during imports", &[14]);
    let sandbox = machine();
    for app in 0.. {
        if budget.is_spent(app >= 400) || violations.are_enough() {
            break;
        }
        // Every app is imported once, to the other file system.
        let (name, point) = (format!("shop{app}"), format!("/var/lib/shop{app}"));
        let text = SHOP.replace("/var/shop", &point).replace("base}/shop", &format!("base}}/{name}"));
        sandbox.configlet(&name, &text.replace("target", "volume = \"data1\"\ntarget"));
        let dir = sandbox.directory(&point, 0o755);
        let ledgers = ledgers(&dir);
        give(&dir);
        let mut left = 6;
        let (done, refused) = while_writing(&dir, &ledgers, &violations, |_| {
            if left == 0 {
                return None;
            }
            left -= 1;
            let imported = attempt(&sandbox, &["import", &name, "--yes"], &violations);
            if imported {
                left = 0;
            }
            Some(imported)
        });
        evidence.count("imports", done);
        evidence.count("imports that gave up", refused);
        count(&mut evidence, &ledgers);
        // What is left of it must not slow down the next one.
        sandbox.datastore(&["disable", &name, "--yes"]);
        let _ = fs::remove_file(sandbox.path(format!("/etc/datastore.d/{name}.conf")));
        let _ = fs::remove_file(sandbox.path(format!("/etc/datastore.d/{name}.local.conf")));
        sandbox.datastore(&["reclaim", "--yes"]);
    }
    violations.verdict();
    assert!(evidence.counted("imports") > 0, "{evidence:?}");
    evidence.conclude();
}

fn give(dir: &Path) {
    datastore_rigs_races::user::give(dir);
    assert_eq!(USER, 1000, "alice's number in the skeleton");
}
