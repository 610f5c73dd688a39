//! The series on small trees: everybody does all of it, and nothing is promised.

use std::process::Command;

/// Runs some series, and demands that they show these lines and judge nothing.
fn shows(args: &[&str], rows: &[&str]) {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--", env!("CARGO_BIN_EXE_datastore-bench")]);
    command.args(args).args(["--datastore", "/nowhere", "--runs", "1"]);
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    for row in rows {
        assert!(out.contains(row), "{row}: {out}");
    }
    assert!(!out.contains("<="), "{out}");
}

#[test]
fn small_trees_are_copied_and_shown() {
    let rows = [
        "50,000 small files, warm / cp -a",
        "50,000 small files, cold / rsync",
        "20,000 mails",
        "with holes",
        "peak memory, 45",
    ];
    shows(&["copies", "--shrink", "200"], &rows);
}

#[test]
fn small_changes_are_brought_over_and_shown() {
    let rows = [
        "140 changes in 1000 files, warm / rsync",
        "140 changes in 1000 files, cold / told",
        "140 changes in 5000 files, cold / rsync",
        "is compared in",
    ];
    shows(&["delta", "--shrink", "200"], &rows);
}

#[test]
fn a_short_writer_is_watched_and_shown() {
    shows(&["writer", "--shrink", "100"], &["writer of 200 files, watched / alone"]);
}

#[test]
fn php_is_told_and_shown() {
    let installed = datastore_tests::binary::installed().display().to_string();
    let rows = [
        "status() of 12 (12 rows) / shell_exec",
        "status() of 20 (32 rows)",
        "memory that 2000 calls leave behind",
        "PHP's time for the overview of 1 mappings",
    ];
    shows(&["php", "--shrink", "500", "--installed", &installed], &rows);
}
