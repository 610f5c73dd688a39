//! `usage`: measured by root, kept for everybody, never more than it is.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use datastore_tests::rows::{fields, text};
use datastore_tests::{Run, Sandbox, binary, picture, scenes};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n";
const KEPT: &str = "/run/datastore/usage.json";

/// Two volumes, and an app with data on the first one.
fn machine() -> Sandbox {
    scenes::shop(SHOP, &["/var/shop"], "ext4", 64)
}

fn as_nobody(sandbox: &Sandbox, args: &[&str]) -> Run {
    let program = sandbox.path("/datastore");
    if !program.exists() {
        sandbox.run(sandbox.command("cp").arg(binary::datastore()).arg(&program)).ok();
    }
    let mut command = sandbox.command(program);
    command.arg("--root").arg(sandbox.root()).args(args).uid(65_534).gid(65_534);
    sandbox.run(command)
}

#[track_caller]
fn kept_by_nobody(sandbox: &Sandbox) -> Value {
    as_nobody(sandbox, &["usage", "--kept", "--json"]).ok().json()
}

#[track_caller]
fn store<'a>(usage: &'a Value, app: &str) -> &'a Value {
    let rows = usage["stores"].as_array().expect("stores");
    rows.iter().find(|row| row["app"] == app).unwrap_or_else(|| panic!("{app} in {usage:#}"))
}

fn du(sandbox: &Sandbox, path: &str) -> u64 {
    let run = sandbox.run(sandbox.command("du").args(["-sx", "--block-size=1"]).arg(sandbox.path(path))).ok();
    run.stdout.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn root_measures_and_everybody_reads_what_was_kept() {
    let sandbox = machine();
    let before = kept_by_nobody(&sandbox);
    assert_eq!(fields(&before), ["complete", "measured", "parked", "stores"]);
    assert_eq!((&before["measured"], &before["complete"]), (&Value::Null, &false.into()));
    assert_eq!((&store(&before, "shop")["bytes"], &before["parked"]), (&Value::Null, &serde_json::json!([])));
    as_nobody(&sandbox, &["usage", "--kept"]).ok().says("nothing was measured yet").says("datastore usage");
    as_nobody(&sandbox, &["usage"]).code(4).says("hint:").says("usage --kept");
    assert!(!sandbox.exists(KEPT));

    let picture = picture::exact(sandbox.root());
    sandbox.run(sandbox.command("sync")).ok();
    let measured = sandbox.datastore(&["usage", "--json"]).ok().json();
    picture::same(&picture::exact(sandbox.root()), &picture, "a measure changes nothing");
    let row = store(&measured, "shop");
    assert_eq!(
        fields(row),
        ["app", "apparent", "bytes", "complete", "detail", "entries", "measured", "mount_point", "store", "volume"]
    );
    assert_eq!(row["bytes"], du(&sandbox, "/store/data0/live/server1/shop"), "{row:#}");
    // Two names of one file count once in bytes, and both are entries.
    assert_eq!((&row["apparent"], &row["entries"]), (&75_010.into(), &9.into()), "{row:#}");
    assert_eq!((&row["volume"], &row["complete"], &row["detail"]), (&"data0".into(), &true.into(), &"".into()));
    assert!(measured["measured"].as_i64() > Some(1_700_000_000) && measured["complete"] == true, "{measured:#}");
    let meta = fs::metadata(sandbox.path(KEPT)).unwrap();
    assert_eq!((meta.permissions().mode() & 0o7777, meta.uid()), (0o644, 0));
    assert_eq!(kept_by_nobody(&sandbox), measured);
    for args in [&["usage", "shop", "--kept"][..], &["shop", "usage", "--kept"]] {
        as_nobody(&sandbox, args).ok().says("/var/shop").says("data0: ").says("measured at ");
    }
    as_nobody(&sandbox, &["usage", "nobody", "--kept"]).code(2).says("nobody");
    sandbox.datastore(&["usage", "nobody"]).code(2).says("nobody");
    // Doing it again does no harm, and leaves nothing behind.
    sandbox.datastore(&["usage"]).ok();
    let names = fs::read_dir(sandbox.path("/run/datastore")).unwrap().map(|e| e.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().ends_with(".tmp")));
}

#[test]
fn one_app_is_measured_anew_and_the_others_stay() {
    let sandbox = machine();
    sandbox.configlet("till", "[mapping.\"/var/till\"]\ntarget = \"%{base}/till\"\n");
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.datastore(&["usage"]).ok();
    for at in ["/var/shop/more", "/var/till/more"] {
        fs::write(sandbox.path(at), vec![b'x'; 1 << 20]).unwrap();
    }
    sandbox.run(sandbox.command("sync")).ok();
    let only = sandbox.datastore(&["usage", "till", "--json"]).ok().json();
    assert_eq!(only["stores"].as_array().map(Vec::len), Some(1), "{only:#}");
    assert!(store(&only, "till")["bytes"].as_u64() > Some(1 << 20), "{only:#}");
    let all = kept_by_nobody(&sandbox);
    assert_eq!(store(&all, "till"), store(&only, "till"));
    assert_eq!(store(&all, "shop")["apparent"], 75_010, "as it was measured before");
    // What is gone is dropped, what is new has no amount, what is disabled is told as long as its data is there.
    fs::remove_file(sandbox.path("/etc/datastore.d/till.conf")).unwrap();
    sandbox.configlet("new", "[mapping.\"/var/new\"]\ntarget = \"%{base}/new\"\n");
    sandbox.datastore(&["disable", "shop", "--yes"]).ok();
    let now = kept_by_nobody(&sandbox);
    assert!(!now.to_string().contains("till"), "{now:#}");
    assert_eq!((&store(&now, "new")["bytes"], &now["complete"]), (&Value::Null, &false.into()));
    assert_eq!(store(&now, "shop")["apparent"], 75_010);
    let again = sandbox.datastore(&["usage", "--json"]).ok().json();
    assert!(store(&again, "shop")["bytes"].as_u64() > Some(1 << 20), "{again:#}");
    let new = store(&again, "new");
    assert_eq!((&new["bytes"], &new["complete"]), (&0.into(), &true.into()), "{new:#}");
    assert!(text(&new["detail"]).contains("no store directory yet"), "{new:#}");
}

