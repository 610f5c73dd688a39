//! `log`: what has run, as the journals tell it.

use std::fs::{self, File};

use datastore_core::log::Ending;
use datastore_tests::rows::text;
use datastore_tests::{Follower, Sandbox, Snapshot, Unprivileged};
use rustix::fs::FlockOperation;
use serde_json::Value;

const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n";
const FINE: &str = "[mapping.\"/var/fine\"]\ntarget = \"%{base}/fine\"\n";
const DONE: &str = "/var/lib/datastore/done";
const JOURNAL: &str = "/var/lib/datastore/journal";

/// After `init` and the apply of two apps.
#[track_caller]
fn machine() -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", SHOP);
    sandbox.configlet("fine", FINE);
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox
}

#[track_caller]
fn rows(sandbox: &Sandbox, args: &[&str]) -> Vec<Value> {
    let log = sandbox.datastore(&[&["log", "--json"], args].concat()).ok().json();
    log["operations"].as_array().expect("operations").clone()
}

fn each(rows: &[Value], field: &str) -> Vec<String> {
    rows.iter().map(|row| text(&row[field])).collect()
}

/// An apply that fails for one of its mappings, because nothing can be bound.
#[track_caller]
fn fail(sandbox: &Sandbox) {
    sandbox.configlet("bad", "[mapping.\"/var/bad\"]\ntarget = \"%{base}/bad\"\n");
    let calls = [if cfg!(target_arch = "x86_64") { "165" } else { "40" }, "open_tree", "move_mount"];
    sandbox.datastore_without(&calls, &["apply", "bad", "--yes"]).code(1);
}

/// The newest journal again, among those that have not ended, changed.
#[track_caller]
fn reopen(sandbox: &Sandbox, change: impl Fn(&str) -> String) -> String {
    let entries = fs::read_dir(sandbox.path(DONE)).unwrap();
    let name = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).max().expect("a journal");
    let old = sandbox.read(format!("{DONE}/{name}"));
    fs::remove_file(sandbox.path(format!("{DONE}/{name}"))).unwrap();
    sandbox.write(format!("{JOURNAL}/{name}"), change(&old));
    name.trim_end_matches(".journal").to_owned()
}

fn without_end(text: &str) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines[..lines.len() - 1].concat()
}

#[test]
fn who_did_what_when_and_what_came_of_it() {
    let sandbox = machine();
    sandbox.datastore(&["stop", "shop"]).ok();
    let all = rows(&sandbox, &[]);
    assert_eq!(each(&all, "goal"), ["init data0", "apply", "stop shop"], "the newest last");
    assert_eq!(each(&all, "outcome"), ["done"; 3]);
    assert_eq!((&all[1]["uid"], &all[1]["user"], &all[1]["host"]), (&0.into(), &"root".into(), &"server1".into()));
    assert_eq!(all[1]["apps"], serde_json::json!(["fine", "shop"]));
    assert_eq!(all[1]["done"], all[1]["steps"]);
    assert!(all[1]["at"].as_i64() > Some(1_700_000_000) && all[1]["ended"].as_i64() >= all[1]["at"].as_i64());
    // In both grammars.
    for args in [&["log", "shop"], &["shop", "log"]] {
        sandbox.datastore(args).ok().says("stop shop").says("apply").silent_about("init");
    }
    assert_eq!(each(&rows(&sandbox, &["fine"]), "goal"), ["apply"]);
    assert!(rows(&sandbox, &["nobody"]).is_empty());
    sandbox.datastore(&["log", "nobody"]).ok().says("no operations");
}

