//! `cargo xtask bench`: builds the release command and runs `benches/` on it, in a mount namespace of its own.

use crate::failure::{Failure, Result};
use crate::repo::Repo;
use crate::tool::Tool;

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Passed on; `--help` says what there is
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds, then measures.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("the benchmark mounts thousands of directories and needs root").hint("run it as root"));
    }
    let cli = repo.build_cli(true)?;
    // The measuring program has the tree engine in it.
    repo.cargo(&["build", "--quiet", "--release", "--package", "datastore-bench"]).run()?;
    let bench = repo.target().join("release").join("datastore-bench");
    Tool::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(bench)
        .arg("--datastore")
        .arg(cli)
        .args(&args.rest)
        .run()
        .map_err(|e| e.context("the benchmark"))
}
