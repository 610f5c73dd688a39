//! The road from configlets to rows that say `active`: plan, apply, and what stands on the machine afterwards.

#![allow(clippy::literal_string_with_formatting_args, reason = "configlets hold expansions of ours")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use datastore_tests::rows::{fields, text};
use datastore_tests::{Run, Sandbox, Snapshot};

const TOML: &str = r#"
title = "Web server"
[mapping."/var/www/virtual"]
target = "%{base}/www/virtual"
[mapping."/var/www/cgi-bin"]
target = "%{base}/www/cgi-bin"
permissions = "2755"
"#;

const PROPOSAL: &str = "<?php
// Mail spool.
$mapping['/var/spool/imap']['target'] = '%{base}/imap';
$mapping['/var/spool/imap']['permissions'] = '0700';
$mapping['/var/spool/imap']['owner'] = 'cyrus';
$mapping['/var/spool/imap']['group'] = 'mail';
";

const CLEAROS_GLOBALS: &str =
    "<?php\n$config['enabled'] = TRUE;\n$config['base'] = '/store/data0/live/server1';\n$base = $config['base'];\n";

const CLEAROS: &str = "<?php
/**
 * Home directories.
 */
$bootstrap = getenv('CLEAROS_BOOTSTRAP') ? getenv('CLEAROS_BOOTSTRAP') : '/usr/clearos/framework/shared';
require_once $bootstrap . '/bootstrap.php';
clearos_load_language('users');
$info['name'] = lang('users_home_directories');
$storage['/home']['base'] = $base;
$storage['/home']['directory'] = 'home';
$storage['/home']['permissions'] = '0755';
$storage['/home']['owner'] = 'root';
$storage['/home']['group'] = 'root';
// vim: ts=4 syntax=php
";

/// Mode, owner and group.
#[track_caller]
fn attrs(path: &Path) -> (u32, u32, u32) {
    let meta = path.symlink_metadata().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    (meta.mode() & 0o7777, meta.uid(), meta.gid())
}

/// Runs datastore under a umask.
#[track_caller]
fn under_umask(sandbox: &Sandbox, umask: &str, args: &[&str]) -> Run {
    let inner = sandbox.datastore_command(args);
    let mut outer = sandbox.command("sh");
    outer.args(["-c", "umask \"$0\" && exec \"$@\"", umask]).arg(inner.get_program()).args(inner.get_args());
    sandbox.run(outer)
}

#[test]
fn configlets_in_all_three_forms_become_active_rows() {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("httpd", TOML);
    sandbox.configlet("mail", PROPOSAL);
    sandbox.write("/etc/clearos/storage.conf", CLEAROS_GLOBALS);
    sandbox.write("/etc/clearos/storage.d/users_default.conf", CLEAROS);
    let mount_points = ["/home", "/var/spool/imap", "/var/www/cgi-bin", "/var/www/virtual"];
    for mount_point in mount_points {
        let rows = sandbox.rows();
        assert!(rows.iter().any(|r| r["mount_point"] == mount_point && r["state"] == "pending"), "{rows:#?}");
    }

    let before = Snapshot::of(&sandbox);
    let plan = sandbox.datastore(&["plan", "--json"]).ok().json();
    before.assert_unchanged(&sandbox, "plan");
    assert_eq!(plan["empty"], false);
    for mount_point in mount_points {
        let binds = plan["steps"].as_array().unwrap().iter();
        assert_eq!(binds.filter(|s| s["kind"] == "bind" && s["mount_point"] == mount_point).count(), 1, "{plan:#}");
    }

    let report = sandbox.datastore(&["apply", "--yes", "--json"]).ok().json();
    assert_eq!((&report["outcome"], &report["steps"]), (&"done".into(), &report["done"]), "{report:#}");
    assert_eq!(report["steps"], plan["steps"].as_array().unwrap().len());
    let stores = ["home", "imap", "www/cgi-bin", "www/virtual"];
    for (mount_point, store) in mount_points.iter().zip(stores) {
        let store = format!("/store/data0/live/server1/{store}");
        let active: Vec<_> = sandbox
            .rows()
            .into_iter()
            .filter(|r| r["mount_point"] == *mount_point && r["state"] == "active" && r["store"] == store)
            .collect();
        assert_eq!(active.len(), 1, "{mount_point}");
        let bound = sandbox.bound(mount_point).unwrap_or_else(|| panic!("nothing is mounted on {mount_point}"));
        assert!(bound.root.ends_with(store.trim_start_matches('/')), "{bound:?}");
        fs::write(sandbox.path(mount_point).join("written"), *mount_point).unwrap();
        assert_eq!(sandbox.read(format!("{store}/written")), *mount_point);
    }
}

