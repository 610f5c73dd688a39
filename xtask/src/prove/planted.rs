//! The rigs tried themselves: a command with a bug that was put in on purpose must make the rig fail that is there for it.

use std::fs;

use serde_json::json;

use super::state::State;
use crate::failure::{Doing as _, Failure, Result};
use crate::repo::Repo;

/// The bugs of `datastore-core/src/planted.rs`, each with the tests of which one must fail, for nextest.
const BUGS: &[(&str, &str)] = &[
    ("NoFsync", "binary_id(datastore-rigs-power::cuts) & test(/^(apply|import)::/)"),
    ("NoDirectoryFsync", "binary_id(datastore-rigs-power::cuts) & test(/^(apply|stop|start)::/)"),
    ("InPlaceState", "binary_id(datastore-rigs-power::cuts) & test(/^(apply|import)::/)"),
    ("UnsyncedCopy", "binary_id(datastore-rigs-power::cuts) & test(/^(import|a_move)::/)"),
    ("UnsyncedJournal", "binary_id(datastore-rigs-power::cuts) & test(/^(import|a_move|undo_of_a_move)::/)"),
    ("UnsyncedDirectories", "binary_id(datastore-rigs-power::cuts) & test(/^(reclaim|undo_of_a_move|apply)::/)"),
    ("IgnoredEio", "package(datastore-rigs-calls)"),
    ("RetriedFsync", "package(datastore-rigs-calls)"),
    ("UnverifiedCopy", "package(datastore-rigs-calls)"),
    ("OpenGuard", "package(datastore-rigs-calls)"),
    ("RepeatedRecovery", "package(datastore-rigs-calls)"),
    ("PathBasedChown", "package(datastore-rigs-races)"),
    ("FollowedLink", "package(datastore-rigs-races)"),
    ("UncheckedParent", "package(datastore-rigs-races)"),
    ("UnmountThenBind", "package(datastore-rigs-races)"),
    ("UnescapedFstab", "package(datastore-core) & binary(fstab_properties)"),
];

/// Builds everything with the feature, in a directory of its own, and tries each bug that was not found yet.
pub(super) fn run(repo: &Repo, state: &State) -> Result {
    let room = repo.target().join("planted");
    let room = room.to_str().ok_or_else(|| Failure::new("the build directory has no plain name"))?;
    let feature = ["--features", "datastore-core/planted", "--target-dir", room];
    let packages = ["--package", "datastore-cli", "--package", "datastore-tests"];
    repo.cargo(&["build", "--quiet"]).args(packages).args(feature).run()?;
    let rigs = [
        "--package",
        "datastore-core",
        "--package",
        "datastore-rigs-power",
        "--package",
        "datastore-rigs-calls",
        "--package",
        "datastore-rigs-races",
    ];
    repo.cargo(&["test", "--quiet", "--no-run"]).args(rigs).args(feature).run()?;
    let mut missed = Vec::new();
    for (bug, tests) in BUGS {
        let file = state.evidence().join(format!("planted-{bug}.json"));
        if file.exists() {
            println!("{bug}: found already on this commit");
            continue;
        }
        let nextest = repo.cargo(&["nextest", "run", "--profile", "planted", "--filterset", tests]);
        let passed = nextest.args(rigs).args(feature).env("DATASTORE_PLANTED", *bug).succeeds();
        println!("{bug}: {}", if passed { "NOT FOUND" } else { "found" });
        if passed {
            missed.push(*bug);
            continue;
        }
        let told = json!({"rig": "planted", "what": bug, "invariants": [], "counts": {"found": 1}, "seconds": 0});
        fs::write(&file, format!("{told:#}\n")).doing(format_args!("write {}", file.display()))?;
    }
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("bugs that were put in on purpose were not found: {}", missed.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_has_its_tests() {
        let source = Repo::find().unwrap().read("datastore-core/src/planted.rs").unwrap();
        let body = source.split_once("pub enum Bug {").unwrap().1.split_once('}').unwrap().0;
        let planted: Vec<&str> =
            body.lines().map(str::trim).filter(|l| !l.starts_with("//")).filter_map(|l| l.strip_suffix(',')).collect();
        assert_eq!(planted, BUGS.iter().map(|(bug, _)| *bug).collect::<Vec<_>>());
        assert!(planted.len() >= 12);
    }
}
