//! `move --undo`: what the last import or move of an app did is taken back, and nothing is lost whichever side counts.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use datastore_tests::rows::text;
use datastore_tests::{Sandbox, picture, scenes};

const SHOP: &str =
    "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n[mapping.\"/var/till\"]\ntarget = \"%{base}/till\"\n";
const OLD: &str = "/store/data0/live/server1";
const NEW: &str = "/store/data1/live/server1";
const PLACES: [(&str, &str); 2] = [("/var/shop", "shop"), ("/var/till", "till")];

/// Two volumes on file systems of their own, and an app with data on the first one.
fn moved(fstype: &str, mib: u64) -> Sandbox {
    scenes::shop(SHOP, &PLACES.map(|(at, _)| at), fstype, mib)
}

/// The same app, not in the store yet; the store is on another file system if `apart`.
fn plain(apart: bool) -> Sandbox {
    let sandbox = Sandbox::new();
    if apart {
        sandbox.loop_image("disk.img", 64 << 20, Some("ext4"));
        let image = sandbox.path("disk.img").display().to_string();
        sandbox.datastore(&["init", "--host", "server1", "--device", &image, "--yes"]).ok();
    } else {
        sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    }
    sandbox.configlet("shop", SHOP);
    for (at, _) in PLACES {
        scenes::data(&sandbox, at);
    }
    sandbox
}

/// A copy of an app's data, to hold what comes back against.
fn kept(sandbox: &Sandbox, name: &str) -> PathBuf {
    let to = sandbox.path(name);
    fs::create_dir_all(&to).unwrap();
    for (at, name) in PLACES {
        let status = std::process::Command::new("cp").arg("-a").arg(sandbox.path(at)).arg(to.join(name)).status();
        assert!(status.unwrap().success());
    }
    to
}

fn receipts(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    let mut names: Vec<_> =
        fs::read_dir(sandbox.path("/var/lib/datastore/receipts")).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    names.iter().map(|name| serde_json::from_slice(&fs::read(name).unwrap()).unwrap()).collect()
}

#[test]
fn a_move_is_taken_back() {
    for (fstype, mib) in [("ext4", 64), ("xfs", 320), ("btrfs", 128)] {
        let sandbox = moved(fstype, mib);
        let first = kept(&sandbox, "first");
        let (lines, configlets) = (sandbox.our_lines(), picture::exact(&sandbox.path("/etc/datastore.d")));
        sandbox.datastore(&["move", "shop", "--to", "data1", "--yes"]).ok();
        let back = sandbox.datastore(&["move", "shop", "--undo", "--yes", "--json"]).ok().json();
        assert_eq!(back["outcome"], "done", "{back:#}");
        assert_eq!(back["goal"], "move shop --undo");
        for (at, name) in PLACES {
            sandbox.is(at, "active");
            assert_eq!(sandbox.row(at)["store"], format!("{OLD}/{name}"));
            sandbox.alike_but_for_identities(&first.join(name), &sandbox.path(at));
            assert!(!sandbox.exists(format!("{NEW}/{name}")));
        }
        assert_eq!(sandbox.our_lines(), lines);
        assert_eq!(picture::exact(&sandbox.path("/etc/datastore.d")), configlets, "the override is gone");
        assert!(!sandbox.exists(format!("{OLD}/.datastore/parked")) || is_empty(&sandbox, "parked"));
        sandbox.datastore(&["guard", "shop"]).ok();
        // Only the receipt of what was put aside last is left.
        let left = receipts(&sandbox);
        assert_eq!((left.len(), &left[0]["verb"]), (1, &"undo".into()), "{left:#?}");
        // Doing it again does not take it back.
        let before = picture::exact(sandbox.root());
        let again = sandbox.datastore(&["move", "shop", "--undo", "--yes", "--json"]).ok().json();
        assert!(text(&again["remarks"][0]["detail"]).contains("undone already"), "{again:#}");
        assert_eq!(picture::exact(sandbox.root()), before);
    }
}

