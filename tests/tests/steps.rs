//! Every kind of step is met: carried out on a real machine, and taken back where a later one fails.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use datastore_core::journal;
use datastore_core::step::Action;
use datastore_tests::rows::text;
use datastore_tests::{Sandbox, Snapshot};

const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n";
const STORE: &str = "/store/data0/live/server1/shop";

/// Kinds that no run in a sandbox can come to, and why.
const NOT_HERE: &[(&str, &str)] = &[
    ("reload-systemd", "only for the machine itself, under systemd: the rigs of issue 6"),
    ("keep-labels", "only for the machine itself: the policy is that of its kernel (labels.rs)"),
];

/// The kinds of all steps in the journals of operations that have ended.
fn carried_out(sandbox: &Sandbox) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    for entry in fs::read_dir(sandbox.path("/var/lib/datastore/done")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let told = journal::parse(&bytes).expect("a journal");
        assert_eq!(told.outcome(), Some(journal::Outcome::Done));
        kinds.extend(told.begin.steps.iter().map(|s| s.action.kind()));
    }
    kinds
}

/// The disk of another machine.
fn from_elsewhere(to: &Sandbox) -> String {
    let other = Sandbox::new();
    let passwd = other.read("/etc/passwd").replace(":1000:1000:", ":2000:1000:");
    other.write("/etc/passwd", passwd);
    let image = other.loop_image("other.img", 16 << 20, Some("ext4")).display().to_string();
    other.datastore(&["init", "--host", "server9", "--device", &image, "--yes"]).ok();
    other.configlet("hers", "[mapping.\"/srv/hers\"]\ntarget = \"%{base}/hers\"\nowner = \"alice\"\n");
    other.datastore(&["apply", "--yes"]).ok();
    assert_eq!(fs::metadata(other.path("/srv/hers")).unwrap().uid(), 2000);
    other.unmount("/srv/hers");
    other.unmount("/store/data0");
    fs::rename(&image, to.path("other.img")).unwrap();
    to.path("other.img").display().to_string()
}

#[test]
fn every_kind_of_step_is_met() {
    let sandbox = Sandbox::initialised();
    // As if SELinux were on.
    sandbox.write("/sys/fs/selinux/enforce", "1");
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(&["apply", "--yes"]).ok();
    // Drift of every sort.
    chown(sandbox.path(STORE), Some(1000), None).unwrap();
    let at = sandbox.path("/var/shop");
    sandbox.run(sandbox.command("mount").args(["-o", "remount,bind,ro"]).arg(&at)).ok();
    sandbox.datastore(&["apply", "--yes"]).ok();
    for verb in ["stop", "start", "restart"] {
        sandbox.datastore(&[verb, "shop"]).ok();
    }
    // A directory that was there already gets an identity.
    sandbox.directory("/store/data0/live/server1/old", 0o755);
    sandbox.configlet("old", "[mapping.\"/var/old\"]\ntarget = \"%{base}/old\"\n");
    sandbox.datastore(&["apply", "--yes"]).ok();
    for verb in ["enable", "disable"] {
        sandbox.datastore(&[verb, "home", "--yes"]).ok();
    }
    // A program runs around the bind.
    sandbox.programs();
    sandbox.script("/usr/share/hook", "exit 0");
    sandbox.configlet(
        "hooked",
        "premount = \"/usr/share/hook\"\n[mapping.\"/var/hooked\"]\ntarget = \"%{base}/hooked\"\n",
    );
    sandbox.datastore(&["apply", "--yes"]).ok();
    // A disk comes and goes.
    sandbox.loop_image("data1.img", 16 << 20, None);
    let image = sandbox.path("data1.img").display().to_string();
    sandbox.datastore(&["volume", "add", "data1", "--device", &image, "--format", "ext4", "--yes"]).ok();
    sandbox.datastore(&["volume", "remove", "data1", "--yes"]).ok();
    // Data comes into a store by a copy and by a rename, goes to another volume, and what was put aside goes.
    sandbox.tmpfs("/srv/disk", 8 << 20);
    sandbox.datastore(&["volume", "add", "data2", "--directory", "/srv/disk", "--yes"]).ok();
    for (app, volume) in [("far", "data2"), ("near", "data0")] {
        sandbox.write(format!("/var/{app}/file"), "data");
        let text = format!("[mapping.\"/var/{app}\"]\ntarget = \"%{{base}}/{app}\"\nvolume = \"{volume}\"\n");
        sandbox.configlet(app, &text);
        sandbox.datastore(&["import", app, "--yes"]).ok();
    }
    sandbox.datastore(&["move", "far", "--to", "data0", "--yes"]).ok();
    // Back again, as it was and as it is; then the rest goes.
    sandbox.datastore(&["move", "far", "--undo", "--yes"]).ok();
    sandbox.datastore(&["move", "far", "--to", "data0", "--yes"]).ok();
    sandbox.write("/var/far/file", "other data");
    sandbox.datastore(&["move", "far", "--undo", "--keep", "new", "--yes"]).ok();
    sandbox.datastore(&["reclaim", "--yes"]).ok();

    // A disk comes from a machine of another name, on which alice has another number.
    let image = from_elsewhere(&sandbox);
    sandbox.datastore(&["adopt", "data3", "--device", &image, "--as", "server1", "--yes"]).ok();

    let met = carried_out(&sandbox);
    let not_here: BTreeSet<&str> = NOT_HERE.iter().map(|(kind, _)| *kind).collect();
    let missing: Vec<_> = Action::KINDS.iter().filter(|k| !met.contains(*k) && !not_here.contains(*k)).collect();
    assert!(missing.is_empty(), "no run came to these kinds of steps: {missing:?}");
    let wrongly: Vec<_> = not_here.intersection(&met).collect();
    assert!(wrongly.is_empty(), "these kinds are met after all: {wrongly:?}");
}

