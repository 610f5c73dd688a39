//! A machine that does not let us: a fixed fstab, a caller without privilege, journals that cannot be read.

use std::fs;
use std::path::PathBuf;

use datastore_core::journal;
use datastore_tests::rows::text;
use datastore_tests::{Holder, Run, Sandbox, Snapshot, binary};

const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n";

#[test]
fn an_fstab_that_cannot_be_replaced_stops_everything_beforehand() {
    type Fix = fn(&Sandbox);
    let cases: [(&str, Fix, Fix); 3] = [
        (
            "read-only",
            |s| {
                s.bind("/etc", "/etc");
                s.run(s.command("mount").args(["-o", "remount,bind,ro"]).arg(s.path("/etc"))).ok();
            },
            |s| s.unmount("/etc"),
        ),
        (
            "immutable",
            |s| drop(s.run(s.command("chattr").arg("+i").arg(s.path("/etc/fstab"))).ok()),
            |s| drop(s.run(s.command("chattr").arg("-i").arg(s.path("/etc/fstab"))).ok()),
        ),
        (
            "symbolic link",
            |s| {
                fs::rename(s.path("/etc/fstab"), s.path("/etc/fstab.real")).unwrap();
                std::os::unix::fs::symlink("fstab.real", s.path("/etc/fstab")).unwrap();
            },
            |s| fs::rename(s.path("/etc/fstab.real"), s.path("/etc/fstab")).unwrap(),
        ),
    ];
    for (what, fix, mend) in cases {
        let sandbox = Sandbox::initialised();
        sandbox.configlet("shop", SHOP);
        fix(&sandbox);
        let before = Snapshot::of(&sandbox);
        let run = sandbox.datastore(&["apply", "--yes", "--json"]).code(3);
        before.assert_unchanged(&sandbox, what);
        let error = run.json()["error"].clone();
        assert!(error["message"].as_str().is_some_and(|m| m.contains("fstab") && m.contains(what)), "{error:#}");
        let hint = text(&error["hint"]);
        assert!(
            ["make /etc and /etc/fstab writable", "cp --remove-destination"].iter().any(|h| hint.contains(h)),
            "{error:#}"
        );
        mend(&sandbox);
        sandbox.datastore(&["apply", "--yes"]).ok();
        sandbox.is("/var/shop", "active");
    }
}

#[test]
fn what_holds_a_mount_is_named() {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", SHOP);
    sandbox.configlet("fine", "[mapping.\"/var/fine\"]\ntarget = \"%{base}/fine\"\n");
    sandbox.datastore(&["apply", "--yes"]).ok();
    let holder = Holder::in_directory(&sandbox.path("/var/shop"));
    let lines = sandbox.our_lines();
    for verb in ["stop", "restart"] {
        let report = sandbox.datastore(&[verb, "shop", "fine", "--json"]).code(3).json();
        let failed = report["failed"].as_array().unwrap();
        assert!(failed.len() == 1 && failed[0]["reason"] == "busy", "{verb}: {report:#}");
        let (detail, hint) = (text(&failed[0]["detail"]), text(&failed[0]["hint"]));
        assert!(detail.contains("sleep") && detail.contains(&holder.pid().to_string()), "{verb}: {detail}");
        assert!(hint.contains(&format!("kill {}", holder.pid())), "{verb}: {hint}");
        sandbox.is("/var/shop", "active");
        assert!(sandbox.our_lines().contains(lines.iter().find(|l| l.contains("shop")).unwrap()));
        sandbox.is("/var/fine", if verb == "stop" { "inactive" } else { "active" });
        sandbox.datastore(&["start", "fine"]).ok();
    }
    let before = Snapshot::of(&sandbox);
    sandbox.datastore(&["disable", "shop", "--yes"]).code(3).says("sleep");
    assert!(sandbox.bound("/var/shop").is_some());
    drop(before);
    drop(holder);
    sandbox.datastore(&["disable", "shop", "--yes"]).ok();
    assert_eq!(sandbox.bound("/var/shop"), None);
}

