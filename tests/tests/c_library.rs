//! The C library: a C program that shows each call, on real mounts, and what it says held against the command.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use datastore_tests::documents::{self, same, steady};
use datastore_tests::rows::text;
use datastore_tests::{Run, Sandbox, binary, repository, scenes};
use serde_json::Value;

const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n";

/// How the program is built.
#[derive(Clone, Copy)]
enum Built {
    Plain,
    /// With the address sanitizer, which also finds what is not freed.
    Sanitized,
}

/// The C program, and where it was built.
struct Program {
    path: PathBuf,
    _dir: tempfile::TempDir,
}

fn build(how: Built) -> Program {
    let dir = tempfile::tempdir().expect("a directory");
    let (library, path) = (binary::c_library(), dir.path().join("smoke"));
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-g", "-pthread"]);
    if matches!(how, Built::Sanitized) {
        cc.args(["-fsanitize=address", "-fno-omit-frame-pointer"]);
    }
    cc.arg(format!("-I{}", repository("include").display())).arg("-o").arg(&path);
    cc.arg(repository("tests/c/smoke.c")).arg(&library);
    let built = cc.output().expect("run cc");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    // The program looks for the library by the name that it has when it is installed.
    std::os::unix::fs::symlink(&library, dir.path().join("libdatastore.so.0")).expect("a link");
    Program { path, _dir: dir }
}

impl Program {
    fn command(&self, sandbox: &Sandbox, args: &[&str]) -> Command {
        let mut command = sandbox.command(&self.path);
        command.arg(sandbox.root()).args(args).env("LD_LIBRARY_PATH", self.path.parent().expect("a directory"));
        command
    }

    #[track_caller]
    fn run(&self, sandbox: &Sandbox, args: &[&str]) -> Run {
        sandbox.run(self.command(sandbox, args))
    }

    /// Under valgrind, which finds what is used after it was freed, and what is not freed.
    #[track_caller]
    fn valgrind(&self, sandbox: &Sandbox, args: &[&str]) -> Run {
        let plain = self.command(sandbox, args);
        let mut command = sandbox.command("valgrind");
        command.args(["-q", "--error-exitcode=98", "--leak-check=full", "--show-leak-kinds=definite"]);
        command.arg(format!("--suppressions={}", repository("tests/c/valgrind.supp").display()));
        command.args(["--errors-for-leak-kinds=definite"]).arg(&self.path).args(plain.get_args());
        sandbox.run(command.env("LD_LIBRARY_PATH", self.path.parent().expect("a directory")))
    }
}

/// Two volumes, and an app with data on the first one.
fn machine() -> Sandbox {
    scenes::shop(SHOP, &["/var/shop"], "ext4", 64)
}

#[test]
fn only_what_the_header_declares_is_exported() {
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).arg(binary::c_library()).output().expect(program);
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let exported = run("nm", &["--dynamic", "--defined-only", "--format=posix"]);
    let mut exported: BTreeSet<&str> = exported.lines().filter_map(|line| line.split(' ').next()).collect();
    // Only builds for developers have it.
    assert!(exported.remove("datastore_forced_panic"));
    let header = std::fs::read_to_string(repository("include/datastore.h")).expect("the header");
    let mut declared = documents::declared(&header);
    // It is defined there.
    assert!(declared.remove("datastore_text"));
    assert_eq!(exported, declared.iter().map(String::as_str).collect());
    assert!(run("readelf", &["--dynamic"]).contains("Library soname: [libdatastore.so.0]"));
}

#[test]
fn every_export_has_the_boundary() {
    let mut exports = 0;
    for file in std::fs::read_dir(repository("datastore-ffi/src")).expect("the crate") {
        let path = file.expect("a file").path();
        let source = std::fs::read_to_string(&path).expect("text");
        for body in source.split("#[unsafe(no_mangle)]").skip(1) {
            let body = body.split("\n}\n").next().unwrap();
            exports += 1;
            let has = ["guard(|| ", "calm(", "free(", "Text::of_static", "DATASTORE_ABI"];
            assert!(has.iter().any(|part| body.contains(part)), "{}: {body}", path.display());
        }
    }
    assert!(exports > 30, "{exports}");
}

