//! A disk comes to another machine, or to the same one after a reinstall: its data, with every owner right, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use datastore_tests::{Run, Sandbox, picture};

const SHOP: &str = "services = [\"shop.service\"]\n\n[mapping.\"/srv/shop\"]\ntarget = \"%{base}/shop\"\nowner = \"mysql\"\ngroup = \"mysql\"\npermissions = \"0750\"\n";
const HOMES: &str = "[mapping.\"/srv/homes\"]\ntarget = \"%{base}/homes\"\nowner = \"root\"\ngroup = \"root\"\npermissions = \"0755\"\n";
const MIB: u64 = 1 << 20;

/// Users and groups of a machine: each has a group of its own.
fn accounts(sandbox: &Sandbox, all: &[(&str, u32)]) {
    let line = |(name, number): &(&str, u32)| format!("{name}:x:{number}:{number}::/:/bin/sh\n");
    let users: String = [("root", 0)].iter().chain(all).map(line).collect();
    let groups: String =
        [("root", 0)].iter().chain(all).map(|(name, number)| format!("{name}:x:{number}:\n")).collect();
    sandbox.write("/etc/passwd", users);
    sandbox.write("/etc/group", groups);
}

/// A machine without data.
fn machine(all: &[(&str, u32)]) -> Sandbox {
    let sandbox = Sandbox::new();
    accounts(&sandbox, all);
    sandbox
}

