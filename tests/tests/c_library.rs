//! The C library: what it exports, and what becomes of nonsense, panics, threads and memory. What it says is the matter of `parity`.

use std::collections::BTreeSet;
use std::process::Command;

use datastore_tests::c_program::{self, Built};
use datastore_tests::{Run, Sandbox, binary, documents, repository, scenes};

const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n";

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
fn nonsense_is_told_and_a_panic_is_an_error() {
    let sandbox = machine();
    for how in [Built::Plain, Built::Sanitized] {
        let smoke = c_program::build("smoke", how);
        for verb in ["nonsense", "panic", "threads", "fork"] {
            let run = sandbox.run(smoke.command(&sandbox, &[verb])).ok();
            assert_eq!((&*run.stdout, &*run.stderr), ("", ""), "{verb} prints nothing");
        }
    }
}

#[test]
fn valgrind_finds_nothing_in_nonsense() {
    let (sandbox, smoke) = (machine(), c_program::build("smoke", Built::Plain));
    for what in ["nonsense", "panic"] {
        sandbox.run(smoke.valgrind(&sandbox, &[what])).ok().silent_about("==");
    }
}

/// Asks under valgrind, in the words of `tests/c/parity.c`.
#[track_caller]
fn valgrind_is_silent(questions: &[&str]) {
    let (sandbox, parity) = (machine(), c_program::build("parity", Built::Plain));
    for question in questions {
        let words = format!("{}\n", question.replace(' ', "\n"));
        Run::with_input(&mut parity.valgrind(&sandbox, &[]), sandbox.root(), words.as_bytes()).ok().silent_about("==");
    }
    sandbox.is("/var/shop", "active");
}

#[test]
fn valgrind_finds_nothing_where_it_tells() {
    valgrind_is_silent(&[
        "status",
        "status nobody",
        "doctor",
        "check",
        "plan move shop to=data1",
        "log",
        "usage",
        "candidates",
    ]);
}

#[test]
fn valgrind_finds_nothing_where_it_changes() {
    valgrind_is_silent(&["apply stop shop", "run start shop", "run move shop to=data1"]);
}
