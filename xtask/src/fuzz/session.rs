//! One target, built with instruments and run for some time or some number of inputs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::MANIFEST;
use super::tally::Tally;
use crate::failure::{Doing as _, Failure, Result};
use crate::repo::Repo;
use crate::tool::Tool;

/// Longest input in bytes. Short ones find more in the same time; what a parser does with a mebibyte is for tests that know what to put there.
const MAX_LEN: u32 = 8192;

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
];
/// What finds wrong pointers and leaks.
const ADDRESSES: &str = "-Zsanitizer=address";

/// How much is to be done.
pub(super) struct Budget {
    /// So many seconds at most.
    pub(super) seconds: Option<u32>,
    /// So many inputs at most.
    pub(super) runs: Option<u64>,
    /// So many inputs at most, over all sessions.
    pub(super) up_to: Option<u64>,
    /// So many processes at once.
    pub(super) jobs: u32,
}

/// A target that is built, and where its things are.
pub(super) struct Session {
    target: String,
    program: PathBuf,
    /// Inputs that were found on this machine.
    found: PathBuf,
    /// Inputs that the repository keeps; may be absent.
    stored: PathBuf,
    dictionary: PathBuf,
    /// Inputs that made it fail.
    artifacts: PathBuf,
}

impl Session {
    /// Builds the target.
    pub(super) fn prepare(repo: &Repo, target: &str, bare: bool) -> Result<Self> {
        let triple = host_triple(repo)?;
        let build_dir = repo.target().join(if bare { "fuzz-bare" } else { "fuzz" });
        let flags: Vec<&str> = COVERAGE.iter().copied().chain((!bare).then_some(ADDRESSES)).collect();
        // The sanitizer is an unstable flag; the variable lets the stable compiler take it. Naming the target keeps the
        // flags away from build scripts and procedural macros.
        repo.cargo(&[
            "build",
            "--quiet",
            "--release",
            "--manifest-path",
            MANIFEST,
            "--bin",
            target,
            "--target",
            &triple,
        ])
        .arg("--target-dir")
        .arg(&build_dir)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", flags.join(" "))
        .env("CARGO_PROFILE_RELEASE_STRIP", "none")
        .run()?;
        let session = Self {
            target: target.to_owned(),
            program: build_dir.join(&triple).join("release").join(target),
            found: repo.target().join("fuzz/corpus").join(target),
            stored: repo.path("fuzz/corpus").join(target),
            dictionary: repo.path("fuzz/dictionaries").join(format!("{target}.dict")),
            artifacts: repo.path("fuzz/artifacts").join(target),
        };
        for dir in [&session.found, &session.artifacts] {
            fs::create_dir_all(dir).doing(format_args!("make {}", dir.display()))?;
        }
        Ok(session)
    }

    /// Runs it, and counts.
    pub(super) fn run(&self, budget: &Budget, tally: &mut Tally) -> Result {
        let left = budget.up_to.map(|wanted| wanted.saturating_sub(tally.runs));
        let runs = [budget.runs, left].into_iter().flatten().min();
        if runs == Some(0) {
            return Ok(());
        }
        let share = runs.map(|runs| runs.div_ceil(u64::from(budget.jobs)));
        let begun = Instant::now();
        let ended: Vec<(u64, Result)> = std::thread::scope(|scope| {
            let job = |_| scope.spawn(|| self.job(budget.seconds, share));
            let jobs: Vec<_> = (0..budget.jobs).map(job).collect();
            jobs.into_iter().map(|job| job.join().expect("a job does not panic")).collect()
        });
        let (runs, failed): (Vec<u64>, Vec<_>) = ended.into_iter().map(|(runs, result)| (runs, result.err())).unzip();
        let failed: Vec<Failure> = failed.into_iter().flatten().collect();
        tally.add(runs.iter().sum(), begun.elapsed(), failed.len() as u64);
        tally.write()?;
        match failed.into_iter().next() {
            None => Ok(()),
            Some(failure) => Err(failure.hint(format!(
                "the input is in {}; keep it in fuzz/corpus/{}/ so that every test run replays it",
                self.artifacts.display(),
                self.target
            ))),
        }
    }

    /// One process: how many inputs it has tried, and how it ended.
    fn job(&self, seconds: Option<u32>, runs: Option<u64>) -> (u64, Result) {
        let mut tool = self.tool().args(["-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1"]);
        tool = tool.arg(format!("-max_len={MAX_LEN}"));
        tool = tool.arg(format!("-artifact_prefix={}/", self.artifacts.display()));
        if let Some(seconds) = seconds {
            tool = tool.arg(format!("-max_total_time={seconds}"));
        }
        if let Some(runs) = runs {
            tool = tool.arg(format!("-runs={runs}"));
        }
        if self.dictionary.is_file() {
            tool = tool.arg(format!("-dict={}", self.dictionary.display()));
        }
        tool = tool.arg(&self.found);
        if self.stored.is_dir() {
            tool = tool.arg(&self.stored);
        }
        let mut tried = 0;
        let result = tool.run_watching(|line| tried = executed(line).unwrap_or(tried));
        (tried, result)
    }

    /// Keeps of the inputs that were found those that are needed, beside the stored ones.
    pub(super) fn shrink(&self) -> Result {
        let (fresh, old) = (self.found.with_extension("new"), self.found.with_extension("old"));
        for dir in [&fresh, &old] {
            if dir.exists() {
                fs::remove_dir_all(dir).doing(format_args!("remove {}", dir.display()))?;
            }
        }
        fs::create_dir(&fresh).doing(format_args!("make {}", fresh.display()))?;
        let before = count(&self.found)?;
        self.tool().arg("-merge=1").arg(&fresh).arg(&self.found).output()?;
        let rename = |from: &Path, to: &Path| fs::rename(from, to).doing(format_args!("rename {}", from.display()));
        rename(&self.found, &old)?;
        rename(&fresh, &self.found)?;
        fs::remove_dir_all(&old).doing(format_args!("remove {}", old.display()))?;
        println!("{}: {before} inputs became {}", self.target, count(&self.found)?);
        Ok(())
    }

    fn tool(&self) -> Tool {
        Tool::new(&self.program).called(&self.target)
    }
}

/// The number in libFuzzer's `stat::number_of_executed_units: 123`.
fn executed(line: &str) -> Option<u64> {
    line.strip_prefix("stat::number_of_executed_units:")?.trim().parse().ok()
}

fn count(dir: &Path) -> Result<usize> {
    Ok(fs::read_dir(dir).doing(format_args!("read {}", dir.display()))?.count())
}

/// The machine for which the compiler builds unless told otherwise.
fn host_triple(repo: &Repo) -> Result<String> {
    let version = repo.cargo(&["--version", "--verbose"]).output()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("`cargo --version --verbose` names no host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_tells_how_many_inputs_it_tried() {
        assert_eq!(executed("stat::number_of_executed_units: 1234567"), Some(1_234_567));
        assert_eq!(executed("stat::average_exec_per_sec:     99"), None);
    }
}