#[test]
fn directories_have_exactly_their_mode_and_owner_whatever_the_umask() {
    for umask in ["077", "000"] {
        let sandbox = Sandbox::new();
        under_umask(&sandbox, umask, &["init", "--host", "server1", "--yes"]).ok();
        sandbox.configlet(
            "samba",
            "[mapping.\"/var/samba/profiles\"]\ntarget = \"%{base}/deep/er/profiles\"\npermissions = \"2775\"\n\
             owner = \"winadmin\"\ngroup = \"domain_users\"\n\
             [mapping.\"/var/samba/open\"]\ntarget = \"%{base}/open\"\npermissions = \"1777\"\nowner = \"1234\"\ngroup = \"4321\"\n\
             [mapping.\"/var/samba/closed\"]\ntarget = \"%{base}/closed\"\npermissions = \"0700\"\nowner = \"alice\"\n",
        );
        under_umask(&sandbox, umask, &["apply", "--yes"]).ok();
        let base = "/store/data0/live/server1";
        for (mount_point, store, wanted) in [
            ("/var/samba/profiles", "deep/er/profiles", (0o2775, 400, 63_000)),
            ("/var/samba/open", "open", (0o1777, 1234, 4321)),
            ("/var/samba/closed", "closed", (0o700, 1000, 0)),
        ] {
            assert_eq!(attrs(&sandbox.path(format!("{base}/{store}"))), wanted, "{store} under umask {umask}");
            assert_eq!(attrs(&sandbox.path(mount_point)), wanted, "{mount_point} under umask {umask}");
        }
        // Whoever owns something inside must not be able to come in from the side of the store.
        for parent in ["deep", "deep/er", ".datastore"] {
            assert_eq!(attrs(&sandbox.path(format!("{base}/{parent}"))), (0o700, 0, 0), "{parent} under {umask}");
        }
        assert_eq!(attrs(&sandbox.path(base)), (0o700, 0, 0));
        assert_eq!(attrs(&sandbox.path("/store/data0/live")), (0o700, 0, 0));
        assert_eq!(attrs(&sandbox.path("/var/samba")), (0o755, 0, 0), "a parent of mount points under {umask}");
        assert_eq!(attrs(&sandbox.path("/etc/fstab")), (0o644, 0, 0), "fstab under {umask}");
    }
}

#[test]
fn parents_that_somebody_else_made_keep_their_mode_and_owner() {
    let sandbox = Sandbox::initialised();
    let (store, var) = ("/store/data0/live/server1/team", "/var/team");
    for parent in [store, var] {
        let path = sandbox.directory(parent, 0o2711);
        std::os::unix::fs::chown(&path, Some(1000), Some(41)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o2711)).unwrap();
    }
    sandbox.configlet("team", "[mapping.\"/var/team/work\"]\ntarget = \"%{base}/team/work\"\n");
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.is("/var/team/work", "active");
    for parent in [store, var] {
        assert_eq!(attrs(&sandbox.path(parent)), (0o2711, 1000, 41), "{parent}");
    }
    // A setgid parent hands its group down; the store directory has the group that was asked for all the same.
    assert_eq!(attrs(&sandbox.path("/var/team/work")), (0o755, 0, 0));
}