#[test]
fn what_was_put_aside_is_told_to_everybody_also_before_it_is_measured() {
    let sandbox = machine();
    sandbox.datastore(&["move", "shop", "--to", "data1", "--yes"]).ok();
    let told = kept_by_nobody(&sandbox);
    let parked = told["parked"].as_array().unwrap();
    assert_eq!(parked.len(), 1, "{told:#}");
    let row = &parked[0];
    let names = "app apparent bytes complete detail entries expires measured mount_point since tree volume";
    assert_eq!(fields(row).join(" "), names);
    assert_eq!((&row["app"], &row["volume"], &row["bytes"]), (&"shop".into(), &"data0".into(), &Value::Null));
    assert!(row["since"].as_i64() > Some(1_700_000_000) && row["expires"].as_i64() > row["since"].as_i64(), "{row:#}");
    let tree = text(&row["tree"]);
    assert!(sandbox.path(&tree).is_dir(), "{tree}");
    let listed = sandbox.datastore(&["plan", "reclaim", "--json"]).ok().json();
    assert_eq!(listed["loads"][0]["path"], *tree, "what `reclaim` lists");

    // A boot empties /run; `recover` runs at every boot.
    fs::remove_dir_all(sandbox.path("/run/datastore")).unwrap();
    assert_eq!(kept_by_nobody(&sandbox)["parked"], serde_json::json!([]));
    sandbox.datastore(&["recover"]).ok();
    assert_eq!(kept_by_nobody(&sandbox)["parked"], told["parked"]);

    sandbox.run(sandbox.command("sync")).ok();
    let measured = sandbox.datastore(&["usage", "--json"]).ok().json();
    assert_eq!(measured["parked"][0]["bytes"], du(&sandbox, &tree), "{measured:#}");
    assert_eq!(store(&measured, "shop")["volume"], "data1");
    let shown = sandbox.datastore(&["usage", "--kept"]).ok();
    shown.says("PUT ASIDE").says("datastore reclaim").says(" put aside");
    sandbox.datastore(&["reclaim", "--yes"]).ok();
    let after = kept_by_nobody(&sandbox);
    assert_eq!(after["parked"], serde_json::json!([]), "{after:#}");
    assert_eq!(store(&after, "shop")["bytes"], store(&measured, "shop")["bytes"], "the rest stays");
}

#[test]
fn a_volume_that_is_missing_is_told_and_the_rest_is_measured() {
    let sandbox = machine();
    sandbox.configlet("till", "[mapping.\"/var/till\"]\ntarget = \"%{base}/till\"\nvolume = \"data1\"\n");
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.datastore(&["stop", "till"]).ok();
    sandbox.unmount("/store/data1");
    let usage = sandbox.datastore(&["usage", "--json"]).ok().json();
    let row = store(&usage, "till");
    assert_eq!((&row["bytes"], &row["complete"], &usage["complete"]), (&Value::Null, &false.into(), &false.into()));
    assert!(!text(&row["detail"]).is_empty(), "{row:#}");
    assert_eq!(store(&usage, "shop")["apparent"], 75_010);
    sandbox.datastore(&["usage"]).ok().says("/var/till").says(&text(&row["detail"]));
}

#[test]
fn one_that_is_killed_leaves_what_was_kept() {
    let sandbox = machine();
    sandbox.datastore(&["usage"]).ok();
    let before = sandbox.read(KEPT);
    fs::write(sandbox.path("/var/shop/more"), "more").unwrap();
    for after in [0, 3, 10, 30, 100] {
        let mut command = sandbox.datastore_command(&["usage"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(after));
        let _ = kill_process(Pid::from_child(&child), Signal::INT);
        child.wait().unwrap();
        let now = sandbox.read(KEPT);
        let kept: Value = serde_json::from_str(&now).expect("it is whole");
        assert!(now == before || store(&kept, "shop")["apparent"] == 75_014, "{now}");
    }
    // What cannot be understood is as if it were not there.
    fs::write(sandbox.path(KEPT), "{\"measured\":").unwrap();
    assert_eq!(kept_by_nobody(&sandbox)["measured"], Value::Null);
    sandbox.datastore(&["usage"]).ok();
    assert_eq!(store(&kept_by_nobody(&sandbox), "shop")["apparent"], 75_014);
}
