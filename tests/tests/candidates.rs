//! `volume candidates`: devices that nobody uses, and nothing else.

use std::os::unix::process::CommandExt as _;

use datastore_tests::image::Loop;
use datastore_tests::rows::{fields, text};
use datastore_tests::{Sandbox, binary};
use serde_json::Value;

/// The row of a device.
#[track_caller]
fn row(sandbox: &Sandbox, device: &Loop) -> Option<Value> {
    let found = sandbox.datastore(&["volume", "candidates", "--json"]).ok().json();
    assert_eq!(fields(&found), ["candidates", "complete"]);
    found["candidates"].as_array().expect("rows").iter().find(|row| row["device"] == device.path()).cloned()
}

/// Runs what a hint says, at the end of which stands `--yes`.
#[track_caller]
fn do_as_hinted(sandbox: &Sandbox, row: &Value) {
    let hint = text(&row["hint"]);
    let words: Vec<&str> = hint.strip_prefix("datastore ").expect("a command").split(' ').chain(["--yes"]).collect();
    sandbox.datastore(&words).ok();
}

#[test]
fn a_free_device_is_listed_with_what_is_on_it_and_a_used_one_is_not() {
    let sandbox = Sandbox::new();
    let image = sandbox.loop_image("disk.img", 64 << 20, None);
    let device = Loop::new(&sandbox, &image, &[]);
    let empty = row(&sandbox, &device).expect("it is free");
    let names = ["by_id", "bytes", "detail", "device", "fstype", "hint", "host", "label", "model", "state", "volume"];
    assert_eq!(fields(&empty), names);
    assert_eq!((&empty["state"], &empty["bytes"], &empty["fstype"]), (&"empty".into(), &(64 << 20).into(), &"".into()));
    // Before `init` it begins the store.
    let hint = text(&empty["hint"]);
    assert_eq!(hint, format!("datastore init --volume data0 --device {} --format ext4", device.path()));
    sandbox.datastore(&["volume", "candidates"]).ok().says(device.path()).says(&hint);
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();

    let label = ["-q", "-F", "-L", "old data"];
    sandbox.run(sandbox.command("mkfs.ext4").args(label).arg(&device.device)).ok();
    let full = row(&sandbox, &device).expect("it is free");
    assert_eq!(
        (&full["state"], &full["fstype"], &full["label"]),
        (&"has-file-system".into(), &"ext4".into(), &"old data".into())
    );
    assert_eq!(full["hint"], format!("datastore volume add data1 --device {}", device.path()), "it is not formatted");

    // Mounted, it is somebody's.
    sandbox.run(sandbox.command("mount").arg(&device.device).arg(sandbox.path("/mnt"))).ok();
    assert_eq!(row(&sandbox, &device), None);
    sandbox.unmount("/mnt");

    // As a volume too; and without the configuration that names it, it is known by its identity.
    do_as_hinted(&sandbox, &full);
    assert_eq!(row(&sandbox, &device), None);
    sandbox.datastore(&["volume", "remove", "data1", "--yes"]).ok();
    if sandbox.mountinfo().iter().any(|mount| mount.mount_point.ends_with("data1")) {
        sandbox.unmount("/store/data1");
    }
    let prepared = row(&sandbox, &device).expect("it is free");
    assert_eq!(
        (&prepared["state"], &prepared["volume"], &prepared["host"]),
        (&"prepared-volume".into(), &"data1".into(), &"server1".into()),
        "{prepared:#}"
    );
    do_as_hinted(&sandbox, &prepared);
    sandbox.datastore(&["volume", "list"]).ok().says("data1");
}

#[test]
fn what_holds_other_data_is_never_offered_as_free() {
    let sandbox = Sandbox::initialised();
    let image = sandbox.loop_image("disk.img", 64 << 20, None);
    let device = Loop::new(&sandbox, &image, &[]);
    sandbox.run(sandbox.command("mkswap").arg(&device.device)).ok();
    let other = row(&sandbox, &device).expect("it is free");
    assert_eq!(
        (&other["state"], &other["fstype"], &other["hint"]),
        (&"has-other-data".into(), &"swap".into(), &"".into())
    );
    assert!(!text(&other["detail"]).is_empty());
    drop(device);
    // Nothing can be written to it, or it is too small for anything.
    let device = Loop::new(&sandbox, &image, &["--read-only"]);
    assert_eq!(row(&sandbox, &device), None);
    drop(device);
    let image = sandbox.loop_image("small.img", 512 << 10, None);
    assert_eq!(row(&sandbox, &Loop::new(&sandbox, &image, &[])), None);
}

#[test]
fn of_a_disk_with_partitions_they_are_listed_and_the_whole_is_not() {
    let sandbox = Sandbox::initialised();
    let image = sandbox.loop_image("disk.img", 64 << 20, None);
    let whole = Loop::new(&sandbox, &image, &["--partscan"]);
    // As the kernel does that finds a partition table of a kind it knows.
    sandbox.run(sandbox.command("addpart").arg(&whole.device).args(["1", "2048", "65536"])).ok();
    let found = sandbox.datastore(&["volume", "candidates", "--json"]).ok().json();
    let part = format!("{}p1", whole.path());
    let rows = found["candidates"].as_array().unwrap();
    let ours: Vec<&Value> =
        rows.iter().filter(|row| [whole.path(), &part].iter().any(|d| row["device"] == *d)).collect();
    assert_eq!(ours.len(), 1, "{found:#}");
    assert_eq!((&ours[0]["device"], &ours[0]["bytes"]), (&part.into(), &(32 << 20).into()), "{found:#}");
}

#[test]
fn nobody_is_told_of_devices_and_not_what_is_on_them() {
    let sandbox = Sandbox::initialised();
    let image = sandbox.loop_image("disk.img", 64 << 20, None);
    let device = Loop::new(&sandbox, &image, &[]);
    let program = sandbox.path("/datastore");
    sandbox.run(sandbox.command("cp").arg(binary::datastore()).arg(&program)).ok();
    let nobody = |args: &[&str]| {
        let mut command = sandbox.command(&program);
        command.arg("--root").arg(sandbox.root()).args(args).uid(65_534).gid(65_534);
        sandbox.run(command).ok()
    };
    let found = nobody(&["volume", "candidates", "--json"]).json();
    let rows = found["candidates"].as_array().unwrap();
    let row = rows.iter().find(|row| row["device"] == device.path()).unwrap_or_else(|| panic!("{found:#}"));
    assert_eq!((&row["state"], &row["hint"], &found["complete"]), (&"unknown".into(), &"".into(), &false.into()));
    nobody(&["volume", "candidates"]).says("only root");
}
