//! `move`: an app's stores come to another volume or directory while the app goes on.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use datastore_tests::rows::text;
use datastore_tests::{Sandbox, picture, scenes};

const SHOP: &str =
    "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n[mapping.\"/var/till\"]\ntarget = \"%{base}/till\"\n";
const OLD: &str = "/store/data0/live/server1";
const NEW: &str = "/store/data1/live/server1";

/// Two volumes, and an app with data on the first one.
fn machine(fstype: &str, mib: u64) -> Sandbox {
    scenes::shop(SHOP, &["/var/shop", "/var/till"], fstype, mib)
}

/// Where the old stores were put aside.
fn parked(sandbox: &Sandbox) -> PathBuf {
    let room = sandbox.path(OLD).join(".datastore/parked");
    let mut entries: Vec<_> = fs::read_dir(&room).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries.remove(0)
}

#[test]
fn stores_come_to_another_volume() {
    for (fstype, mib) in [("ext4", 64), ("xfs", 320), ("btrfs", 128)] {
        let sandbox = machine(fstype, mib);
        // Nobody can be asked.
        sandbox.datastore(&["move", "shop", "--to", "data1", "--json"]).code(2);
        let report = sandbox.datastore(&["move", "shop", "--to", "data1", "--yes", "--json"]).ok().json();
        assert_eq!(report["outcome"], "done", "{report:#}");
        for (at, name) in [("/var/shop", "shop"), ("/var/till", "till")] {
            let row = sandbox.row(at);
            assert_eq!((&row["state"], &row["volume"]), (&"active".into(), &"data1".into()), "{row:#}");
            assert_eq!(row["store"], format!("{NEW}/{name}"));
            assert!(!sandbox.exists(format!("{OLD}/{name}")));
            sandbox.alike_but_for_identities(&parked(&sandbox).join(name), &sandbox.path(NEW).join(name));
            sandbox.alike_but_for_identities(&sandbox.path(at), &sandbox.path(NEW).join(name));
        }
        assert!(sandbox.our_lines().iter().all(|line| !line.contains("data0")), "{:#?}", sandbox.our_lines());
        let local = sandbox.read("/etc/datastore.d/shop.local.conf");
        assert!(local.contains("volume = \"data1\"") && !local.contains("target"), "{local}");
        sandbox.datastore(&["guard", "shop"]).ok();
        assert!(!sandbox.read(format!("{OLD}/.datastore/manifest.toml")).contains("shop"));
        // Nothing is left to do.
        let before = picture::exact(sandbox.root());
        sandbox.datastore(&["move", "shop", "--to", "data1", "--yes"]).ok();
        sandbox.datastore(&["apply", "--yes"]).ok();
        assert_eq!(picture::exact(sandbox.root()), before);
        // And back again.
        sandbox.datastore(&["move", "shop", "--to", "data0", "--yes"]).ok();
        sandbox.is("/var/shop", "active");
        assert_eq!(sandbox.row("/var/shop")["store"], format!("{OLD}/shop"));
    }
}

#[test]
fn a_kept_plan_moves_what_is_there_by_then() {
    let sandbox = machine("ext4", 64);
    let before = picture::exact(sandbox.root());
    let plan = sandbox.datastore(&["plan", "move", "shop", "--to", "data1", "--json"]).ok().json();
    assert_eq!(plan["goal"], "move shop --to data1", "{plan:#}");
    assert!(plan["loads"].as_array().is_some_and(|loads| loads.len() == 2), "{plan:#}");
    assert!(plan["loads"][0]["bytes"].as_u64() > Some(5000) && plan["loads"][0]["seconds"].is_u64(), "{plan:#}");
    assert_eq!(picture::exact(sandbox.root()), before, "a plan changes nothing");
    let kept = sandbox.datastore(&["plan", "move", "shop", "--to", "data1", "--save", "--json"]).ok().json();
    let id = text(&kept["id"]);
    // The app goes on meanwhile.
    fs::write(sandbox.path("/var/shop/later"), [b'l'; 7000]).unwrap();
    let report = sandbox.datastore(&["apply", "--plan", &id, "--yes", "--json"]).ok().json();
    assert_eq!(report["outcome"], "done", "{report:#}");
    assert_eq!(sandbox.row("/var/shop")["store"], format!("{NEW}/shop"));
    assert_eq!(fs::read(sandbox.path("/var/shop/later")).unwrap().len(), 7000);
    // It was for another machine than this one is now.
    let refused = sandbox.datastore(&["apply", "--plan", &id, "--yes"]).code(3);
    assert!(refused.stderr.contains("datastore plan move shop --to data1 --save"), "{}", refused.stderr);
    let undo = text(&sandbox.datastore(&["shop", "plan", "move", "--undo", "--save", "--json"]).ok().json()["id"]);
    sandbox.datastore(&["apply", "--plan", &undo, "--yes"]).ok();
    assert_eq!(sandbox.row("/var/shop")["store"], format!("{OLD}/shop"));
    let usage = sandbox.datastore(&["plan", "move", "shop"]).code(2);
    assert!(usage.stderr.contains("needs one of `to`, `undo`"), "{}", usage.stderr);
}

