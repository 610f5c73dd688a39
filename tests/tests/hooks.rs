//! Hooks on real mounts: when they run, what they are told, and what they inherit.

#![allow(clippy::literal_string_with_formatting_args, reason = "configlets hold expansions of ours")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use datastore_tests::hooks::{APPLY, SHOP, STORE, failed, machine, newest_log, nothing_bound, shop};
use datastore_tests::rows::text;
use datastore_tests::{Sandbox, binary};

/// What an environment that was dumped with `env -0` holds.
fn environment(sandbox: &Sandbox, file: &str) -> BTreeMap<String, String> {
    let text = sandbox.read(file);
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn order_and_scopes() {
    let sandbox = machine();
    // What stands at each mount point tells whether it is bound.
    let note = "printf '%s %s %s' \"$DATASTORE_APP\" \"$DATASTORE_SCOPE\" \"$DATASTORE_HOOK\" >> /out/order\n\
                for m in /var/a /var/b /var/x; do mountpoint -q $m && printf ' %s' $m >> /out/order; done\n\
                echo \" $(stat -c %a:%U \"$(echo \"$DATASTORE_STORE\" | head -n 1)\")\" >> /out/order";
    sandbox.script("/lib-hooks/note", note);
    sandbox.configlet(
        "shop",
        "premount = \"/lib-hooks/note\"\npostmount = \"/lib-hooks/note\"\n\
         [mapping.\"/var/a\"]\ntarget = \"%{base}/a\"\npermissions = \"2750\"\nowner = \"alice\"\n\
         premount = \"/lib-hooks/note\"\npostmount = \"/lib-hooks/note\"\n\
         [mapping.\"/var/b\"]\ntarget = \"%{base}/b\"\n",
    );
    sandbox.configlet("other", "postmount = \"/lib-hooks/note\"\n[mapping.\"/var/x\"]\ntarget = \"%{base}/x\"\n");
    let plan = sandbox.datastore(&["plan"]).ok();
    plan.says("run the premount hook /lib-hooks/note of `shop` (at most 300 s)")
        .says("run the postmount hook /lib-hooks/note of `shop` for /var/a (at most 300 s)");
    let plan = sandbox.datastore(&["plan", "--json"]).ok().json();
    let steps: Vec<String> =
        plan["steps"].as_array().unwrap().iter().map(|s| format!("{} {}", text(&s["kind"]), text(&s["app"]))).collect();
    assert_eq!(steps.iter().filter(|s| *s == "run-hook shop").count(), 4, "{steps:?}");
    let at = |what: &str| steps.iter().position(|s| s.starts_with(what)).unwrap();
    assert!(at("make-dir") < at("run-hook") && at("run-hook") < at("fstab") && at("fstab") < at("bind"), "{steps:?}");

    sandbox.datastore(APPLY).ok();
    let order = sandbox.read("/out/order");
    // `alice` of the sandbox is a number to the chroot, whose passwd is the sandbox's own.
    assert_eq!(
        order.lines().collect::<Vec<_>>(),
        [
            "shop app premount 2750:alice",
            "shop mapping premount 2750:alice",
            "shop mapping postmount /var/a 2750:alice",
            "shop app postmount /var/a /var/b 2750:alice",
            "other app postmount /var/a /var/b /var/x 755:root",
        ]
    );
    // Where nothing is bound, nothing runs.
    sandbox.datastore(APPLY).ok().says("nothing to do");
    chown(sandbox.path("/store/data0/live/server1/b"), Some(1000), None).unwrap();
    sandbox.datastore(APPLY).ok();
    sandbox.datastore(&["stop", "shop"]).ok();
    assert_eq!(sandbox.read("/out/order"), order);
    // One of two that is bound: the app's hooks are told of that one, and the other mapping's own does not run.
    sandbox.datastore(&["start", "shop"]).ok();
    sandbox.unmount("/var/b");
    fs::remove_file(sandbox.path("/out/order")).unwrap();
    sandbox.datastore(APPLY).ok();
    assert_eq!(
        sandbox.read("/out/order").lines().collect::<Vec<_>>(),
        ["shop app premount /var/a /var/x 755:root", "shop app postmount /var/a /var/b /var/x 755:root"]
    );
    let restarted = sandbox.datastore(&["restart", "shop", "--json"]).ok().json();
    assert_eq!(restarted["outcome"], "done", "{restarted:#}");
    assert_eq!(sandbox.read("/out/order").lines().count(), 6);
}

#[test]
fn what_a_hook_is_told_and_what_it_inherits() {
    told_and_inherited(&[]);
}

#[test]
fn what_it_inherits_before_linux_5_9() {
    // close_range(2) by its number.
    told_and_inherited(&["436"]);
}

fn told_and_inherited(without: &[&str]) {
    let sandbox = machine();
    let dump = "env -0 > /out/env.$DATASTORE_HOOK.$DATASTORE_SCOPE\n\
                { pwd; umask; cat /proc/self/stat; } > /out/self\n\
                cat > /out/input\n\
                ls -l /proc/$$/fd\n\
                echo \"$0\" > /out/name; ps -o pid=,pgid=,sid= -p $$ > /out/group";
    sandbox.script("/lib-hooks/dump", dump);
    sandbox.configlet(
        "shop",
        "premount = \"/lib-hooks/dump\"\n\
         [mapping.\"/var/a b\"]\ntarget = \"%{base}/a b\"\n\
         [mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\npostmount = \"/lib-hooks/dump\"\n",
    );
    sandbox.directory(STORE, 0o755);
    // A descriptor, a variable, a umask and a working directory that must not come through.
    let mut command = sandbox.datastore_command(APPLY);
    if !without.is_empty() {
        let (program, args) = (command.get_program().to_owned(), command.get_args().map(ToOwned::to_owned));
        let mut older = sandbox.nosys(without, program);
        older.args(args);
        command = older;
    }
    command.env("SECRET", "x").env("LD_PRELOAD", "").env("BASH_ENV", "/x").current_dir("/tmp").stdin(Stdio::piped());
    let leak = fs::File::open("/etc/passwd").unwrap();
    let (number, wanted) = (std::os::fd::AsRawFd::as_raw_fd(&leak), 77);
    #[allow(unsafe_code, reason = "a descriptor that is not closed on exec")]
    // SAFETY: dup2(2) and umask(2) may be called after fork(2).
    unsafe {
        command.pre_exec(move || {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
            if libc::dup2(number, wanted) == wanted { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
    sandbox.run(command).ok();

    let app = environment(&sandbox, "/out/env.premount.app");
    let own = environment(&sandbox, "/out/env.postmount.mapping");
    let of = |env: &BTreeMap<String, String>| -> Vec<String> {
        let mut names: Vec<String> = env.keys().cloned().collect();
        names.retain(|name| !matches!(name.as_str(), "PWD" | "OLDPWD" | "SHLVL" | "_"));
        names
    };
    let names = ["APP", "HOOK", "HOST", "MOUNT_POINT", "NEW_STORE", "SCOPE", "STORE", "VOLUME"];
    let mut expected: Vec<String> = names.iter().map(|name| format!("DATASTORE_{name}")).collect();
    expected.extend(["LC_ALL".into(), "PATH".into()]);
    assert_eq!((of(&app), of(&own)), (expected.clone(), expected));
    assert_eq!(app["DATASTORE_MOUNT_POINT"], "/var/a b\n/var/shop");
    assert_eq!(app["DATASTORE_STORE"], format!("/store/data0/live/server1/a b\n{STORE}"));
    assert_eq!((app["DATASTORE_VOLUME"].as_str(), app["DATASTORE_NEW_STORE"].as_str()), ("data0\ndata0", "1\n0"));
    assert_eq!((own["DATASTORE_MOUNT_POINT"].as_str(), own["DATASTORE_NEW_STORE"].as_str()), ("/var/shop", "0"));
    assert_eq!((own["DATASTORE_APP"].as_str(), own["DATASTORE_HOST"].as_str()), ("shop", "server1"));
    assert_eq!((own["PATH"].as_str(), own["LC_ALL"].as_str()), ("/usr/sbin:/usr/bin:/sbin:/bin", "C"));

    let own = sandbox.read("/out/self");
    assert!(own.starts_with("/\n0022\n"), "{own}");
    assert_eq!(sandbox.read("/out/input"), "");
    // 0, 1, 2; all others are the script itself, once from us and once from the interpreter.
    let descriptors = newest_log(&sandbox);
    let mut others = 0;
    for line in descriptors.lines().filter(|line| line.contains(" -> ")) {
        let (fd, to) = line.split_once(" -> ").unwrap();
        match fd.rsplit(' ').next().unwrap() {
            "0" => assert_eq!(to, "/dev/null"),
            "1" | "2" => assert!(to.starts_with("pipe:"), "{descriptors}"),
            _ => {
                assert_eq!(to, "/lib-hooks/dump", "{descriptors}");
                others += 1;
            }
        }
    }
    // Two hooks, each with one from us and perhaps one from the interpreter.
    assert!((2..=4).contains(&others), "{descriptors}");
    assert!(sandbox.read("/out/name").starts_with("/proc/self/fd/"));
    let group: Vec<String> = sandbox.read("/out/group").split_whitespace().map(str::to_owned).collect();
    assert!(group.len() == 3 && group[0] == group[1] && group[0] == group[2], "{group:?}");
}

#[test]
fn a_binary_keeps_no_descriptor_at_all() {
    let sandbox = machine();
    // `ls` looks at its own descriptors if its name is all that it is given; it is copied so that it lies on the root.
    fs::create_dir(sandbox.path("/hooks")).unwrap();
    for (name, of) in [("env", "/usr/bin/env"), ("true", "/usr/bin/true")] {
        fs::copy(of, sandbox.path(format!("/hooks/{name}"))).unwrap();
    }
    sandbox.configlet("shop", &format!("{SHOP}premount = \"/hooks/env\"\npostmount = \"/hooks/true\"\n"));
    sandbox.datastore(APPLY).ok();
    let log = newest_log(&sandbox);
    assert!(log.contains("  DATASTORE_HOOK=premount\n") && log.contains("ended well"), "{log}");
    let mode = fs::metadata(sandbox.path("/var/lib/datastore/hooks")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o700);
    for entry in fs::read_dir(sandbox.path("/var/lib/datastore/hooks")).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().mode() & 0o7777, 0o600);
    }
}

#[test]
fn another_root_needs_its_own_interpreter_and_procfs() {
    let sandbox = Sandbox::initialised();
    sandbox.script("/lib-hooks/h", "exit 0");
    sandbox.configlet("shop", &format!("{SHOP}premount = \"/lib-hooks/h\"\n"));
    let row = failed(&sandbox.datastore(&["apply", "--yes", "--json"]).code(1).json());
    assert!(row["reason"] == "hook-failed" && text(&row["detail"]).contains("there is no procfs at /proc"), "{row:#}");
    assert!(text(&row["hint"]).contains("mount -t proc proc"), "{row:#}");
    nothing_bound(&sandbox, "no procfs");
    sandbox.directory("/proc", 0o755);
    sandbox.run(sandbox.command("mount").args(["-t", "proc", "proc"]).arg(sandbox.path("/proc"))).ok();
    let row = failed(&sandbox.datastore(&["apply", "--yes", "--json"]).code(1).json());
    assert!(text(&row["hint"]).contains("install the interpreter"), "{row:#}");
    nothing_bound(&sandbox, "no interpreter");
    sandbox.unmount("/proc");
    fs::remove_dir(sandbox.path("/proc")).unwrap();
    sandbox.programs();
    sandbox.datastore(APPLY).ok();
    sandbox.is("/var/shop", "active");
}

#[test]
fn on_the_machine_itself_there_is_no_chroot() {
    // A machine of its own: the sandbox as the root of a process, which calls datastore without --root.
    let sandbox = shop("premount = \"/lib-hooks/h\"\n");
    sandbox.script(
        "/lib-hooks/h",
        "cat /proc/self/mountinfo > /dev/null; echo \"$DATASTORE_STORE\" > /out/store; pwd > /out/cwd",
    );
    fs::copy(binary::datastore(), sandbox.path("/out/datastore")).unwrap();
    let mut command = sandbox.command("chroot");
    command.arg(sandbox.root()).args(["/out/datastore", "apply", "--yes"]);
    sandbox.run(command).ok();
    assert_eq!(sandbox.read("/out/store"), format!("{STORE}\n"));
    assert_eq!(sandbox.read("/out/cwd"), "/\n");
    assert!(sandbox.bound("/var/shop").is_some());
}

#[test]
fn a_hook_that_calls_datastore_on_its_own_app_is_told_who_has_it() {
    let sandbox = shop("postmount = \"/lib-hooks/h\"\n");
    sandbox.configlet("other", "[mapping.\"/var/x\"]\ntarget = \"%{base}/x\"\n");
    fs::copy(binary::datastore(), sandbox.path("/out/datastore")).unwrap();
    sandbox.script(
        "/lib-hooks/h",
        "/out/datastore stop shop > /out/stop 2>&1; echo $? >> /out/stop\n\
         /out/datastore status shop --json > /out/status; echo $? >> /out/status\n\
         /out/datastore start other > /out/other 2>&1; echo $? >> /out/other",
    );
    let begun = Instant::now();
    sandbox.datastore(&["start", "shop"]).ok();
    assert!(begun.elapsed() < Duration::from_secs(60));
    let stop = sandbox.read("/out/stop");
    assert!(stop.ends_with("\n6\n") && stop.contains("`app-shop` is locked by process"), "{stop}");
    // Another app is nobody's concern, and looking is free.
    assert!(sandbox.read("/out/other").ends_with("\n0\n"), "{}", sandbox.read("/out/other"));
    assert!(sandbox.read("/out/status").ends_with("\n0\n"));
    sandbox.is("/var/shop", "active");
    sandbox.is("/var/x", "active");
}
