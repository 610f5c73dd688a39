//! A machine on which `apply` of 200 mappings is killed at random moments, and what `recover` and `status` say of it.

#![allow(clippy::print_stderr, reason = "the seed and the counts belong to the test's output")]

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use datastore_tests::random::Random;
use datastore_tests::scenes::Scene;
use datastore_tests::{Sandbox, picture, skeleton, strace};

const MAPPINGS: usize = 200;
const KILLS: u32 = 50;

/// A machine with 200 mappings of 20 apps that nobody has applied.
fn machine() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    for app in 0..20 {
        let mut text = String::new();
        for i in 0..MAPPINGS / 20 {
            let _ = writeln!(
                text,
                "[mapping.\"/var/lib/app{app}/dir{i}\"]\ntarget = \"%{{base}}/app{app}/d{i}\"\npermissions = \"2750\"\ngroup = \"mail\""
            );
        }
        sandbox.configlet(&format!("app{app}"), &text);
    }
    sandbox
}

/// How many mappings of the machine are active.
#[track_caller]
fn active(sandbox: &Sandbox) -> usize {
    let status = sandbox.datastore(&["status", "--json"]).ok().json();
    let rows = status["mappings"].as_array().expect("rows");
    rows.iter().filter(|row| row["state"] == "active").count()
}