#[test]
fn what_failed_and_why_and_every_step() {
    let sandbox = machine();
    fail(&sandbox);
    let failed = rows(&sandbox, &["--failed"]);
    assert_eq!((each(&failed, "goal"), each(&failed, "outcome")), (vec!["apply bad".into()], vec!["partly".into()]));
    let failure = &failed[0]["failures"][0];
    assert_eq!((&failure["app"], &failure["mount_point"]), (&"bad".into(), &"/var/bad".into()), "{failed:#?}");
    assert!(text(&failure["text"]).starts_with("bind ") && text(&failure["error"]).contains("ENOSYS"), "{failure:#}");
    sandbox.datastore(&["log", "--failed"]).ok().says("bind /store/data0/live/server1/bad").silent_about("init");

    let id = text(&failed[0]["operation"]);
    let detail = sandbox.datastore(&["log", "--operation", &id, "--json"]).ok().json();
    let steps = detail["steps"].as_array().unwrap();
    assert_eq!(detail["operation"]["steps"], steps.len());
    let states = each(steps, "state");
    assert!(["done", "failed", "undone"].iter().all(|s| states.iter().any(|t| t == s)), "{detail:#}");
    let told = sandbox.datastore(&["log", "--operation", &id]).ok();
    told.says("make store directory /store/data0/live/server1/bad").says("undone").says("ENOSYS");
    sandbox.datastore(&["log", "--operation", "20261123T174301250Z-1a2b3c4d"]).code(2).says("no operation is called");
}

#[test]
fn the_newest_and_those_since_a_time() {
    let sandbox = machine();
    for verb in ["stop", "start", "stop"] {
        sandbox.datastore(&[verb, "shop"]).ok();
    }
    assert_eq!(each(&rows(&sandbox, &["--last", "2"]), "goal"), ["start shop", "stop shop"]);
    assert_eq!(each(&rows(&sandbox, &["fine", "--last", "2"]), "goal"), ["apply"]);
    assert!(rows(&sandbox, &["--last", "0"]).is_empty());
    assert_eq!(rows(&sandbox, &["--since", "1h"]).len(), 5);
    assert_eq!(rows(&sandbox, &["--since", "1970-01-01"]).len(), 5);
    assert!(rows(&sandbox, &["--since", "2999-01-01T00:00:00Z"]).is_empty());
    sandbox.datastore(&["log", "--since", "soon"]).code(2).says("a time was wanted");
}

#[test]
fn every_way_to_end_is_met_and_looking_changes_nothing() {
    let sandbox = machine();
    let mut met = vec!["done".to_owned()];
    let mut see = |sandbox: &Sandbox| met.extend(each(&rows(sandbox, &["--last", "1"]), "outcome"));
    fail(&sandbox);
    see(&sandbox);
    // Of one mapping nothing may be wrong beforehand, and the volume's own step fails: all is taken back.
    sandbox.directory("srv", 0o755);
    sandbox.directory("srv/big", 0o755);
    let calls = [if cfg!(target_arch = "x86_64") { "165" } else { "40" }, "open_tree", "move_mount", "fsopen"];
    let add = ["volume", "add", "data1", "--directory", "/srv/big", "--yes"];
    sandbox.datastore_without(&calls, &add).fails();
    see(&sandbox);
    sandbox.datastore(&["stop", "shop"]).ok();
    let id = reopen(&sandbox, without_end);
    see(&sandbox);
    sandbox.datastore(&["log"]).ok().says("hint: datastore recover");
    let held = File::open(sandbox.path(format!("{JOURNAL}/{id}.journal"))).unwrap();
    rustix::fs::flock(&held, FlockOperation::LockExclusive).unwrap();
    see(&sandbox);
    drop(held);
    sandbox.datastore(&["recover"]).ok();
    let recovered = rows(&sandbox, &[]).into_iter().find(|row| row["operation"] == *id).unwrap();
    met.push(text(&recovered["outcome"]));
    let id = reopen(&sandbox, |text| text.replacen("\"begin\"", "\"began\"", 1));
    let before = Snapshot::of(&sandbox);
    let last = rows(&sandbox, &["--last", "1"]);
    assert_eq!(
        (text(&last[0]["operation"]), &last[0]["goal"]),
        (id.clone(), &"".into()),
        "it is shown, and passed over"
    );
    assert!(text(&last[0]["detail"]).contains("damaged") && last[0]["at"].as_i64() > Some(1_700_000_000), "{last:#?}");
    met.extend(each(&last, "outcome"));
    assert!(rows(&sandbox, &[]).len() > 3, "the others are shown all the same");
    sandbox.datastore(&["log", "--operation", &id]).code(3).says("cannot be used");
    before.assert_unchanged(&sandbox, "log");

    let missing: Vec<_> = Ending::ALL.iter().filter(|e| !met.iter().any(|m| m == e.as_str())).collect();
    assert!(missing.is_empty(), "no operation ended so: {missing:?}; met {met:?}");
}

