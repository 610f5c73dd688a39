//! Volumes: made, taken as they are, refused, told from one another.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use datastore_tests::image::{Loop, XFS_MINIMUM};
use datastore_tests::{Run, Sandbox, picture, skeleton};

const WEB: &str = "[mapping.\"/var/www/web\"]\ntarget = \"%{base}/web\"\nvolume = \"data1\"\n";

/// A machine after `init`.
fn machine() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    sandbox
}

/// The row of a volume.
#[track_caller]
fn volume(sandbox: &Sandbox, name: &str) -> serde_json::Value {
    let list = sandbox.datastore(&["volume", "list", "--json"]).ok().json();
    let rows = list["volumes"].as_array().expect("rows").clone();
    rows.into_iter().find(|row| row["volume"] == name).unwrap_or_else(|| panic!("{name} in {list}"))
}

/// The row of a mapping.
#[track_caller]
fn mapping(sandbox: &Sandbox, mount_point: &str) -> serde_json::Value {
    let status = sandbox.datastore(&["status", "--json"]).ok().json();
    let rows = status["mappings"].as_array().expect("rows").clone();
    rows.into_iter()
        .find(|row| row["mount_point"] == mount_point)
        .unwrap_or_else(|| panic!("{mount_point} in {status}"))
}

/// The directories of a volume and its identity, as the disk has them.
#[track_caller]
fn is_laid_out(sandbox: &Sandbox, at: &str) -> String {
    for (dir, mode) in [("live", 0o700), ("live/server1", 0o700), ("backup", 0o700), ("log", 0o700), ("sbin", 0o700)] {
        let meta = sandbox.path(at).join(dir).metadata().unwrap_or_else(|e| panic!("{at}/{dir}: {e}"));
        assert!(meta.is_dir(), "{at}/{dir}");
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (mode, 0, 0), "{at}/{dir}");
    }
    let text = sandbox.read(format!("{at}/.datastore/volume.toml"));
    let id = text.lines().find_map(|line| line.strip_prefix("id = \"")).unwrap_or_else(|| panic!("no id in {text}"));
    let id = id.trim_end_matches('"').to_owned();
    let mut value = [0; 64];
    let length = rustix::fs::getxattr(sandbox.path(at).join("live"), "trusted.datastore.id", &mut value)
        .expect("identity of live");
    assert_eq!(String::from_utf8_lossy(&value[..length]), id);
    id
}

/// Runs a command twice: the second run has nothing to do and changes not a byte.
#[track_caller]
fn twice(sandbox: &Sandbox, args: &[&str]) {
    sandbox.datastore(args).ok();
    let before = picture::exact(sandbox.root());
    sandbox.datastore(args).ok().says("nothing to do");
    picture::same(&picture::exact(sandbox.root()), &before, &format!("a second {args:?}"));
}

/// Demands a refusal that changes nothing.
#[track_caller]
fn refused(sandbox: &Sandbox, args: &[&str]) -> Run {
    let before = picture::exact(sandbox.root());
    let run = sandbox.datastore(args).fails();
    picture::same(&picture::exact(sandbox.root()), &before, &format!("after the refused {args:?}"));
    run
}

#[test]
fn init_alone_is_enough_on_a_machine_with_one_disk() {
    let sandbox = Sandbox::new();
    twice(&sandbox, &["init", "--host", "server1", "--yes"]);
    let id = is_laid_out(&sandbox, "/store/data0");
    let row = volume(&sandbox, "data0");
    assert_eq!(
        (&row["state"], &row["id"], &row["path"]),
        (&"active".into(), &id.into(), &"/store/data0".into()),
        "{row}"
    );
    assert_eq!(sandbox.read("/etc/fstab"), skeleton::FSTAB, "a plain directory needs no line");
    refused(&sandbox, &["init", "--host", "other", "--yes"]).code(3).says("server1");
}