#[test]
fn binds_are_nosuid_and_nodev_unless_the_mapping_says_otherwise() {
    let sandbox = Sandbox::initialised();
    sandbox.configlet(
        "opts",
        "[mapping.\"/var/plain\"]\ntarget = \"%{base}/plain\"\n\
         [mapping.\"/var/open\"]\ntarget = \"%{base}/open\"\noptions = [\"suid\", \"dev\"]\n\
         [mapping.\"/var/tight\"]\ntarget = \"%{base}/tight\"\noptions = [\"noexec\", \"ro\"]\n",
    );
    sandbox.datastore(&["apply", "--yes"]).ok();
    for (mount_point, wanted) in [
        ("/var/plain", ["rw", "nosuid", "nodev"].as_slice()),
        ("/var/open", &["rw"]),
        ("/var/tight", &["ro", "nosuid", "nodev", "noexec"]),
    ] {
        let bound = sandbox.bound(mount_point).unwrap();
        let has: Vec<_> = ["rw", "ro", "nosuid", "nodev", "noexec"].into_iter().filter(|o| bound.has(o)).collect();
        assert_eq!(
            wanted.iter().copied().collect::<std::collections::BTreeSet<_>>(),
            has.into_iter().collect(),
            "{bound:?}"
        );
        let line = sandbox.our_lines().into_iter().find(|l| l.contains(&format!(" {mount_point} "))).unwrap();
        let list = wanted.join(",");
        assert!(line.contains(&format!(" none bind,{list},nofail,")), "{line}");
    }
    let refused = fs::write(sandbox.path("/var/tight/x"), "").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
}

#[test]
fn nested_mount_points_are_bound_parents_first_and_unbound_in_reverse() {
    let sandbox = Sandbox::initialised();
    // The names would sort the other way round.
    sandbox.configlet("a-inner", "[mapping.\"/var/tree/b/c\"]\ntarget = \"%{base}/a1\"\n");
    sandbox.configlet(
        "z-outer",
        "[mapping.\"/var/tree\"]\ntarget = \"%{base}/z9\"\n[mapping.\"/var/tree/b\"]\ntarget = \"%{base}/m5\"\n",
    );
    let order = |verb: &[&str], kind: &str| -> Vec<String> {
        let plan = sandbox.datastore(&[&["plan"], verb, &["--json"]].concat()).ok().json();
        let steps = plan["steps"].as_array().unwrap();
        steps.iter().filter(|s| s["kind"] == kind).map(|s| text(&s["mount_point"])).collect()
    };
    let down = ["/var/tree", "/var/tree/b", "/var/tree/b/c"];
    assert_eq!(order(&[], "bind"), down);
    sandbox.datastore(&["apply", "--yes"]).ok();
    let points: Vec<_> = sandbox.mountinfo().into_iter().map(|m| m.mount_point).collect();
    assert_eq!(points, down.map(|p| sandbox.path(p)));
    for mount_point in down {
        sandbox.is(mount_point, "active");
    }
    fs::write(sandbox.path("/var/tree/b/c/deep"), "x").unwrap();
    assert_eq!(sandbox.read("/store/data0/live/server1/a1/deep"), "x");

    let up: Vec<&str> = down.into_iter().rev().collect();
    assert_eq!(order(&["stop", "a-inner", "z-outer"], "unbind"), up);
    // The outer one alone cannot go: the inner one is mounted in it.
    let before = Snapshot::of(&sandbox);
    let report = sandbox.datastore(&["stop", "z-outer", "--json"]).code(3).json();
    assert!(report["notes"].as_array().unwrap().iter().any(|n| n["reason"] == "busy"), "{report:#}");
    before.assert_unchanged(&sandbox, "stop of what something is mounted in");

    sandbox.datastore(&["stop", "a-inner", "z-outer"]).ok();
    assert!(sandbox.mountinfo().is_empty());
    sandbox.datastore(&["start", "a-inner", "z-outer"]).ok();
    assert_eq!(sandbox.read("/var/tree/b/c/deep"), "x");
}