#[test]
fn a_plan_names_every_step_that_is_then_carried_out() {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", SHOP);
    for goal in [&["apply"][..], &["stop", "shop"], &["start", "shop"], &["restart", "shop"], &["disable", "shop"]] {
        let plan = sandbox.datastore(&[&["plan"], goal, &["--json"]].concat()).ok().json();
        let steps = plan["steps"].as_array().unwrap();
        let report = sandbox.datastore(&[goal, &["--yes", "--json"]].concat()).ok().json();
        assert_eq!(report["done"], steps.len(), "{goal:?}");
        for (number, step) in steps.iter().enumerate() {
            assert_eq!(step["step"], number + 1);
            assert!(Action::KINDS.contains(&text(&step["kind"]).as_str()), "{step:#}");
            assert!(!text(&step["text"]).is_empty(), "{step:#}");
        }
    }
}

#[test]
fn a_bind_that_fails_is_taken_back() {
    let sandbox = Sandbox::initialised();
    sandbox.directory("/var/shop", 0o750);
    sandbox.configlet("shop", SHOP);
    // A first mapping, so that the manifest is there already.
    sandbox.configlet("fine", "[mapping.\"/var/fine\"]\ntarget = \"%{base}/fine\"\n");
    sandbox.datastore(&["apply", "fine", "--yes"]).ok();
    let inode = sandbox.path("/var/shop").metadata().unwrap().permissions().mode();
    let before = Snapshot::of(&sandbox);
    // mount(2) itself by its number.
    let calls = [if cfg!(target_arch = "x86_64") { "165" } else { "40" }, "open_tree", "move_mount"];
    let report = sandbox.datastore_without(&calls, &["apply", "--yes", "--json"]).code(1).json();
    assert_eq!(report["outcome"], "partly", "{report:#}");
    let failed = report["failed"].as_array().unwrap();
    assert!(failed.len() == 1 && failed[0]["reason"] == "mount-failed", "{report:#}");
    assert!(text(&failed[0]["detail"]).contains("cannot be bound") && !text(&failed[0]["hint"]).is_empty());
    // fstab was rewritten and rewritten back, so only its inode and that of the manifest may be others.
    assert_eq!(sandbox.path("/var/shop").metadata().unwrap().permissions().mode(), inode);
    assert!(!sandbox.exists(STORE), "the store directory that was made is gone again");
    assert_eq!(sandbox.our_lines().len(), 1);
    assert!(!sandbox.read("/store/data0/live/server1/.datastore/manifest.toml").contains("/var/shop"));
    before.assert_same_but_for_inodes(&sandbox, "a bind that failed");

    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.is("/var/shop", "active");
}