/// Makes a file system in an image, the whole way.
fn image_is_formatted(fs_type: &str, bytes: u64) {
    let sandbox = machine();
    sandbox.loop_image("disk.img", bytes, None);
    twice(&sandbox, &["volume", "add", "data1", "--device", "/disk.img", "--format", fs_type, "--yes"]);
    let id = is_laid_out(&sandbox, "/store/data1");
    assert_eq!(sandbox.bound("/store/data1").expect("it is mounted").fs_type, fs_type);
    let label = sandbox
        .run(sandbox.command("blkid").args(["-p", "-o", "value", "-s", "LABEL"]).arg(sandbox.path("disk.img")))
        .ok();
    assert_eq!(label.stdout.trim(), "data1");
    let fstab = picture::fstab(&sandbox.read("/etc/fstab"));
    assert_eq!(fstab.foreign, skeleton::FSTAB);
    assert_eq!(fstab.ours.len(), 1);
    let fields: Vec<&str> = fstab.ours[0].split_whitespace().collect();
    assert_eq!((fields[0], fields[1], fields[2]), ("/disk.img", "/store/data1", fs_type));
    assert!(fields[3].split(',').any(|o| o == "nofail") && fields[3].split(',').any(|o| o == "loop"), "{fields:?}");
    let row = volume(&sandbox, "data1");
    assert_eq!((&row["state"], &row["fstype"], &row["id"]), (&"active".into(), &fs_type.into(), &id.into()), "{row}");
    assert!(row["bytes"].as_u64().unwrap() > bytes / 4 && row["bytes_free"].as_u64().unwrap() > 0, "{row}");

    // It carries data.
    sandbox.configlet("web", WEB);
    sandbox.datastore(&["apply", "--yes"]).ok();
    assert_eq!(sandbox.bound("/var/www/web").expect("it is bound").fs_type, fs_type);
    sandbox.write("/var/www/web/page", "text");
    assert_eq!(sandbox.read("/store/data1/live/server1/web/page"), "text");
    assert_eq!(volume(&sandbox, "data1")["mappings"], 1);
}

#[test]
fn an_image_is_made_an_ext4_volume() {
    image_is_formatted("ext4", 32 << 20);
}

#[test]
fn an_image_is_made_an_xfs_volume() {
    image_is_formatted("xfs", XFS_MINIMUM);
}

#[test]
fn an_image_is_made_a_btrfs_volume() {
    image_is_formatted("btrfs", 128 << 20);
}

#[test]
fn a_block_device_is_made_a_volume_by_its_label() {
    let sandbox = machine();
    let image = sandbox.loop_image("disk.img", 32 << 20, None);
    let device = Loop::new(&sandbox, &image, &[]);
    twice(&sandbox, &["volume", "add", "data1", "--device", device.path(), "--format", "ext4", "--yes"]);
    is_laid_out(&sandbox, "/store/data1");
    let fstab = picture::fstab(&sandbox.read("/etc/fstab"));
    assert!(fstab.ours[0].starts_with("LABEL=data1 /store/data1 ext4 "), "{fstab:?}");
    sandbox.unmount("/store/data1");
}

#[test]
fn a_directory_is_made_a_volume() {
    let sandbox = machine();
    sandbox.directory("srv", 0o755);
    sandbox.directory("srv/big", 0o755);
    sandbox.write("srv/big/theirs", "stays");
    twice(&sandbox, &["volume", "add", "data1", "--directory", "/srv/big", "--yes"]);
    is_laid_out(&sandbox, "/store/data1");
    assert_eq!(sandbox.read("/store/data1/theirs"), "stays");
    assert!(picture::fstab(&sandbox.read("/etc/fstab")).ours[0].starts_with("/srv/big /store/data1 none "));
}

#[test]
fn a_volume_is_where_clearos_has_its_base() {
    let sandbox = machine();
    twice(&sandbox, &["volume", "add", "data1", "--at", "/srv/clearos", "--yes"]);
    is_laid_out(&sandbox, "/srv/clearos");
    assert_eq!(volume(&sandbox, "data1")["path"], "/srv/clearos");
    refused(&sandbox, &["volume", "add", "data2", "--at", "/etc/x", "--yes"]).code(3);
    refused(&sandbox, &["volume", "add", "data2", "--at", "/srv/clearos/live", "--yes"]).code(3);
    refused(&sandbox, &["volume", "add", "data2", "--at", "relative", "--yes"]).code(2);
}

