//! Several runs at once, and other people's edits in between.

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};

use datastore_tests::{Run, Sandbox, holder, picture, scenes, skeleton};

/// Starts a command.
fn start(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start datastore")
}

/// Its exit code, and what it said.
fn finish(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("wait for datastore");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// Twelve apps of five mappings each that nobody has applied.
fn declared(sandbox: &Sandbox) {
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    for app in 0..12 {
        let mut text = String::new();
        for i in 0..5 {
            let _ = writeln!(text, "[mapping.\"/var/lib/app{app}/{i}\"]\ntarget = \"%{{base}}/app{app}/{i}\"");
        }
        sandbox.configlet(&format!("app{app}"), &text);
    }
}

/// The mount points below /var, each as often as something is mounted there.
fn mounted(sandbox: &Sandbox) -> Vec<String> {
    let var = sandbox.path("/var");
    let mut all: Vec<String> = sandbox
        .mountinfo()
        .iter()
        .filter(|m| m.mount_point.starts_with(&var))
        .map(|m| m.mount_point.display().to_string())
        .collect();
    all.sort();
    all
}

/// Every mapping once in the mount table and once in fstab, lines of others as they were.
#[track_caller]
fn all_is_well(sandbox: &Sandbox, mappings: usize) {
    let mounts = mounted(sandbox);
    let mut once = mounts.clone();
    once.dedup();
    assert_eq!(mounts, once, "mounted twice");
    assert_eq!(mounts.len(), mappings);
    let fstab = picture::fstab(&sandbox.read("/etc/fstab"));
    assert_eq!(fstab.foreign, skeleton::FSTAB);
    let mut lines = fstab.ours.clone();
    lines.sort();
    lines.dedup();
    assert_eq!((lines.len(), fstab.ours.len()), (mappings, mappings));
    assert_eq!(picture::leftovers(sandbox.root()), Vec::<String>::new());
}

#[test]
fn two_applies_at_once_both_end_well_and_double_nothing() {
    for _ in 0..5 {
        let sandbox = Sandbox::in_memory();
        declared(&sandbox);
        let both = [0, 1].map(|_| start(sandbox.datastore_command(&["apply", "--yes"])));
        for (code, said) in both.map(finish) {
            // The one that found the other at work may say so of some apps.
            assert!(code == Some(0) || (code == Some(3) && said.contains("locked by")), "{code:?}: {said}");
        }
        sandbox.datastore(&["apply", "--yes"]).ok();
        all_is_well(&sandbox, 60);
    }
}

#[test]
fn a_named_app_that_is_locked_is_refused_with_who_and_since_when() {
    let sandbox = Sandbox::in_memory();
    declared(&sandbox);
    let held = holder::lock(&sandbox, "app3");
    let refused = sandbox.datastore(&["start", "app3"]).code(6);
    let pid = std::process::id().to_string();
    let own = std::fs::read_to_string("/proc/self/cmdline").unwrap();
    let own = own.split('\0').next().unwrap();
    for part in [pid.as_str(), "since 2026-11-23T10:00:00Z", "restart app3"] {
        assert!(refused.stderr.contains(part), "{part:?} is not in {}", refused.stderr);
    }
    assert!(refused.stderr.contains("the other run") || refused.stderr.contains(own), "{}", refused.stderr);
    assert!(mounted(&sandbox).is_empty());
    let told = sandbox.datastore(&["start", "app3", "--json"]).code(6).json();
    assert_eq!(told["error"]["kind"], "locked", "{told}");

    // Other apps go on, and everything goes on but for that one.
    sandbox.datastore(&["start", "app4"]).ok();
    let rest = sandbox.datastore(&["apply", "--yes", "--json"]).code(3).json();
    let notes = rest["notes"].as_array().unwrap();
    let busy: Vec<_> = notes.iter().filter(|note| note["reason"] == "busy").map(|note| &note["app"]).collect();
    assert_eq!(busy, ["app3"], "{rest}");
    assert_eq!(mounted(&sandbox).len(), 55);
    drop(held);
    sandbox.datastore(&["apply", "--yes"]).ok();
    all_is_well(&sandbox, 60);
}

#[test]
fn a_lock_whose_holder_died_is_free() {
    let sandbox = Sandbox::in_memory();
    declared(&sandbox);
    drop(holder::lock(&sandbox, "app3"));
    sandbox.datastore(&["start", "app3"]).ok();
}

/// The id of a plan that was kept.
fn saved(run: &Run) -> String {
    run.json()["id"].as_str().expect("the plan has an id").to_owned()
}

#[test]
fn an_edit_of_fstab_between_plan_and_apply_is_kept_or_the_plan_refused() {
    let sandbox = Sandbox::in_memory();
    scenes::declared(&sandbox);
    let id = saved(&sandbox.datastore(&["plan", "--save", "--json"]).ok());
    let edited = format!("{}LABEL=usb /mnt/usb vfat noauto,user 0 0\n", skeleton::FSTAB);
    sandbox.write("/etc/fstab", &edited);
    let run = sandbox.datastore(&["apply", "--plan", &id, "--yes"]);
    match run.status.code() {
        Some(0) => assert_eq!(mounted(&sandbox).len(), 3),
        Some(3) => assert!(mounted(&sandbox).is_empty()),
        _ => run.fail("done or refused was wanted"),
    }
    assert_eq!(picture::fstab(&sandbox.read("/etc/fstab")).foreign, edited, "the edit is there still");

    // An edit that concerns the plan: somebody mounts something else there. The plan is refused as a whole.
    let sandbox = Sandbox::in_memory();
    scenes::declared(&sandbox);
    let id = saved(&sandbox.datastore(&["plan", "--save", "--json"]).ok());
    let edited = format!("{}LABEL=mail /var/spool/mail ext4 defaults 0 2\n", skeleton::FSTAB);
    sandbox.write("/etc/fstab", &edited);
    let before = picture::of(sandbox.root());
    sandbox.datastore(&["apply", "--plan", &id, "--yes"]).code(3).says("the machine has changed");
    picture::same(&picture::of(sandbox.root()), &before, "after a plan that was refused");
    // A new plan leaves that one out and does the others.
    sandbox.datastore(&["apply", "--yes"]).code(3).says("/var/spool/mail");
    assert_eq!(picture::fstab(&sandbox.read("/etc/fstab")).foreign, edited);
    assert_eq!(mounted(&sandbox).len(), 2);
}

#[test]
fn fstab_edited_by_others_all_the_time_loses_none_of_their_lines() {
    let sandbox = Sandbox::in_memory();
    declared(&sandbox);
    let mut edited = skeleton::FSTAB.to_owned();
    for app in 0..12 {
        let name = format!("app{app}");
        sandbox.datastore(&["start", &name]).ok();
        let line = format!("# note {app}\n");
        let text = format!("{}{line}", sandbox.read("/etc/fstab"));
        sandbox.write("/etc/fstab", &text);
        edited.push_str(&line);
        if app % 3 == 0 {
            sandbox.datastore(&["stop", &name]).ok();
        }
    }
    assert_eq!(picture::fstab(&sandbox.read("/etc/fstab")).foreign, edited);
}

#[test]
fn eight_runs_of_random_verbs_at_once_converge() {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for round in 0..6 {
        let sandbox = Sandbox::in_memory();
        declared(&sandbox);
        let mut children = Vec::new();
        let mut lines = Vec::new();
        for _ in 0..8 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let app = format!("app{}", random % 12);
            let args = match (random >> 16) % 8 {
                0 | 1 => vec!["apply", "--yes"],
                2 => vec!["start", &app],
                3 => vec!["stop", &app],
                4 => vec!["restart", &app],
                5 => vec!["disable", &app, "--yes"],
                6 => vec!["enable", &app, "--yes"],
                _ => vec!["remap", &app, "--yes"],
            };
            lines.push(args.join(" "));
            children.push(start(sandbox.datastore_command(&args)));
        }
        for (line, (code, said)) in lines.iter().zip(children.into_iter().map(finish)) {
            // Done, refused, or somebody else was at work on the same.
            assert!(matches!(code, Some(0 | 3 | 6)), "round {round}, {line}: {code:?}: {said}\nof {lines:?}");
        }
        for app in 0..12 {
            let app = format!("app{app}");
            sandbox.datastore(&["enable", &app, "--yes"]).ok();
            sandbox.datastore(&["start", &app]).ok();
        }
        sandbox.datastore(&["apply", "--yes"]).ok();
        all_is_well(&sandbox, 60);
    }
}

