//! What the suites of hooks begin with and ask of.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::Sandbox;

/// An app with one mapping, to which lines for that mapping can be added.
pub const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n";
/// Its store directory.
pub const STORE: &str = "/store/data0/live/server1/shop";
/// Applies everything.
pub const APPLY: &[&str] = &["apply", "--yes"];

/// A machine with programs and an empty `/out`.
///
/// # Panics
/// If it cannot be made.
#[must_use]
#[track_caller]
pub fn machine() -> Sandbox {
    set_up(Sandbox::new())
}

/// The same on a root that is there.
///
/// # Panics
/// If it cannot be made.
#[must_use]
#[track_caller]
pub fn set_up(sandbox: Sandbox) -> Sandbox {
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    sandbox.programs();
    sandbox.directory("/out", 0o755);
    sandbox
}

/// A machine with `shop`, whose mapping has these hooks (`premount = "..."`).
///
/// # Panics
/// If it cannot be made.
#[must_use]
#[track_caller]
pub fn shop(hooks: &str) -> Sandbox {
    let sandbox = machine();
    sandbox.configlet("shop", &format!("{SHOP}{hooks}"));
    sandbox
}

/// Demands that `shop` is as if nothing had been asked for.
///
/// # Panics
/// If it is not.
#[track_caller]
pub fn nothing_bound(sandbox: &Sandbox, what: &str) {
    assert!(sandbox.bound("/var/shop").is_none(), "{what}: it is bound");
    assert!(!sandbox.our_lines().iter().any(|line| line.contains(" /var/shop ")), "{what}: {:?}", sandbox.our_lines());
    sandbox.datastore(&["guard", "shop"]).fails();
}

/// The one failed row of a report.
///
/// # Panics
/// If there is none, or more than one.
#[must_use]
#[track_caller]
pub fn failed(report: &serde_json::Value) -> serde_json::Value {
    let rows = report["failed"].as_array().expect("the rows that failed");
    assert_eq!(rows.len(), 1, "{report:#}");
    rows[0].clone()
}

/// What hooks wrote in the newest operation that ran one.
///
/// # Panics
/// If none ran.
#[must_use]
#[track_caller]
pub fn newest_log(sandbox: &Sandbox) -> String {
    let logs = fs::read_dir(sandbox.path("/var/lib/datastore/hooks")).expect("a hook has run");
    let newest = logs.map(|entry| entry.expect("an entry").path()).max().expect("a log");
    fs::read_to_string(newest).expect("a log of text")
}

/// Sets the mode of something.
///
/// # Panics
/// If that fails.
#[track_caller]
pub fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
