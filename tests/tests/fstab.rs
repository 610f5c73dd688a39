//! /etc/fstab: our block, exactly; everything else byte for byte.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use datastore_tests::rows::text;
use datastore_tests::{Sandbox, Snapshot, skeleton};

const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n";
const LINE: &str = "/store/data0/live/server1/shop /var/shop none bind,rw,nosuid,nodev,nofail,\
                    x-systemd.requires-mounts-for=/store/data0,x-systemd.before=local-fs.target,X-datastore=shop 0 0";

#[test]
fn the_lines_are_exactly_those_of_the_design() {
    let sandbox = Sandbox::initialised();
    sandbox.loop_image("disk.img", 32 << 20, Some("ext4"));
    let disk = sandbox.path("disk.img").display().to_string();
    sandbox.datastore(&["volume", "add", "data1", "--device", &disk, "--yes"]).ok();
    sandbox.configlet("shop", SHOP);
    sandbox.configlet(
        "odd",
        "[mapping.\"/var/a b#c\\\\d\"]\ntarget = \"%{base}/x y\"\nvolume = \"data1\"\noptions = [\"suid\", \"noexec\", \"ro\"]\n",
    );
    sandbox.datastore(&["apply", "--yes"]).ok();
    let lines = sandbox.our_lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let volume = lines.iter().find(|l| l.contains(" /store/data1 ext4 ")).expect("the volume's line");
    let (source, rest) = volume.split_once(' ').unwrap();
    assert!(source.starts_with("LABEL=") || source.starts_with("UUID=") || source == "/disk.img", "{volume}");
    assert!(rest.starts_with("/store/data1 ext4 ") && rest.ends_with(" 0 2"), "{volume}");
    assert!(rest.contains("nofail") && rest.contains("x-systemd.device-timeout=30s"), "{volume}");
    assert!(lines.iter().any(|l| l == LINE), "{lines:?}");
    // Only blank, tab, newline and backslash are escaped: systemd keeps \\043 as it is.
    let odd = "/store/data1/live/server1/x\\040y /var/a\\040b#c\\134d none bind,ro,nodev,noexec,nofail,\
               x-systemd.requires-mounts-for=/store/data1,x-systemd.before=local-fs.target,X-datastore=odd 0 0";
    assert!(lines.iter().any(|l| l == odd), "{lines:?}");
    sandbox.is("/var/a b#c\\d", "active");
    // libmount reads the same.
    let at = sandbox.path("/etc/fstab");
    let found = sandbox.run(sandbox.command("findmnt").arg("--tab-file").arg(&at).args([
        "--noheadings",
        "--raw",
        "--output",
        "TARGET",
    ]));
    let targets: Vec<String> = found.ok().stdout.lines().map(str::to_owned).collect();
    for wanted in ["/store/data1", "/var/shop", "/var/a\\x20b#c\\x5cd"] {
        assert_eq!(targets.iter().filter(|t| *t == wanted).count(), 1, "{wanted} in {targets:?}");
    }
}

#[test]
fn lines_of_others_stay_byte_for_byte() {
    let odd = "# no newline at the end, tabs, DOS line, a half-written line\r\n\
               /dev/sdz9\t\t/mnt/x\\040y   ext4\tdefaults\r\nhalf\n\n   # indented\n/dev/sr0 /mnt/cd auto noauto";
    for fstab in [skeleton::FSTAB, odd, "", "\n\n\n", "# only a comment"] {
        let sandbox = Sandbox::initialised();
        sandbox.write("/etc/fstab", fstab);
        fs::set_permissions(sandbox.path("/etc/fstab"), fs::Permissions::from_mode(0o640)).unwrap();
        sandbox.configlet("shop", SHOP);
        sandbox.datastore(&["apply", "--yes"]).ok();
        assert_eq!(sandbox.our_lines(), [LINE]);
        // A last line without its newline gets one: ours begins on a line of its own.
        let whole = if fstab.is_empty() || fstab.ends_with('\n') { fstab.to_owned() } else { format!("{fstab}\n") };
        assert_eq!(sandbox.foreign_lines(), whole);
        sandbox.datastore(&["stop", "shop"]).ok();
        sandbox.datastore(&["start", "shop"]).ok();
        assert_eq!((sandbox.our_lines(), sandbox.foreign_lines()), (vec![LINE.to_owned()], whole.clone()));
        sandbox.datastore(&["disable", "shop", "--yes"]).ok();
        assert_eq!(sandbox.foreign_lines(), whole);
        let mode = sandbox.path("/etc/fstab").metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o640, "the mode stays");
        let left: Vec<_> = fs::read_dir(sandbox.path("/etc")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(!left.iter().any(|n| n.to_string_lossy().starts_with(".") || n.to_string_lossy().contains("tmp")));
    }
}

