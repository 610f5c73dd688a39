//! How far an import is: for other programs in `/run/datastore/ops`, in lines, and in `status`.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use datastore_tests::rows::{fields, text};
use datastore_tests::{Sandbox, binary};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n";
const FILES: u64 = 20_000;
const DIRECTORIES: u64 = 100;
const SIZE: u64 = 1_000;

/// A machine with many small files at the mount point of an app, and its volume on a disk of its own.
fn machine() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.loop_image("disk.img", 256 << 20, Some("ext4"));
    let image = sandbox.path("disk.img").display().to_string();
    sandbox.datastore(&["init", "--host", "server1", "--device", &image, "--yes"]).ok();
    sandbox.configlet("shop", SHOP);
    for d in 0..DIRECTORIES {
        let dir = sandbox.path(format!("/var/shop/{d}"));
        fs::create_dir_all(&dir).unwrap();
        for n in 0..FILES / DIRECTORIES {
            fs::write(dir.join(n.to_string()), [b'x'; SIZE as usize]).unwrap();
        }
    }
    sandbox
}

fn begin(sandbox: &Sandbox, args: &[&str]) -> Child {
    let mut command = sandbox.datastore_command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What the file of the import says; none if there is none yet.
fn told(sandbox: &Sandbox) -> Option<Value> {
    let files = fs::read_dir(sandbox.path("/run/datastore/ops")).ok()?.map(|entry| entry.unwrap().path());
    let read = files.filter(|path| path.extension().is_some_and(|e| e == "json")).map(|path| {
        // It is replaced as a whole, so that nobody finds half of it.
        serde_json::from_slice::<Value>(&fs::read(&path).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    });
    let mut imports = read.filter(|told| told["goal"] == "import shop");
    imports.next()
}

/// Waits until the import is in the middle of its first pass, and stops it there.
fn caught(sandbox: &Sandbox, child: &mut Child) -> Value {
    let pid = Pid::from_child(child);
    loop {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was caught");
        let in_the_middle = |told: &Value| told["walk"]["what"] == "copying";
        if told(sandbox).is_some_and(|told| in_the_middle(&told)) {
            kill_process(pid, Signal::STOP).unwrap();
            let told = told(sandbox).expect("it is there");
            if in_the_middle(&told) {
                return told;
            }
            kill_process(pid, Signal::CONT).unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The row of the app, for root and for a user without privilege.
fn rows(sandbox: &Sandbox) -> [(i32, Value); 2] {
    let by_root = sandbox.datastore(&["status", "shop", "--json"]);
    let program = sandbox.path("/datastore");
    fs::copy(binary::datastore(), &program).unwrap();
    let mut command = sandbox.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).arg("--root").arg(sandbox.root());
    let by_user = sandbox.run(command.args(["status", "shop", "--json"]));
    [by_root, by_user].map(|run| (run.status.code().unwrap(), run.json()))
}

#[test]
fn a_running_import_tells_how_far_it_is() {
    let sandbox = machine();
    let begun = Instant::now();
    let mut child = begin(&sandbox, &["import", "shop", "--yes"]);
    let told_then = caught(&sandbox, &mut child);
    assert_eq!(
        fields(&told_then),
        ["done", "goal", "mount_points", "operation", "pid", "plan", "since", "state", "steps", "walk", "what"]
    );
    let walk = &told_then["walk"];
    let all = FILES + DIRECTORIES + 1;
    assert_eq!(
        fields(walk),
        [
            "bytes",
            "bytes_per_second",
            "bytes_total",
            "entries",
            "entries_total",
            "pass",
            "seconds_left",
            "tree",
            "what"
        ]
    );
    assert_eq!((&walk["tree"], &walk["pass"]), (&"/var/shop".into(), &1.into()), "{told_then:#}");
    assert_eq!(walk["entries_total"], all, "{told_then:#}");
    assert_eq!(walk["bytes_total"], FILES * SIZE, "{told_then:#}");
    assert!(walk["entries"].as_u64().unwrap() <= all, "{told_then:#}");
    assert_eq!(told_then["what"], "copy /var/shop while in use");
    assert_eq!(told_then["mount_points"], serde_json::json!(["/var/shop"]));
    assert_eq!(told_then["pid"], child.id());

    for (code, status) in rows(&sandbox) {
        let row = &status["mappings"][0];
        assert_eq!((code, &row["state"], &row["reason"]), (0, &"moving".into(), &Value::Null), "{row:#}");
        let detail = text(&row["detail"]);
        let (head, far) = detail.split_once("; ").unwrap();
        assert!(head.starts_with("`import shop` has been running for ") && head.ends_with(" s"), "{detail}");
        assert!(far.starts_with("copying /var/shop (pass 1): ") && far.contains(" of 20101 entries, "), "{detail}");
        assert_eq!(row["hint"], "watch datastore status shop");
        let operation = &status["operations"][0];
        assert_eq!((&operation["goal"], &operation["state"]), (&"import shop".into(), &"moving".into()), "{status:#}");
    }

    // It goes on, and what comes next is due to be told: so long it stood still.
    std::thread::sleep(Duration::from_secs(4));
    kill_process(Pid::from_child(&child), Signal::CONT).unwrap();
    let mut seen = BTreeSet::new();
    while child.try_wait().unwrap().is_none() {
        let now = told(&sandbox).expect("it stays");
        let walk = &now["walk"];
        if walk.is_object() {
            seen.insert((walk["pass"].as_u64().unwrap(), text(&walk["what"])));
            let total = walk["entries_total"].as_u64();
            assert!(total.is_none_or(|total| walk["entries"].as_u64().unwrap() <= total), "{now:#}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let lines = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{lines}");
    let last = told(&sandbox).expect("it stays");
    assert_eq!((&last["state"], &last["walk"], &last["done"]), (&"done".into(), &Value::Null, &last["steps"]));
    // Comparing all of it takes its time too.
    assert!(seen.iter().any(|(_, what)| what == "comparing"), "{seen:?}");
    let most = 1 + begun.elapsed().as_secs() / 3;
    let lines: Vec<&str> = lines.lines().collect();
    assert!(!lines.is_empty() && lines.len() as u64 <= most, "at most {most}: {lines:#?}");
    let line = lines.iter().find(|line| line.starts_with("copying /var/shop (pass 1): ")).expect("a line of the copy");
    assert!(line.contains(" of 20101 entries, ") && line.contains("/s"), "{line}");
    sandbox.is("/var/shop", "active");
}

#[test]
fn one_that_was_killed_is_interrupted_and_nobody_says_that_it_runs() {
    let sandbox = machine();
    let mut child = begin(&sandbox, &["import", "shop", "--yes"]);
    let _ = caught(&sandbox, &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    let [(code, by_root), (_, by_user)] = rows(&sandbox);
    assert_eq!((code, &by_root["mappings"][0]["state"]), (1, &"interrupted".into()), "{by_root:#}");
    assert_ne!(by_user["mappings"][0]["state"], "moving", "{by_user:#}");
    // Who may not read journals is told of it, too.
    let [operation] = by_user["operations"].as_array().expect("a list").as_slice() else { panic!("{by_user:#}") };
    let state = (&operation["state"], &operation["hint"], &operation["goal"]);
    assert_eq!(state, (&"interrupted".into(), &"datastore recover".into(), &"import shop".into()), "{by_user:#}");
    sandbox.datastore(&["recover"]).ok();
    let [_, (_, by_user)] = rows(&sandbox);
    assert_eq!(by_user["operations"], serde_json::json!([]));
    assert_eq!(told(&sandbox).expect("it stays")["state"], "recovered");
}

#[test]
fn whoever_applied_a_kept_plan_finds_its_operation_by_it() {
    let sandbox = machine();
    let id = text(&sandbox.datastore(&["plan", "import", "shop", "--save", "--json"]).ok().json()["id"]);
    let mut child = begin(&sandbox, &["apply", "--plan", &id, "--yes"]);
    let running = caught(&sandbox, &mut child);
    assert_eq!(running["plan"], *id, "{running:#}");
    for (_, status) in rows(&sandbox) {
        assert_eq!(status["operations"][0]["plan"], *id, "{status:#}");
        assert_eq!(status["operations"][0]["operation"], running["operation"], "{status:#}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let [(_, interrupted), _] = rows(&sandbox);
    assert_eq!(interrupted["operations"][0]["state"], "interrupted", "{interrupted:#}");
    assert_eq!(interrupted["operations"][0]["plan"], *id, "{interrupted:#}");
    sandbox.datastore(&["recover"]).ok();
    assert_eq!(told(&sandbox).expect("it stays")["plan"], *id);
    let log = sandbox.datastore(&["log", "shop", "--json"]).ok().json();
    let of_plan: Vec<&Value> = log["operations"].as_array().unwrap().iter().filter(|row| row["plan"] == *id).collect();
    assert_eq!(of_plan.len(), 1, "{log:#}");
    assert_eq!(of_plan[0]["operation"], running["operation"], "{log:#}");
}