#[test]
fn within_a_file_system_stores_are_renamed_under_their_binds() {
    let sandbox = machine("ext4", 64);
    let inode = fs::metadata(sandbox.path("/var/shop/cur/2")).unwrap().ino();
    let to = "/store/data0/live/server1/new";
    sandbox.datastore(&["move", "shop", "--to", to, "--yes"]).ok();
    for (at, name) in [("/var/shop", "shop"), ("/var/till", "till")] {
        sandbox.is(at, "active");
        assert_eq!(sandbox.row(at)["store"], format!("{to}/{name}"));
    }
    assert_eq!(fs::metadata(sandbox.path("/var/shop/cur/2")).unwrap().ino(), inode);
    assert!(
        sandbox.read("/etc/datastore.d/shop.local.conf").contains("target = \"/store/data0/live/server1/new/shop\"")
    );
}

#[test]
fn an_app_that_is_stopped_moves_and_stays_stopped() {
    let sandbox = machine("ext4", 64);
    sandbox.datastore(&["stop", "shop"]).ok();
    sandbox.datastore(&["move", "shop", "--to", "data1", "--yes"]).ok();
    sandbox.is("/var/shop", "inactive");
    sandbox.datastore(&["start", "shop"]).ok();
    sandbox.is("/var/shop", "active");
    assert_eq!(fs::read(sandbox.path("/var/shop/cur/2")).unwrap().len(), 5000);
}

#[test]
fn a_reader_never_finds_the_mount_point_empty() {
    let sandbox = machine("ext4", 64);
    let (over, reads, missed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let file = sandbox.path("/var/shop/cur/2");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                missed.fetch_add(u64::from(fs::read(&file).is_err()), Ordering::Relaxed);
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
        for to in ["data1", "data0", "data1"] {
            sandbox.datastore(&["move", "shop", "--to", to, "--yes"]).ok();
        }
        over.store(true, Ordering::Relaxed);
    });
    let (reads, missed) = (reads.into_inner(), missed.into_inner());
    // Before Linux 6.5 the one is taken off before the other is there.
    if Sandbox::lacks("mount_setattr") {
        return;
    }
    assert_eq!(missed, 0, "of {reads}");
}

/// Stops a process where it is, or lets it go on (kill(1)).
fn signal(child: &std::process::Child, name: &str) {
    let sent = std::process::Command::new("kill").arg(name).arg(child.id().to_string()).status();
    assert!(sent.expect("run kill").success(), "kill {name}");
}

#[test]
fn what_is_written_while_it_is_copied_comes_along() {
    let sandbox = machine("ext4", 256);
    for n in 0..2000 {
        fs::write(sandbox.path("/var/shop/cur").join(format!("m{n}")), vec![b'm'; 20_000]).unwrap();
    }
    // Whoever is kept from looking until half of the first pass is over tries once more, to the other volume: whoever still writes during the
    // last pass is refused.
    let mut written = Vec::new();
    for (volume, base) in [("data1", NEW), ("data0", OLD)].into_iter().cycle().take(20) {
        let mut command = sandbox.datastore_command(&["move", "shop", "--to", volume, "--yes"]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let staging = sandbox.path(base).join(".datastore/incoming/shop");
        while child.try_wait().unwrap().is_none() {
            if !staging.exists() {
                std::thread::yield_now();
                continue;
            }
            // It stands still while the files are written, however slow this machine is.
            signal(&child, "-STOP");
            if fs::read_dir(staging.join("cur")).map_or(0, Iterator::count) <= 1000 {
                for n in 0..50 {
                    let (name, cur) = (format!("late{n}"), sandbox.path("/var/shop/cur"));
                    fs::write(cur.join(&name), &name).unwrap();
                    fs::rename(cur.join(&name), sandbox.path("/var/shop").join(&name)).unwrap();
                    written.push(name);
                }
            }
            signal(&child, "-CONT");
            break;
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(sandbox.row("/var/shop")["volume"], volume);
        if !written.is_empty() {
            break;
        }
        sandbox.datastore(&["reclaim", "shop", "--yes"]).ok();
    }
    assert!(!written.is_empty(), "twenty moves were too fast to be met half-way");
    for name in written {
        assert_eq!(fs::read_to_string(sandbox.path("/var/shop").join(&name)).unwrap(), name);
    }
}

#[test]
fn refusals_change_nothing() {
    let sandbox = machine("ext4", 64);
    let unknown = sandbox.datastore(&["move", "shop", "--to", "data9", "--yes"]).code(2);
    assert!(unknown.stderr.contains("no volume is called `data9`"), "{}", unknown.stderr);
    let nowhere = sandbox.datastore(&["move", "shop", "--to", "/srv/elsewhere", "--yes"]).code(3);
    assert!(nowhere.stderr.contains("lies on no volume"), "{}", nowhere.stderr);
    sandbox.datastore(&["move", "nobody", "--to", "data1", "--yes"]).code(2);
    fs::create_dir_all(sandbox.path(NEW).join("shop/full")).unwrap();
    let there = sandbox.datastore(&["move", "shop", "--to", "data1", "--yes", "--json"]).code(3).json();
    assert_eq!(there["notes"][0]["reason"], "claimed-elsewhere", "{there:#}");
    fs::remove_dir_all(sandbox.path(NEW).join("shop")).unwrap();
    let writer = fs::File::options().append(true).open(sandbox.path("/var/shop/cur/2")).unwrap();
    let busy = sandbox.datastore(&["move", "shop", "--to", "data1", "--yes"]).code(3);
    assert!(busy.stderr.contains("is still written to"), "{}", busy.stderr);
    drop(writer);
    sandbox.datastore(&["guard", "shop"]).ok();
    sandbox.is("/var/shop", "active");
    assert!(text(&sandbox.row("/var/shop")["volume"]) == "data0");
    fs::remove_dir_all(sandbox.path(NEW).join(".datastore/incoming")).unwrap();
}