/// An `apply` that waits for one app while somebody enables another one, which it had left alone: it must not take that out of their hands.
#[test]
fn an_app_that_is_enabled_meanwhile_is_left_to_whoever_does_it() {
    for round in 0..6 {
        let sandbox = Sandbox::new();
        sandbox.programs();
        sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
        for app in ["first", "second"] {
            let hook = format!("/usr/local/sbin/{app}");
            let lines = format!("echo ran >> /run/{app}; while test ! -e /run/go-{app}; do sleep 0.01; done");
            sandbox.script(&hook, &lines);
            let text = format!("enabled = {}\npremount = \"{hook}\"\n", app == "first");
            sandbox.configlet(app, &format!("{text}[mapping.\"/srv/{app}\"]\ntarget = \"%{{base}}/{app}\"\n"));
        }
        let first = start(sandbox.datastore_command(&["start", "first"]));
        sandbox.wait_for("/run/first");
        let all = start(sandbox.datastore_command(&["apply", "--yes"]));
        std::thread::sleep(std::time::Duration::from_millis(30));
        let second = start(sandbox.datastore_command(&["enable", "second", "--yes"]));
        sandbox.wait_for("/run/second");
        sandbox.write("/run/go-first", "");
        assert_eq!(finish(first).0, Some(0), "round {round}");
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(sandbox.read("/run/second"), "ran\n", "round {round}: its hook runs once");
        sandbox.write("/run/go-second", "");
        let (code, said) = finish(second);
        assert_eq!(code, Some(0), "round {round}: {said}");
        let (code, said) = finish(all);
        assert!(matches!(code, Some(0 | 3 | 6)), "round {round}: {code:?}: {said}");
        sandbox.is("/srv/second", "active");
        assert_eq!(sandbox.read("/run/second"), "ran\n", "round {round}: {said}");
    }
}