#[test]
fn it_tells_what_the_command_tells() {
    let (sandbox, smoke) = (machine(), build(Built::Sanitized));
    sandbox.configlet("new", "titel = \"x\"\n[mapping.\"/var/new\"]\ntarget = \"%{base}/new\"\n");
    sandbox.datastore(&["stop", "shop"]).ok();
    for (words, command) in [
        (&["status"][..], &["status"][..]),
        (&["status", "shop"], &["status", "shop"]),
        (&["doctor"], &["doctor"]),
        (&["doctor", "shop"], &["doctor", "shop"]),
        (&["check"], &["config", "check"]),
        (&["check", "shop"], &["config", "check", "shop"]),
        (&["log"], &["log"]),
        (&["log", "shop"], &["log", "shop"]),
        (&["plan", "start", "shop"], &["plan", "start", "shop"]),
        (&["plan", "apply"], &["plan"]),
        (&["plan", "move", "shop", "to=data1"], &["plan", "move", "shop", "--to", "data1"]),
    ] {
        let here = smoke.run(&sandbox, words).ok().json();
        let there = sandbox.datastore(&[command, &["--json"]].concat()).json();
        same(&steady(&here), &steady(&there), &words.join(" "));
    }
    // The order of the fields, too.
    let first = |run: &Run| run.stdout.find("\"mappings\"").zip(run.stdout.find("\"volumes\""));
    let (here, there) = (smoke.run(&sandbox, &["status"]), sandbox.datastore(&["status", "--json"]));
    assert_eq!(first(&here).map(|(a, b)| a < b), first(&there).map(|(a, b)| a < b));
}

#[test]
fn it_changes_what_the_command_changes() {
    let (sandbox, smoke) = (machine(), build(Built::Sanitized));
    for (words, state) in [
        (&["run", "stop", "shop"][..], "inactive"),
        (&["run", "start", "shop"], "active"),
        (&["run", "restart", "shop"], "active"),
        (&["run", "remap", "shop"], "inactive"),
        (&["run", "start", "shop"], "active"),
        (&["run", "disable", "shop"], "disabled"),
        (&["run", "enable", "shop"], "active"),
        (&["run", "apply"], "active"),
    ] {
        let run = smoke.run(&sandbox, words).ok();
        assert!(run.json()["outcome"].is_null() || run.json()["outcome"] == "done", "{}", run.stdout);
        if state != "disabled" {
            sandbox.is("/var/shop", state);
        }
    }
    let moved = smoke.run(&sandbox, &["run", "move", "shop", "to=data1", "verify=content", "max-downtime=60"]).ok();
    for event in ["\"event\":\"begin\"", "\"event\":\"doing\"", "\"event\":\"walking\"", "\"event\":\"end\""] {
        assert!(moved.stderr.contains(event), "{event}: {}", moved.stderr);
    }
    assert!(moved.json()["downtime"]["ms"].is_i64(), "{}", moved.stdout);
    assert_eq!(sandbox.row("/var/shop")["volume"], "data1");
    // How far it was is known afterwards, too.
    let told = smoke.run(&sandbox, &["operation", &text(&moved.json()["operation"])]).ok().json();
    assert_eq!((&told["state"], &told["mount_points"][0]), (&"done".into(), &"/var/shop".into()), "{told:#}");
    smoke.run(&sandbox, &["run", "move", "shop", "undo="]).ok();
    assert_eq!(sandbox.row("/var/shop")["volume"], "data0");
    sandbox.configlet("late", "[mapping.\"/var/late\"]\ntarget = \"%{base}/late\"\n");
    sandbox.write("/var/late/train", "text");
    smoke.run(&sandbox, &["run", "import", "late"]).ok();
    sandbox.is("/var/late", "active");
    assert_eq!(sandbox.read("/var/late/train"), "text");
    assert_eq!(smoke.run(&sandbox, &["recover"]).ok().json()["recovered"], Value::Array(Vec::new()));
}

