//! The engine in a process of its own, so that the memory of that process is the engine's.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use datastore_exec::tree::map::Map;
use datastore_exec::tree::{self, Control, Tally};
use datastore_tests::Sandbox;

/// The option with which this program copies a tree.
const COPY: &str = "--copy-tree";

/// This program once more, copying what is in one directory to another.
pub(crate) fn command(sandbox: &Sandbox, from: &Path, to: &Path) -> Result<Command, String> {
    let mut command = sandbox.command(program()?);
    command.arg(COPY).args([from, to]);
    Ok(command)
}

/// The path of this program.
pub(crate) fn program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|e| format!("the path of this program: {e}"))
}

/// Copies as a move does: with a map for later passes, and until everything is on the disk.
pub(crate) fn copy(dirs: &[PathBuf]) -> Result<(), String> {
    let [from, to] = dirs else { return Err(format!("{COPY} FROM TO")) };
    let open = |dir: &Path| File::open(dir).map(OwnedFd::from).map_err(|e| format!("open {}: {e}", dir.display()));
    let (source, target) = (open(from)?, open(to)?);
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    let label = from.to_string_lossy();
    let control = Control { label: &label, stop: &stop, tally: &tally, watch: &(), threads: tree::THREADS };
    let map = Map::new(&open(Path::new("/var/tmp"))?).map_err(|e| e.to_string())?;
    tree::copy(&source, &target, Some(&map), &control).map_err(|error| {
        let cause = error.cause().map(ToString::to_string).unwrap_or_default();
        format!("{error}: {cause}")
    })?;
    tree::sync(&target).map_err(|e| e.to_string())
}
