//! Killed at each system call that changes something: `recover` and the same command come to what an undisturbed run comes to.

#![allow(clippy::print_stderr, reason = "the counts belong to the test's output")]

use datastore_tests::scenes::Scene;
use datastore_tests::{Sandbox, picture, skeleton, strace};

/// What must hold the moment after a kill.
#[track_caller]
fn nothing_is_torn(sandbox: &Sandbox, when: &str) {
    let fstab = picture::fstab(&sandbox.read("/etc/fstab"));
    assert_eq!(fstab.foreign, skeleton::FSTAB, "{when}: lines of others in fstab");
    if sandbox.exists("/etc/datastore.conf") {
        sandbox.datastore(&["config", "check"]).ok();
        sandbox.datastore(&["status", "--json"]).ok();
    }
}

/// Kills the command of a scene at its first, second, third... change, until it runs to its end.
fn killed_everywhere(name: &str) {
    let scene = Scene::named(name);
    let (_, wanted) = scene.undisturbed();
    for nth in 1.. {
        let sandbox = scene.set();
        let traced = strace::kill(&sandbox, nth, scene.command);
        let Some(hit) = traced.hit else {
            traced.run.ok();
            picture::same(&picture::of(sandbox.root()), &wanted, &format!("{name}, not killed"));
            assert!(nth > 15, "only {nth} kills: the calls are not traced");
            eprintln!("{name}: {} kills", nth - 1);
            return;
        };
        let when = format!("{name}, killed at call {nth}: {hit}");
        nothing_is_torn(&sandbox, &when);
        // A file that did not become a journal yet is left alone while it is young: its run may be alive.
        for left in picture::leftovers(sandbox.root()).iter().filter(|path| path.ends_with(".new")) {
            sandbox.run(sandbox.command("touch").args(["-d", "2000-01-01"]).arg(left)).ok();
        }
        let recovered = sandbox.datastore(&["recover"]);
        if recovered.status.code() != Some(0) {
            recovered.fail(&format!("{when}: recover"));
        }
        let again = sandbox.datastore(scene.command);
        // A volume that `recover` has removed is not known any more.
        let is_gone =
            name == "volume remove" && again.status.code() == Some(2) && again.stderr.contains("no volume is called");
        if again.status.code() != Some(0) && !is_gone {
            again.fail(&format!("{when}: the same command again"));
        }
        picture::same(&picture::of(sandbox.root()), &wanted, &when);
        assert_eq!(picture::leftovers(sandbox.root()), Vec::<String>::new(), "{when}");
    }
}

#[test]
fn init() {
    killed_everywhere("init");
}

#[test]
fn apply() {
    killed_everywhere("apply");
}

#[test]
fn stop() {
    killed_everywhere("stop");
}

#[test]
fn start() {
    killed_everywhere("start");
}

#[test]
fn restart() {
    killed_everywhere("restart");
}

#[test]
fn disable() {
    killed_everywhere("disable");
}

#[test]
fn enable() {
    killed_everywhere("enable");
}

#[test]
fn remap() {
    killed_everywhere("remap");
}

#[test]
fn a_directory_becomes_a_volume() {
    killed_everywhere("volume add (directory)");
}

#[test]
fn an_image_is_formatted() {
    killed_everywhere("volume add (format)");
}

#[test]
fn a_volume_is_removed() {
    killed_everywhere("volume remove");
}
