//! Pairs and triples of runs at once: each is done, refused, or told who is at work; nothing hangs, and in the end all is well.

use std::fs;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use datastore_rigs::{Effort, Evidence};
use datastore_rigs_races::Violations;
use datastore_tests::random::Random;
use datastore_tests::{Sandbox, picture, scenes, skeleton};

/// A run that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(60);
/// So many groups are run on one machine.
const GROUPS: u64 = 12;

/// What is run at once with others of its kind.
const RUNS: &[&[&str]] = &[
    &["apply", "--yes"],
    &["start", "web"],
    &["stop", "web"],
    &["restart", "web"],
    &["start", "mail"],
    &["stop", "mail"],
    &["remap", "web", "--yes"],
    &["disable", "web", "--yes"],
    &["enable", "web", "--yes"],
    &["disable", "mail", "--yes"],
    &["enable", "mail", "--yes"],
    &["move", "mail", "--to", "data1", "--yes"],
    &["move", "mail", "--to", "data0", "--yes"],
    &["move", "mail", "--undo", "--yes"],
    &["move", "web", "--to", "data1", "--yes"],
    &["move", "web", "--to", "data0", "--yes"],
    &["import", "mail", "--yes"],
    &["reclaim", "--yes"],
    &["recover"],
    &["volume", "add", "data1", "--directory", "/srv/disk", "--yes"],
    &["volume", "remove", "data1", "--yes"],
    &["init", "--host", "server1", "--yes"],
    &["status", "--json"],
];

struct Started {
    line: String,
    child: Child,
    out: fs::File,
}

/// Starts a run; it writes to a file, so that it never waits for a reader.
fn start(mut command: Command, line: String) -> Started {
    let out = tempfile::tempfile().expect("a file for the output");
    let copy = || Stdio::from(out.try_clone().expect("another descriptor"));
    let child = command.stdin(Stdio::null()).stdout(copy()).stderr(copy()).spawn().expect("start datastore");
    Started { line, child, out }
}

impl Started {
    /// Its exit code, and what it said; no code if it hangs.
    fn finish(mut self) -> (String, Option<i32>, String) {
        let begun = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().expect("wait for datastore") {
                break status.code();
            }
            if begun.elapsed() > LONGEST {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break None;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let mut said = String::new();
        std::io::Seek::rewind(&mut self.out).expect("go back to the beginning");
        let _ = self.out.read_to_string(&mut said);
        (self.line, code, said)
    }
}

fn machine() -> Sandbox {
    let sandbox = Sandbox::in_memory();
    scenes::applied(&sandbox);
    scenes::data(&sandbox, "/var/spool/mail");
    fs::write(sandbox.path("/var/www/html/page"), "a page").expect("write a page");
    sandbox.tmpfs("/srv/disk", 32 << 20);
    sandbox.datastore(&["volume", "add", "data1", "--directory", "/srv/disk", "--yes"]).ok();
    sandbox
}

/// Brings everything up, and notes what is not as it should be then.
fn settle(sandbox: &Sandbox, violations: &Violations, after: &str) {
    let run = |args: &[&str]| {
        let run = sandbox.datastore(args);
        if run.status.code() != Some(0) {
            violations.add(format!("after {after}: {args:?} ended with {:?}: {}", run.status.code(), run.stderr));
        }
    };
    run(&["recover"]);
    for app in ["web", "mail"] {
        run(&["enable", app, "--yes"]);
        run(&["start", app]);
    }
    run(&["apply", "--yes"]);
    run(&["guard", "web"]);
    run(&["guard", "mail"]);
    let is = |path: &str, length: usize| fs::read(sandbox.path(path)).is_ok_and(|bytes| bytes.len() == length);
    let there = is("/var/spool/mail/cur/2", 5000)
        && is("/var/spool/mail/cur/deep/3", 70_000)
        && is("/var/spool/mail/empty/same", 10)
        && is("/var/www/html/page", 6);
    if !there {
        violations.add(format!("after {after}: data is missing"));
    }
    let mut points: Vec<_> = sandbox.mountinfo().into_iter().map(|mount| mount.mount_point).collect();
    points.retain(|point| point.starts_with(sandbox.path("/var")));
    points.sort();
    let number = points.len();
    points.dedup();
    if (number, points.len()) != (3, 3) {
        violations.add(format!("after {after}: {number} mounts at {points:?}"));
    }
    let text = sandbox.read("/etc/fstab");
    let fstab = std::panic::catch_unwind(|| picture::fstab(&text));
    match fstab {
        Err(_) => violations.add(format!("after {after}: fstab is torn: {text}")),
        Ok(fstab) => {
            let mut lines = fstab.ours.clone();
            lines.sort();
            lines.dedup();
            if fstab.foreign != skeleton::FSTAB || lines.len() != fstab.ours.len() {
                violations.add(format!("after {after}: fstab is {text}"));
            }
        }
    }
    let left = picture::leftovers(sandbox.root());
    if !left.is_empty() {
        violations.add(format!("after {after}: {left:?} is left"));
    }
}

#[test]
fn runs_at_once_end_and_all_is_well() {
    let groups = Effort::asked().of(60, 1000);
    let (violations, mut random) = (Violations::default(), Random::seeded());
    let mut evidence = Evidence::new("races", "pairs and triples of runs", &[15]);
    let mut sandbox = machine();
    for group in 0..groups {
        if group % GROUPS == GROUPS - 1 {
            drop(sandbox);
            sandbox = machine();
        }
        let started: Vec<Started> = (0..2 + random.below(2))
            .map(|_| {
                let args = RUNS[usize::try_from(random.below(RUNS.len() as u64)).unwrap_or(0)];
                start(sandbox.datastore_command(args), args.join(" "))
            })
            .collect();
        let lines = started.iter().map(|run| run.line.clone()).collect::<Vec<_>>().join(" | ");
        evidence.count("groups", 1);
        for (line, code, said) in started.into_iter().map(Started::finish) {
            evidence.count("runs", 1);
            match code {
                // Of several apps the one that is locked is left out, and the others go on.
                Some(3 | 6) if said.contains("locked by") => evidence.count("told who is at work", 1),
                Some(0) => evidence.count("done", 1),
                Some(3) => evidence.count("refused", 1),
                // Nothing to undo, no such volume: the command line makes no sense any more.
                Some(2) => evidence.count("made no sense any more", 1),
                code => violations.add(format!("group {group}, {line} of {lines}: {code:?}: {said}")),
            }
        }
        settle(&sandbox, &violations, &lines);
        if violations.number() > 4 {
            break;
        }
    }
    violations.verdict();
    // Most of them are over before they would meet: that somebody was met is demanded of many groups only.
    let met = evidence.counted("told who is at work");
    assert!(met > 0 || groups < 1000, "nobody met anybody: {evidence:?}");
    evidence.conclude();
}