#[track_caller]
fn shell(sandbox: &Sandbox, line: &str) -> String {
    let run = Command::new("sh").args(["-ec", line]).current_dir(sandbox.root()).output().expect("run sh");
    assert!(run.status.success(), "{line}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap().trim().to_owned()
}

const OLD: &[(&str, u32)] = &[("mysql", 101), ("alice", 1001), ("bob", 1002)];

/// The old machine: a disk with a shop and homes on it, in use. Files of several users, an ACL, a set-id program, capabilities, links.
fn old(fstype: &str, mib: u64) -> Sandbox {
    let sandbox = machine(OLD);
    sandbox.loop_image("disk.img", mib * MIB, Some(fstype));
    let image = sandbox.path("disk.img").display().to_string();
    sandbox.datastore(&["init", "--host", "server1", "--device", &image, "--yes"]).ok();
    sandbox.configlet("shop", SHOP);
    sandbox.configlet("homes", HOMES);
    sandbox.datastore(&["apply", "--yes"]).ok();
    shell(
        &sandbox,
        "cd srv/shop; mkdir db; echo rows > db/table; ln db/table db/again; ln -s table db/link; chown -h 101:101 db db/* ; \
         cp /bin/true tool; chown 101:1001 tool; chmod 6755 tool; \
         cp /bin/true caps; chown 1001:101 caps; setcap cap_net_bind_service=ep caps; \
         setfacl -m u:1002:rw,g:1001:r db/table; setfacl -d -m u:1002:rwx db; \
         cd ../homes; mkdir alice bob; echo hers > alice/file; echo his > bob/file; chown -R 1001:1001 alice; chown -R 1002:1002 bob; \
         touch root; chattr +i alice/file",
    );
    // Whose the numbers are is kept by what is done now and then.
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox
}

/// The disk is taken out: everything is off, and the image is in the other machine.
fn carry(from: &Sandbox, to: &Sandbox) -> String {
    for at in ["/srv/shop", "/srv/homes", "/store/data0"] {
        if from.bound(at).is_some() {
            from.unmount(at);
        }
    }
    fs::rename(from.path("disk.img"), to.path("disk.img")).unwrap();
    to.path("disk.img").display().to_string()
}

/// Owner and group of everything below a directory.
fn owners(top: &Path) -> BTreeMap<String, (u32, u32)> {
    fn walk(top: &Path, at: &Path, all: &mut BTreeMap<String, (u32, u32)>) {
        let meta = at.symlink_metadata().unwrap();
        all.insert(at.strip_prefix(top).unwrap().display().to_string(), (meta.uid(), meta.gid()));
        if meta.is_dir() {
            fs::read_dir(at).unwrap().for_each(|entry| walk(top, &entry.unwrap().path(), all));
        }
    }
    let mut all = BTreeMap::new();
    walk(top, top, &mut all);
    all
}

/// The same with other numbers.
fn mapped(before: &BTreeMap<String, (u32, u32)>, map: &[(u32, u32)]) -> BTreeMap<String, (u32, u32)> {
    let number = |n: u32| map.iter().find(|(old, _)| *old == n).map_or(n, |(_, new)| *new);
    before.iter().map(|(path, (user, group))| (path.clone(), (number(*user), number(*group)))).collect()
}

#[track_caller]
fn states(sandbox: &Sandbox) -> Vec<String> {
    let status = sandbox.datastore(&["status", "--json"]).json();
    let rows = status["mappings"].as_array().expect("rows").clone();
    let row = |row: &serde_json::Value| {
        format!(
            "{} {} {}",
            row["mount_point"].as_str().unwrap(),
            row["state"].as_str().unwrap(),
            row["reason"].as_str().unwrap_or("")
        )
    };
    rows.iter().filter(|r| r["state"] != "disabled").map(|r| row(r).trim().to_owned()).collect()
}

/// A reinstalled machine, on which names have other numbers, some of them in each other's places.
#[test]
fn a_reinstalled_machine_gets_its_data_with_every_owner_right() {
    for (fstype, mib) in [("ext4", 64), ("xfs", 320), ("btrfs", 128)] {
        let before = old(fstype, mib);
        let was = [owners(&before.path("/srv/shop")), owners(&before.path("/srv/homes"))];
        // 101 is alice's here, and 1001 is bob's.
        let now = machine(&[("mysql", 998), ("alice", 101), ("bob", 1001)]);
        let image = carry(&before, &now);
        let plan = now.datastore(&["adopt", "--device", &image, "--show"]).ok();
        plan.says("user 101 to 998")
            .says("user 1001 to 101")
            .says("user 1002 to 1001")
            .says("/etc/datastore.d/shop.conf");
        assert!(!now.exists("/etc/datastore.conf"), "nothing is changed by looking");
        now.datastore(&["adopt", "--device", &image, "--yes"]).ok();

        assert_eq!(states(&now), ["/srv/homes active", "/srv/shop active"], "{fstype}");
        let map = [(101, 998), (1001, 101), (1002, 1001)];
        for (at, was) in ["/srv/shop", "/srv/homes"].into_iter().zip(&was) {
            assert_eq!(owners(&now.path(at)), mapped(was, &map), "{fstype}: {at}");
        }
        let acl = shell(&now, "getfacl -nc srv/shop/db/table srv/shop/db");
        for line in ["user:1001:rw-", "group:101:r--", "default:user:1001:rwx"] {
            assert!(acl.lines().any(|l| l.starts_with(line)), "{fstype}: {line} is not in {acl}");
        }
        assert!(!acl.contains("1002"), "{acl}");
        assert_eq!(now.path("/srv/shop/tool").metadata().unwrap().mode() & 0o7777, 0o6755, "{fstype}");
        assert!(shell(&now, "getcap srv/shop/caps").contains("cap_net_bind_service=ep"), "{fstype}");
        assert_eq!(now.path("/srv/shop/db/table").metadata().unwrap().nlink(), 2);
        assert!(shell(&now, "lsattr -d srv/homes/alice/file").split(' ').next().unwrap().contains('i'), "{fstype}");
        // The configlets are back as they were, and with them what guards the services.
        assert_eq!(now.read("/etc/datastore.d/shop.conf"), SHOP);
        assert_eq!(now.read("/etc/datastore.d/homes.conf"), HOMES);
        let manifest = now.read("/store/data0/live/server1/.datastore/manifest.toml");
        assert!(manifest.contains("owner = \"mysql\", uid = 998"), "{manifest}");
        // Once more there is nothing to do.
        let whole = picture::exact(now.root());
        now.datastore(&["adopt", "data0", "--device", &image, "--yes"]).ok().says("nothing to do");
        picture::same(&picture::exact(now.root()), &whole, "a second adopt");
        shell(&now, "chattr -i srv/homes/alice/file");
    }
}

/// Nobody who is not there any more gives his files to somebody else.
#[test]
fn numbers_of_somebody_else_are_refused() {
    let before = old("ext4", 64);
    let now = machine(&[("mysql", 998), ("carol", 1001), ("bob", 1002)]);
    let image = carry(&before, &now);
    let whole = picture::exact(now.root());
    now.datastore(&["adopt", "--device", &image, "--yes"])
        .code(3)
        .says("1001 is `alice` there and `carol` here")
        .says("useradd alice");
    picture::same(&picture::exact(now.root()), &whole, "a refused adopt");
    accounts(&now, &[("mysql", 998), ("carol", 1001), ("bob", 1002), ("alice", 1003)]);
    now.datastore(&["adopt", "--device", &image, "--yes"]).ok();
    assert_eq!(now.path("/srv/homes/alice/file").metadata().unwrap().uid(), 1003);
    shell(&now, "chattr -i srv/homes/alice/file");
}

/// The package that makes a user comes later, and gives it another number: then the data follows.
#[test]
fn an_owner_who_comes_later_gets_the_data_then() {
    let before = old("ext4", 64);
    let now = machine(&[("alice", 1001), ("bob", 1002)]);
    let image = carry(&before, &now);
    now.datastore(&["adopt", "--device", &image, "--yes"]).says("101 is `mysql`").says("useradd -u 101 mysql");
    assert_eq!(states(&now), ["/srv/homes active", "/srv/shop waiting"]);
    accounts(&now, &[("alice", 1001), ("bob", 1002), ("mysql", 998)]);
    now.datastore(&["apply", "--yes"]).ok();
    assert_eq!(states(&now), ["/srv/homes active", "/srv/shop active"]);
    let found = owners(&now.path("/srv/shop"));
    assert_eq!(found["db/table"], (998, 998));
    assert_eq!(found["tool"], (998, 1001));
    assert!(found.values().all(|(user, group)| *user != 101 && *group != 101), "{found:?}");
    shell(&now, "chattr -i srv/homes/alice/file");
}

/// A machine with data of its own takes a second disk: another name for the volume, and the other machine's data under its own name.
#[test]
fn data_of_another_machine_is_taken_over_beside_ones_own() {
    let before = old("ext4", 64);
    let now = machine(OLD);
    now.datastore(&["init", "--host", "server2", "--yes"]).ok();
    let image = carry(&before, &now);
    let refused = |run: Run, text: &str| {
        run.code(3).says(text);
    };
    refused(now.datastore(&["adopt", "--device", &image, "--yes"]), "--as server2");
    refused(now.datastore(&["adopt", "--device", &image, "--as", "server3", "--yes"]), "--as server2");
    refused(now.datastore(&["adopt", "--device", &image, "--host", "web", "--yes"]), "no data of host `web`");
    now.datastore(&["adopt", "--device", &image, "--as", "server2", "--yes"]).ok();
    assert_eq!(states(&now), ["/srv/homes active", "/srv/shop active"]);
    assert_eq!(now.read("/srv/shop/db/table"), "rows\n");
    assert!(now.exists("/store/data1/live/server2/shop/db/table"));
    assert!(!now.exists("/store/data1/live/server1"));
    // The configlet says the default volume, which is another one here.
    assert_eq!(now.read("/etc/datastore.d/shop.conf"), SHOP);
    assert!(now.read("/etc/datastore.d/shop.local.conf").contains("volume = \"data1\""));
    shell(&now, "chattr -i srv/homes/alice/file");
}

/// An app that has its data here already keeps it.
#[test]
fn an_app_in_use_is_left_alone() {
    let before = old("ext4", 64);
    let now = machine(OLD);
    now.datastore(&["init", "--host", "server2", "--yes"]).ok();
    now.configlet("shop", SHOP);
    now.datastore(&["apply", "--yes"]).ok();
    now.write("/srv/shop/mine", "mine");
    let image = carry(&before, &now);
    now.datastore(&["adopt", "--device", &image, "--as", "server2", "--yes"])
        .ok()
        .says("`shop` has data at /srv/shop already");
    assert_eq!(now.read("/srv/shop/mine"), "mine");
    assert_eq!(states(&now), ["/srv/homes active", "/srv/shop active"]);
    shell(&now, "chattr -i srv/homes/alice/file");
}

/// What stands at a mount point is not covered.
#[test]
fn what_a_fresh_package_has_put_there_is_not_covered() {
    let before = old("ext4", 64);
    let now = machine(OLD);
    now.write("/srv/shop/fresh", "from the package");
    let image = carry(&before, &now);
    now.datastore(&["adopt", "--device", &image, "--yes"])
        .code(3)
        .says("mount-point-not-empty")
        .says("mv /srv/shop /srv/shop.old");
    assert_eq!(states(&now), ["/srv/homes active", "/srv/shop refused mount-point-not-empty"]);
    shell(&now, "mv srv/shop srv/shop.fresh");
    now.datastore(&["apply", "--yes"]).ok();
    assert_eq!(now.read("/srv/shop/db/table"), "rows\n");
    shell(&now, "chattr -i srv/homes/alice/file");
}

/// A rescue system adopts into the root of the machine that it repairs, and without the copies that older versions did not keep.
#[test]
fn without_copies_the_manifest_says_enough() {
    let before = old("ext4", 64);
    shell(
        &before,
        "chattr -i srv/homes/alice/file; rm -r store/data0/live/server1/.datastore/etc store/data0/live/server1/.datastore/owners.toml",
    );
    let now = machine(&[("mysql", 998), ("alice", 1001), ("bob", 1002)]);
    let image = carry(&before, &now);
    now.datastore(&["adopt", "--device", &image, "--yes"]).ok().says("the volume has no configlet of `shop`");
    assert_eq!(states(&now), ["/srv/homes active", "/srv/shop active"]);
    assert_eq!(owners(&now.path("/srv/shop"))["db/table"], (998, 998), "the manifest names the owner of the store");
    assert_eq!(owners(&now.path("/srv/homes"))["alice/file"], (1001, 1001));
    assert!(now.read("/etc/datastore.d/shop.conf").contains("target      = \"%{base}/shop\""));
}

#[test]
fn what_is_no_volume_and_what_is_one_twice_is_refused() {
    let before = old("ext4", 64);
    shell(&before, "chattr -i srv/homes/alice/file");
    let now = machine(OLD);
    let image = carry(&before, &now);
    now.loop_image("empty.img", 16 * MIB, Some("ext4"));
    let empty = now.path("empty.img").display().to_string();
    now.datastore(&["adopt", "--device", &empty, "--yes"]).code(3).says("no volume of datastore").says("datastore");
    now.datastore(&["adopt", "--device", "/none.img", "--yes"]).fails();
    now.datastore(&["adopt", "--directory", "/etc", "--yes"]).code(3).says("no volume of datastore");
    now.datastore(&["adopt", "--device", &image, "--yes"]).ok();
    fs::copy(now.path("disk.img"), now.path("copy.img")).unwrap();
    let copy = now.path("copy.img").display().to_string();
    let whole = picture::exact(now.root());
    now.datastore(&["adopt", "data5", "--device", &copy, "--yes"])
        .code(3)
        .says("carries the identity of volume `data0`");
    picture::same(&picture::exact(now.root()), &whole, "a refused copy");
}

/// The plan says what the disk would have done as root, and where it would be seen.
#[test]
fn what_the_disk_asks_for_is_shown() {
    let before = machine(OLD);
    before.loop_image("disk.img", 64 * MIB, Some("ext4"));
    let image = before.path("disk.img").display().to_string();
    before.datastore(&["init", "--host", "server1", "--device", &image, "--yes"]).ok();
    before.configlet("shop", &format!("postmount = \"-/usr/share/hook\"\n{SHOP}"));
    before.datastore(&["apply", "--yes"]).ok();
    let now = machine(OLD);
    let image = carry(&before, &now);
    let plan = now.datastore(&["adopt", "--device", &image, "--show"]).ok();
    plan.says("has programs run as root: /usr/share/hook (postmount)").says("bound at /srv/shop (shop)");
}

/// Nothing is written before yes, and whoever cannot be asked is told.
#[test]
fn nobody_is_surprised() {
    let before = old("ext4", 64);
    shell(&before, "chattr -i srv/homes/alice/file");
    let now = machine(OLD);
    let image = carry(&before, &now);
    let disk = fs::read(now.path("disk.img")).unwrap();
    let whole = picture::exact(now.root());
    now.datastore(&["adopt", "--device", &image]).code(2).says("nothing has been changed").says("--yes");
    let plan = now.datastore(&["adopt", "--device", &image, "--show", "--json"]).ok().json();
    assert_eq!(plan["goal"], "adopt data0 --host server1", "{plan}");
    assert!(fs::read(now.path("disk.img")).unwrap() == disk, "the disk was written to");
    picture::same(&picture::exact(now.root()), &whole, "after looking");
    let done = now.datastore(&["adopt", "--device", &image, "--yes", "--json"]).ok().json();
    assert_eq!((&done["outcome"], &done["enable"]["outcome"]), (&"done".into(), &"done".into()));
}

/// What the disk keeps for another machine is in step with the configuration, and is not written again and again.
#[test]
fn a_volume_keeps_what_another_machine_would_want_to_know() {
    let sandbox = machine(OLD);
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(&["apply", "--yes"]).ok();
    let room = "/store/data0/live/server1/.datastore";
    let read = |name: &str| sandbox.read(format!("{room}/{name}"));
    let inode = |name: &str| sandbox.path(format!("{room}/{name}")).metadata().unwrap().ino();
    assert_eq!(read("etc/shop.conf"), SHOP);
    assert_eq!(read("etc/datastore.conf"), sandbox.read("/etc/datastore.conf"));
    let before = [inode("owners.toml"), inode("etc/shop.conf")];
    sandbox.datastore(&["apply", "--yes"]).ok().says("nothing to do");
    assert_eq!([inode("owners.toml"), inode("etc/shop.conf")], before);
    // A user comes, one goes.
    accounts(&sandbox, &[("mysql", 101), ("bob", 1002), ("carol", 1003)]);
    sandbox.datastore(&["apply", "--yes"]).ok();
    for line in ["\"alice\" = 1001", "\"carol\" = 1003", "\"mysql\" = 101"] {
        assert!(read("owners.toml").contains(line), "{line}: {}", read("owners.toml"));
    }
    // A configlet that is refused is not in force, so the one of before stays.
    sandbox.configlet("shop", "[mapping.\"/srv/shop\"]\ntarget = \"../x\"\n");
    sandbox.datastore(&["apply", "--yes"]).fails();
    assert_eq!(read("etc/shop.conf"), SHOP);
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(&["disable", "shop", "--yes"]).ok();
    assert!(read("etc/shop.local.conf").contains("enabled = false"));
    let mode = |name: &str| sandbox.path(format!("{room}{name}")).metadata().unwrap().mode() & 0o777;
    assert_eq!((mode(""), mode("/etc")), (0o700, 0o700));
}

/// The program without what debuggers want, as it is installed.
fn program(sandbox: &Sandbox) -> String {
    fs::create_dir_all(sandbox.path("/opt")).unwrap();
    let to = sandbox.path("/opt/datastore").display().to_string();
    let from = datastore_tests::binary::datastore();
    let strip = Command::new("strip").arg("-o").arg(&to).arg(from).status().expect("run strip");
    assert!(strip.success());
    to
}

/// A rescue system has no datastore: the one on the disk is enough, wherever that is mounted, and with no library of the system.
#[test]
fn a_rescue_system_adopts_with_what_is_on_the_disk() {
    let before = machine(OLD);
    let tool = program(&before);
    before.loop_image("disk.img", 256 * MIB, Some("ext4"));
    let image = before.path("disk.img").display().to_string();
    let at = |sandbox: &Sandbox, program: &str, args: &[&str]| {
        let mut command = sandbox.command(program);
        command.arg("--root").arg(sandbox.root()).args(args);
        sandbox.run(&mut command)
    };
    at(&before, &tool, &["init", "--host", "server1", "--device", &image, "--yes"]).ok();
    before.configlet("shop", SHOP);
    at(&before, &tool, &["apply", "--yes"]).ok();
    before.write("/srv/shop/table", "rows");
    let copy = before.path("/store/data0/sbin/lib/datastore").metadata().expect("the copy");
    at(&before, &tool, &["apply", "--yes"]).ok();
    assert_eq!(before.path("/store/data0/sbin/lib/datastore").metadata().unwrap().ino(), copy.ino(), "copied once");
    // Every library is the disk's own.
    let listed = shell(&before, "cd store/data0/sbin/lib; ./ld-* --library-path \"$PWD\" --list ./datastore");
    let own = before.path("/store/data0/sbin/lib").display().to_string();
    let found = |line: &&str| line.contains("=>");
    assert!(listed.lines().filter(found).count() >= 2, "{listed}");
    assert!(listed.lines().filter(found).all(|line| line.contains(&own) || line.contains("=> ./ld-")), "{listed}");

    let now = machine(&[("mysql", 998), ("alice", 1001), ("bob", 1002)]);
    carry(&before, &now);
    now.mount_loop(&now.path("disk.img"), "/store/data0");
    let tool = now.path("/store/data0/sbin/datastore").display().to_string();
    at(&now, &tool, &["--version"]).ok().says(env!("CARGO_PKG_VERSION"));
    at(&now, &tool, &["adopt", "data0", "--yes"]).ok();
    assert_eq!(states(&now), ["/srv/shop active"]);
    assert_eq!(now.path("/srv/shop").metadata().unwrap().uid(), 998);
}

/// A volume that is small, or that another program uses datastore's library on, gets no copy, and nobody minds.
#[test]
fn a_small_volume_gets_no_copy() {
    let sandbox = machine(OLD);
    let tool = program(&sandbox);
    let image = sandbox.loop_image("disk.img", 24 * MIB, Some("ext4")).display().to_string();
    let mut command = sandbox.command(&tool);
    command.arg("--root").arg(sandbox.root()).args(["init", "--host", "server1", "--device", &image, "--yes"]);
    sandbox.run(&mut command).ok().says("too little room");
    assert!(!sandbox.exists("/store/data0/sbin/datastore"));
    let mut command = sandbox.command(&tool);
    sandbox
        .run(command.arg("--root").arg(sandbox.root()).args(["apply", "--yes"]))
        .ok()
        .silent_about("too little room");
}
