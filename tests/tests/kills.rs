//! Killed at each system call that changes something: `recover` and the same command come to what an undisturbed run comes to.

#![allow(clippy::print_stderr, reason = "the counts belong to the test's output")]

use std::process::Stdio;
use std::time::Duration;

use datastore_tests::image::XFS_MINIMUM;
use datastore_tests::scenes::Scene;
use datastore_tests::{Sandbox, helpers, picture, skeleton, strace};

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
    killed_at_each(name, 1);
}

/// The same at each so many-th change.
fn killed_at_each(name: &str, step: usize) {
    let scene = Scene::named(name);
    let (_, wanted) = scene.undisturbed();
    let mut kills = 0;
    for call in strace::CHANGING {
        for nth in (1..).step_by(step) {
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
    helpers::wait_for(&sandbox.path("images/disk.img").display().to_string());
    picture::let_time_pass(sandbox.root());
    let recovered = sandbox.datastore(&["recover"]);
    if recovered.status.code() != Some(0) {
        recovered.fail(&format!("{when}: recover"));
    }
    let again = sandbox.datastore(scene.command);
    // What `recover` has removed is not known any more.
    let unknown = match name {
        "volume remove" => "no volume is called",
        "config remove" => "no app is called",
        _ => "\0",
    };
    let is_gone = again.status.code() == Some(2) && again.stderr.contains(unknown);
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
fn import() {
    killed_everywhere("import");
}

#[test]
fn import_by_rename() {
    killed_everywhere("import (rename)");
}

#[test]
fn a_move() {
    killed_everywhere("move");
}

#[test]
fn a_move_by_rename() {
    killed_everywhere("move (rename)");
}

#[test]
fn undo_of_an_import() {
    killed_everywhere("undo of an import");
}

#[test]
fn undo_of_an_import_by_rename() {
    killed_everywhere("undo of an import (rename)");
}

#[test]
fn undo_of_a_move() {
    killed_everywhere("undo of a move");
}

#[test]
fn undo_of_a_move_that_keeps_what_is_new() {
    killed_everywhere("undo of a move (keep new)");
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
fn a_volume_of_another_machine_is_adopted() {
    // Two operations, the first as long as `init`: each second change keeps it short.
    killed_at_each("adopt", 2);
}

#[test]
fn a_volume_is_removed() {
    killed_everywhere("volume remove");
}

#[test]
fn a_program_declares_an_app() {
    killed_everywhere("config add");
}

#[test]
fn a_program_takes_an_app_back() {
    killed_everywhere("config remove");
}

/// Kills the command while mkfs is at work.
fn killed_while_mkfs_works(fs_type: &str, bytes: u64) {
    let mut half_made = 0;
    for nth in 0..8 {
        let sandbox = Sandbox::new();
        sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
        let image = sandbox.loop_image("disk.img", bytes, None);
        let add = ["volume", "add", "data1", "--device", "/disk.img", "--format", fs_type, "--yes"];
        let mut command = sandbox.datastore_command(&add);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start datastore");
        // mkfs is given the descriptor that datastore has open.
        let node = format!("/proc/{}/fd/", child.id());
        while child.try_wait().expect("wait for datastore").is_none() && !helpers::is_at_work(&node) {
            std::hint::spin_loop();
        }
        // A little later each time.
        std::thread::sleep(Duration::from_millis(nth));
        child.kill().expect("kill datastore");
        let made = child.wait().expect("wait for datastore").success();
        helpers::wait_for(&node);
        let probe = sandbox.run(sandbox.command("blkid").args(["-p"]).arg(&image));
        let mounts = sandbox.bound("/store/data1").is_some();
        half_made += usize::from(!made && !mounts);
        let again = sandbox.datastore(&add);
        if again.status.code() != Some(0) {
            again.fail(&format!("the same command again, number {nth}; after the kill there was: {}", probe.stdout));
        }
        assert_eq!(sandbox.bound("/store/data1").expect("it is mounted").fs_type, fs_type);
        sandbox.datastore(&add).ok().says("nothing to do");
    }
    eprintln!("{fs_type}: {half_made} of 8 were killed before the mount");
    assert!(half_made > 0, "mkfs was always faster than the kill");
}

#[test]
fn mkfs_ext4_dies_with_the_command_and_is_run_again() {
    killed_while_mkfs_works("ext4", 2 << 30);
}

#[test]
fn mkfs_xfs_dies_with_the_command_and_is_run_again() {
    killed_while_mkfs_works("xfs", XFS_MINIMUM);
}

#[test]
fn mkfs_btrfs_dies_with_the_command_and_is_run_again() {
    killed_while_mkfs_works("btrfs", 128 << 20);
}
