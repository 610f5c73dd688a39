//! Killed while mkfs is at work: it dies with the command, and the same command makes the file system. (Killed at each of its own calls: `rigs/calls`.)

#![allow(clippy::print_stderr, reason = "the counts belong to the test's output")]

use std::process::Stdio;
use std::time::Duration;

use datastore_tests::image::XFS_MINIMUM;
use datastore_tests::{Sandbox, helpers};

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
