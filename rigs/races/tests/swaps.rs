//! Readers who look all the time while the data goes from one volume to the other and back: they see the old data or the new data, all
//! of it, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use datastore_core::AbsPath;
use datastore_core::mapping::BindOptions;
use datastore_core::step::{Action, Bound};
use datastore_exec::sys::ids::Ids;
use datastore_exec::{Root, rigs};
use datastore_rigs::{Budget, Evidence};
use datastore_rigs_races::Violations;
use datastore_tests::Sandbox;

const SHOP: &str =
    "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n[mapping.\"/var/till\"]\ntarget = \"%{base}/till\"\n";
const POINTS: [&str; 2] = ["/var/shop", "/var/till"];
/// Each file of a directory says so often whose it is and of which generation.
const LINES: usize = 600;
/// The files of a directory.
const FILES: [&str; 3] = ["one", "two", "three"];

fn text(point: &str, generation: u64) -> String {
    format!("{point} {generation:08}\n").repeat(LINES)
}

/// Brings a directory to the next generation, file by file.
fn renew(dir: &Path, point: &str, generation: u64) {
    for name in FILES {
        let new = dir.join(format!("{name}.new"));
        fs::write(&new, text(point, generation)).expect("write a file");
        fs::rename(new, dir.join(name)).expect("rename a file");
    }
}

/// Lets the readers stop, whatever becomes of the test.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// What one reader has seen.
#[derive(Default)]
struct Reader {
    last: [[u64; 3]; 2],
    reads: u64,
    lists: u64,
}

impl Reader {
    /// Looks once. `newest` is the generation that may be there at most.
    fn look(&mut self, dirs: &[PathBuf; 2], newest: &AtomicU64, violations: &Violations) {
        let (at, file) = (usize::from(self.reads % 2 == 1), usize::try_from(self.reads % 3).unwrap_or(0));
        let (dir, point) = (&dirs[at], POINTS[at]);
        self.reads += 1;
        match fs::read_to_string(dir.join(FILES[file])) {
            Err(error) => violations.add(format!("{point}: {error}")),
            Ok(seen) => {
                let number =
                    seen.get(point.len() + 1..point.len() + 9).and_then(|n| n.parse().ok()).unwrap_or(u64::MAX);
                let most = newest.load(Ordering::Acquire);
                if number > most || seen != text(point, number) {
                    let head: String = seen.chars().take(60).collect();
                    violations.add(format!("{point}: {} bytes beginning with {head:?}", seen.len()));
                } else if number < self.last[at][file] {
                    violations.add(format!("{point}: {number} after {}", self.last[at][file]));
                } else {
                    self.last[at][file] = number;
                }
            }
        }
        if self.reads.is_multiple_of(8) {
            self.lists += 1;
            let names = fs::read_dir(dir).map(|all| all.flatten().map(|entry| entry.file_name()).collect::<Vec<_>>());
            let all = |names: &Vec<std::ffi::OsString>| FILES.iter().all(|file| names.iter().any(|name| name == file));
            if !names.as_ref().is_ok_and(all) {
                violations.add(format!("{point}: in it were {names:?}"));
            }
        }
    }
}

#[test]
fn a_reader_sees_old_or_new_data_and_nothing_else() {
    let sandbox = Sandbox::in_memory();
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    sandbox.tmpfs("/srv/disk", 32 << 20);
    sandbox.datastore(&["volume", "add", "data1", "--directory", "/srv/disk", "--yes"]).ok();
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(&["apply", "--yes"]).ok();
    let dirs = POINTS.map(|point| sandbox.path(point));
    dirs.iter().zip(POINTS).for_each(|(dir, point)| renew(dir, point, 1));
    let (newest, over, violations) = (AtomicU64::new(1), AtomicBool::new(false), Violations::default());
    let (reads, lists) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut evidence = Evidence::new("swaps", "readers during moves", &[1, 20]);
    let budget = Budget::of(Duration::from_secs(8));
    std::thread::scope(|scope| {
        let _ending = Ending(&over);
        for _ in 0..2 {
            scope.spawn(|| {
                let mut reader = Reader::default();
                while !over.load(Ordering::Acquire) && !violations.are_enough() {
                    reader.look(&dirs, &newest, &violations);
                    if reader.reads % 256 == 0 {
                        reads.fetch_add(256, Ordering::Relaxed);
                        lists.fetch_add(32, Ordering::Relaxed);
                    }
                }
            });
        }
        for generation in 2.. {
            let to = if generation % 2 == 0 { "data1" } else { "data0" };
            sandbox.datastore(&["move", "shop", "--to", to, "--yes"]).ok();
            evidence.count("moves", 1);
            sandbox.datastore(&["reclaim", "shop", "--yes"]).ok();
            newest.store(generation, Ordering::Release);
            dirs.iter().zip(POINTS).for_each(|(dir, point)| renew(dir, point, generation));
            if budget.is_spent(reads.load(Ordering::Relaxed) >= 1_000_000 && evidence.counted("moves") >= 500)
                || violations.are_enough()
            {
                break;
            }
        }
    });
    violations.verdict();
    evidence.count("reads", reads.into_inner());
    evidence.count("listings", lists.into_inner());
    assert!(evidence.counted("moves") >= 5 && evidence.counted("reads") >= 5_000, "{evidence:?}");
    evidence.conclude();
}

/// The one step of a move that shows other data, over and over.
#[test]
fn a_swap_has_no_instant_without_data() {
    let sandbox = Sandbox::in_memory();
    for name in ["a", "b"] {
        let store = sandbox.path("store").join(name);
        fs::create_dir(&store).expect("make a store");
        fs::write(store.join("file"), name).expect("write a file");
    }
    sandbox.directory("/srv", 0o755);
    let at = sandbox.directory("/srv/point", 0o755);
    let root = Root::open(sandbox.root()).expect("open the root");
    let ids = Ids::new(&root).expect("know the users");
    let path = |text: &str| AbsPath::parse(text).expect("a plain path");
    let (mount_point, options) = (path("/srv/point"), BindOptions::default());
    let bound = |name: &str| Bound { store: path(&format!("/store/{name}")), id: None };
    let bind = Action::Bind { store: path("/store/a"), mount_point: mount_point.clone(), id: None, options };
    rigs::act(&root, &ids, &bind).expect("bind a store");
    let (over, reads, violations) = (AtomicBool::new(false), AtomicU64::new(0), Violations::default());
    let mut evidence = Evidence::new("swaps", "readers during swaps", &[1, 20]);
    let budget = Budget::of(Duration::from_secs(5));
    std::thread::scope(|scope| {
        let _ending = Ending(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) && !violations.are_enough() {
                match fs::read(at.join("file")) {
                    Ok(seen) if seen == b"a" || seen == b"b" => {}
                    other => violations.add(format!("{other:?} was read")),
                }
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
        for (from, to) in [("a", "b"), ("b", "a")].into_iter().cycle() {
            let swap = Action::Swap { mount_point: mount_point.clone(), from: bound(from), to: bound(to), options };
            rigs::act(&root, &ids, &swap).expect("swap two stores");
            evidence.count("swaps", 1);
            if budget.is_spent(reads.load(Ordering::Relaxed) >= 1_000_000 && evidence.counted("swaps") >= 10_000)
                || violations.are_enough()
            {
                break;
            }
        }
    });
    violations.verdict();
    evidence.count("reads", reads.into_inner());
    assert!(evidence.counted("swaps") >= 100 && evidence.counted("reads") >= 1_000, "{evidence:?}");
    evidence.conclude();
}