#[test]
fn what_holds_a_signature_is_not_formatted_without_force() {
    let sandbox = machine();
    sandbox.loop_image("ext4.img", 32 << 20, Some("ext4"));
    sandbox.loop_image("btrfs.img", 128 << 20, Some("btrfs"));
    let swap = sandbox.loop_image("swap.img", 32 << 20, None);
    sandbox.run(sandbox.command("mkswap").arg(&swap)).ok();
    let table = sandbox.loop_image("table.img", 32 << 20, None);
    // One Linux partition from sector 2048 on, and the signature of a DOS partition table.
    let mut sector = [0_u8; 512];
    sector[446 + 4] = 0x83;
    sector[446 + 9] = 0x08;
    sector[446 + 13] = 0x20;
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    std::os::unix::fs::FileExt::write_all_at(&fs::File::options().write(true).open(&table).unwrap(), &sector, 0)
        .unwrap();
    for (name, what) in [("ext4", "ext4"), ("btrfs", "btrfs"), ("swap", "swap"), ("table", "partition table (dos)")] {
        let path = format!("/{name}.img");
        let bytes = fs::read(sandbox.path(&path)).unwrap();
        let add = ["volume", "add", "data1", "--device", &path, "--format", "ext4", "--yes"];
        refused(&sandbox, &add).code(3).says(what).says("--force");
        assert!(fs::read(sandbox.path(&path)).unwrap() == bytes, "{name} was written to");
    }
    for name in ["swap", "table", "btrfs"] {
        let path = format!("/{name}.img");
        let volume = format!("new-{name}");
        sandbox.datastore(&["volume", "add", &volume, "--device", &path, "--format", "ext4", "--force", "--yes"]).ok();
        assert_eq!(sandbox.bound(format!("/store/{volume}")).unwrap().fs_type, "ext4");
    }
    // Neither is a volume without a file system.
    let none = sandbox.loop_image("swap2.img", 32 << 20, None);
    sandbox.run(sandbox.command("mkswap").arg(&none)).ok();
    refused(&sandbox, &["volume", "add", "data1", "--device", "/swap2.img", "--yes"]).code(3).says("no file system");
}

#[test]
fn a_prepared_disk_is_taken_as_it_is() {
    let sandbox = machine();
    let image = sandbox.loop_image("prepared.img", 32 << 20, Some("ext4"));
    sandbox.mount_loop(&image, "/mnt/disk");
    sandbox.write("/mnt/disk/theirs", "stays");
    refused(&sandbox, &["volume", "add", "data1", "--device", "/prepared.img", "--yes"]).code(3).says("/mnt/disk");
    sandbox.unmount("/mnt/disk");
    twice(&sandbox, &["volume", "add", "data1", "--device", "/prepared.img", "--yes"]);
    is_laid_out(&sandbox, "/store/data1");
    assert_eq!(sandbox.read("/store/data1/theirs"), "stays");
}

#[test]
fn a_block_device_with_a_label_of_its_own_is_named_by_uuid() {
    let sandbox = machine();
    let image = sandbox.loop_image("theirs.img", 32 << 20, Some("ext4"));
    let device = Loop::new(&sandbox, &image, &[]);
    twice(&sandbox, &["volume", "add", "data1", "--device", device.path(), "--yes"]);
    assert!(picture::fstab(&sandbox.read("/etc/fstab")).ours[0].starts_with("UUID="));
    sandbox.unmount("/store/data1");
}

#[test]
fn a_disk_that_somebody_mounted_by_hand_brings_its_line_into_the_block() {
    let sandbox = machine();
    let image = sandbox.loop_image("hand.img", 32 << 20, Some("ext4"));
    let line = "/hand.img /store/data1 ext4 loop,noatime 0 2\n";
    sandbox.write("/etc/fstab", format!("{}{line}", skeleton::FSTAB));
    sandbox.mount_loop(&image, "/store/data1");
    twice(&sandbox, &["volume", "add", "data1", "--yes"]);
    is_laid_out(&sandbox, "/store/data1");
    let fstab = picture::fstab(&sandbox.read("/etc/fstab"));
    assert_eq!(fstab.foreign, skeleton::FSTAB, "the line is in the block now");
    assert_eq!(fstab.ours.len(), 1);
    assert!(fstab.ours[0].contains("noatime"), "with its options: {fstab:?}");

    // A line for something else at the same place is not ours to replace.
    let other = machine();
    other.loop_image("disk.img", 32 << 20, None);
    other.write("/etc/fstab", format!("{}LABEL=old /store/data1 xfs defaults 0 0\n", skeleton::FSTAB));
    refused(&other, &["volume", "add", "data1", "--device", "/disk.img", "--format", "ext4", "--yes"])
        .code(3)
        .says("LABEL=old");
}

