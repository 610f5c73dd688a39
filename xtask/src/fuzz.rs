//! `cargo xtask fuzz`: libFuzzer on the stable compiler, and the replay of what it found earlier as an ordinary test.
//!
//! A target is a file `fuzz/fuzz_targets/<name>.rs` with its `[[bin]]` in `fuzz/Cargo.toml`; its inputs to keep lie in
//! `fuzz/corpus/<name>/`, its words in `fuzz/dictionaries/<name>.dict`. Both directories may be absent.

mod session;
mod tally;

use std::fs;
use std::path::PathBuf;

use crate::failure::{Doing as _, Failure, Result};
use crate::repo::Repo;
use crate::tool::Tool;
use session::{Budget, Session};
use tally::Tally;

/// The manifest of the targets: a workspace of its own, so that an ordinary build does not need the engine.
pub(crate) const MANIFEST: &str = "fuzz/Cargo.toml";

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// The target; without one they are listed
    target: Option<String>,
    /// How long, in seconds [default: 60, or without end where there are --runs]
    seconds: Option<u32>,
    /// So many inputs instead; with seconds, whichever comes first
    #[arg(long)]
    runs: Option<u64>,
    /// Every target, one after the other, each with the same seconds or runs
    #[arg(long, conflicts_with = "target")]
    all: bool,
    /// So many processes at once, which share what they find
    #[arg(long, default_value_t = 1)]
    jobs: u32,
    /// Without the address sanitizer, which takes most of the time: for parsers, which have no unsafe code
    #[arg(long)]
    bare: bool,
    /// Counts up to these runs of each target over all sessions of this version, and then no further
    #[arg(long)]
    up_to: Option<u64>,
    /// Keeps of the inputs that were found the fewest that reach everything
    #[arg(long)]
    shrink: bool,
    /// Tells how many inputs each target has had in this version, and runs nothing
    #[arg(long, conflicts_with_all = ["target", "all"])]
    tally: bool,
    /// Instead run every target once over its stored inputs, as `cargo xtask test` does
    #[arg(long, conflicts_with = "target")]
    replay: bool,
}

/// Runs one target or all of them, or lists them. The last lines are for programs: `fuzz: {...}` for each target.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result {
    if args.replay {
        return replay(repo);
    }
    let targets = targets(repo)?;
    if args.tally {
        for target in &targets {
            println!("{}", Tally::read(repo, target)?.line());
        }
        return Ok(());
    }
    let chosen: Vec<&String> = match &args.target {
        Some(target) => targets.iter().filter(|known| *known == target).collect(),
        None if args.all => targets.iter().collect(),
        None => {
            println!("{}", targets.join("\n"));
            return Ok(());
        }
    };
    if chosen.is_empty() {
        let name = args.target.as_deref().unwrap_or_default();
        return Err(Failure::new(format!("no fuzz target is called `{name}`"))
            .hint(format!("there are: {}", targets.join(", "))));
    }
    let seconds = args.seconds.or_else(|| args.runs.or(args.up_to).is_none().then_some(60));
    let budget = Budget { seconds, runs: args.runs, up_to: args.up_to, jobs: args.jobs.max(1) };
    let (mut lines, mut failures) = (Vec::new(), Vec::new());
    for target in chosen {
        let session = Session::prepare(repo, target, args.bare)?;
        if args.shrink {
            session.shrink()?;
        }
        let mut tally = Tally::read(repo, target)?;
        // What one target finds keeps no other one from its turn.
        failures.extend(session.run(&budget, &mut tally).err());
        lines.push(tally.line());
    }
    println!("{}", lines.join("\n"));
    match failures.pop() {
        Some(last) => Err(last),
        None => Ok(()),
    }
}

/// A release's share: every target up to so many inputs over all sessions, and at most so many seconds in this one.
pub(crate) fn prove(repo: &Repo, up_to: u64, seconds: u32) -> Result {
    let mut failures = Vec::new();
    for target in targets(repo)? {
        // Only the C library has pointers that could be wrong; without the sanitizer the others get on much faster.
        let bare = target != "c_abi";
        let (target, seconds, up_to) = (Some(target), Some(seconds), Some(up_to));
        let args = Args { target, seconds, up_to, jobs: 2, bare, ..Args::default() };
        failures.extend(run(repo, &args).err());
    }
    failures.pop().map_or(Ok(()), Err)
}

/// How many inputs each target has had, over all sessions of this version.
pub(crate) fn tallies(repo: &Repo) -> Result<Vec<serde_json::Value>> {
    targets(repo)?.iter().map(|target| Ok(Tally::read(repo, target)?.value())).collect()
}

/// Compiles every target without instruments and runs it once over each stored input. Says how many there were.
pub(crate) fn replay(repo: &Repo) -> Result {
    let targets = targets(repo)?;
    let build_dir = repo.target().join("fuzz-replay");
    repo.cargo(&["build", "--quiet", "--manifest-path", MANIFEST, "--bins", "--target-dir"]).arg(&build_dir).run()?;
    for target in targets {
        let inputs = corpus(repo, &target)?;
        if inputs.is_empty() {
            println!("{target}: no stored input");
            continue;
        }
        let program = build_dir.join("debug").join(&target);
        // libFuzzer runs each file named once and says so for each; that is shown only when one fails.
        Tool::new(program).called(&target).args(&inputs).output().map_err(|e| e.context("replay of a stored input"))?;
        println!("{target}: {} stored inputs, all fine", inputs.len());
    }
    Ok(())
}

/// The stored inputs of a target, sorted.
fn corpus(repo: &Repo, target: &str) -> Result<Vec<PathBuf>> {
    let dir = repo.path("fuzz/corpus").join(target);
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut inputs = Vec::new();
    for entry in fs::read_dir(&dir).doing(format_args!("read {}", dir.display()))? {
        inputs.push(entry.doing(format_args!("read {}", dir.display()))?.path());
    }
    inputs.retain(|path| path.is_file());
    inputs.sort();
    Ok(inputs)
}

/// The names of the targets, as their manifest has them. A file that the manifest leaves out is an error: it would
/// never be compiled again.
fn targets(repo: &Repo) -> Result<Vec<String>> {
    let metadata =
        repo.cargo(&["metadata", "--format-version=1", "--no-deps", "--manifest-path", MANIFEST]).output()?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).doing("read the output of `cargo metadata`")?;
    let mut names: Vec<String> = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|package| package["targets"].as_array().into_iter().flatten())
        .filter(|target| target["kind"][0] == "bin")
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    let dir = repo.path("fuzz/fuzz_targets");
    for entry in fs::read_dir(&dir).doing(format_args!("read {}", dir.display()))? {
        let path = entry.doing(format_args!("read {}", dir.display()))?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|ext| ext == "rs") && !names.contains(&stem) {
            return Err(Failure::new(format!("fuzz/fuzz_targets/{stem}.rs has no [[bin]] in {MANIFEST}")));
        }
    }
    Ok(names)
}
