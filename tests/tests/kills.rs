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

/// A mkfs or mount that the killed command had started goes on.
fn wait_for_helpers(sandbox: &Sandbox) {
    let image = sandbox.path("images/disk.img").display().to_string();
    let works_on_it = |process: std::fs::DirEntry| {
        let line = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        let program = line.split('\0').next().unwrap_or_default();
        (program.contains("mkfs") || program.ends_with("mount")) && line.contains(&image)
    };
    while image_exists(sandbox) && std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok).any(works_on_it) {
        std::thread::yield_now();
    }
}

fn image_exists(sandbox: &Sandbox) -> bool {
    sandbox.exists("images/disk.img")
}

/// Kills the command of a scene at its first, second, third... change, until it runs to its end.
fn killed_everywhere(name: &str) {
    let scene = Scene::named(name);
    let (_, wanted) = scene.undisturbed();
    let mut kills = 0;
    for call in strace::CHANGING {
        for nth in 1.. {
            let sandbox = scene.set();
            let traced = strace::kill(&sandbox, call, nth, scene.command);
            let Some(hit) = traced.hit else {
                traced.run.ok();
                break;
            };
            kills += 1;
            converges(scene, &sandbox, &wanted, &format!("{name}, killed at call {nth}: {hit}"));
        }
    }
    eprintln!("{name}: {kills} kills");
    assert!(kills > 30, "only {kills} kills: the calls are not traced");
}

/// After a kill: nothing is torn, and `recover` and the same command come to what is wanted.
#[track_caller]
fn converges(scene: &Scene, sandbox: &Sandbox, wanted: &str, when: &str) {
    let name = scene.name;
    nothing_is_torn(sandbox, when);
    wait_for_helpers(sandbox);
    picture::let_time_pass(sandbox.root());
    let recovered = sandbox.datastore(&["recover"]);
    if recovered.status.code() != Some(0) {
        recovered.fail(&format!("{when}: recover"));
    }
    let mut again = sandbox.datastore(scene.command);
    // What came on the disk before the kill is not overwritten unasked, though it is ours: the hint says how.
    if name == "volume add (format)" && again.status.code() == Some(3) {
        again.says("holds ext4, label data1").says("leave out --format to take it as it is");
        again = sandbox.datastore(&["volume", "add", "data1", "--device", "/images/disk.img", "--yes"]);
    }
    // A volume that `recover` has removed is not known any more.
    let is_gone =
        name == "volume remove" && again.status.code() == Some(2) && again.stderr.contains("no volume is called");
    if again.status.code() != Some(0) && !is_gone {
        again.fail(&format!("{when}: the same command again"));
    }
    picture::same(&picture::of(sandbox.root()), wanted, when);
    assert_eq!(picture::leftovers(sandbox.root()), Vec::<String>::new(), "{when}");
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
fn disable_of_nested_mount_points() {
    killed_everywhere("disable (nested)");
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