#[test]
fn a_removed_volume_keeps_its_data_and_comes_back_as_the_same() {
    let sandbox = machine();
    sandbox.loop_image("disk.img", 32 << 20, None);
    sandbox.datastore(&["volume", "add", "data1", "--device", "/disk.img", "--format", "ext4", "--yes"]).ok();
    let id = is_laid_out(&sandbox, "/store/data1");
    sandbox.configlet("web", WEB);
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.write("/var/www/web/page", "text");
    refused(&sandbox, &["volume", "remove", "data1", "--yes"]).code(3).says("web");
    sandbox.datastore(&["disable", "web", "--yes"]).ok();
    let removed = sandbox.datastore(&["volume", "remove", "data1", "--yes"]).ok().says("data1");
    assert!(removed.stdout.contains("volume add data1"), "{}", removed.stdout);
    assert!(sandbox.bound("/store/data1").is_none());
    assert_eq!(sandbox.read("/etc/fstab"), skeleton::FSTAB);
    sandbox.datastore(&["volume", "add", "data1", "--device", "/disk.img", "--yes"]).ok();
    assert_eq!(is_laid_out(&sandbox, "/store/data1"), id);
    sandbox.datastore(&["enable", "web", "--yes"]).ok();
    assert_eq!(sandbox.read("/var/www/web/page"), "text");
    refused(&sandbox, &["volume", "remove", "data7", "--yes"]).code(2).says("data7");
}

#[test]
fn one_disk_cannot_be_two_volumes_nor_can_its_copy() {
    let sandbox = machine();
    sandbox.loop_image("disk.img", 32 << 20, None);
    sandbox.datastore(&["volume", "add", "data1", "--device", "/disk.img", "--format", "ext4", "--yes"]).ok();
    refused(&sandbox, &["volume", "add", "data2", "--device", "/disk.img", "--yes"]).code(3).says("data1");
    sandbox.run(sandbox.command("sync").arg("-f").arg(sandbox.path("/store/data1"))).ok();
    let mut copy = sandbox.command("cp");
    sandbox.run(copy.args(["--sparse=always"]).arg(sandbox.path("disk.img")).arg(sandbox.path("copy.img"))).ok();
    refused(&sandbox, &["volume", "add", "data2", "--device", "/copy.img", "--yes"]).code(3).says("identity");
}

#[test]
fn a_wrong_disk_with_the_right_label_is_told_and_not_written_to() {
    let sandbox = machine();
    sandbox.loop_image("disk.img", 32 << 20, None);
    sandbox.datastore(&["volume", "add", "data1", "--device", "/disk.img", "--format", "ext4", "--yes"]).ok();
    sandbox.configlet("web", WEB);
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.datastore(&["guard", "web"]).ok();
    // The machine starts again, with another disk of the same label in its place: a volume of another machine, and a bare one.
    sandbox.unmount("/var/www/web");
    sandbox.unmount("/store/data1");
    sandbox.directory("other", 0o755);
    let bare = sandbox.loop_image("other/data1.img", 32 << 20, Some("ext4"));
    let foreign = Sandbox::new();
    foreign.loop_image("disk.img", 32 << 20, None);
    foreign.datastore(&["init", "--host", "server2", "--yes"]).ok();
    foreign.datastore(&["volume", "add", "data1", "--device", "/disk.img", "--format", "ext4", "--yes"]).ok();
    foreign.unmount("/store/data1");
    for image in [bare, foreign.path("disk.img")] {
        sandbox.mount_loop(&image, "/store/data1");
        let before = picture::exact(sandbox.root());
        let row = mapping(&sandbox, "/var/www/web");
        assert_eq!((&row["state"], &row["reason"]), (&"refused".into(), &"wrong-volume".into()), "{row}");
        assert_eq!(volume(&sandbox, "data1")["reason"], "wrong-volume");
        assert_ne!(row["hint"], "");
        sandbox.datastore(&["guard", "web"]).code(3).says("identity");
        sandbox.datastore(&["apply", "--yes"]).code(3).says("wrong-volume");
        sandbox.datastore(&["start", "web"]).code(3);
        assert!(sandbox.bound("/var/www/web").is_none());
        picture::same(&picture::exact(sandbox.root()), &before, "after everything was refused");
        sandbox.unmount("/store/data1");
    }
    // The right one is taken at once.
    sandbox.mount_loop(&sandbox.path("disk.img"), "/store/data1");
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.datastore(&["guard", "web"]).ok();
}

