//! `import` and `move` killed at random moments: after `recover` all of the data is in one place, and `--undo` brings the first state back.

#![allow(clippy::print_stderr, reason = "the counts belong to the test's output")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use datastore_tests::random::Random;
use datastore_tests::{Sandbox, picture, scenes};

const AT: &str = "/var/spool/mail";
const FILES: usize = 1500;

/// How often each is killed.
fn kills() -> u32 {
    std::env::var("DATASTORE_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

/// A machine with a full mail spool that is not in the store, which is on another file system.
fn full() -> Sandbox {
    let sandbox = Sandbox::in_memory();
    for disk in ["one", "two"] {
        sandbox.tmpfs(format!("/srv/{disk}"), 64 << 20);
    }
    sandbox.datastore(&["init", "--host", "server1", "--directory", "/srv/one", "--yes"]).ok();
    sandbox.datastore(&["volume", "add", "data1", "--directory", "/srv/two", "--yes"]).ok();
    sandbox.configlet("mail", scenes::MAIL);
    scenes::data(&sandbox, AT);
    for n in 0..FILES {
        let dir = sandbox.path(AT).join(format!("box{}", n % 40));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("mail{n}")), vec![b'm'; n * 13 % 9000]).unwrap();
    }
    sandbox
}

fn imported() -> Sandbox {
    let sandbox = full();
    sandbox.datastore(&["import", "mail", "--yes"]).ok();
    sandbox.datastore(&["reclaim", "--yes"]).ok();
    sandbox
}

/// What the data is, to hold it against later.
fn original(sandbox: &Sandbox) -> PathBuf {
    let to = sandbox.path("/original");
    assert!(Command::new("cp").arg("-a").arg(sandbox.path(AT)).arg(&to).status().unwrap().success());
    to
}

/// Nothing is lost, whichever of the places counts.
#[track_caller]
fn is_whole(sandbox: &Sandbox, original: &std::path::Path, when: &str) {
    let differs = sandbox.differences(original, &sandbox.path(AT));
    // Mode, owner and identity of the top are those of the store once it is one.
    let differs: Vec<&String> = differs.iter().filter(|line| !line.ends_with(" ./")).collect();
    assert!(differs.is_empty(), "{when}: {differs:#?}");
    let bound = sandbox.bound(AT).is_some();
    let guard = sandbox.datastore(&["guard", "mail"]);
    assert_eq!(guard.status.success(), bound, "{when}: the guard, with the data bound: {bound}: {}", guard.stderr);
}

/// Kills the command at moments that are spread over its whole run.
fn killed_at_random(what: &str, machine: fn() -> Sandbox, command: &[&str]) {
    let mut random = Random::seeded();
    let undisturbed = machine();
    let begun = Instant::now();
    undisturbed.datastore(command).ok();
    let whole = begun.elapsed();
    let take_back = |sandbox: &Sandbox| {
        sandbox.datastore(&["move", "mail", "--undo", "--yes"]).ok();
        sandbox.datastore(&["reclaim", "--yes"]).ok();
    };
    take_back(&undisturbed);
    let wanted = picture::of(undisturbed.root());
    drop(undisturbed);
    let kills = kills();
    let part = u64::try_from((whole / kills).as_nanos()).expect("a short while");
    let (mut back, mut forward, mut late, mut early) = (0, 0, 0, 0);
    for kill in 0..kills {
        let sandbox = machine();
        let original = original(&sandbox);
        let moment = whole * kill / kills + Duration::from_nanos(random.below(part));
        let mut child =
            sandbox.datastore_command(command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start");
        std::thread::sleep(moment);
        // Kill, unless it has ended: then this does nothing.
        child.kill().expect("kill datastore");
        let ended = child.wait().expect("wait for datastore").code();
        let when = format!("{what} killed after {moment:?} of {whole:?}");
        let half = picture::leftovers(sandbox.root()).iter().any(|path| path.ends_with(".journal"));
        picture::let_time_pass(sandbox.root());
        sandbox.datastore(&["recover"]).ok();
        is_whole(&sandbox, &original, &when);
        let is_done = sandbox.datastore(&[&command[..command.len() - 1], &["--json", "--yes"]].concat()).ok().json();
        match (ended, half, is_done["operation"].is_null()) {
            (Some(_), ..) => late += 1,
            (None, false, _) => early += 1,
            (None, true, true) => forward += 1,
            (None, true, false) => back += 1,
        }
        is_whole(&sandbox, &original, &format!("{when}, and done again"));
        take_back(&sandbox);
        let when = format!("{when}, done again and undone");
        is_whole(&sandbox, &original, &when);
        fs::remove_dir_all(&original).expect("remove the copy");
        picture::same_but_for_new_directories(&picture::of(sandbox.root()), &wanted, &when);
        assert_eq!(picture::leftovers(sandbox.root()), Vec::<String>::new(), "{when}");
    }
    eprintln!(
        "{what}: of {kills} kills {early} came before the journal, {back} were taken back, {forward} finished, {late} came after the end"
    );
    assert!(back + forward >= kills / 4, "too few kills came half-way to say anything");
}

#[test]
fn import_killed_at_random_moments() {
    killed_at_random("import", full, &["import", "mail", "--yes"]);
}

#[test]
fn move_killed_at_random_moments() {
    killed_at_random("move", imported, &["move", "mail", "--to", "data1", "--yes"]);
}
