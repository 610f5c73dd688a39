//! The guard: it lets an app start on its own data, and on nothing else.

use std::fs;

use datastore_tests::rows::text;
use datastore_tests::{Run, Sandbox, Snapshot};

const SHOP: &str =
    "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n[mapping.\"/var/stock\"]\ntarget = \"%{base}/stock\"\n";
const STORE: &str = "/store/data0/live/server1/shop";

/// A machine on which the app `shop` is active, and so is another one.
#[track_caller]
fn with_shop() -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", SHOP);
    sandbox.configlet("other", "[mapping.\"/var/other\"]\ntarget = \"%{base}/other\"\n");
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox
}

/// Demands a refusal that says why and what to do, changes nothing, and leaves the other app alone.
#[track_caller]
fn refuses(sandbox: &Sandbox, code: i32, says: &str) -> Run {
    let before = Snapshot::of(sandbox);
    let run = sandbox.datastore(&["guard", "shop", "--json"]).code(code);
    before.assert_unchanged(sandbox, "guard");
    let error = run.json()["error"].clone();
    assert!(text(&error["message"]).contains(says), "{says:?} was wanted: {error:#}");
    assert!(!text(&error["hint"]).is_empty(), "{error:#}");
    sandbox.datastore(&["shop", "guard"]).code(code).says(says);
    sandbox.datastore(&["guard", "other"]).ok();
    run
}

#[test]
fn an_active_app_may_start() {
    let sandbox = with_shop();
    let run = sandbox.datastore(&["guard", "shop"]).ok();
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""), "no news is good news");
    sandbox.datastore(&["shop", "guard"]).ok();
    let json = sandbox.datastore(&["guard", "shop", "--json"]).ok().json();
    assert_eq!(json, serde_json::json!({"app": "shop", "ready": true}));
}

#[test]
fn one_bind_taken_off_behind_its_back_is_seen_at_once() {
    for gone in ["/var/shop", "/var/stock"] {
        let sandbox = with_shop();
        sandbox.unmount(gone);
        refuses(&sandbox, 3, gone);
        assert_ne!(sandbox.state(gone), "active");
        sandbox.datastore(&["apply", "--yes"]).ok();
        sandbox.datastore(&["guard", "shop"]).ok();
    }
}

#[test]
fn an_app_may_start_whose_mount_point_lies_on_another_disk() {
    let sandbox = Sandbox::initialised();
    sandbox.tmpfs("/srv/disk", 1 << 20);
    sandbox.tmpfs("/srv/disk/inner", 1 << 20);
    sandbox.configlet("shop", "[mapping.\"/srv/disk/inner/deep/shop\"]\ntarget = \"%{base}/shop\"\n");
    sandbox.configlet("other", "[mapping.\"/var/other\"]\ntarget = \"%{base}/other\"\n");
    // What is made there comes to its disk, not to that of the root alone.
    sandbox.datastore(&["plan"]).ok().says("bring /srv/disk/inner to the disk").says("bring / to the disk");
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.datastore(&["guard", "shop"]).ok();
    sandbox.tmpfs("/srv/disk/inner", 1 << 20);
    refuses(&sandbox, 3, "/srv/disk/inner/deep/shop");
}

#[test]
fn an_app_that_was_never_bound_may_not_start() {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(&["guard", "shop"]).code(3).says("datastore apply shop");
    sandbox.datastore(&["guard", "home"]).code(3).says("datastore enable home");
}

#[test]
fn a_store_replaced_by_a_directory_of_the_same_name_is_not_the_store() {
    let sandbox = with_shop();
    fs::rename(sandbox.path(STORE), sandbox.path(format!("{STORE}.old"))).unwrap();
    sandbox.directory(STORE, 0o755);
    // The old one is still bound, and the name leads to another.
    refuses(&sandbox, 3, "/var/shop");
    // Neither may the new one be bound by hand, which is what systemd would do at the next boot.
    sandbox.unmount("/var/shop");
    sandbox.bind(STORE, "/var/shop");
    refuses(&sandbox, 3, "carries no identity");
    sandbox.unmount("/var/shop");
    refuses(&sandbox, 3, "carries no identity");
    sandbox.datastore(&["start", "shop"]).code(3).says("wrong-store");
    sandbox.datastore(&["start", "shop", "--accept-store"]).ok();
    sandbox.datastore(&["guard", "shop"]).ok();
}

#[test]
fn a_copy_in_the_place_of_the_store_is_not_what_is_bound() {
    let sandbox = with_shop();
    let (store, old) = (sandbox.path(STORE), sandbox.path(format!("{STORE}.old")));
    fs::rename(&store, &old).unwrap();
    // With its identity and everything, so that nothing but the directory itself tells the two apart.
    sandbox.run(sandbox.command("cp").arg("-a").args([&old, &store])).ok();
    assert_ne!(sandbox.row("/var/shop")["state"], "active");
    refuses(&sandbox, 3, "/var/shop");
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&old, &store).unwrap();
    sandbox.is("/var/shop", "active");
}

