//! How hooks end, and what that means for the bind: exit codes, signals, hangs, floods of output, daemons, a crash of datastore.

#![allow(clippy::literal_string_with_formatting_args, reason = "configlets hold expansions of ours")]

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use datastore_tests::hooks::{APPLY, SHOP, STORE, failed, machine, newest_log, nothing_bound, shop};
use datastore_tests::rows::text;
use datastore_tests::{Holder, Sandbox, Snapshot};

#[test]
fn every_other_end_than_exit_code_0_takes_the_bind_back() {
    let sandbox = machine();
    // A first mapping, so that the manifest is there already.
    sandbox.configlet("fine", "[mapping.\"/var/fine\"]\ntarget = \"%{base}/fine\"\n");
    sandbox.datastore(APPLY).ok();
    let ends = [
        ("echo 'the reason \x1b[31m' >&2; exit 1", "ended with exit code 1: the reason \\x1b[31m"),
        ("exit 2", "ended with exit code 2"),
        ("exit 77", "ended with exit code 77"),
        ("exec nosuchprogram", "ended with exit code 127: "),
        ("exit 255", "ended with exit code 255"),
        ("kill -KILL $$", "was killed by signal 9"),
        ("kill -SEGV $$", "was killed by signal 11"),
    ];
    for when in ["premount", "postmount"] {
        for scope in ["mapping", "app"] {
            for (body, says) in ends {
                let what = format!("{scope} {when}: {body}");
                sandbox.script("/lib-hooks/h", &format!("echo ran >> /out/ran\n{body}"));
                let hook = format!("{when} = \"/lib-hooks/h\"\n");
                let text_of = if scope == "app" { format!("{hook}{SHOP}") } else { format!("{SHOP}{hook}") };
                sandbox.configlet("shop", &text_of);
                let before = Snapshot::of(&sandbox);
                let report = sandbox.datastore(&["apply", "--yes", "--json"]).code(1).json();
                let row = failed(&report);
                assert_eq!(row["reason"], "hook-failed", "{what}: {row:#}");
                let detail = text(&row["detail"]);
                assert!(detail.contains(&format!("the {when} hook /lib-hooks/h of `shop`")), "{what}: {detail}");
                assert!(detail.contains(says), "{what}: {detail}");
                let hint = text(&row["hint"]);
                assert!(
                    hint.contains("read /var/lib/datastore/hooks/") && hint.contains("datastore start shop"),
                    "{hint}"
                );
                assert_eq!(sandbox.read("/out/ran"), "ran\n", "{what}");
                fs::remove_file(sandbox.path("/out/ran")).unwrap();
                nothing_bound(&sandbox, &what);
                assert!(!sandbox.exists(STORE), "{what}: the store directory that was made is gone again");
                before.assert_same_but_for_inodes(&sandbox, &what);
                assert!(newest_log(&sandbox).contains(says.split(':').next().unwrap()));
            }
        }
    }
    // Mended, it is bound.
    sandbox.script("/lib-hooks/h", "exit 0");
    sandbox.datastore(APPLY).ok();
    sandbox.is("/var/shop", "active");
}

#[test]
fn a_failure_takes_no_other_mapping_or_app_with_it() {
    let sandbox = machine();
    sandbox.script("/lib-hooks/no", "exit 1");
    sandbox.script("/lib-hooks/yes", "echo \"$DATASTORE_HOOK:$DATASTORE_MOUNT_POINT\" >> /out/told");
    sandbox.configlet(
        "shop",
        "postmount = \"/lib-hooks/yes\"\n[mapping.\"/var/a\"]\ntarget = \"%{base}/a\"\npremount = \"/lib-hooks/no\"\n\
         [mapping.\"/var/b\"]\ntarget = \"%{base}/b\"\n",
    );
    sandbox.configlet("other", "[mapping.\"/var/x\"]\ntarget = \"%{base}/x\"\n");
    let report = sandbox.datastore(&["apply", "--yes", "--json"]).code(1).json();
    assert_eq!(failed(&report)["mount_point"], "/var/a");
    sandbox.is("/var/a", "pending");
    sandbox.is("/var/b", "active");
    sandbox.is("/var/x", "active");
    // The app's hook is not told of the one that failed.
    assert_eq!(sandbox.read("/out/told"), "postmount:/var/b\n");
    assert_eq!(sandbox.our_lines().len(), 2);
    // A whole app's hook takes the whole app.
    sandbox.configlet(
        "other",
        "postmount = \"/lib-hooks/no\"\n[mapping.\"/var/x\"]\ntarget = \"%{base}/x\"\n\
         [mapping.\"/var/y\"]\ntarget = \"%{base}/y\"\n",
    );
    sandbox.datastore(&["stop", "other"]).ok();
    let report = sandbox.datastore(&["start", "other", "--json"]).code(1).json();
    assert_eq!(report["failed"].as_array().unwrap().len(), 2, "{report:#}");
    assert!(
        sandbox.bound("/var/x").is_none() && sandbox.bound("/var/y").is_none() && sandbox.bound("/var/b").is_some()
    );
}

