//! `import`: what stands at an app's mount points comes into the store.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;

use datastore_tests::rows::text;
use datastore_tests::{Sandbox, picture, scenes};

const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\npermissions = \"2750\"\ngroup = \"mail\"\n";
const STORE: &str = "/store/data0/live/server1/shop";

/// A machine whose first volume is a disk of its own, with data where the app expects it.
fn machine(fstype: &str, mib: u64) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.loop_image("disk.img", mib << 20, Some(fstype));
    let image = sandbox.path("disk.img").display().to_string();
    sandbox.datastore(&["init", "--host", "server1", "--device", &image, "--yes"]).ok();
    sandbox.configlet("shop", SHOP);
    scenes::data(&sandbox, "/var/shop");
    sandbox
}

/// The directory in which what stood at /var/shop was put aside.
fn parked(sandbox: &Sandbox) -> Option<PathBuf> {
    let entries = fs::read_dir(sandbox.path("/var")).unwrap().map(|entry| entry.unwrap().path());
    let mut found =
        entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(".datastore-parked-"));
    let one = found.next();
    assert!(found.next().is_none(), "one place at most");
    one
}

#[test]
fn data_comes_into_the_store_and_what_was_there_is_put_aside() {
    for (fstype, mib) in [("ext4", 64), ("xfs", 320), ("btrfs", 128)] {
        let sandbox = machine(fstype, mib);
        let refused = sandbox.datastore(&["apply", "--yes"]).code(3);
        assert!(refused.stdout.contains("datastore import shop"), "{}", refused.stdout);
        let plan = sandbox.datastore(&["plan", "import", "shop", "--json"]).ok().json();
        let load = &plan["loads"][0];
        assert_eq!((&load["mount_point"], &load["entries"]), (&"/var/shop".into(), &9.into()), "{plan:#}");
        assert_eq!(load["bytes"], 75_010, "{plan:#}");
        let steps = plan["steps"].as_array().unwrap().iter();
        let flushes: Vec<String> =
            steps.filter(|step| step["kind"] == "flush").map(|step| text(&step["text"])).collect();
        assert_eq!(flushes, ["bring /store/data0/live/server1 to the disk", "bring / to the disk"]);

        let report = sandbox.datastore(&["import", "shop", "--yes", "--json"]).ok().json();
        assert_eq!(report["outcome"], "done", "{report:#}");
        sandbox.is("/var/shop", "active");
        let top = fs::metadata(sandbox.path("/var/shop")).unwrap();
        assert_eq!(top.mode() & 0o7777, 0o2750);
        let parked = parked(&sandbox).expect("what was there is put aside");
        assert_eq!(fs::metadata(&parked).unwrap().mode() & 0o7777, 0o700, "closed to everybody else");
        sandbox.alike_but_for_tops(&parked.join("shop"), &sandbox.path(STORE));
        sandbox.alike_but_for_tops(&sandbox.path("/var/shop"), &sandbox.path(STORE));
        assert_eq!(sandbox.our_lines().len(), 2, "the volume and the bind");
        let receipts: Vec<_> = fs::read_dir(sandbox.path("/var/lib/datastore/receipts")).unwrap().collect();
        assert_eq!(receipts.len(), 1);
        assert!(!sandbox.exists("/store/data0/live/server1/.datastore/incoming/shop"));

        // Once more is nothing to do, and after a stop the bare mount point is empty and sealed.
        let before = picture::exact(sandbox.root());
        sandbox.datastore(&["import", "shop", "--yes"]).ok();
        assert_eq!(picture::exact(sandbox.root()), before);
        sandbox.datastore(&["stop", "shop"]).ok();
        assert_eq!(fs::metadata(sandbox.path("/var/shop")).unwrap().mode() & 0o7777, 0);
        assert!(fs::read_dir(sandbox.path("/var/shop")).unwrap().next().is_none());
    }
}

#[test]
fn on_one_file_system_it_is_renamed() {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", SHOP);
    scenes::data(&sandbox, "/var/shop");
    let before = fs::metadata(sandbox.path("/var/shop/cur/2")).unwrap().ino();
    let plan = sandbox.datastore(&["plan", "import", "shop"]).ok();
    assert!(plan.stdout.contains("to be renamed"), "{}", plan.stdout);
    sandbox.datastore(&["import", "shop", "--yes"]).ok();
    sandbox.is("/var/shop", "active");
    assert_eq!(fs::metadata(sandbox.path("/var/shop/cur/2")).unwrap().ino(), before);
    assert_eq!(parked(&sandbox), None);
    assert_eq!(fs::metadata(sandbox.path(STORE)).unwrap().mode() & 0o7777, 0o2750);
}

