//! `cargo xtask bench`: builds the release command and runs `benches/` on it, in a mount namespace of its own.

use crate::failure::{Failure, Result};
use crate::install;
use crate::repo::{Build, Repo};
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
    let cli = repo.build_cli(&Build::Release)?;
    // The series `boot` installs it; an old one would have systemd read its units anew at each boot.
    repo.build_generator(&Build::Release)?;
    // The measuring program has the tree engine in it.
    repo.cargo(&["build", "--quiet", "--release", "--package", "datastore-bench"]).run()?;
    let bench = repo.target().join("release").join("datastore-bench");
    let mut measure = Tool::new("unshare").args(["--mount", "--propagation", "private", "--"]).arg(bench);
    if wants_php(&args.rest) {
        let installed = install::Args::for_benches(repo);
        install::run(repo, &installed)?;
        measure = measure.arg("--installed").arg(&installed.destdir);
    }
    measure.arg("--datastore").arg(cli).args(&args.rest).run().map_err(|e| e.context("the benchmark"))
}

/// Whether the series `php` is among those that are asked for: by its name, or because none is named.
fn wants_php(words: &[String]) -> bool {
    let others = ["binds", "copies", "delta", "writer", "watch", "boot"];
    let is_help = words.iter().any(|word| matches!(word.as_str(), "-h" | "--help"));
    words.iter().any(|word| word == "php") || !is_help && !words.iter().any(|word| others.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_is_built_for_its_series() {
        let wants = |words: &str| wants_php(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert!(wants("") && wants("php") && wants("binds php") && wants("--runs 3"));
        assert!(!wants("binds") && !wants("watch") && !wants("copies --runs 3") && !wants("--help"));
    }
}