#[test]
fn a_second_apply_does_nothing() {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("httpd", TOML);
    sandbox.datastore(&["apply", "--yes"]).ok();
    let before = Snapshot::of(&sandbox);
    let inode = sandbox.path("/etc/fstab").metadata().unwrap().ino();
    let report = sandbox.datastore(&["apply", "--yes", "--json"]).ok().json();
    assert!(report["operation"].is_null() && report["outcome"].is_null(), "{report:#}");
    assert_eq!((&report["steps"], &report["notes"]), (&0.into(), &serde_json::json!([])));
    assert_eq!(sandbox.path("/etc/fstab").metadata().unwrap().ino(), inode);
    before.assert_unchanged(&sandbox, "the second apply");
    // Without --yes too: there is nothing to agree to.
    sandbox.datastore(&["apply"]).ok();
    assert_eq!(sandbox.datastore(&["plan", "--json"]).ok().json()["empty"], true);
}

#[test]
fn nothing_is_changed_unasked() {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("httpd", TOML);
    let before = Snapshot::of(&sandbox);
    sandbox.datastore(&["apply"]).code(2).says("--yes");
    before.assert_unchanged(&sandbox, "apply without --yes and without a terminal");
    sandbox.is("/var/www/virtual", "pending");
}

#[test]
fn a_saved_plan_is_applied_as_it_was_shown_or_not_at_all() {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("httpd", TOML);
    let save = || text(&sandbox.datastore(&["plan", "--save", "--json"]).ok().json()["id"]);
    let before = Snapshot::of(&sandbox);
    let id = save();
    before.assert_unchanged(&sandbox, "plan --save");

    // Somebody puts something where a bind is to be.
    let litter = sandbox.write("/var/www/virtual/index.html", "theirs");
    let changed = Snapshot::of(&sandbox);
    let refusal = sandbox.datastore(&["apply", "--plan", &id, "--yes", "--json"]).code(3).json();
    assert!(text(&refusal["error"]["message"]).contains("has changed"), "{refusal:#}");
    assert!(!text(&refusal["error"]["hint"]).is_empty());
    changed.assert_unchanged(&sandbox, "a plan that does not fit any more");

    fs::remove_file(litter).unwrap();
    fs::remove_dir(sandbox.path("/var/www/virtual")).unwrap();
    let report = sandbox.datastore(&["apply", "--plan", &id, "--yes", "--json"]).ok().json();
    assert_eq!((&report["plan"], &report["outcome"]), (&id.as_str().into(), &"done".into()));
    sandbox.is("/var/www/virtual", "active");
    // Once done it is another plan, so it cannot be done twice.
    sandbox.datastore(&["apply", "--plan", &id, "--yes"]).code(3).says("has changed");
    sandbox.datastore(&["apply", "--plan", "0123456789abcdef", "--yes"]).code(2).says("0123456789abcdef");
    sandbox.datastore(&["apply", "--plan", "../../etc/passwd", "--yes"]).code(2);
}