#[test]
fn a_volume_that_is_a_bound_directory_of_the_same_file_system_gets_it_by_a_rename_too() {
    let sandbox = Sandbox::initialised();
    sandbox.directory("/srv", 0o755);
    sandbox.directory("/srv/big", 0o755);
    sandbox.datastore(&["volume", "add", "data1", "--directory", "/srv/big", "--yes"]).ok();
    sandbox.configlet("shop", &SHOP.replace("target", "volume = \"data1\"\ntarget"));
    scenes::data(&sandbox, "/var/shop");
    let inode = |at: &str| fs::metadata(sandbox.path(at).join("cur/2")).unwrap().ino();
    let before = inode("/var/shop");
    let across = fs::rename(sandbox.path("/var/shop"), sandbox.path("/store/data1/live/server1/shop"));
    assert_eq!(across.unwrap_err().kind(), std::io::ErrorKind::CrossesDevices);
    let plan = sandbox.datastore(&["plan", "import", "shop"]).ok();
    assert!(plan.stdout.contains("to be renamed"), "{}", plan.stdout);
    sandbox.datastore(&["import", "shop", "--yes"]).ok();
    sandbox.is("/var/shop", "active");
    assert_eq!((inode("/var/shop"), inode("/srv/big/live/server1/shop")), (before, before));
    for (to, store) in [("data0", "/store/data0/live/server1/shop"), ("data1", "/store/data1/live/server1/shop")] {
        sandbox.datastore(&["move", "shop", "--to", to, "--yes"]).ok();
        sandbox.is("/var/shop", "active");
        assert_eq!((inode("/var/shop"), inode(store)), (before, before), "{to}");
        sandbox.datastore(&["stop", "shop"]).ok();
        sandbox.datastore(&["start", "shop"]).ok();
        sandbox.datastore(&["guard", "shop"]).ok();
    }
}

#[test]
fn a_default_mapping_is_asked_for_from_then_on() {
    let sandbox = machine("ext4", 64);
    scenes::data(&sandbox, "/home");
    assert_eq!(sandbox.state("/home"), "disabled");
    sandbox.datastore(&["home", "import", "--yes"]).ok();
    sandbox.is("/home", "active");
    assert!(sandbox.read("/etc/datastore.d/home.local.conf").contains("enabled = true"));
}

#[test]
fn all_mappings_of_an_app_or_none() {
    let sandbox = machine("ext4", 64);
    sandbox.configlet("pair", "[mapping.\"/srv/a\"]\ntarget = \"%{base}/a\"\n[mapping.\"/srv/b\"]\ntarget = \"%{base}/b\"\n[mapping.\"/srv/c\"]\ntarget = \"%{base}/c\"\n");
    scenes::data(&sandbox, "/srv/a");
    scenes::data(&sandbox, "/srv/b");
    // One has data in both places.
    fs::create_dir(sandbox.path("/store/data0/live/server1/b")).unwrap();
    fs::write(sandbox.path("/store/data0/live/server1/b/other"), "x").unwrap();
    let before = picture::exact(sandbox.root());
    let refused = sandbox.datastore(&["import", "pair", "--yes", "--json"]).code(3).json();
    let notes = refused["notes"].as_array().unwrap();
    assert!(notes.len() == 1 && notes[0]["reason"] == "mount-point-not-empty", "{refused:#}");
    assert!(text(&notes[0]["detail"]).contains("which of them counts"), "{refused:#}");
    assert_eq!(picture::exact(sandbox.root()), before);
    fs::remove_file(sandbox.path("/store/data0/live/server1/b/other")).unwrap();
    sandbox.datastore(&["import", "pair", "--yes"]).ok();
    for (at, entries) in [("/srv/a", 3), ("/srv/b", 3), ("/srv/c", 0)] {
        sandbox.is(at, "active");
        assert_eq!(fs::read_dir(sandbox.path(at)).unwrap().count(), entries, "{at}");
    }
}

#[test]
fn what_does_not_fit_is_found_before_anything_is_copied() {
    let sandbox = machine("ext4", 16);
    fs::write(sandbox.path("/var/shop/large"), vec![1; 20 << 20]).unwrap();
    let refused = sandbox.datastore(&["import", "shop", "--yes", "--json"]).code(3).json();
    assert_eq!(refused["notes"][0]["reason"], "no-space", "{refused:#}");
    let detail = text(&refused["notes"][0]["detail"]);
    assert!(
        detail.contains(": the copy takes about 2")
            && detail.contains(" MiB, and ")
            && detail.ends_with(" MiB is free there"),
        "{detail}"
    );
    // An attribute that ext4 has no room for.
    fs::remove_file(sandbox.path("/var/shop/large")).unwrap();
    let disk = sandbox.path("/var/shop");
    fs::remove_dir_all(&disk).unwrap();
    sandbox.loop_image("xfs.img", 320 << 20, Some("xfs"));
    sandbox.mount_loop(&sandbox.path("xfs.img"), "/srv/xfs");
    sandbox.configlet("shop", &SHOP.replace("/var/shop", "/srv/xfs/shop"));
    scenes::data(&sandbox, "/srv/xfs/shop");
    let value = "x".repeat(40_000);
    let file = sandbox.path("/srv/xfs/shop/cur/2");
    rustix::fs::lsetxattr(&file, "user.long", value.as_bytes(), rustix::fs::XattrFlags::empty()).unwrap();
    let refused = sandbox.datastore(&["import", "shop", "--yes", "--json"]).code(3).json();
    assert_eq!(refused["notes"][0]["reason"], "wrong-volume", "{refused:#}");
    assert!(text(&refused["notes"][0]["detail"]).contains("attribute"), "{refused:#}");
}