#[test]
fn lines_added_by_others_after_our_block_stay_where_they_are() {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(&["apply", "--yes"]).ok();
    let fstab = format!("{}/dev/sdy1 /mnt/later ext4 noauto 0 0\n", sandbox.read("/etc/fstab"));
    sandbox.write("/etc/fstab", &fstab);
    sandbox.datastore(&["stop", "shop"]).ok();
    assert_eq!(sandbox.read("/etc/fstab"), fstab.replace(",nofail,x-systemd.req", ",nofail,noauto,x-systemd.req"));
    sandbox.datastore(&["start", "shop"]).ok();
    assert_eq!(sandbox.read("/etc/fstab"), fstab);
}

#[test]
fn a_hand_made_line_for_the_same_bind_is_taken_in_and_not_doubled() {
    for options in ["bind", "defaults,bind", "rw,bind,noatime"] {
        let sandbox = Sandbox::initialised();
        let hand_made = format!("/store/data0/live/server1/shop\t/var/shop\tnone\t{options}\t0 0\n");
        sandbox.write("/etc/fstab", format!("{hand_made}{}", skeleton::FSTAB));
        sandbox.configlet("shop", SHOP);
        sandbox.datastore(&["apply", "--yes"]).ok();
        sandbox.is("/var/shop", "active");
        assert_eq!(sandbox.our_lines(), [LINE]);
        assert_eq!(sandbox.foreign_lines(), skeleton::FSTAB, "the hand-made line is in the block now ({options})");
        let before = Snapshot::of(&sandbox);
        sandbox.datastore(&["apply", "--yes"]).ok();
        before.assert_unchanged(&sandbox, "the second apply");
    }
}

#[test]
fn a_line_that_mounts_something_else_there_is_refused() {
    for line in [
        "/dev/sdz1 /var/shop ext4 defaults 0 0\n",
        "/srv/elsewhere /var/shop none bind 0 0\n",
        "tmpfs /var/./shop/ tmpfs defaults 0 0\n",
    ] {
        let sandbox = Sandbox::initialised();
        sandbox.write("/etc/fstab", format!("{}{line}", skeleton::FSTAB));
        sandbox.configlet("shop", SHOP);
        let before = Snapshot::of(&sandbox);
        let report = sandbox.datastore(&["apply", "--yes", "--json"]).code(3).json();
        let note = &report["notes"][0];
        assert_eq!((&note["state"], &note["reason"]), (&"refused".into(), &"foreign-mount".into()), "{line}{note:#}");
        let place = format!("line {} of /etc/fstab", skeleton::FSTAB.lines().count() + 1);
        assert!(text(&note["detail"]).contains(&place), "{note:#}");
        before.assert_unchanged(&sandbox, line);
    }
}

#[test]
fn a_block_that_cannot_be_told_from_the_rest_is_not_touched() {
    for damage in
        [replacing("# datastore: end\n", ""), replacing("# datastore: end\n", "# datastore: end\n# datastore: end\n")]
    {
        let sandbox = Sandbox::initialised();
        sandbox.configlet("shop", SHOP);
        sandbox.datastore(&["apply", "--yes"]).ok();
        sandbox.write("/etc/fstab", damage(&sandbox.read("/etc/fstab")));
        let before = Snapshot::of(&sandbox);
        sandbox.datastore(&["stop", "shop"]).fails().says("fstab");
        before.assert_unchanged(&sandbox, "stop with a damaged block");
    }
}

/// A way to damage a text.
fn replacing(from: &'static str, to: &'static str) -> impl Fn(&str) -> String {
    move |text: &str| {
        assert!(text.contains(from));
        text.replace(from, to)
    }
}
