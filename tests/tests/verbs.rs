//! start, stop, restart, enable, disable, remap: in both grammars, and what is left behind by each.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use datastore_tests::rows::text;
use datastore_tests::snapshot::immutable;
use datastore_tests::{Sandbox, Snapshot};

const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n";
const STORE: &str = "/store/data0/live/server1/shop";

/// A machine on which the app `shop` is active and holds one file.
#[track_caller]
fn with_shop() -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(&["apply", "--yes"]).ok();
    fs::write(sandbox.path("/var/shop/order"), "one").unwrap();
    sandbox
}

/// Demands that nothing is bound and nothing can be written, by root neither.
#[track_caller]
fn sealed(sandbox: &Sandbox, mount_point: &str) {
    assert_eq!(sandbox.bound(mount_point), None);
    let path = sandbox.path(mount_point);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0);
    assert_eq!(immutable(&path), Some(true));
    let error = fs::write(path.join("lost"), "x").expect_err("the seal must refuse a write");
    assert_eq!(error.raw_os_error(), Some(libc_eperm()), "{error}");
    assert!(fs::read_dir(&path).unwrap().next().is_none());
}

/// EPERM (errno(3)): what an immutable directory answers to root.
fn libc_eperm() -> i32 {
    rustix::io::Errno::PERM.raw_os_error()
}

#[test]
fn stop_and_start_in_both_grammars() {
    for (stop, start) in [(["stop", "shop"], ["start", "shop"]), (["shop", "stop"], ["shop", "start"])] {
        let sandbox = with_shop();
        let line = sandbox.our_lines();
        sandbox.datastore(&stop).ok();
        sandbox.is("/var/shop", "inactive");
        sealed(&sandbox, "/var/shop");
        assert_eq!(sandbox.our_lines(), [line[0].replace(",nofail,", ",nofail,noauto,")]);
        assert_eq!(sandbox.read(format!("{STORE}/order")), "one");

        // Stopped is stopped: a second stop and apply leave it so.
        let before = Snapshot::of(&sandbox);
        sandbox.datastore(&stop).ok();
        let report = sandbox.datastore(&["apply", "--yes", "--json"]).ok().json();
        assert_eq!(report["notes"][0]["state"], "inactive", "{report:#}");
        before.assert_unchanged(&sandbox, "apply of what was stopped");

        sandbox.datastore(&start).ok();
        sandbox.is("/var/shop", "active");
        assert_eq!(sandbox.our_lines(), line);
        assert_eq!(sandbox.read("/var/shop/order"), "one");
        let before = Snapshot::of(&sandbox);
        let report = sandbox.datastore(&[start[0], start[1], "--json"]).ok().json();
        assert!(report["operation"].is_null(), "{report:#}");
        before.assert_unchanged(&sandbox, "a second start");
    }
}

#[test]
fn restart_binds_anew_in_both_grammars() {
    for restart in [["restart", "shop"], ["shop", "restart"]] {
        let sandbox = with_shop();
        sandbox.run(sandbox.command("mount").args(["-o", "remount,bind,ro"]).arg(sandbox.path("/var/shop"))).ok();
        let plan = sandbox.datastore(&["plan", restart[0], restart[1], "--json"]).ok().json();
        let kinds: Vec<String> = plan["steps"].as_array().unwrap().iter().map(|s| text(&s["kind"])).collect();
        assert_eq!(kinds.iter().filter(|k| *k == "unbind" || *k == "bind").collect::<Vec<_>>(), ["unbind", "bind"]);
        let before = sandbox.our_lines();
        sandbox.datastore(&restart).ok();
        sandbox.is("/var/shop", "active");
        assert!(sandbox.bound("/var/shop").unwrap().has("rw"), "it is a new bind, with the options of the mapping");
        assert_eq!(sandbox.our_lines(), before);
        assert_eq!(sandbox.read("/var/shop/order"), "one");
        // Also from a stop.
        sandbox.datastore(&["stop", "shop"]).ok();
        sandbox.datastore(&restart).ok();
        sandbox.is("/var/shop", "active");
    }
}