#[test]
fn a_hook_that_hangs_is_stopped() {
    // The second does not care for SIGTERM, and neither does its child.
    for (body, least) in [("sleep 600", 1), ("trap '' TERM; sleep 600 & sleep 600; wait", 6)] {
        let sandbox = shop("postmount = \"/lib-hooks/h\"\n");
        sandbox.configlet("shop", &format!("hook_timeout = 1\n{SHOP}postmount = \"/lib-hooks/h\"\n"));
        // The working directory is the mount, which could not come off as long as somebody is in it.
        sandbox.script("/lib-hooks/h", &format!("echo $$ > /out/pid; echo waiting; cd /var/shop\n{body}"));
        let begun = Instant::now();
        let report = sandbox.datastore(&["apply", "--yes", "--json"]).code(1).json();
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(least) && took < Duration::from_secs(60), "{took:?}");
        let row = failed(&report);
        let detail = text(&row["detail"]);
        assert!(row["reason"] == "hook-failed" && detail.contains("did not end within 1 s"), "{row:#}");
        assert!(detail.ends_with(": waiting"), "{row:#}");
        assert_eq!(report["remarks"].as_array().map(Vec::len), Some(0), "{report:#}");
        nothing_bound(&sandbox, body);
        let group = sandbox.read("/out/pid");
        assert!(members(group.trim()).is_empty(), "{body}: {:?}", members(group.trim()));
    }
}

/// The processes of a process group that are alive.
fn members(group: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let stats = processes.filter_map(|p| fs::read_to_string(p.path().join("stat")).ok());
    stats
        .filter(|stat| {
            let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
            fields.next() != Some("Z") && fields.nth(1) == Some(group)
        })
        .collect()
}

#[test]
fn a_hundred_megabytes_of_output_are_read_and_dropped() {
    let sandbox = shop("premount = \"/lib-hooks/h\"\n");
    sandbox
        .script("/lib-hooks/h", "echo first; yes 'a line of output' | head -c 100000000; echo; echo last >&2; exit 3");
    let report = sandbox.datastore(&["apply", "--yes", "--json"]).code(1).json();
    assert!(text(&failed(&report)["detail"]).ends_with("ended with exit code 3: last"), "{report:#}");
    let log = newest_log(&sandbox);
    assert!(log.len() > 60_000 && log.len() < 80_000, "{}", log.len());
    assert!(log.contains("  first\n") && log.contains("  last\n") && log.contains("bytes are left out here]"));
}

#[test]
fn a_daemon_that_keeps_the_pipe_holds_nobody_up() {
    let sandbox = shop("postmount = \"/lib-hooks/h\"\n");
    sandbox.script("/lib-hooks/h", "sleep 600 &\necho $! > /out/daemon\necho done");
    let begun = Instant::now();
    sandbox.datastore(APPLY).ok();
    assert!(begun.elapsed() < Duration::from_secs(60));
    sandbox.is("/var/shop", "active");
    assert!(newest_log(&sandbox).contains("  done\n"));
    // It goes on: a hook may start something.
    let daemon = sandbox.read("/out/daemon");
    let pid: i32 = daemon.trim().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
}

