//! The series `copies` on small trees: everybody copies all of it, and nothing is promised.

use std::process::Command;

#[test]
fn small_trees_are_copied_and_shown() {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--", env!("CARGO_BIN_EXE_datastore-bench")]);
    command.args(["copies", "--datastore", "/nowhere", "--shrink", "200", "--runs", "1"]);
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    for row in ["50,000 small files, warm / cp -a", "50,000 small files, cold / rsync", "20,000 mails", "with holes"] {
        assert!(out.contains(row), "{out}");
    }
    assert!(out.contains("peak memory, 45") && !out.contains("<="), "{out}");
}