#[test]
fn without_its_disk_nothing_is_written_to_the_root_disk_instead() {
    let sandbox = machine();
    sandbox.loop_image("disk.img", 32 << 20, None);
    sandbox.datastore(&["volume", "add", "data1", "--device", "/disk.img", "--format", "ext4", "--yes"]).ok();
    sandbox.configlet("web", WEB);
    sandbox.configlet("new", "[mapping.\"/var/lib/new\"]\ntarget = \"%{base}/new\"\nvolume = \"data1\"\n");
    sandbox.configlet("other", "[mapping.\"/var/lib/other\"]\ntarget = \"%{base}/other\"\n");
    sandbox.datastore(&["start", "web"]).ok();
    sandbox.unmount("/var/www/web");
    sandbox.unmount("/store/data1");
    let row = mapping(&sandbox, "/var/www/web");
    assert_eq!((&row["state"], &row["reason"]), (&"refused".into(), &"volume-missing".into()), "{row}");
    assert!(row["hint"].as_str().unwrap().contains("mount /store/data1"), "{row}");
    sandbox.datastore(&["guard", "web"]).code(3).says("not mounted");
    // Those on another volume are served.
    sandbox.datastore(&["apply", "--yes"]).code(3).says("volume-missing");
    assert!(sandbox.bound("/var/lib/other").is_some());
    for args in [&["start", "new"][..], &["restart", "web"], &["remap", "new", "--yes"], &["recover"], &["stop", "web"]]
    {
        let _ = sandbox.datastore(args);
        let left = fs::read_dir(sandbox.path("/store/data1")).unwrap().count();
        assert_eq!(left, 0, "{args:?} wrote below the place of a volume that is not there");
    }
}

#[test]
fn what_cannot_be_a_volume_is_refused_with_the_reason() {
    let sandbox = machine();
    sandbox.loop_image("small.img", 1 << 20, None);
    for fs_type in ["ext4", "xfs", "btrfs"] {
        let add = ["volume", "add", "data1", "--device", "/small.img", "--format", fs_type, "--yes"];
        refused(&sandbox, &add).code(3).says("MiB");
    }
    refused(&sandbox, &["volume", "add", "data1", "--device", "/none.img", "--yes"]).says("does not exist");
    refused(&sandbox, &["volume", "add", "data1", "--device", "/dev/nonesuch", "--yes"]).says("does not exist");
    sandbox.write("/text.txt", "no file system at all\n".repeat(1000));
    refused(&sandbox, &["volume", "add", "data1", "--device", "/text.txt", "--yes"]).code(3).says("no file system");
    refused(&sandbox, &["volume", "add", "data1", "--directory", "/nowhere", "--yes"]).says("does not exist");
    refused(&sandbox, &["volume", "add", "data1", "--directory", "/store/data0/live", "--yes"]).code(3);
    refused(&sandbox, &["volume", "add", "../x", "--yes"]).code(2);
    refused(&sandbox, &["volume", "add", "data1", "--device", "/small.img", "--format", "vfat", "--yes"]).code(2);
    refused(&sandbox, &["volume", "add", "data1", "--device", "/small.img", "--directory", "/srv", "--yes"]).code(2);

    sandbox.loop_image("disk.img", 32 << 20, None);
    refused(&sandbox, &["volume", "add", "data1", "--device", "/disk.img", "--yes"]).code(3).says("--format");
    // What stands at its place would be hidden.
    sandbox.write("/store/data1/precious", "data");
    let add = ["volume", "add", "data1", "--device", "/disk.img", "--format", "ext4", "--yes"];
    refused(&sandbox, &add).code(3).says("not empty");
    sandbox.run(sandbox.command("blkid").arg("-p").arg(sandbox.path("disk.img"))).code(2);
    // Without --yes nobody can be asked here.
    refused(&sandbox, &["volume", "add", "data3", "--device", "/disk.img", "--format", "ext4"]).code(2);
    sandbox.run(sandbox.command("blkid").arg("-p").arg(sandbox.path("disk.img"))).code(2);
}