#[test]
fn enable_and_disable_in_both_grammars() {
    for (enable, disable) in [
        (["enable", "home", "--yes"], ["disable", "home", "--yes"]),
        (["home", "enable", "--yes"], ["home", "disable", "--yes"]),
    ] {
        let sandbox = Sandbox::initialised();
        let before = Snapshot::of(&sandbox);
        sandbox.is("/home", "disabled");
        sandbox.datastore(&[enable[0], enable[1]]).code(2).says("--yes");
        before.assert_unchanged(&sandbox, "enable without --yes");
        sandbox.datastore(&enable).ok();
        sandbox.is("/home", "active");
        sandbox.datastore(&["config", "check"]).ok();
        fs::write(sandbox.path("/home/letter"), "mine").unwrap();

        sandbox.datastore(&disable).ok();
        sandbox.is("/home", "disabled");
        assert_eq!(sandbox.bound("/home"), None);
        // A plain directory again: writable, not in fstab. The data stays in the store.
        let home = sandbox.path("/home");
        assert_eq!((immutable(&home), home.metadata().unwrap().mode() & 0o7777), (Some(false), 0o755));
        fs::create_dir(home.join("bob")).unwrap();
        assert_eq!(sandbox.our_lines(), [""; 0]);
        assert_eq!(sandbox.foreign_lines(), datastore_tests::skeleton::FSTAB);
        assert_eq!(sandbox.read("/store/data0/live/server1/home/letter"), "mine");
        let before = Snapshot::of(&sandbox);
        sandbox.datastore(&disable).ok();
        sandbox.datastore(&["apply", "--yes"]).ok();
        before.assert_unchanged(&sandbox, "a second disable, and apply");

        // What is in the plain directory now is not covered.
        sandbox.datastore(&enable).code(3).says("datastore import home");
        fs::remove_dir(home.join("bob")).unwrap();
        sandbox.datastore(&enable).ok();
        assert_eq!(sandbox.read("/home/letter"), "mine");
    }
}

#[test]
fn a_configlet_of_which_only_lines_are_left_can_be_disabled() {
    let sandbox = with_shop();
    fs::remove_file(sandbox.path("/etc/datastore.d/shop.conf")).unwrap();
    let report = sandbox.datastore(&["apply", "--yes", "--json"]).ok().json();
    assert!(text(&report["remarks"][0]["hint"]).contains("datastore disable shop"), "{report:#}");
    assert!(sandbox.bound("/var/shop").is_some() && sandbox.our_lines().len() == 1, "removing a file unbinds nothing");
    sandbox.datastore(&["disable", "shop", "--yes"]).ok();
    assert_eq!(sandbox.bound("/var/shop"), None);
    assert_eq!(sandbox.our_lines(), [""; 0]);
    assert_eq!(sandbox.read(format!("{STORE}/order")), "one");
}

/// The proposal's first flow: stop, edit, start, with a copy made beforehand.
#[test]
fn stop_edit_start_takes_the_new_store() {
    let sandbox = with_shop();
    sandbox.datastore(&["shop", "stop"]).ok();
    sandbox.configlet("shop", &SHOP.replace("%{base}/shop", "%{base}/shop-new"));
    // An edit alone binds nothing: it was stopped.
    sandbox.datastore(&["apply", "--yes"]).ok();
    assert_eq!(sandbox.bound("/var/shop"), None);
    sandbox.datastore(&["shop", "start"]).ok();
    sandbox.is("/var/shop", "active");
    fs::copy(sandbox.path(format!("{STORE}/order")), sandbox.path("/var/shop/order")).unwrap();
    assert_eq!(sandbox.read("/store/data0/live/server1/shop-new/order"), "one");
    assert_eq!(sandbox.our_lines().len(), 1);
    assert!(sandbox.our_lines()[0].starts_with("/store/data0/live/server1/shop-new /var/shop "));
}