fn is_empty(sandbox: &Sandbox, room: &str) -> bool {
    fs::read_dir(sandbox.path(OLD).join(".datastore").join(room)).unwrap().next().is_none()
}

#[test]
fn what_was_written_since_is_lost_only_if_somebody_says_so() {
    let sandbox = moved("ext4", 64);
    let first = kept(&sandbox, "first");
    sandbox.datastore(&["move", "shop", "--to", "data1", "--yes"]).ok();
    fs::write(sandbox.path("/var/shop/cur/new"), "written since").unwrap();
    fs::remove_file(sandbox.path("/var/till/cur/2")).unwrap();
    let now = kept(&sandbox, "now");
    let before = picture::exact(sandbox.root());
    let refused = sandbox.datastore(&["move", "shop", "--undo", "--yes"]).code(3);
    assert!(
        refused.stderr.contains("has changed since") && refused.stderr.contains("--keep new"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("cur/new"), "{}", refused.stderr);
    assert_eq!(picture::exact(sandbox.root()), before);
    // As it was: what was written since is put aside.
    sandbox.datastore(&["move", "shop", "--undo", "--keep", "old", "--yes"]).ok();
    for (at, name) in PLACES {
        sandbox.alike_but_for_identities(&first.join(name), &sandbox.path(at));
    }
    let listed = sandbox.datastore(&["plan", "reclaim", "--json"]).ok().json();
    let loads = listed["loads"].as_array().unwrap();
    assert_eq!(loads.len(), 2, "{listed:#}");
    for (load, (_, name)) in loads.iter().zip(PLACES) {
        sandbox.alike_but_for_identities(&now.join(name), &sandbox.path(text(&load["path"])));
    }
}

#[test]
fn what_was_written_since_comes_along() {
    for (fstype, mib) in [("ext4", 64), ("xfs", 320), ("btrfs", 128)] {
        let sandbox = moved(fstype, mib);
        sandbox.datastore(&["move", "shop", "--to", "data1", "--yes"]).ok();
        fs::write(sandbox.path("/var/shop/cur/new"), "written since").unwrap();
        fs::write(sandbox.path("/var/shop/cur/2"), "another").unwrap();
        fs::remove_file(sandbox.path("/var/till/cur/2")).unwrap();
        let now = kept(&sandbox, "now");
        sandbox.datastore(&["move", "shop", "--undo", "--keep", "new", "--yes"]).ok();
        for (at, name) in PLACES {
            sandbox.is(at, "active");
            assert_eq!(sandbox.row(at)["store"], format!("{OLD}/{name}"));
            sandbox.alike_but_for_identities(&now.join(name), &sandbox.path(at));
        }
        assert!(is_empty(&sandbox, "incoming") && is_empty(&sandbox, "parked"));
    }
}

#[test]
fn a_renamed_store_comes_back_with_what_was_written_since() {
    let sandbox = moved("ext4", 64);
    sandbox.datastore(&["move", "shop", "--to", &format!("{OLD}/new"), "--yes"]).ok();
    let inode = fs::metadata(sandbox.path("/var/shop/cur/2")).unwrap().ino();
    fs::write(sandbox.path("/var/shop/cur/new"), "written since").unwrap();
    sandbox.datastore(&["move", "shop", "--undo", "--yes"]).ok();
    assert_eq!(sandbox.row("/var/shop")["store"], format!("{OLD}/shop"));
    assert_eq!(fs::metadata(sandbox.path("/var/shop/cur/2")).unwrap().ino(), inode);
    assert_eq!(fs::read_to_string(sandbox.path("/var/shop/cur/new")).unwrap(), "written since");
    assert!(!sandbox.exists("/etc/datastore.d/shop.local.conf"));
}

#[test]
fn an_import_is_taken_back() {
    for apart in [true, false] {
        let sandbox = plain(apart);
        let first = kept(&sandbox, "first");
        let (etc, tops) = (picture::exact(&sandbox.path("/etc")), tops(&sandbox));
        sandbox.datastore(&["import", "shop", "--yes"]).ok();
        sandbox.is("/var/shop", "active");
        let report = sandbox.datastore(&["move", "shop", "--undo", "--yes", "--json"]).ok().json();
        assert_eq!(report["outcome"], "done", "{report:#}");
        for (at, name) in PLACES {
            assert!(sandbox.bound(at).is_none(), "{at}");
            sandbox.alike_but_for_identities(&first.join(name), &sandbox.path(at));
            assert!(!sandbox.exists(format!("{OLD}/{name}")));
        }
        assert_eq!(picture::exact(&sandbox.path("/etc")), etc);
        assert_eq!(tops, self::tops(&sandbox));
        let rooms = fs::read_dir(sandbox.path("/var")).unwrap().map(|e| e.unwrap().file_name());
        assert!(rooms.into_iter().all(|name| !name.to_string_lossy().starts_with(".datastore-parked")));
        sandbox.is("/var/shop", "refused");
        sandbox.datastore(&["move", "shop", "--undo", "--yes"]).ok();
        assert!(sandbox.bound("/var/shop").is_none());
        // And once more into the store.
        sandbox.datastore(&["import", "shop", "--yes"]).ok();
        sandbox.is("/var/shop", "active");
        sandbox.alike_but_for_identities(&first.join("shop"), &sandbox.path("/var/shop"));
    }
}

#[test]
fn what_an_import_bound_besides_is_told() {
    let sandbox = plain(false);
    sandbox
        .configlet("shop", &format!("enabled = false\n{SHOP}[mapping.\"/var/empty\"]\ntarget = \"%{{base}}/empty\"\n"));
    sandbox.datastore(&["import", "shop", "--yes"]).ok();
    assert!(sandbox.bound("/var/empty").is_some());
    let report = sandbox.datastore(&["move", "shop", "--undo", "--yes", "--json"]).ok().json();
    let remarks = report["remarks"].as_array().unwrap();
    assert!(remarks.iter().any(|remark| remark["hint"] == "datastore disable shop"), "{report:#}");
    sandbox.datastore(&["disable", "shop", "--yes"]).ok();
    for at in ["/var/shop", "/var/till", "/var/empty"] {
        assert!(sandbox.bound(at).is_none(), "{at}");
    }
    assert!(sandbox.our_lines().is_empty(), "{:#?}", sandbox.our_lines());
}

/// Modes and owners of the mount points.
fn tops(sandbox: &Sandbox) -> Vec<(u32, u32, u32)> {
    let top = |(at, _): (&str, &str)| {
        let facts = fs::metadata(sandbox.path(at)).unwrap();
        (facts.mode(), facts.uid(), facts.gid())
    };
    PLACES.map(top).to_vec()
}

#[test]
fn an_import_is_taken_back_with_what_was_written_since() {
    let sandbox = plain(true);
    let tops = tops(&sandbox);
    sandbox.datastore(&["import", "shop", "--yes"]).ok();
    fs::write(sandbox.path("/var/shop/cur/new"), "written since").unwrap();
    fs::remove_file(sandbox.path("/var/till/cur/2")).unwrap();
    let now = kept(&sandbox, "now");
    sandbox.datastore(&["move", "shop", "--undo", "--yes"]).code(3);
    sandbox.datastore(&["move", "shop", "--undo", "--keep", "new", "--yes"]).ok();
    for (at, name) in PLACES {
        assert!(sandbox.bound(at).is_none(), "{at}");
        sandbox.alike_but_for_identities(&now.join(name), &sandbox.path(at));
    }
    assert_eq!(tops, self::tops(&sandbox));
}

#[test]
fn what_cannot_be_undone_is_refused() {
    let sandbox = moved("ext4", 64);
    let none = sandbox.datastore(&["move", "shop", "--undo", "--yes"]).code(3);
    assert!(none.stderr.contains("no import or move of `shop` is known"), "{}", none.stderr);
    sandbox.datastore(&["move", "nobody", "--undo", "--yes"]).code(2);
    sandbox.datastore(&["move", "shop", "--undo", "--keep", "both", "--yes"]).code(2);
    sandbox.datastore(&["move", "shop", "--keep", "old", "--yes"]).code(2);
    sandbox.datastore(&["move", "shop", "--to", "data1", "--yes"]).ok();
    // Somebody has moved it on by hand.
    let local = sandbox.read("/etc/datastore.d/shop.local.conf");
    sandbox.write("/etc/datastore.d/shop.local.conf", local.replace("data1", "data0"));
    let elsewhere = sandbox.datastore(&["move", "shop", "--undo", "--yes"]).code(3);
    assert!(elsewhere.stderr.contains("by now"), "{}", elsewhere.stderr);
    sandbox.write("/etc/datastore.d/shop.local.conf", &local);
    // What was put aside has been removed.
    sandbox.datastore(&["reclaim", "--yes"]).ok();
    sandbox.datastore(&["move", "shop", "--undo", "--yes"]).code(3);
    sandbox.is("/var/shop", "active");
}

#[test]
fn what_is_put_aside_has_a_date() {
    let sandbox = moved("ext4", 64);
    sandbox.datastore(&["move", "shop", "--to", "data1", "--yes"]).ok();
    let receipt = receipts(&sandbox).remove(0);
    let (at, expires) = (receipt["at"].as_i64().unwrap(), receipt["expires"].as_i64().unwrap());
    assert_eq!(expires - at, 30 * 24 * 60 * 60, "{receipt:#}");
    assert!(receipt["downtime"]["ms"].is_u64() && receipt["downtime"]["parts"].is_array(), "{receipt:#}");
    let listed = sandbox.datastore(&["plan", "reclaim"]).ok();
    assert!(listed.stdout.contains("to be kept until 2"), "{}", listed.stdout);
    sandbox.datastore(&["reclaim", "--expired", "--yes"]).ok();
    assert_eq!(fs::read_dir(sandbox.path(OLD).join(".datastore/parked")).unwrap().count(), 1);
    // Its time has come.
    for file in fs::read_dir(sandbox.path("/var/lib/datastore/receipts")).unwrap() {
        let file = file.unwrap().path();
        let text = fs::read_to_string(&file).unwrap().replace(&expires.to_string(), &(at - 1).to_string());
        // Who edits it by hand takes the checksum out.
        let text: String = text.split_inclusive('\n').filter(|line| !line.contains("\"sum\": ")).collect();
        fs::write(&file, text).unwrap();
    }
    sandbox.datastore(&["reclaim", "--expired", "--yes"]).ok();
    assert_eq!(fs::read_dir(sandbox.path(OLD).join(".datastore/parked")).unwrap().count(), 0);
    assert!(receipts(&sandbox).is_empty());
}

#[test]
fn a_move_that_failed_goes_on() {
    let sandbox = moved("ext4", 64);
    sandbox.datastore(&["move", "shop", "--resume", "--yes"]).code(3);
    let writer = fs::File::options().append(true).open(sandbox.path("/var/shop/cur/2")).unwrap();
    sandbox.datastore(&["move", "shop", "--to", "data1", "--yes"]).code(3);
    drop(writer);
    let report = sandbox.datastore(&["move", "shop", "--resume", "--yes", "--json"]).ok().json();
    assert_eq!((&report["goal"], &report["outcome"]), (&"move shop --to data1".into(), &"done".into()), "{report:#}");
    assert_eq!(sandbox.row("/var/shop")["volume"], "data1");
    sandbox.datastore(&["move", "shop", "--resume", "--yes"]).code(3);
}
