//! `cargo xtask fuzz`: libFuzzer on the stable compiler, and the replay of what it found earlier as an ordinary test.
//!
//! A target is a file `fuzz/fuzz_targets/<name>.rs` with its `[[bin]]` in `fuzz/Cargo.toml`; its inputs to keep lie in
//! `fuzz/corpus/<name>/`, its words in `fuzz/dictionaries/<name>.dict`. Both directories may be absent.

use std::fs;
use std::path::PathBuf;

use crate::failure::{Doing as _, Failure, Result};
use crate::repo::Repo;
use crate::tool::Tool;

/// The manifest of the targets: a workspace of its own, so that an ordinary build does not need the engine.
pub(crate) const MANIFEST: &str = "fuzz/Cargo.toml";

/// Longest input in bytes: the parsers' own limit is 1 MiB, but short inputs find more in the same time.
const MAX_LEN: u32 = 65_536;

/// What the compiler adds so that libFuzzer sees which branches an input takes; the same flags as cargo-fuzz's.
const COVERAGE: &[&str] = &[
    "--cfg fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions=on",
    "-Zsanitizer=address",
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The target; without one they are listed
    target: Option<String>,
    /// How long, in seconds
    #[arg(default_value_t = 60)]
    seconds: u32,
    /// Instead run every target once over its stored inputs, as `cargo xtask test` does
    #[arg(long, conflicts_with = "target")]
    replay: bool,
}

/// Runs one target, or lists them.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result {
    if args.replay {
        return replay(repo);
    }
    let targets = targets(repo)?;
    let Some(target) = &args.target else {
        println!("{}", targets.join("\n"));
        return Ok(());
    };
    if !targets.contains(target) {
        return Err(Failure::new(format!("no fuzz target is called `{target}`"))
            .hint(format!("there are: {}", targets.join(", "))));
    }
    let triple = host_triple(repo)?;
    let build_dir = repo.target().join("fuzz");
    // The sanitizer is an unstable flag; the variable lets the stable compiler take it. Naming the target keeps the
    // flags away from build scripts and procedural macros.
    repo.cargo(&[
        "build",
        "--release",
        "--manifest-path",
        MANIFEST,
        "--bin",
        target,
        "--target",
        &triple,
        "--target-dir",
    ])
    .arg(&build_dir)
    .env("RUSTC_BOOTSTRAP", "1")
    .env("RUSTFLAGS", COVERAGE.join(" "))
    .env("CARGO_PROFILE_RELEASE_STRIP", "none")
    .run()?;
    // New inputs go to a local directory; what is worth keeping is copied to fuzz/corpus by hand.
    let local = repo.path("fuzz/corpus-local").join(target);
    let artifacts = repo.path("fuzz/artifacts").join(target);
    for dir in [&local, &artifacts] {
        fs::create_dir_all(dir).doing(format_args!("make {}", dir.display()))?;
    }
    let mut tool = Tool::new(build_dir.join(&triple).join("release").join(target)).called(target);
    tool = tool.arg(format!("-max_total_time={}", args.seconds)).arg(format!("-max_len={MAX_LEN}"));
    tool = tool.args(["-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1"]);
    tool = tool.arg(format!("-artifact_prefix={}/", artifacts.display()));
    let dict = repo.path("fuzz/dictionaries").join(format!("{target}.dict"));
    if dict.is_file() {
        tool = tool.arg(format!("-dict={}", dict.display()));
    }
    tool = tool.arg(&local);
    let corpus = repo.path("fuzz/corpus").join(target);
    if corpus.is_dir() {
        tool = tool.arg(&corpus);
    }
    tool.run().map_err(|e| {
        e.hint(format!(
            "the input is in {}; keep it in fuzz/corpus/{target}/ so that every test run replays it",
            artifacts.display()
        ))
    })
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

/// The machine for which the compiler builds unless told otherwise.
fn host_triple(repo: &Repo) -> Result<String> {
    let version = repo.cargo(&["--version", "--verbose"]).output()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("`cargo --version --verbose` names no host"))
}
