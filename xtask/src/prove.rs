//! `cargo xtask prove`: the tests that take minutes. Each of them prints what it counted.

use crate::failure::{Failure, Result};
use crate::repo::Repo;
use crate::setup;

/// Runs them one after the other.
pub(crate) fn run(repo: &Repo) -> Result {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("the long tests mount file systems and need root").hint("run it as root"));
    }
    setup::run(repo)?;
    setup::emulator()?;
    repo.cargo(&["nextest", "run", "--workspace", "--profile", "prove", "--run-ignored", "only"]).run()
}
