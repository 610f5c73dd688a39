//! Hooks that somebody else could change, or that cannot be run: found when the plan is made, and again when they are to run.

#![allow(clippy::literal_string_with_formatting_args, reason = "configlets hold expansions of ours")]

use std::fs;
use std::os::unix::fs::{chown, symlink};

use datastore_tests::hooks::{APPLY, SHOP, failed, machine, mode, nothing_bound, shop};
use datastore_tests::rows::text;
use datastore_tests::{Sandbox, Snapshot};

#[test]
fn what_somebody_else_could_change_is_not_run() {
    type Make = fn(&Sandbox);
    let cases: &[(&str, Make, &str, &str)] = &[
        (
            "its owner",
            |s| chown(s.path("/lib-hooks/h"), Some(1000), None).unwrap(),
            "config-unsafe",
            "belongs to user 1000",
        ),
        ("its group", |s| mode(&s.path("/lib-hooks/h"), 0o775), "config-unsafe", "writable by its group"),
        ("others", |s| mode(&s.path("/lib-hooks/h"), 0o757), "config-unsafe", "writable by others"),
        (
            "the owner above",
            |s| chown(s.path("/lib-hooks"), Some(1000), None).unwrap(),
            "config-unsafe",
            "/lib-hooks belongs",
        ),
        ("the mode above", |s| mode(&s.path("/lib-hooks"), 0o1777), "config-unsafe", "/lib-hooks is writable"),
        ("the mode of the root", |s| mode(s.root(), 0o775), "config-unsafe", "/ is writable"),
        ("a link", |s| relink(s, "/lib-hooks/real"), "config-unsafe", "symbolic link"),
        ("a dangling link", |s| relink(s, "/nowhere"), "config-unsafe", "symbolic link"),
        (
            "a link above",
            |s| {
                fs::rename(s.path("/lib-hooks"), s.path("/elsewhere")).unwrap();
                symlink("elsewhere", s.path("/lib-hooks")).unwrap();
            },
            "config-unsafe",
            "/lib-hooks is a symbolic link",
        ),
        ("not executable", |s| mode(&s.path("/lib-hooks/h"), 0o644), "hook-failed", "not executable (mode 0644)"),
        ("missing", |s| fs::remove_file(s.path("/lib-hooks/h")).unwrap(), "hook-failed", "does not exist"),
        (
            "a directory",
            |s| {
                fs::remove_file(s.path("/lib-hooks/h")).unwrap();
                s.directory("/lib-hooks/h", 0o755);
            },
            "hook-failed",
            "it is a directory",
        ),
    ];
    for (what, make, reason, says) in cases {
        for hook in ["premount", "postmount"] {
            let sandbox = Sandbox::initialised();
            sandbox.script("/lib-hooks/h", "echo ran > /ran");
            for configlet in
                [format!("{SHOP}{hook} = \"/lib-hooks/h\"\n"), format!("{hook} = \"/lib-hooks/h\"\n{SHOP}")]
            {
                sandbox.configlet("shop", &configlet);
                if configlet.starts_with('[') {
                    make(&sandbox);
                }
                let before = Snapshot::of(&sandbox);
                // The configuration itself lies below the root too.
                let wanted = if *what == "the mode of the root" { "config-unsafe" } else { *reason };
                let report = sandbox.datastore(&["apply", "--yes", "--json"]).code(3);
                assert!(report.stdout.contains(wanted), "{what}: {}", report.stdout);
                if *what != "the mode of the root" {
                    sandbox.datastore(&["apply", "--yes"]).code(3).says(says).says("/lib-hooks/h");
                    let row = sandbox.row("/var/shop");
                    assert!(row["state"] == "refused" && row["reason"] == *reason, "{what}: {row:#}");
                    assert!(!text(&row["hint"]).is_empty(), "{what}: {row:#}");
                }
                before.assert_unchanged(&sandbox, what);
            }
        }
    }
}

fn relink(sandbox: &Sandbox, to: &str) {
    let hook = sandbox.path("/lib-hooks/h");
    fs::rename(&hook, sandbox.path("/lib-hooks/real")).unwrap();
    symlink(to, hook).unwrap();
}

#[test]
fn a_hook_that_is_bad_keeps_nothing_from_going_on_that_is_bound() {
    let sandbox = shop("premount = \"/lib-hooks/h\"\n");
    sandbox.script("/lib-hooks/h", "exit 0");
    sandbox.datastore(APPLY).ok();
    fs::remove_file(sandbox.path("/lib-hooks/h")).unwrap();
    sandbox.is("/var/shop", "active");
    sandbox.datastore(APPLY).ok();
    sandbox.datastore(&["guard", "shop"]).ok();
    // It would not come up again, so it is not taken down for a restart, but it can be stopped.
    sandbox.datastore(&["restart", "shop"]).code(3).says("hook-failed").says("/lib-hooks/h does not exist");
    sandbox.is("/var/shop", "active");
    sandbox.datastore(&["stop", "shop"]).ok();
    sandbox.datastore(&["start", "shop"]).code(3).says("hook-failed");
    sandbox.is("/var/shop", "inactive");
    // With a dash it may be missing, and that is said.
    sandbox.configlet("shop", &format!("{SHOP}premount = \"-/lib-hooks/h\"\n"));
    sandbox.datastore(&["start", "shop"]).ok().says("the premount hook /lib-hooks/h of `shop` is not there");
    sandbox.is("/var/shop", "active");
    // If it is there, it counts as any other.
    sandbox.script("/lib-hooks/h", "exit 9");
    sandbox.datastore(&["restart", "shop"]).code(1).says("ended with exit code 9");
    // What was bound before is not bound again without its hook.
    assert!(sandbox.bound("/var/shop").is_none());
}

#[test]
fn a_hook_that_is_swapped_between_plan_and_run_is_not_run() {
    // The app's own hook swaps the mapping's one, after the plan was made and before that is run.
    let swaps = [
        ("chmod 0777 /lib-hooks/h", "config-unsafe"),
        ("chown 1000 /lib-hooks/h", "config-unsafe"),
        ("ln -sf /lib-hooks/evil /lib-hooks/h", "config-unsafe"),
        ("rm /lib-hooks/h", "hook-failed"),
        ("chmod 0644 /lib-hooks/h", "hook-failed"),
        ("chmod 0777 /lib-hooks", "config-unsafe"),
    ];
    for (swap, reason) in swaps {
        let sandbox = machine();
        sandbox.script("/lib-hooks/h", "echo h > /out/ran");
        sandbox.script("/lib-hooks/evil", "echo evil > /out/ran");
        sandbox.script("/lib-other/swap", swap);
        sandbox.configlet("shop", &format!("premount = \"/lib-other/swap\"\n{SHOP}premount = \"/lib-hooks/h\"\n"));
        let report = sandbox.datastore(&["apply", "--yes", "--json"]).code(1).json();
        let row = failed(&report);
        assert_eq!(row["reason"], reason, "{swap}: {row:#}");
        assert!(text(&row["detail"]).contains("was not run"), "{swap}: {row:#}");
        assert!(!sandbox.exists("/out/ran"), "{swap}");
        nothing_bound(&sandbox, swap);
    }
}