/// Starts `apply`, kills it with SIGKILL once the hook has written `/out/running`, and waits until the hook is dead as well.
#[track_caller]
fn killed_during_a_hook(sandbox: &Sandbox) {
    let mut command = sandbox.datastore_command(APPLY);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start datastore");
    let patience = Instant::now();
    while fs::read_to_string(sandbox.path("/out/running")).unwrap_or_default().is_empty() {
        assert!(patience.elapsed() < Duration::from_secs(60), "the hook did not begin");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("kill datastore");
    child.wait().expect("wait for datastore");
    let hook = sandbox.read("/out/running").trim().to_owned();
    // The hook itself dies with datastore; what it has started is the hook's own.
    while fs::read_to_string(format!("/proc/{hook}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(patience.elapsed() < Duration::from_secs(60), "the hook outlived datastore");
        std::thread::sleep(Duration::from_millis(2));
    }
    fs::remove_file(sandbox.path("/out/running")).unwrap();
}

#[test]
fn an_operation_that_was_killed_during_a_hook_is_finished_with_all_its_hooks() {
    for (when, scope) in [("premount", "mapping"), ("premount", "app"), ("postmount", "mapping"), ("postmount", "app")]
    {
        for (verb, times) in [("recover", 1), ("apply", 1), ("recover", 2)] {
            let what = format!("{scope} {when}, {verb} after {times} kills");
            let sandbox = machine();
            // Waits in the shell itself the first times, so that nobody is left behind.
            let body = "echo \"$DATASTORE_HOOK $DATASTORE_NEW_STORE\" >> /out/told\n\
                        if [ -e /out/wait ]; then echo $$ > /out/running; while :; do read -r x < /out/fifo; done; fi";
            sandbox.script("/lib-hooks/h", body);
            rustix::fs::mkfifoat(rustix::fs::CWD, sandbox.path("/out/fifo"), 0o600.into()).unwrap();
            sandbox.write("/out/wait", "");
            let hook = format!("{when} = \"/lib-hooks/h\"\n");
            sandbox.configlet("shop", &if scope == "app" { format!("{hook}{SHOP}") } else { format!("{SHOP}{hook}") });
            for _ in 0..times {
                killed_during_a_hook(&sandbox);
                assert_eq!(sandbox.bound("/var/shop").is_some(), when == "postmount", "{what}");
                assert_eq!(sandbox.our_lines().len(), usize::from(when == "postmount"), "{what}");
            }
            sandbox.is("/var/shop", "interrupted");
            sandbox.datastore(&["guard", "shop"]).fails();
            fs::remove_file(sandbox.path("/out/wait")).unwrap();
            let args: &[&str] = if verb == "apply" { APPLY } else { &["recover"] };
            sandbox.datastore(args).ok();
            sandbox.is("/var/shop", "active");
            sandbox.datastore(&["guard", "shop"]).ok();
            // The store was made by the operation that was interrupted, so it is new still.
            let told = sandbox.read("/out/told");
            assert_eq!(told, format!("{when} 1\n").repeat(times + 1), "{what}");
            sandbox.datastore(APPLY).ok().says("nothing to do");
            sandbox.datastore(&["recover"]).ok();
            assert_eq!(sandbox.read("/out/told"), told, "{what}");
            // From now on it is one that was there before.
            sandbox.datastore(&["restart", "shop"]).ok();
            assert_eq!(sandbox.read("/out/told"), format!("{told}{when} 0\n"), "{what}");
        }
    }
}

#[test]
fn a_hook_that_fails_after_the_crash_takes_the_bind_off() {
    let sandbox = shop("postmount = \"/lib-hooks/h\"\n");
    rustix::fs::mkfifoat(rustix::fs::CWD, sandbox.path("/out/fifo"), 0o600.into()).unwrap();
    sandbox.script("/lib-hooks/h", "echo $$ > /out/running; read -r x < /out/fifo");
    killed_during_a_hook(&sandbox);
    assert!(sandbox.bound("/var/shop").is_some());
    sandbox
        .datastore(&["guard", "shop"])
        .code(3)
        .says("before the hooks of /var/shop had run")
        .says("datastore recover");
    sandbox.script("/lib-hooks/h", "exit 4");
    sandbox.datastore(APPLY).code(1).says("ended with exit code 4");
    assert!(sandbox.bound("/var/shop").is_none());
    sandbox.datastore(&["guard", "shop"]).fails();
}

#[test]
fn a_bind_without_its_hooks_that_somebody_uses_stays_interrupted() {
    let sandbox = shop("postmount = \"/lib-hooks/h\"\n");
    rustix::fs::mkfifoat(rustix::fs::CWD, sandbox.path("/out/fifo"), 0o600.into()).unwrap();
    sandbox.script("/lib-hooks/h", "echo $$ > /out/running; read -r x < /out/fifo");
    killed_during_a_hook(&sandbox);
    sandbox.script("/lib-hooks/h", "echo ran >> /out/ran");
    let holder = Holder::in_directory(&sandbox.path("/var/shop"));
    for _ in 0..2 {
        sandbox.datastore(&["recover"]).code(3).says("busy").says("sleep");
        sandbox.is("/var/shop", "interrupted");
        sandbox.datastore(&["guard", "shop"]).code(3).says("datastore recover");
        assert!(!sandbox.exists("/out/ran"));
    }
    drop(holder);
    sandbox.datastore(&["recover"]).ok();
    sandbox.is("/var/shop", "active");
    assert_eq!(sandbox.read("/out/ran"), "ran\n");
    sandbox.datastore(&["guard", "shop"]).ok();
    sandbox.datastore(APPLY).ok().says("nothing to do");
}