#[test]
fn a_plan_is_shown_kept_and_applied_once() {
    let (sandbox, smoke) = (machine(), build(Built::Sanitized));
    let plan = smoke.run(&sandbox, &["keep", "stop", "shop"]).ok().json();
    assert_eq!((&plan["goal"], &plan["saved"]), (&"stop shop".into(), &true.into()), "{plan:#}");
    sandbox.is("/var/shop", "active");
    let id = text(&plan["id"]);
    smoke.run(&sandbox, &["load", &id]).ok();
    sandbox.is("/var/shop", "inactive");
    // The command would say 3 too: what was planned is done.
    let refused = smoke.run(&sandbox, &["load", &id]).code(3);
    assert!(refused.stderr.contains("hint: look at the new plan"), "{}", refused.stderr);
    // And what the command has kept is the library's as well.
    let id = text(&sandbox.datastore(&["plan", "start", "shop", "--save", "--json"]).ok().json()["id"]);
    smoke.run(&sandbox, &["load", &id]).ok();
    sandbox.is("/var/shop", "active");
}

#[test]
fn errors_have_kind_number_and_hint() {
    let (sandbox, smoke) = (machine(), build(Built::Sanitized));
    smoke.run(&sandbox, &["guard", "shop"]).ok();
    sandbox.datastore(&["stop", "shop"]).ok();
    let refused = smoke.run(&sandbox, &["guard", "shop"]).code(3);
    assert!(refused.stderr.contains("hint: datastore start shop"), "{}", refused.stderr);
    let elsewhere = Sandbox::new();
    let empty = smoke.run(&elsewhere, &["status"]).code(2);
    assert!(empty.stderr.contains("hint: datastore init"), "{}", empty.stderr);
}

#[test]
fn whoever_is_not_root_is_told_so() {
    let (sandbox, smoke) = (machine(), build(Built::Plain));
    // The build may lie where nobody cannot go.
    let copy = |from: &Path, to: &str| {
        sandbox.run(sandbox.command("cp").arg("--dereference").arg(from).arg(sandbox.path(to))).ok();
    };
    copy(&smoke.path, "smoke");
    copy(&binary::c_library(), "libdatastore.so.0");
    let as_nobody = |args: &[&str]| {
        let mut command = sandbox.command(sandbox.path("smoke"));
        command.arg(sandbox.root()).args(args).env("LD_LIBRARY_PATH", sandbox.root()).uid(65_534).gid(65_534);
        sandbox.run(command)
    };
    assert_eq!(as_nobody(&["status"]).ok().json()["complete"], false);
    for (words, hint) in [
        (&["keep", "stop", "shop"][..], "hint: run it with sudo"),
        (&["run", "stop", "shop"], "hint: run it with sudo"),
        (&["log"], "hint: run it as root"),
    ] {
        // DATASTORE_ERROR_PRIVILEGE
        let refused = as_nobody(words).code(5);
        assert!(refused.stderr.contains(hint), "{words:?}: {}", refused.stderr);
    }
    sandbox.is("/var/shop", "active");
}

#[test]
fn nonsense_is_told_and_a_panic_is_an_error() {
    let sandbox = machine();
    for how in [Built::Plain, Built::Sanitized] {
        let smoke = build(how);
        for verb in ["nonsense", "panic", "threads", "fork"] {
            let run = smoke.run(&sandbox, &[verb]).ok();
            assert_eq!((&*run.stdout, &*run.stderr), ("", ""), "{verb} prints nothing");
        }
    }
}

#[test]
fn valgrind_finds_nothing() {
    let (sandbox, smoke) = (machine(), build(Built::Plain));
    for words in [
        &["nonsense"][..],
        &["panic"],
        &["status"],
        &["doctor"],
        &["check"],
        &["plan", "move", "shop", "to=data1"],
        &["run", "stop", "shop"],
        &["run", "start", "shop"],
        &["run", "move", "shop", "to=data1"],
        &["log"],
    ] {
        let run = smoke.valgrind(&sandbox, words).ok();
        assert!(!run.stderr.contains("=="), "{words:?}: {}", run.stderr);
    }
    sandbox.is("/var/shop", "active");
}