#[test]
fn an_overlay_that_cannot_rename_the_tree_says_what_to_do() {
    let sandbox = machine("ext4", 64);
    for dir in ["srv/lower", "srv/upper", "srv/work", "srv/over"] {
        fs::create_dir_all(sandbox.path(dir)).unwrap();
    }
    scenes::data(&sandbox, "/srv/lower/shop");
    let at = |dir: &str| sandbox.path("srv").join(dir).display().to_string();
    let options = format!("lowerdir={},upperdir={},workdir={},redirect_dir=off", at("lower"), at("upper"), at("work"));
    sandbox.run(sandbox.command("mount").args(["-t", "overlay", "over", "-o", &options, &at("over")])).ok();
    sandbox.configlet("shop", &SHOP.replace("/var/shop", "/srv/over/shop"));
    let failed = sandbox.datastore(&["import", "shop", "--yes"]).code(1);
    assert!(failed.stderr.contains("everything that was done before has been taken back"), "{}", failed.stderr);
    let hint = failed.stderr.split("stopped: ").nth(1).expect("a command").trim().to_owned();
    assert_eq!(hint, "mv /srv/over/shop /srv/over/shop.new && mv /srv/over/shop.new /srv/over/shop");
    sandbox.run(sandbox.command("sh").args(["-ec", &hint.replace("/srv", &at(""))])).ok();
    sandbox.datastore(&["import", "shop", "--yes"]).ok();
    sandbox.is("/srv/over/shop", "active");
    assert_eq!(fs::read(sandbox.path("/srv/over/shop/cur/2")).unwrap().len(), 5000);
}

#[test]
fn a_mount_inside_is_not_taken_along() {
    let sandbox = machine("ext4", 64);
    sandbox.tmpfs("/var/shop/cur/inner", 1 << 20);
    let refused = sandbox.datastore(&["import", "shop", "--yes", "--json"]).code(3).json();
    assert_eq!(refused["notes"][0]["reason"], "busy", "{refused:#}");
    assert!(text(&refused["notes"][0]["detail"]).contains("/var/shop/cur/inner"), "{refused:#}");
}

#[test]
fn whoever_still_writes_is_named_and_everything_stays() {
    let sandbox = machine("ext4", 64);
    let writer = fs::File::options().append(true).open(sandbox.path("/var/shop/cur/2")).unwrap();
    let refused = sandbox.datastore(&["import", "shop", "--yes"]).code(3);
    assert!(refused.stderr.contains("is still written to") && refused.stderr.contains("process"), "{}", refused.stderr);
    drop(writer);
    // The copy stays, and is used by the next run.
    let staging = "/store/data0/live/server1/.datastore/incoming/shop";
    assert!(sandbox.exists(staging));
    assert_eq!(fs::read(sandbox.path("/var/shop/cur/2")).unwrap().len(), 5000);
    assert!(parked(&sandbox).is_none() && !sandbox.exists(STORE));
    let inode = fs::metadata(sandbox.path(staging).join("cur/deep/3")).unwrap().ino();
    fs::write(sandbox.path("/var/shop/cur/2"), "changed since").unwrap();
    fs::remove_file(sandbox.path("/var/shop/link")).unwrap();
    chown(sandbox.path("/var/shop/cur/1"), Some(77), None).unwrap();
    sandbox.datastore(&["import", "shop", "--yes"]).ok();
    sandbox.alike_but_for_tops(&parked(&sandbox).unwrap().join("shop"), &sandbox.path(STORE));
    assert_eq!(fs::metadata(sandbox.path("/var/shop/cur/deep/3")).unwrap().ino(), inode, "not copied once more");
}

#[test]
fn a_user_may_look_at_the_plan_of_what_he_can_read_but_not_import() {
    let sandbox = machine("ext4", 64);
    let run = sandbox.run(
        sandbox
            .command("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(datastore_tests::binary::datastore())
            .arg("--root")
            .arg(sandbox.root())
            .args(["import", "shop", "--yes"]),
    );
    assert_eq!(run.status.code(), Some(4), "{}{}", run.stdout, run.stderr);
    assert!(fs::metadata(sandbox.path("/var/shop")).unwrap().permissions().mode() & 0o7777 != 0);
}
