//! Trees on real file systems, copied and held against a checker that shares no code with the copy.

mod bad;
mod checker;
mod copies;
mod deltas;
pub(crate) mod forest;
mod long;
mod measure;
mod others;
mod races;
mod updates;
mod verify;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::{Control, Tally, TreeError, Watch, map::Map};
pub(crate) use checker::assert_alike;

/// An open directory.
pub(crate) fn open(path: &Path) -> OwnedFd {
    std::fs::File::open(path).unwrap().into()
}

/// Copies one directory to another with four threads.
pub(crate) fn copy_tree(from: &Path, to: &Path, map: Option<&Map>) -> Result<Tally, TreeError> {
    copy_watched(from, to, map, &())
}

pub(crate) fn copy_watched(from: &Path, to: &Path, map: Option<&Map>, watch: &dyn Watch) -> Result<Tally, TreeError> {
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    let control = Control { label: "/var/lib/data", stop: &stop, tally: &tally, watch, threads: 4 };
    let to = open(to);
    super::copy(&open(from), &to, map, &control)?;
    super::sync(&to).unwrap();
    Ok(tally)
}