#[test]
fn apply_of_200_mappings_killed_50_times_at_random_moments_converges() {
    let mut random = Random::seeded();
    let undisturbed = machine();
    let begun = Instant::now();
    undisturbed.datastore(&["apply", "--yes"]).ok();
    let whole = begun.elapsed();
    assert_eq!(active(&undisturbed), MAPPINGS);
    let wanted = picture::of(undisturbed.root());
    let fstab = undisturbed.read("/etc/fstab");
    drop(undisturbed);

    let (mut early, mut half, mut late) = (0, 0, 0);
    for kill in 0..KILLS {
        let sandbox = machine();
        // The moments are spread evenly, each at a random place of its fiftieth.
        let part = u64::try_from((whole / KILLS).as_nanos()).expect("a short while");
        let moment = whole * kill / KILLS + Duration::from_nanos(random.below(part));
        let mut command = sandbox.datastore_command(&["apply", "--yes"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start datastore");
        std::thread::sleep(moment);
        // Kill, unless it has ended: then this does nothing.
        child.kill().expect("kill datastore");
        let ended = child.wait().expect("wait for datastore").code();
        let when = format!("killed after {moment:?} of {whole:?}");

        let now = picture::fstab(&sandbox.read("/etc/fstab"));
        assert_eq!(now.foreign, skeleton::FSTAB, "{when}: lines of others");
        assert!([0, MAPPINGS].contains(&now.ours.len()), "{when}: {} lines of ours", now.ours.len());
        let left = picture::leftovers(sandbox.root());
        match (ended, left.iter().any(|path| path.ends_with(".journal"))) {
            (Some(_), _) => late += 1,
            (None, true) => half += 1,
            (None, false) => early += 1,
        }
        picture::let_time_pass(sandbox.root());
        let again = sandbox.datastore(&["apply", "--yes"]);
        if again.status.code() != Some(0) {
            again.fail(&when);
        }
        assert_eq!(active(&sandbox), MAPPINGS, "{when}");
        assert_eq!(sandbox.read("/etc/fstab"), fstab, "{when}");
        picture::same(&picture::of(sandbox.root()), &wanted, &when);
        assert_eq!(picture::leftovers(sandbox.root()), Vec::<String>::new(), "{when}");
    }
    eprintln!("{early} kills before the journal or between journals, {half} half-way, {late} after the end");
    assert!(half >= 10, "too few kills came half-way to say anything: {early} {half} {late}");
}

/// A scene whose command was killed half-way: at the first call of this name after which an operation stands unfinished and `enough`
/// says that this is far enough.
fn half_way(scene: &Scene, call: &str, enough: fn(&Sandbox) -> bool) -> Sandbox {
    for nth in 1.. {
        let sandbox = scene.set();
        let traced = strace::kill(&sandbox, call, nth, scene.command);
        assert!(traced.hit.is_some(), "{} came to its end before it was half-way", scene.name);
        let unfinished = picture::leftovers(sandbox.root()).iter().any(|path| path.ends_with(".journal"));
        if unfinished && enough(&sandbox) {
            return sandbox;
        }
    }
    unreachable!("the numbers do not end")
}

#[test]
fn status_shows_what_was_interrupted_and_recover_finishes_it_once() {
    let sandbox = half_way(Scene::named("apply"), "open_tree", |sandbox| sandbox.bound("/var/spool/mail").is_some());
    let status = sandbox.datastore(&["status", "--json"]).ok().json();
    let operation = &status["operations"][0];
    assert_eq!((&operation["goal"], &operation["state"]), (&"apply".into(), &"interrupted".into()), "{status}");
    assert_eq!(operation["hint"], "datastore recover");
    let row = status["mappings"].as_array().unwrap().iter().find(|row| row["app"] == "mail").unwrap();
    assert_eq!((&row["state"], &row["hint"]), (&"interrupted".into(), &"datastore recover".into()), "{row}");
    assert!(row["detail"].as_str().unwrap().contains("stopped half-way"), "{row}");
    sandbox.datastore(&["status"]).ok().says("datastore recover");

    sandbox.datastore(&["guard", "web"]).fails().says("datastore");

    sandbox.datastore(&["recover", "--json"]).ok().says("\"apply\"");
    let status = sandbox.datastore(&["status", "--json"]).ok().json();
    assert_eq!(status["operations"].as_array().map(Vec::len), Some(0), "{status}");
    let states =
        status["mappings"].as_array().unwrap().iter().filter(|row| row["app"] == "web" || row["app"] == "mail");
    assert!(states.clone().count() == 3 && states.clone().all(|row| row["state"] == "active"), "{status}");
    sandbox.datastore(&["guard", "web"]).ok();
}

#[test]
fn recover_finishes_each_goal_and_has_nothing_to_do_the_second_time() {
    for name in [
        "apply",
        "stop",
        "start",
        "restart",
        "disable",
        "enable",
        "remap",
        "volume add (directory)",
        "volume remove",
        "config add",
        "config remove",
    ] {
        let scene = Scene::named(name);
        let (_, wanted) = scene.undisturbed();
        let sandbox = half_way(scene, "fsync", |_| true);
        let first = sandbox.datastore(&["recover", "--json"]).ok().json();
        assert_eq!(first["recovered"].as_array().map(Vec::len), Some(1), "{name}: {first}");
        picture::same(&picture::of(sandbox.root()), &wanted, &format!("{name}, recovered"));
        let second = sandbox.datastore(&["recover", "--json"]).ok().json();
        assert_eq!(second["recovered"].as_array().map(Vec::len), Some(0), "{name}: {second}");
        let status = sandbox.datastore(&["status", "--json"]).ok().json();
        assert_eq!(status["operations"].as_array().map(Vec::len), Some(0), "{name}: {status}");
    }
}

#[test]
fn a_plan_that_was_shown_is_not_applied_over_an_interrupted_operation() {
    let sandbox = half_way(Scene::named("apply"), "open_tree", |sandbox| sandbox.bound("/var/spool/mail").is_some());
    sandbox.configlet("other", "[mapping.\"/var/lib/other\"]\ntarget = \"%{base}/other\"\n");
    // Without a terminal nobody can be asked, so nothing is done, and nothing recovered either.
    let before = picture::of(sandbox.root());
    sandbox.datastore(&["apply"]).code(2);
    picture::same(&picture::of(sandbox.root()), &before, "after a command that could not ask");
    sandbox.datastore(&["apply", "--yes"]).ok();
    assert!(sandbox.bound("/var/lib/other").is_some());
    assert_eq!(picture::leftovers(sandbox.root()), Vec::<String>::new());
}

#[test]
fn a_book_of_alarms_that_was_not_written_to_its_end_leaves_nothing_behind() {
    let sandbox = Sandbox::initialised();
    let left = "/var/lib/datastore/.alarms.json.alarm.tmp";
    sandbox.write(left, "{\"alarms\": [");
    sandbox.datastore(&["recover"]).ok();
    assert!(!sandbox.exists(left));
}