#[test]
fn drift_is_shown_and_mended_by_apply() {
    type Change = (&'static str, fn(&Sandbox));
    const STORE: &str = "/store/data0/live/server1/shop";
    let changes: &[Change] = &[
        ("0700", |s| fs::set_permissions(s.path(STORE), fs::Permissions::from_mode(0o700)).unwrap()),
        ("alice", |s| std::os::unix::fs::chown(s.path("/var/shop"), Some(0), None).unwrap()),
        ("domain_users", |s| std::os::unix::fs::chown(s.path(STORE), None, Some(41)).unwrap()),
        ("nosuid", |s| {
            let at = s.path("/var/shop");
            s.run(s.command("mount").args(["-o", "remount,bind,rw,suid,nodev"]).arg(at)).ok();
        }),
        ("ro", |s| {
            let at = s.path("/var/shop");
            s.run(s.command("mount").args(["-o", "remount,bind,ro,nosuid,nodev"]).arg(at)).ok();
        }),
        ("fstab", |s| {
            drop(s.write("/etc/fstab", s.read("/etc/fstab").replace(",nofail,x-systemd.req", ",x-systemd.req")));
        }),
        ("fstab", |s| {
            let without: String =
                s.read("/etc/fstab").split_inclusive('\n').filter(|l| !l.contains("/var/shop")).collect();
            s.write("/etc/fstab", without);
        }),
        ("manifest", |s| {
            let path = "/store/data0/live/server1/.datastore/manifest.toml";
            let text = s.read(path).replace("uid = 1000", "uid = 1001");
            // Who edits it by hand takes the checksum out.
            let text: String = text.split_inclusive('\n').filter(|l| !l.starts_with("sum = ")).collect();
            s.write(path, text);
        }),
    ];
    let sandbox = Sandbox::initialised();
    sandbox.configlet(
        "shop",
        "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\npermissions = \"2775\"\nowner = \"alice\"\ngroup = \"domain_users\"\n",
    );
    sandbox.datastore(&["apply", "--yes"]).ok();
    fs::write(sandbox.path("/var/shop/file"), "kept").unwrap();
    for (number, (what, change)) in changes.iter().enumerate() {
        sandbox.is("/var/shop", "active");
        change(&sandbox);
        let row = sandbox.row("/var/shop");
        assert_eq!(row["state"], "drifted", "change {number} ({what}): {row:#}");
        assert!(!text(&row["detail"]).is_empty() && text(&row["hint"]).contains("datastore apply shop"), "{row:#}");
        sandbox.datastore(&["guard", "shop"]).ok();
        let report = sandbox.datastore(&["apply", "--yes", "--json"]).ok().json();
        assert_eq!(report["outcome"], "done", "change {number} ({what}): {report:#}");
        sandbox.is("/var/shop", "active");
        assert_eq!(attrs(&sandbox.path(STORE)), (0o2775, 1000, 63_000), "change {number} ({what})");
        assert!(sandbox.bound("/var/shop").is_some_and(|m| m.has("rw") && m.has("nosuid") && m.has("nodev")));
        assert_eq!(sandbox.our_lines().len(), 1);
    }
    assert_eq!(sandbox.read("/var/shop/file"), "kept");
    assert_eq!(sandbox.foreign_lines(), datastore_tests::skeleton::FSTAB);
}

#[test]
fn enabled_default_mappings_wait_quietly_and_appear_with_their_owners() {
    let sandbox = Sandbox::initialised();
    let (passwd, group) = (sandbox.read("/etc/passwd"), sandbox.read("/etc/group"));
    sandbox.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    sandbox.write("/etc/group", "root:x:0:\n");
    let states = |state: &str| -> Vec<String> {
        sandbox.rows().iter().filter(|r| r["state"] == state).map(|r| text(&r["mount_point"])).collect()
    };
    assert_eq!(states("disabled").len(), 12);
    sandbox.datastore(&["apply", "--yes"]).ok();
    assert_eq!(states("disabled").len(), 12, "what is not asked for is not touched");

    let apps = ["flexshare", "mailman", "httpd", "home", "cyrus-imapd", "mysqld", "samba", "support"];
    sandbox.datastore(&[&["enable"], &apps[..], &["--yes"]].concat()).ok();
    let waiting = [
        "/var/lib/mailman",
        "/var/lib/mysql",
        "/var/samba/drivers",
        "/var/samba/netlogon",
        "/var/samba/profiles",
        "/var/spool/imap",
    ];
    assert_eq!(states("waiting"), waiting);
    assert_eq!(states("active").len(), 6);
    let before = Snapshot::of(&sandbox);
    let report = sandbox.datastore(&["apply", "--yes", "--json"]).ok().json();
    let notes = report["notes"].as_array().unwrap();
    assert!(notes.len() == 6 && notes.iter().all(|n| n["state"] == "waiting" && n["reason"].is_null()), "{report:#}");
    before.assert_unchanged(&sandbox, "apply while owners are missing");
    assert_eq!(sandbox.our_lines().len(), 6);

    // A package installs its user.
    sandbox.write("/etc/passwd", &passwd);
    sandbox.write("/etc/group", &group);
    assert_eq!(states("pending"), waiting);
    sandbox.datastore(&["apply", "--yes"]).ok();
    assert_eq!(states("active").len(), 12);
    // DESIGN 4, the table.
    for (mount_point, wanted) in [
        ("/var/flexshare/shares", (0o755, 0, 0)),
        ("/var/lib/mailman", (0o2775, 0, 41)),
        ("/var/www/virtual", (0o755, 0, 0)),
        ("/var/www/html", (0o755, 0, 0)),
        ("/var/www/cgi-bin", (0o755, 0, 0)),
        ("/home", (0o755, 0, 0)),
        ("/var/spool/imap", (0o700, 76, 12)),
        ("/var/lib/mysql", (0o755, 27, 27)),
        ("/var/samba/profiles", (0o2775, 400, 63_000)),
        ("/var/samba/netlogon", (0o2755, 400, 63_000)),
        ("/var/samba/drivers", (0o2755, 400, 63_000)),
        ("/root/support", (0o750, 0, 0)),
    ] {
        assert_eq!(attrs(&sandbox.path(mount_point)), wanted, "{mount_point}");
    }
}

#[test]
fn json_documents_have_the_fields_that_programs_read() {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("httpd", TOML);
    sandbox.configlet("broken", "titel = 1\n");
    let row = ["app", "detail", "hint", "mount_point", "reason", "state", "store", "volume"];
    let plan = sandbox.datastore(&["plan", "--json"]).code(3).json();
    assert_eq!(
        fields(&plan),
        ["empty", "goal", "host", "id", "loads", "notes", "refused", "remarks", "saved", "steps"],
        "{plan:#}"
    );
    assert_eq!((&plan["goal"], &plan["host"], &plan["saved"]), (&"apply".into(), &"server1".into(), &false.into()));
    assert_eq!(plan["refused"], 1);
    assert_eq!(fields(&plan["notes"][0]), row);
    let bind = plan["steps"].as_array().unwrap().iter().find(|s| s["kind"] == "bind").unwrap();
    assert_eq!(fields(bind), ["app", "kind", "mount_point", "step", "text"]);

    let report = sandbox.datastore(&["apply", "--yes", "--json"]).code(3).json();
    let wanted = [
        "done",
        "downtime",
        "failed",
        "goal",
        "notes",
        "operation",
        "outcome",
        "plan",
        "probe",
        "recovered",
        "remarks",
        "steps",
        "timing",
    ];
    assert_eq!(fields(&report), wanted, "{report:#}");
    assert_eq!(fields(&report["notes"][0]), row);

    let status = sandbox.datastore(&["status", "--json"]).ok().json();
    assert_eq!(fields(&status), ["complete", "host", "mappings", "operations", "volumes"], "{status:#}");
    assert_eq!((&status["host"], &status["complete"]), (&"server1".into(), &true.into()));
    for mapping in status["mappings"].as_array().unwrap() {
        assert_eq!(fields(mapping), row);
        assert_eq!(mapping["reason"].is_null(), mapping["state"] != "refused", "{mapping:#}");
        assert!(mapping["state"] == "active" || mapping["state"] == "waiting" || mapping["hint"] != "", "{mapping:#}");
    }
    let volume = [
        "bytes",
        "bytes_free",
        "detail",
        "fstype",
        "hint",
        "id",
        "inodes",
        "inodes_free",
        "mappings",
        "path",
        "read_only",
        "reason",
        "source",
        "state",
        "volume",
    ];
    assert_eq!(fields(&status["volumes"][0]), volume);
    assert_eq!((&status["volumes"][0]["state"], &status["volumes"][0]["mappings"]), (&"active".into(), &2.into()));
    // Of one app, with the exit codes of an init script.
    let one = sandbox.datastore(&["status", "httpd", "--json"]).ok().json();
    assert_eq!(one["mappings"].as_array().unwrap().len(), 2);
    sandbox.datastore(&["httpd", "status"]).ok().says("/var/www/virtual");
    sandbox.datastore(&["status", "broken"]).code(1);
    sandbox.datastore(&["status", "home"]).code(3);
    let error = sandbox.datastore(&["status", "htpd", "--json"]).code(4).json();
    assert_eq!(fields(&error["error"]), ["causes", "errno", "hint", "kind", "message"]);
    assert!(text(&error["error"]["hint"]).contains("httpd"));
}