#[test]
fn a_journal_without_its_first_line_is_an_operation_that_did_nothing() {
    let sandbox = machine();
    let id = reopen(&sandbox, |_| String::new());
    let last = rows(&sandbox, &["--last", "1"]);
    assert_eq!((text(&last[0]["operation"]), text(&last[0]["outcome"])), (id, "interrupted".into()));
    assert!(text(&last[0]["detail"]).contains("before anything was done"));
}

#[test]
fn before_the_first_operation_there_is_none() {
    let sandbox = Sandbox::new();
    sandbox.datastore(&["log"]).ok().says("no operations");
    assert!(!sandbox.exists("/var/lib/datastore"));
}

#[test]
fn the_journals_are_for_root_alone() {
    let user = Unprivileged::new();
    user.datastore(&["init", "--host", "server1", "--yes"]).ok();
    user.datastore(&["log"]).ok().says("init data0");
    let sandbox = machine();
    let program = sandbox.path("datastore");
    // By cp(1): while this process had it open for writing, a child of another thread's could keep it so (ETXTBSY).
    sandbox.run(sandbox.command("cp").arg(datastore_tests::binary::datastore()).arg(&program)).ok();
    let mut command = sandbox.command("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(program);
    let run = sandbox.run(command.arg("--root").arg(sandbox.root()).args(["log", "--json"])).code(4);
    assert_eq!(run.json()["error"]["kind"], "privilege");
    assert_eq!(run.json()["error"]["hint"], "run it as root");
}

/// A `log --follow`.
struct Log(Follower);

impl Log {
    #[track_caller]
    fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        Self(Follower::start(sandbox.datastore_command(&[&["log", "--follow", "--json"], args].concat())))
    }

    #[track_caller]
    fn next(&self) -> Value {
        self.0.next()
    }

    /// Waits until an operation is told to have come to this.
    #[track_caller]
    fn until(&self, goal: &str, outcome: &str) -> Value {
        loop {
            let row = self.next();
            assert_eq!(row["goal"], goal, "nothing else was wanted: {row:#}");
            if row["outcome"] == outcome {
                return row;
            }
            assert_eq!(row["outcome"], "running", "{row:#}");
        }
    }
}

#[test]
fn follow_shows_what_begins_and_ends_from_now_on() {
    let sandbox = machine();
    let follower = Log::start(&sandbox, &["--last", "1"]);
    follower.until("apply", "done");
    sandbox.datastore(&["stop", "shop"]).ok();
    follower.until("stop shop", "done");
    sandbox.datastore(&["start", "shop"]).ok();
    let row = follower.until("start shop", "done");
    // One that stops half-way says so, though nothing is written any more; then it is recovered.
    drop(follower);
    let id = reopen(&sandbox, without_end);
    assert_eq!(id, text(&row["operation"]));
    let held = File::open(sandbox.path(format!("{JOURNAL}/{id}.journal"))).unwrap();
    rustix::fs::flock(&held, FlockOperation::LockExclusive).unwrap();
    let follower = Log::start(&sandbox, &["--last", "1"]);
    assert_eq!(follower.next()["outcome"], "running");
    drop(held);
    assert_eq!(follower.next()["outcome"], "interrupted");
    sandbox.datastore(&["recover"]).ok();
    let mut seen = Vec::new();
    while !seen.contains(&"recovered".to_owned()) {
        seen.push(text(&follower.next()["outcome"]));
    }
}

#[test]
fn follow_waits_for_the_first_operation_and_keeps_to_what_is_asked_for() {
    let sandbox = Sandbox::new();
    let all = Log::start(&sandbox, &[]);
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    all.until("init data0", "done");
    sandbox.configlet("shop", SHOP);
    sandbox.configlet("fine", FINE);
    let fine = Log::start(&sandbox, &["fine"]);
    let failed = Log::start(&sandbox, &["--failed"]);
    sandbox.datastore(&["apply", "shop", "--yes"]).ok();
    all.until("apply shop", "done");
    sandbox.datastore(&["apply", "fine", "--yes"]).ok();
    fine.until("apply fine", "done");
    fail(&sandbox);
    assert_eq!(failed.until("apply bad", "partly")["failures"].as_array().unwrap().len(), 1);
}