/// The proposal's second flow: edit, remap, copy from store to store, start; to another volume.
#[test]
fn edit_remap_start_leaves_both_stores_reachable_in_between() {
    for remap in [["remap", "shop", "--yes"], ["shop", "remap", "--yes"]] {
        let sandbox = with_shop();
        sandbox.datastore(&["volume", "add", "data11", "--yes"]).ok();
        sandbox.configlet("shop", &format!("{SHOP}volume = \"data11\"\n"));
        let row = sandbox.row("/var/shop");
        assert_eq!((&row["state"], &row["reason"]), (&"refused".into(), &"wrong-store".into()), "{row:#}");
        assert!(text(&row["hint"]).contains("datastore remap shop"), "{row:#}");
        // Neither apply nor start swaps data under an app that was not stopped.
        let before = Snapshot::of(&sandbox);
        sandbox.datastore(&["apply", "--yes"]).code(3);
        sandbox.datastore(&["start", "shop"]).code(3);
        before.assert_unchanged(&sandbox, "apply and start after an edit");

        sandbox.datastore(&remap).ok();
        sandbox.is("/var/shop", "inactive");
        sealed(&sandbox, "/var/shop");
        let new = "/store/data11/live/server1/shop";
        assert_eq!(sandbox.read(format!("{STORE}/order")), "one");
        assert!(sandbox.path(new).is_dir());
        let lines = sandbox.our_lines();
        assert!(lines.len() == 1 && lines[0].starts_with(&format!("{new} /var/shop ")), "{lines:?}");
        assert!(lines[0].contains(",noauto,") && lines[0].contains("requires-mounts-for=/store/data11,"), "{lines:?}");
        let before = Snapshot::of(&sandbox);
        sandbox.datastore(&remap).ok();
        before.assert_unchanged(&sandbox, "a second remap");

        fs::copy(sandbox.path(format!("{STORE}/order")), sandbox.path(format!("{new}/order"))).unwrap();
        sandbox.datastore(&["start", "shop"]).ok();
        sandbox.is("/var/shop", "active");
        assert_eq!(sandbox.read("/var/shop/order"), "one");
        assert!(sandbox.exists(format!("{STORE}/order")), "the old store stays until somebody removes it");
    }
}

#[test]
fn one_of_several_mappings_can_be_remapped() {
    let sandbox = with_shop();
    let two = format!("{SHOP}[mapping.\"/var/stock\"]\ntarget = \"%{{base}}/stock\"\n");
    sandbox.configlet("shop", &two);
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.is("/var/stock", "active");
    sandbox.configlet("shop", &two.replace("/stock\"\n", "/stock2\"\n"));
    sandbox.datastore(&["remap", "shop", "--yes"]).ok();
    sandbox.datastore(&["start", "shop"]).ok();
    assert_eq!(sandbox.read("/var/shop/order"), "one");
    assert!(sandbox.bound("/var/stock").unwrap().root.ends_with("live/server1/stock2"));
}

#[test]
fn a_disabled_app_that_is_asked_for_by_name_is_no_success() {
    let sandbox = Sandbox::initialised();
    let before = Snapshot::of(&sandbox);
    for goal in [&["start", "home"][..], &["restart", "home"], &["remap", "home", "--yes"], &["apply", "home", "--yes"]]
    {
        let report = sandbox.datastore(&[goal, &["--json"]].concat()).code(3).json();
        assert_eq!(report["notes"][0]["state"], "disabled", "{goal:?}: {report:#}");
        assert_eq!(report["notes"][0]["hint"], "datastore enable home", "{goal:?}: {report:#}");
    }
    sandbox.datastore(&["plan", "start", "home"]).code(3).says("datastore enable home");
    // To stop or disable what is disabled is done already, and nobody asked for it in a run over everything.
    sandbox.datastore(&["stop", "home"]).ok();
    sandbox.datastore(&["disable", "home", "--yes"]).ok();
    sandbox.datastore(&["apply", "--yes"]).ok();
    let before_mount = sandbox.mountinfo();
    sandbox.tmpfs("/home", 1 << 20);
    sandbox.datastore(&["stop", "home"]).ok();
    sandbox.unmount("/home");
    assert_eq!(sandbox.mountinfo(), before_mount);
    fs::remove_file(sandbox.path("/etc/datastore.d/home.local.conf")).unwrap();
    before.assert_unchanged(&sandbox, "verbs about a disabled app");
    // Nor does a broken configlet that is disabled.
    sandbox.configlet("shop", &format!("enabled = false\n{}", SHOP.replace("%{base}", "%{bsae}")));
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.datastore(&["start", "shop"]).code(3);
}

#[test]
fn disable_after_stop_gives_the_plain_directory_back() {
    let sandbox = with_shop();
    sandbox.datastore(&["stop", "shop"]).ok();
    sandbox.datastore(&["disable", "shop", "--yes"]).ok();
    assert_eq!(sandbox.our_lines(), [""; 0]);
    let path = sandbox.path("/var/shop");
    assert_eq!((immutable(&path), path.metadata().unwrap().mode() & 0o7777), (Some(false), 0o755));
    fs::write(path.join("plain"), "").unwrap();
}

