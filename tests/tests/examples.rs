//! What lies in `examples/` works with the real command. (The Rust programs are run by the suite of the book, which shows them.)

use std::fs;
use std::path::PathBuf;

use datastore_tests::{Sandbox, repository};

fn examples() -> PathBuf {
    repository("examples")
}

fn read(name: &str) -> String {
    fs::read_to_string(examples().join(name)).unwrap_or_else(|e| panic!("read examples/{name}: {e}"))
}

/// The names in a directory of the examples, sorted.
fn names(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(examples().join(directory)).unwrap_or_else(|e| panic!("read examples/{directory}: {e}"));
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_configlet_is_bound_as_it_says_and_the_hook_runs() {
    let sandbox = Sandbox::initialised();
    sandbox.programs();
    sandbox.directory("/srv", 0o755);
    for (from, to) in [
        ("configlets/shop.conf", "/etc/datastore.d/shop.conf"),
        ("configlets/cyrus-imapd.conf", "/etc/datastore.d/cyrus-imapd.conf"),
        ("configlets/clearos/storage.conf", "/etc/clearos/storage.conf"),
        ("configlets/clearos/share_default.conf", "/etc/clearos/storage.d/share_default.conf"),
    ] {
        sandbox.write(to, read(from));
    }
    // A file that is added here needs a line above.
    assert_eq!(names("configlets"), ["clearos", "cyrus-imapd.conf", "shop.conf"]);
    assert_eq!(names("configlets/clearos"), ["share_default.conf", "storage.conf"]);
    assert_eq!(names("hooks"), ["new-store"]);
    let hook = read("hooks/new-store");
    sandbox.script("/usr/share/shop/new-store", hook.strip_prefix("#!/bin/sh\n").unwrap());

    sandbox.datastore(&["config", "check"]).ok().says("no errors");
    sandbox.datastore(&["apply", "--yes"]).ok();
    for (mount_point, store) in [
        ("/srv/shop", "/store/data0/live/server1/shop"),
        ("/var/spool/shop", "/store/data0/live/server1/shop-spool"),
        ("/var/spool/imap", "/store/data0/live/server1/imap"),
        ("/srv/share", "/store/data0/live/server1/share"),
    ] {
        let row = sandbox.row(mount_point);
        assert_eq!((row["state"].as_str(), row["store"].as_str()), (Some("active"), Some(store)), "{row:#}");
    }
    assert_eq!(sandbox.read("/srv/shop/welcome.txt"), "a new shop on server1\n");

    // A store that was there before is left alone.
    fs::remove_file(sandbox.path("/srv/shop/welcome.txt")).unwrap();
    sandbox.datastore(&["restart", "shop"]).ok();
    assert!(!sandbox.exists("/srv/shop/welcome.txt"));
}

#[test]
fn the_book_shows_and_runs_every_program() {
    let page = fs::read_to_string(examples().join("../docs/rust.md")).expect("read docs/rust.md");
    let readme = fs::read_to_string(examples().join("../README.md")).expect("read README.md");
    assert!(readme.contains(&format!("```rust\n{}```\n", read("rust/readme.rs"))), "README.md shows another readme.rs");
    let programs = names("rust");
    assert!(programs.len() > 1);
    for file in programs.iter().filter(|file| *file != "readme.rs") {
        let name = file.strip_suffix(".rs").expect("a program in Rust");
        assert!(
            page.contains(&format!("{{{{#include ../examples/rust/{file}}}}}")),
            "docs/rust.md does not show {file}"
        );
        assert!(page.contains(&format!("\n$ target/debug/examples/{name}")), "docs/rust.md does not run {name}");
    }
}
