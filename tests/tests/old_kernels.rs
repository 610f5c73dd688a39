//! The main road on kernels that lack the newer calls: everything works as on the newest.

use datastore_tests::{Run, Sandbox, picture, scenes};

/// The whole road without some calls, and what stands at its stations.
fn road(calls: &[&str]) -> Vec<String> {
    let sandbox = Sandbox::in_memory();
    let run = |args: &[&str]| -> Run {
        if calls.is_empty() { sandbox.datastore(args) } else { sandbox.datastore_without(calls, args) }
    };
    let mut stations = Vec::new();
    let mut station = || stations.push(picture::of(sandbox.root()));
    run(&["init", "--host", "server1", "--yes"]).ok();
    station();
    sandbox.configlet("web", scenes::WEB);
    sandbox.configlet("mail", scenes::MAIL);
    sandbox.directory("srv", 0o755);
    sandbox.directory("srv/big", 0o755);
    run(&["guard", "web"]).code(3);
    run(&["apply", "--yes"]).ok();
    station();
    run(&["apply", "--yes"]).ok().says("nothing to do");
    let status = run(&["status", "--json"]).ok().json();
    let active = status["mappings"].as_array().unwrap().iter().filter(|row| row["state"] == "active").count();
    assert_eq!(active, 3, "{status}");
    assert_eq!(status["complete"], true);
    run(&["status", "web"]).ok();
    run(&["guard", "web"]).ok();
    let bind = sandbox.bound("/var/spool/mail").unwrap();
    assert!(bind.has("nosuid") && bind.has("nodev") && bind.has("rw"), "{bind:?}");

    run(&["stop", "web"]).ok();
    station();
    run(&["guard", "web"]).code(3).says("stopped on purpose");
    run(&["status", "web"]).code(3);
    run(&["start", "web"]).ok();
    station();
    run(&["guard", "web"]).ok();
    // Somebody takes a bind away: it is seen at once.
    sandbox.unmount("/var/spool/mail");
    run(&["guard", "mail"]).code(3);
    run(&["apply", "--yes"]).ok();
    run(&["guard", "mail"]).ok();
    // And somebody changes options behind our back.
    let at = sandbox.path("/var/spool/mail");
    sandbox.run(sandbox.command("mount").args(["-o", "remount,bind,suid,dev"]).arg(at)).ok();
    run(&["status"]).ok().says("drifted");
    run(&["apply", "--yes"]).ok();
    assert!(sandbox.bound("/var/spool/mail").unwrap().has("nosuid"));

    // In use, and then no more.
    let mut sleeper =
        sandbox.command("sleep").arg("1000").current_dir(sandbox.path("/var/spool/mail")).spawn().unwrap();
    let pid = sleeper.id().to_string();
    let refused = run(&["disable", "mail", "--yes"]);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    refused.fails().says(&pid);
    run(&["volume", "add", "data1", "--directory", "/srv/big", "--yes"]).ok();
    run(&["disable", "web", "mail", "--yes"]).ok();
    station();
    assert_eq!(picture::fstab(&sandbox.read("/etc/fstab")).ours.len(), 1, "the volume alone");
    stations
}

fn works_without(calls: &[&str]) {
    let wanted = road(&[]);
    let seen = road(calls);
    assert_eq!(wanted.len(), seen.len());
    for (i, (seen, wanted)) in seen.iter().zip(&wanted).enumerate() {
        picture::same(seen, wanted, &format!("station {i} without {}", calls.join(", ")));
    }
}

#[test]
fn without_openat2() {
    works_without(&["openat2"]);
}

#[test]
fn without_open_tree_move_mount_and_mount_setattr() {
    works_without(&["open_tree", "move_mount", "mount_setattr"]);
}

#[test]
fn without_mount_setattr() {
    works_without(&["mount_setattr"]);
}

#[test]
fn without_statmount_and_listmount() {
    works_without(&["statmount", "listmount"]);
}

#[test]
fn without_statx() {
    works_without(&["statx"]);
}

#[test]
fn without_getxattrat() {
    works_without(&["464"]);
}

#[test]
fn without_any_of_them_as_on_linux_3_10() {
    works_without(&[
        "openat2",
        "open_tree",
        "open_tree_attr",
        "move_mount",
        "mount_setattr",
        "statmount",
        "listmount",
        "statx",
        "464",
        "fchmodat2",
        "faccessat2",
        "pidfd_open",
        "copy_file_range",
        "fsopen",
        "fsmount",
        "fsconfig",
    ]);
}