#[test]
fn another_store_bound_at_the_mount_point_is_not_the_store() {
    let sandbox = with_shop();
    sandbox.unmount("/var/shop");
    sandbox.bind("/store/data0/live/server1/other", "/var/shop");
    refuses(&sandbox, 3, "/var/shop");
    sandbox.unmount("/var/shop");
    sandbox.tmpfs("/var/shop", 1 << 20);
    refuses(&sandbox, 3, "/var/shop");
    sandbox.unmount("/var/shop");
    sandbox.bind(STORE, "/var/shop");
    sandbox.datastore(&["guard", "shop"]).ok();
    // Something covers the right bind.
    sandbox.tmpfs("/var/shop", 1 << 20);
    refuses(&sandbox, 3, "/var/shop");
}

#[test]
fn a_volume_with_another_identity_is_not_the_volume() {
    let sandbox = with_shop();
    let file = "/store/data0/.datastore/volume.toml";
    let text = sandbox.read(file);
    let id = text.lines().find_map(|l| l.strip_prefix("id = \"")).unwrap().trim_end_matches('"').to_owned();
    sandbox.write(file, text.replace(&id, "00000000-0000-4000-8000-000000000001"));
    sandbox.datastore(&["guard", "shop"]).code(3).says("00000000-0000-4000-8000-000000000001");
    sandbox.datastore(&["guard", "other"]).code(3);
    sandbox.write(file, &text);
    sandbox.datastore(&["guard", "shop"]).ok();
}

#[test]
fn an_app_whose_configuration_breaks_may_not_start() {
    let sandbox = with_shop();
    sandbox.configlet("shop", &format!("{SHOP}permisions = \"0755\"\n"));
    refuses(&sandbox, 3, "permisions");
    sandbox.configlet("shop", "this is = not [toml\n");
    refuses(&sandbox, 3, "shop.conf");
    let conf = sandbox.configlet("shop", SHOP);
    std::os::unix::fs::chown(&conf, Some(1000), None).unwrap();
    refuses(&sandbox, 3, "1000");
    std::os::unix::fs::chown(&conf, Some(0), None).unwrap();
    sandbox.datastore(&["guard", "shop"]).ok();
    let globals = sandbox.read("/etc/datastore.conf");
    sandbox.write("/etc/datastore.conf", format!("hots = \"x\"\n{globals}"));
    sandbox.datastore(&["guard", "shop"]).code(3).says("hots");
    fs::remove_file(sandbox.path("/etc/datastore.conf")).unwrap();
    sandbox.datastore(&["guard", "shop"]).code(3).says("datastore init");
}

#[test]
fn a_stopped_app_may_not_start() {
    let sandbox = with_shop();
    sandbox.datastore(&["stop", "shop"]).ok();
    refuses(&sandbox, 3, "stopped on purpose");
    sandbox.datastore(&["start", "shop"]).ok();
    sandbox.datastore(&["guard", "shop"]).ok();
}

#[test]
fn an_app_whose_data_is_being_moved_may_not_start() {
    let sandbox = with_shop();
    let (journal, done) = ("/var/lib/datastore/journal", "/var/lib/datastore/done");
    let names = fs::read_dir(sandbox.path(done)).unwrap();
    let name = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).max().expect("a journal");
    let operation = name.trim_end_matches(".journal");
    let mark = sandbox.write("/run/datastore/closed/shop", operation);
    // It has ended, and is nobody's to take away.
    refuses(&sandbox, 3, "an operation that has ended, or cannot be seen, left /run/datastore/closed/shop");
    // It is at work: whoever writes a journal holds it.
    let told = sandbox.read(format!("{done}/{name}"));
    let open: Vec<&str> = told.split_inclusive('\n').collect();
    let held = sandbox.write(format!("{journal}/{name}"), open[..open.len() - 1].concat());
    let held = fs::File::open(held).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    refuses(&sandbox, 3, "its data is being moved");
    // It was interrupted.
    drop(held);
    let run = refuses(&sandbox, 3, "an operation stopped half-way while it moved its data");
    assert_eq!(text(&run.json()["error"]["hint"]), "datastore recover");
    fs::remove_file(mark).unwrap();
    sandbox.datastore(&["guard", "shop"]).ok();
}

#[test]
fn an_unknown_app_may_not_start() {
    let sandbox = with_shop();
    sandbox.datastore(&["guard", "shpo"]).code(2).says("shpo");
    sandbox.datastore(&["guard", "../shop"]).code(2);
    sandbox.datastore(&["guard"]).code(2);
}

#[test]
fn a_manifest_that_cannot_be_read_opens_nothing() {
    let sandbox = with_shop();
    let file = "/store/data0/live/server1/.datastore/manifest.toml";
    let text = sandbox.read(file);
    for damaged in [
        text.replace("version = 1", "version = 99"),
        "version = 1\n[store\n".to_owned(),
        text.replace("id = \"", "id = \"x"),
    ] {
        assert_ne!(damaged, text);
        sandbox.write(file, &damaged);
        sandbox.datastore(&["guard", "shop"]).code(3).says("manifest");
    }
    sandbox.write(file, &text);
    sandbox.datastore(&["guard", "shop"]).ok();
}
