//! Without privilege: looking works and says what it could not see, changing is refused; and all works for whoever is
//! root of a user namespace.

use std::os::unix::process::CommandExt as _;

use datastore_tests::{Run, Sandbox, Unprivileged, binary, picture, scenes};

/// A root of root's, with a copy of the program in it: the build may lie where nobody cannot go.
fn machine() -> Sandbox {
    let sandbox = Sandbox::new();
    // By cp(1): while this process had it open for writing, a child of another thread's could keep it so (ETXTBSY).
    sandbox.run(sandbox.command("cp").arg(binary::datastore()).arg(sandbox.path("datastore"))).ok();
    sandbox
}

/// Runs datastore as nobody.
fn as_nobody(sandbox: &Sandbox, args: &[&str]) -> Run {
    let mut command = sandbox.command(sandbox.path("datastore"));
    command.arg("--root").arg(sandbox.root()).args(args).uid(65_534).gid(65_534);
    sandbox.run(command)
}

/// The row of a mount point, of the app that asks for it (the shipped `httpd` declares /var/www/html too).
fn row<'a>(status: &'a serde_json::Value, mount_point: &str) -> &'a serde_json::Value {
    let rows = status["mappings"].as_array().expect("rows");
    rows.iter()
        .find(|row| row["mount_point"] == mount_point && row["app"] != "httpd")
        .unwrap_or_else(|| panic!("{mount_point} in {status}"))
}

#[test]
fn status_as_nobody_works_and_says_what_it_could_not_see() {
    let sandbox = machine();
    scenes::applied(&sandbox);
    let seen = as_nobody(&sandbox, &["status", "--json"]).ok().json();
    assert_eq!(seen["complete"], false, "{seen}");
    for mount_point in ["/var/www/html", "/var/www/html/deep/cgi", "/var/spool/mail"] {
        assert_eq!(row(&seen, mount_point)["state"], "active", "{mount_point}");
    }
    as_nobody(&sandbox, &["status"]).ok().says("root");
    assert_eq!(sandbox.datastore(&["status", "--json"]).ok().json()["complete"], true);

    // What anybody can see is still told: a bind that has gone.
    sandbox.unmount("/var/spool/mail");
    let seen = as_nobody(&sandbox, &["status", "--json"]).ok().json();
    assert_ne!(row(&seen, "/var/spool/mail")["state"], "active", "{seen}");
    sandbox.datastore(&["stop", "web"]).ok();
    let seen = as_nobody(&sandbox, &["status", "--json"]).ok().json();
    assert_ne!(row(&seen, "/var/www/html")["state"], "active", "{seen}");
    as_nobody(&sandbox, &["status", "web"]).code(3);
    as_nobody(&sandbox, &["volume", "list"]).ok().says("data0");
    as_nobody(&sandbox, &["config", "check"]).ok();
}

#[test]
fn no_change_is_made_for_nobody_and_each_refusal_has_a_hint() {
    let sandbox = machine();
    scenes::applied(&sandbox);
    sandbox.configlet("new", "[mapping.\"/var/lib/new\"]\ntarget = \"%{base}/new\"\n");
    sandbox.directory("srv", 0o755);
    let before = picture::of(sandbox.root());
    for args in [
        &["apply", "--yes"][..],
        &["stop", "web"],
        &["start", "new"],
        &["restart", "web"],
        &["disable", "web", "--yes"],
        &["enable", "home", "--yes"],
        &["volume", "add", "data1", "--directory", "/srv", "--yes"],
        &["volume", "remove", "data0", "--yes"],
    ] {
        let run = as_nobody(&sandbox, args);
        let is_used = args.contains(&"remove");
        // That the volume is in use is seen first.
        run.code(if is_used { 3 } else { 4 }).says("hint:");
        picture::same(&picture::of(sandbox.root()), &before, &format!("after {args:?}"));
    }
    let fresh = machine();
    as_nobody(&fresh, &["init", "--host", "server1", "--yes"]).code(4).says("hint:");
    assert!(!fresh.exists("/etc/datastore.conf"));
}

#[test]
fn recover_as_nobody_never_claims_success() {
    let sandbox = machine();
    scenes::applied(&sandbox);
    sandbox.write("/var/lib/datastore/journal/20261123T100000000Z-00000001.journal", "torn");
    let before = picture::of(sandbox.root());
    as_nobody(&sandbox, &["recover"]).code(4);
    picture::same(&picture::of(sandbox.root()), &before, "after recover as nobody");
}

#[test]
fn a_user_namespace_has_the_whole_road_with_a_directory_as_volume() {
    let sandbox = Unprivileged::new();
    sandbox.write("/srv/big/.keep", "");
    std::fs::remove_file(sandbox.path("/srv/big/.keep")).unwrap();
    sandbox.configlet("web", "[mapping.\"/var/www/html\"]\ntarget = \"%{base}/html\"\npermissions = \"0751\"\n");
    sandbox.configlet("big", "[mapping.\"/var/lib/big\"]\ntarget = \"%{base}/big\"\nvolume = \"data1\"\n");
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    sandbox.datastore(&["guard", "web"]).code(3);
    sandbox.datastore(&["volume", "add", "data1", "--directory", "/srv/big", "--yes"]).ok();
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.datastore(&["apply", "--yes"]).ok().says("nothing to do");
    let status = sandbox.datastore(&["status", "--json"]).ok().json();
    for mount_point in ["/var/www/html", "/var/lib/big"] {
        assert_eq!(row(&status, mount_point)["state"], "active", "{status}");
    }
    sandbox.datastore(&["guard", "web"]).ok();
    sandbox.datastore(&["guard", "big"]).ok();

    // The identity is one that an unprivileged user can give.
    let store = sandbox.path("/store/data0/live/server1/html");
    let mut getfattr = sandbox.command("getfattr");
    getfattr.args(["--absolute-names", "--only-values", "-n", "user.datastore.id"]).arg(&store);
    let identity = sandbox.run(getfattr).ok().stdout;
    assert_eq!(identity.len(), 36, "{identity:?}");

    // What is written through the mount point lies in the store, and is there again after stop and start.
    let at = sandbox.path("/var/www/html/page");
    sandbox.run(sandbox.command("touch").arg(&at)).ok();
    assert!(store.join("page").exists());
    sandbox.datastore(&["stop", "web"]).ok();
    sandbox.run(sandbox.command("ls").arg(&at)).fails();
    sandbox.datastore(&["guard", "web"]).code(3);
    sandbox.datastore(&["start", "web"]).ok();
    sandbox.run(sandbox.command("ls").arg(&at)).ok();
    sandbox.datastore(&["guard", "web"]).ok();

    // Another identity is told from the right one there too.
    sandbox.datastore(&["stop", "web"]).ok();
    let mut setfattr = sandbox.command("setfattr");
    setfattr.args(["-n", "user.datastore.id", "-v", "00000000-0000-4000-8000-000000000000"]).arg(&store);
    sandbox.run(setfattr).ok();
    sandbox.datastore(&["start", "web"]).code(3).says("identity");
    sandbox.datastore(&["guard", "web"]).code(3);
    sandbox.datastore(&["disable", "big", "--yes"]).ok();
    sandbox.datastore(&["volume", "remove", "data1", "--yes"]).ok();
}

#[test]
fn nobody_outside_of_its_namespace_is_told_so() {
    let sandbox = Unprivileged::new();
    sandbox.datastore_outside(&["init", "--host", "server1", "--yes"]).code(4).says("hint:");
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    sandbox.datastore_outside(&["status", "--json"]).ok();
}
