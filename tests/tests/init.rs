//! A new machine: led through at a terminal, or by a file of answers; one plan, and nothing before yes.

use std::io::Write as _;
use std::process::{Command, Stdio};

use datastore_tests::{Sandbox, binary, picture};

/// Runs `init` at a terminal of its own, and types these lines.
fn typed(sandbox: &Sandbox, lines: &[&str]) -> (Option<i32>, String) {
    let command = format!("{} --root {} init", binary::datastore().display(), sandbox.root().display());
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--echo", "never", "--command", &command, "/dev/null"])
        .env("TERM", "dumb")
        .env("COLUMNS", "200")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run script");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    script.stdin.take().unwrap().write_all(text.as_bytes()).expect("type");
    let output = script.wait_with_output().expect("script ends");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).replace('\r', ""))
}

/// A machine on which people have homes, and mail has come.
fn used() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("/home/alice/letter", "dear");
    sandbox.write("/var/spool/imap/stage/1", "mail");
    sandbox
}

fn state(sandbox: &Sandbox, at: &str) -> String {
    let status = sandbox.datastore(&["status", "--json"]).json();
    let rows = status["mappings"].as_array().expect("rows").clone();
    rows.iter()
        .find(|row| row["mount_point"] == at)
        .map(|r| r["state"].as_str().unwrap().to_owned())
        .unwrap_or_default()
}

#[test]
fn a_person_is_led_through_it() {
    let sandbox = used();
    // A name that is none, the name; the disk of the system; an app that is none, two that are; one of the others; yes.
    let (code, said) = typed(&sandbox, &["localhost", "server1", "", "homes", "home cyrus-imapd", "support", "y"]);
    assert_eq!(code, Some(0), "{said}");
    for words in [
        "the name of every machine",
        "on the disk of the system, in /store/data0",
        "/home (2 entries, ",
        "none of them is called `homes`",
        "then: bring in the data of `home`: /home (2 entries, ",
        "then: ask for `support`",
        "Go on? [y/N]",
    ] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    for at in ["/home", "/var/spool/imap", "/root/support"] {
        assert_eq!(state(&sandbox, at), "active", "{at}: {said}");
    }
    assert_eq!(sandbox.read("/home/alice/letter"), "dear");
    assert!(sandbox.exists("/store/data0/live/server1/home/alice/letter"));
    assert_eq!(state(&sandbox, "/var/www/html"), "disabled", "what nobody asked for");
    // The mounts are shown in the end.
    assert!(said.rfind("active").unwrap() > said.rfind("Go on?").unwrap(), "{said}");
}

#[test]
fn nothing_is_done_before_yes() {
    let sandbox = used();
    let whole = picture::exact(sandbox.root());
    for lines in [&["server1", "", "all", "none", "n"][..], &["server1", ""], &[]] {
        let (code, said) = typed(&sandbox, lines);
        assert_eq!(code, Some(1), "{said}");
        picture::same(&picture::exact(sandbox.root()), &whole, &said);
    }
    // Nobody to be asked: a plan for what was said, and no more.
    sandbox.datastore(&["init", "--host", "server1", "--import", "home"]).code(2).says("nothing has been changed");
    sandbox.datastore(&["init", "--import", "hmoe", "--host", "server1", "--yes"]).code(2).says("did you mean `home`");
    picture::same(&picture::exact(sandbox.root()), &whole, "after a refusal");
}

#[test]
fn a_file_has_all_answers() {
    let sandbox = used();
    sandbox.loop_image("disk.img", 64 << 20, None);
    let answers = "host = \"server1\"\ndevice = \"/disk.img\"\nformat = \"ext4\"\nimport = [\"home\", \"cyrus-imapd\"]\nenable = [\"support\"]\n";
    let file = sandbox.write("/root/answers.toml", answers).display().to_string();
    let report = sandbox.datastore(&["init", "--answers", &file, "--yes", "--json"]).ok().json();
    assert_eq!(report["outcome"], "done");
    assert_eq!(report["import"].as_array().unwrap().len(), 2);
    assert_eq!(report["enable"]["outcome"], "done");
    for at in ["/home", "/var/spool/imap", "/root/support"] {
        assert_eq!(state(&sandbox, at), "active", "{at}");
    }
    assert_eq!(sandbox.bound("/store/data0").expect("the volume").fs_type, "ext4");
    assert_eq!(sandbox.read("/home/alice/letter"), "dear");
    // To run it again is harmless.
    sandbox.datastore(&["init", "--answers", &file, "--yes"]).ok();
    // An option wins over the file, and what is in neither is a mistake.
    sandbox.datastore(&["init", "--answers", &file, "--host", "other", "--yes"]).code(3).says("server1");
    let wrong = sandbox.write("/root/wrong.toml", "hots = \"x\"\n").display().to_string();
    sandbox.datastore(&["init", "--answers", &wrong, "--yes"]).code(2).says("hots");
    sandbox.datastore(&["init", "--answers", "/none.toml", "--yes"]).code(2).says("nothing has been changed");
}

/// One that cannot be brought in keeps no other from it, and is told.
#[test]
fn one_import_that_fails_keeps_no_other() {
    let sandbox = used();
    sandbox.bind("/home/alice", "/home/alice");
    let run = sandbox.datastore(&["init", "--host", "server1", "--import", "home,cyrus-imapd", "--yes"]);
    assert_ne!(run.status.code(), Some(0));
    assert_eq!(state(&sandbox, "/var/spool/imap"), "active");
    assert_eq!(sandbox.read("/home/alice/letter"), "dear");
    assert_ne!(state(&sandbox, "/home"), "active");
}