#[test]
fn enable_keeps_what_the_admin_wrote_in_the_override() {
    let sandbox = with_shop();
    let mine = "# mine\nenabled = false # until monday\ntitle = \"x\"\n";
    sandbox.write("/etc/datastore.d/shop.local.conf", mine);
    sandbox.is("/var/shop", "disabled");
    sandbox.datastore(&["enable", "shop", "--yes"]).ok();
    assert_eq!(sandbox.read("/etc/datastore.d/shop.local.conf"), mine.replace("false", "true"));
    sandbox.is("/var/shop", "active");
}

#[test]
fn stop_says_so_where_data_lies_under_the_bind_and_touches_none_of_it() {
    let sandbox = with_shop();
    sandbox.unmount("/var/shop");
    let bare = sandbox.path("/var/shop");
    sandbox.run(sandbox.command("chattr").arg("-i").arg(&bare)).ok();
    fs::set_permissions(&bare, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(bare.join("hidden"), "precious").unwrap();
    sandbox.bind(STORE, "/var/shop");
    let report = sandbox.datastore(&["stop", "shop", "--json"]).ok().json();
    // Before Linux 5.2 nobody can look under a bind; the data is found when it is off.
    if !Sandbox::lacks("open_tree") {
        let remark = &report["remarks"][0];
        assert!(text(&remark["detail"]).contains("not sealed"), "{report:#}");
        assert_eq!(remark["hint"], "datastore import shop");
    }
    assert_eq!(sandbox.bound("/var/shop"), None);
    assert_eq!(sandbox.read("/var/shop/hidden"), "precious");
    assert_eq!(immutable(&bare), Some(false));
    let before = Snapshot::of(&sandbox);
    sandbox.datastore(&["start", "shop"]).code(3).says("mount-point-not-empty");
    before.assert_unchanged(&sandbox, "start over data");
}

#[test]
fn a_bind_whose_store_was_deleted_is_taken_off_and_the_app_begins_anew_only_if_that_is_meant() {
    for with_another in [false, true] {
        let sandbox = Sandbox::initialised();
        sandbox.configlet("shop", SHOP);
        sandbox.datastore(&["apply", "--yes"]).ok();

        fs::remove_dir(sandbox.path(STORE)).unwrap();
        if with_another {
            sandbox.directory(STORE, 0o755);
        }
        sandbox.datastore(&["status", "shop"]).code(1).says("has been deleted").says("datastore stop shop");
        sandbox.datastore(&["guard", "shop"]).code(3);
        sandbox.datastore(&["stop", "shop"]).ok();
        assert!(sandbox.mountinfo().is_empty());
        sandbox.datastore(&["start", "shop"]).code(3).says("wrong-store").says("--accept-store");
        sandbox.datastore(&["start", "shop", "--accept-store"]).ok();
        sandbox.is("/var/shop", "active");
        sandbox.datastore(&["guard", "shop"]).ok();
    }
}

#[test]
fn a_hint_names_the_root_that_the_command_was_given() {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", SHOP);
    let output = sandbox.datastore_command(&["guard", "shop"]).output().expect("run datastore");
    let said = String::from_utf8(output.stderr).unwrap();
    let hint = said.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap_or_else(|| panic!("no hint in {said}"));
    assert_eq!(hint, format!("datastore --root {} apply shop", sandbox.root().display()));
    // It can be typed as it stands.
    let words: Vec<&str> = hint.split(' ').skip(1).chain(["--yes"]).collect();
    sandbox.run(sandbox.command(datastore_tests::binary::datastore()).args(words)).ok();
    sandbox.datastore(&["guard", "shop"]).ok();
}

#[test]
fn a_configlet_with_errors_is_not_printed_as_toml() {
    let sandbox = Sandbox::initialised();
    let good = sandbox.write("good.conf", "<?php\n$mapping['/a']['target'] = '%{base}/a';\n");
    let bad =
        sandbox.write("bad.conf", "<?php\n$mapping['/a']['target'] = '%{base}/a';\n$mapping['/b']['target'] = f();\n");
    let run = sandbox.datastore(&["config", "import", good.to_str().unwrap()]).ok();
    assert!(run.stdout.contains("[mapping.\"/a\"]"), "{}", run.stdout);
    let run = sandbox.datastore(&["config", "import", bad.to_str().unwrap()]).code(3).says("bad.conf:3:");
    assert_eq!(run.stdout, "");
}

#[test]
fn localhost_is_no_host_that_presents_data() {
    let sandbox = Sandbox::new();
    sandbox
        .datastore(&["init", "--host", "localhost", "--yes"])
        .code(2)
        .says("`localhost` is the name of every machine");
    assert!(!sandbox.exists("/etc/datastore.conf"));
}