/// Runs datastore as the plain user `nobody`, who can read what everybody can.
#[track_caller]
fn as_nobody(sandbox: &Sandbox, args: &[&str]) -> Run {
    let mut command = sandbox.command("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(program(sandbox));
    sandbox.run(command.arg("--root").arg(sandbox.root()).args(args))
}

/// A copy of the program where nobody can go: the build may lie where it cannot.
fn program(sandbox: &Sandbox) -> PathBuf {
    let copy = sandbox.path("/mnt/datastore");
    if !copy.exists() {
        fs::copy(binary::datastore(), &copy).unwrap();
    }
    copy
}

#[test]
fn without_privilege_reading_works_and_changing_is_refused() {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.configlet("fine", "[mapping.\"/var/fine\"]\ntarget = \"%{base}/fine\"\n");
    let status = as_nobody(&sandbox, &["status", "--json"]).ok().json();
    assert_eq!(status["complete"], false, "it says that it could not see everything");
    let state =
        |app: &str| status["mappings"].as_array().unwrap().iter().find(|r| r["app"] == app).unwrap()["state"].clone();
    assert_eq!((state("shop"), state("home"), state("fine")), ("active".into(), "disabled".into(), "pending".into()));
    as_nobody(&sandbox, &["config", "check"]).ok();
    as_nobody(&sandbox, &["plan"]).ok();
    let before = Snapshot::of(&sandbox);
    for args in [
        &["apply", "--yes"][..],
        &["stop", "shop"],
        &["start", "fine"],
        &["restart", "shop"],
        &["enable", "home", "--yes"],
        &["disable", "shop", "--yes"],
        &["volume", "add", "data1", "--yes"],
        &["plan", "--save"],
    ] {
        let run = as_nobody(&sandbox, &[args, &["--json"]].concat()).code(4);
        let error = run.json()["error"].clone();
        assert!(error["kind"] == "privilege" && !text(&error["hint"]).is_empty(), "{args:?}: {error:#}");
        before.assert_unchanged(&sandbox, args[0]);
    }
}

#[test]
fn configuration_that_may_not_be_read_is_said_to_be_so() {
    use std::os::unix::fs::PermissionsExt as _;
    for (file, code) in [("/etc/datastore.conf", 3), ("/etc/datastore.d/shop.conf", 3)] {
        let sandbox = Sandbox::initialised();
        sandbox.configlet("shop", SHOP);
        sandbox.datastore(&["apply", "--yes"]).ok();
        fs::set_permissions(sandbox.path(file), fs::Permissions::from_mode(0o600)).unwrap();
        sandbox.datastore(&["status", "shop"]).ok();
        for args in [&["status"][..], &["config", "check"], &["guard", "shop"]] {
            let run = as_nobody(&sandbox, args).says(file).says("run the command as root");
            if args[0] != "status" {
                drop(run.code(code));
            }
        }
    }
}

/// Puts the journal of the last operation among those that have not ended, changed.
#[track_caller]
fn reopen(sandbox: &Sandbox, change: impl Fn(&str) -> String) -> String {
    let done = sandbox.path("/var/lib/datastore/done");
    let mut names: Vec<_> =
        fs::read_dir(&done).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let name = names.pop().expect("a journal");
    let old = sandbox.read(format!("/var/lib/datastore/done/{name}"));
    let new = change(&old);
    assert_ne!(old, new);
    sandbox.write(format!("/var/lib/datastore/journal/{name}"), new);
    format!("/var/lib/datastore/journal/{name}")
}

/// A journal's first line as a program with this version would have written it, then the others but the last.
fn with_version(text: &str, version: u32) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut told = journal::parse(lines[0].as_bytes()).expect("the first line");
    told.begin.version = version;
    let first = journal::line(&journal::Record::Begin(Box::new(told.begin)));
    [&[first.as_str()], &lines[1..lines.len() - 1]].concat().concat()
}

#[test]
fn a_journal_that_we_cannot_understand_is_not_touched_and_nothing_is_done() {
    type Damage = fn(&str) -> String;
    let cases: [(&str, Damage, &str); 3] = [
        ("a newer one", |text| with_version(text, 99), "99"),
        (
            "a line changed in its middle",
            |text| {
                let lines: Vec<&str> = text.split_inclusive('\n').collect();
                let wrong = lines[1].replace("intent", "intend");
                [&[lines[0], &wrong], &lines[2..]].concat().concat()
            },
            "damaged",
        ),
        ("another operation's", |text| with_version(text, 1), ""),
    ];
    for (what, damage, says) in cases {
        let sandbox = Sandbox::initialised();
        sandbox.configlet("shop", SHOP);
        sandbox.datastore(&["apply", "--yes"]).ok();
        let at = reopen(&sandbox, damage);
        sandbox.configlet("fine", "[mapping.\"/var/fine\"]\ntarget = \"%{base}/fine\"\n");
        if says.is_empty() {
            // Whole, of this version, and not ended: that is an interrupted operation, which the next run finishes.
            sandbox.datastore(&["apply", "--yes"]).ok();
            assert!(!sandbox.exists(&at), "{what}");
            sandbox.is("/var/fine", "active");
            continue;
        }
        let (before, journal) = (Snapshot::of(&sandbox), sandbox.read(&at));
        for args in [&["apply", "--yes"][..], &["stop", "shop"], &["recover"]] {
            let run = sandbox.datastore(&[args, &["--json"]].concat()).code(3);
            let error = run.json()["error"].clone();
            let told = format!("{} {}", error["message"], error["causes"]);
            assert!(told.contains(&at) && told.contains(says), "{what}: {error:#}");
            assert!(!text(&error["hint"]).is_empty(), "{what}: {error:#}");
            before.assert_unchanged(&sandbox, what);
        }
        assert_eq!(sandbox.read(&at), journal, "{what}");
        // What is can be seen all the same, and that an operation is not known.
        let status = sandbox.datastore(&["status", "--json"]).ok().json();
        let [operation] = &status["operations"].as_array().expect("a list")[..] else { panic!("{what}: {status:#}") };
        assert!(text(&operation["trouble"]).contains(&at), "{what}: {operation:#}");
        assert!(text(&operation["hint"]).len() > 10 && operation["state"] == "interrupted", "{what}: {operation:#}");
        sandbox.is("/var/fine", "pending");
        // An app that is in order may start all the same.
        sandbox.datastore(&["guard", "shop"]).ok();
    }
}
