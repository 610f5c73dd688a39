//! `datastore-webconfig`, the one command that the web pages' user may run as root: what it runs gets nothing from the caller but the words,
//! and, through the real sudo(8), nothing else can be run.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;

use datastore_tests::{Run, Sandbox, binary, repository, scenes};
use rustix::mount::mount_bind;
use serde_json::json;

/// The user of the web pages.
const WEBCONFIG: u32 = 1500;

/// A directory with the gate and, beside it, a `datastore` that tells what it was given.
fn beside_a_witness() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.directory("gate", 0o755);
    // By cp(1): while this process had it open for writing, a child of another thread's could keep it so (ETXTBSY).
    sandbox.run(sandbox.command("cp").arg(binary::gate()).arg(sandbox.path("gate/datastore-webconfig"))).ok();
    sandbox.script(
        "gate/datastore",
        "echo \"ran: $*\"\necho \"in: $(pwd) $(umask)\"\ncat /proc/$$/environ | tr '\\0' '\\n' | sed 's/^/env: /'\n\
         for fd in /proc/$$/fd/*; do echo \"fd: $(readlink $fd)\"; done\necho \"input: $(cat)\"",
    );
    sandbox
}

#[test]
fn what_is_run_gets_the_words_and_the_input_and_nothing_else() {
    let sandbox = beside_a_witness();
    // Open files at 7 and 99, a umask, a directory, and variables that would change what is run.
    let command = |program: &str| {
        let mut command = sandbox.command("bash");
        let line = "exec 7</etc/passwd 99</etc/group; umask 0; cd /tmp; exec \"$@\"";
        command.args(["-c", line, "bash"]).arg(sandbox.path(program)).args(["config", "remove", "shop", "--json"]);
        command
            .env("LD_LIBRARY_PATH", "/x")
            .env("DATASTORE_TEST", "1")
            .env("PATH", "/tmp:/usr/bin:/bin")
            .env("HOME", "/x");
        command
    };
    sandbox.feed("what was piped in");
    sandbox.run(command("gate/datastore")).ok().says("fd: /etc/passwd").says("fd: /etc/group").says("env: HOME=/x");
    let run = sandbox.run(command("gate/datastore-webconfig")).ok();
    let lines = |what: &str| -> Vec<String> {
        let lines = run.stdout.lines().filter_map(|line| line.strip_prefix(what));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(lines("ran: "), ["config remove shop --json"]);
    assert_eq!(lines("in: "), ["/ 0022"]);
    let mut environment = lines("env: ");
    environment.sort();
    assert_eq!(environment, ["LANG=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
    assert!(lines("fd: ").iter().all(|path| !path.starts_with("/etc/")), "{}", run.stdout);
    assert_eq!(lines("input: "), ["what was piped in"]);
}

#[test]
fn what_is_not_let_through_runs_nothing() {
    let sandbox = beside_a_witness();
    let gate = |words: &[&str]| {
        let mut command = sandbox.command(sandbox.path("gate/datastore-webconfig"));
        command.args(words);
        sandbox.run(command)
    };
    for words in [
        &[][..],
        &["doctor"],
        &["doctor", "--json", "--root", "/"],
        &["--root=/", "doctor", "--json"],
        &["doctor", "--json", ""],
        &["plan", "stop", "$(id)", "--save", "--json"],
        &["plan", "move", "shop", "--to", "/srv", "--save", "--json"],
        &["volume", "add", "data1", "--device", "/dev/sdb", "--force", "--yes", "--json"],
        &["config", "import", "/etc/shadow"],
    ] {
        let run = gate(words).code(2).silent_about("ran:");
        assert!(run.stdout.is_empty() && run.stderr.contains("is not let through; nothing has been done"), "{words:?}");
    }
    let long = "x".repeat(100_000);
    gate(&["config", "remove", &long, "--json"]).code(2).silent_about("ran:");
    let mut odd = sandbox.command(sandbox.path("gate/datastore-webconfig"));
    odd.args(["config", "remove"])
        .arg(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"a\xff"))
        .arg("--json");
    sandbox.run(odd).code(2).silent_about("ran:");
    // Whatever it is called by.
    let mut renamed = sandbox.command(sandbox.path("gate/datastore-webconfig"));
    renamed.arg0("/usr/sbin/datastore").args(["doctor", "--json"]);
    sandbox.run(renamed).ok().says("ran: doctor --json");
    std::fs::remove_file(sandbox.path("gate/datastore")).unwrap();
    gate(&["doctor", "--json"]).code(2).says("cannot be run").says("nothing has been done");
}

/// A server of its own with sudo, the two programs, and the line for sudoers that the book has.
fn server() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.programs();
    for dir in ["/usr/libexec", "/usr/share/zoneinfo"] {
        if std::path::Path::new(dir).is_dir() {
            std::fs::create_dir_all(sandbox.path(dir)).unwrap();
            mount_bind(dir, sandbox.path(dir)).unwrap();
        }
    }
    let page = std::fs::read_to_string(repository("docs/webconfig.md")).unwrap();
    let sudoers = page.split("# /etc/sudoers.d/datastore").nth(1).and_then(|rest| rest.split("```").next());
    // The machine's own /usr/sbin is read-only here.
    let sudoers = sudoers.expect("the page has the line for sudoers").replace("/usr/sbin/", "/usr/local/sbin/");
    assert!(sudoers.contains("webconfig ALL=(root) NOPASSWD: /usr/local/sbin/datastore-webconfig"), "{sudoers}");
    sandbox.write("/etc/sudoers.d/datastore", sudoers);
    sandbox.write("/etc/sudoers", "root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n");
    for file in ["/etc/sudoers", "/etc/sudoers.d/datastore"] {
        std::fs::set_permissions(sandbox.path(file), Permissions::from_mode(0o440)).unwrap();
    }
    sandbox.write(
        "/etc/pam.d/sudo",
        "auth required pam_deny.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
    );
    let passwd = sandbox.read("/etc/passwd");
    sandbox.write("/etc/passwd", format!("{passwd}webconfig:x:{WEBCONFIG}:{WEBCONFIG}::/:/bin/sh\n"));
    let group = sandbox.read("/etc/group");
    sandbox.write("/etc/group", format!("{group}webconfig:x:{WEBCONFIG}:\n"));
    sandbox.write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\n");
    for (program, name) in [(binary::datastore(), "datastore"), (binary::gate(), "datastore-webconfig")] {
        let to = sandbox.write(format!("/usr/local/sbin/{name}"), "");
        mount_bind(&program, &to).unwrap();
    }
    scenes::allowing(&sandbox);
    sandbox
}

/// What the web pages' user runs.
fn as_webconfig(sandbox: &Sandbox, words: &[&str]) -> Run {
    let id = WEBCONFIG.to_string();
    let mut command = sandbox.command("chroot");
    command.arg(sandbox.root()).args(["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups", "--"]).args(words);
    sandbox.run(command)
}

fn gate(sandbox: &Sandbox, line: &str) -> Run {
    let mut words = vec!["sudo", "-n", "/usr/local/sbin/datastore-webconfig"];
    words.extend(line.split(' '));
    as_webconfig(sandbox, &words)
}

#[test]
fn the_web_user_declares_an_app_plans_and_applies_and_takes_it_back() {
    let sandbox = server();
    // The document is the server's input already.
    let told = gate(&sandbox, "config add --json").ok().json();
    assert_eq!((&told["app"], &told["changed"]), (&json!("photos"), &json!(true)), "{told}");
    let plan = gate(&sandbox, "plan start photos --save --json").ok().json();
    assert_eq!((&plan["saved"], &plan["goal"]), (&json!(true), &json!("start photos")), "{plan}");
    let id = plan["id"].as_str().unwrap();
    let report = gate(&sandbox, &format!("apply --plan {id} --yes --json")).ok().json();
    assert_eq!(report["outcome"], "done", "{report}");
    assert!(sandbox.bound("/srv/photos").is_some());
    gate(&sandbox, "doctor --json").ok();
    gate(&sandbox, "recover --yes --json").ok();
    let plan = gate(&sandbox, "plan disable photos --save --json").ok().json();
    gate(&sandbox, &format!("apply --plan {} --yes --json", plan["id"].as_str().unwrap())).ok();
    assert!(sandbox.bound("/srv/photos").is_none());
    let told = gate(&sandbox, "config remove photos --json").ok().json();
    assert_eq!(told["changed"], true, "{told}");
    assert!(!sandbox.exists("/etc/datastore.d/photos.conf"));
}

#[test]
fn the_web_user_can_run_nothing_else_as_root() {
    let sandbox = server();
    for words in [
        &["sudo", "-n", "/usr/local/sbin/datastore", "status"][..],
        &["sudo", "-n", "/bin/sh", "-c", "id"],
        &["sudo", "-n", "-u", "mysql", "/usr/local/sbin/datastore-webconfig", "doctor", "--json"],
        &["sudo", "-n", "-s"],
        &["sudo", "-n", "-e", "/etc/datastore.conf"],
    ] {
        as_webconfig(&sandbox, words).code(1).says("sudo:");
    }
    gate(&sandbox, "doctor --json --root /srv").code(2).says("is not let through");
    gate(&sandbox, "config import /etc/shadow").code(2).says("is not let through");
    // A variable does not come through sudo, and would not come through the gate.
    as_webconfig(
        &sandbox,
        &["sudo", "-n", "LD_PRELOAD=/tmp/x.so", "/usr/local/sbin/datastore-webconfig", "doctor", "--json"],
    )
    .code(1)
    .says("sudo:");
    // Without sudo the gate gives nothing that its caller does not have.
    let alone =
        as_webconfig(&sandbox, &["/usr/local/sbin/datastore-webconfig", "config", "add", "--json"]).code(4).json();
    assert_eq!(alone["error"]["kind"], "privilege", "{alone}");
    assert!(!sandbox.exists("/etc/datastore.d/photos.conf"));
    // What the user may write to is no way to a mount point.
    let own = sandbox.directory("srv/own", 0o755);
    chown(&own, Some(WEBCONFIG), Some(WEBCONFIG)).unwrap();
    sandbox.feed(json!({ "app": "x", "mappings": [{ "mount_point": "/srv/own/x" }] }).to_string());
    let error = gate(&sandbox, "config add --json").code(3).json();
    assert!(error["error"]["message"].as_str().unwrap().contains("belongs to user 1500"), "{error}");
}
