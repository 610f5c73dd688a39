//! `cargo xtask test`: everything that a commit must pass, cheapest first. It stops at the first stage that fails.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::book;
use crate::check;
use crate::failure::{Failure, Result};
use crate::fuzz;
use crate::package;
use crate::php;
use crate::prove::RIGS;
use crate::repo::{Build, Repo};
use crate::setup;
use crate::tool::Tool;

/// What the rigs of a commit draw their samples from.
const SEED: &str = "20261128";

/// What nextest counted, from its summary line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
}

/// Runs all stages.
pub(crate) fn run(repo: &Repo) -> Result {
    let mut count = None;
    let mut times = Vec::new();
    let result = stages(repo, &mut times, &mut count);
    println!("\n== times");
    for (name, time) in &times {
        println!("{:>7.1} s  {name}", time.as_secs_f64());
    }
    println!("{:>7.1} s  in all", times.iter().map(|(_, time)| *time).sum::<Duration>().as_secs_f64());
    if result.is_ok() {
        println!("\n== every stage passed; nextest counted:");
    }
    if let Some(Count { passed, failed }) = count {
        println!("{passed} passed, {failed} failed");
    }
    result
}

fn stages(repo: &Repo, times: &mut Vec<(&'static str, Duration)>, count: &mut Option<Count>) -> Result {
    let mut stage = |name: &'static str, work: &mut dyn FnMut() -> Result| {
        println!("\n== {name}");
        let start = Instant::now();
        let result = work();
        times.push((name, start.elapsed()));
        result.map_err(|e| e.context(&format!("stage `{name}` failed")))
    };
    stage("setup", &mut || setup::run(repo))?;
    stage("format", &mut || format(repo))?;
    stage("shell scripts", &mut || shellcheck(repo))?;
    stage("PHP files", &mut || php::lint(repo))?;
    stage("generated files, links, versions", &mut || check::run(repo, &check::Args { write: false }))?;
    stage("lints", &mut || {
        repo.cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()
    })?;
    stage("licences, bans, sources", &mut || deny(repo))?;
    stage("build", &mut || {
        repo.build_cli(&Build::Debug)?;
        php::build(repo)?;
        package::run(repo, &package::Args::for_tests())?;
        repo.cargo(&["build", "--quiet", "--package", "datastore-examples", "--examples"]).run()
    })?;
    stage("book", &mut || book::run(repo))?;
    let chosen = |profile: &str, filter: &str| {
        repo.cargo(&["nextest", "run", "--workspace", "--profile", profile, "--filterset", filter])
    };
    stage("tests", &mut || nextest(chosen("ci", &format!("not {RIGS}")), count))?;
    // By themselves: they make the kernel talk, which other tests listen to. And with one seed: it is the commit that is judged, not the draw.
    stage("rigs", &mut || nextest(chosen("rigs", RIGS).env("DATASTORE_TEST_SEED", SEED), count))?;
    stage("PHP extension", &mut || php::test(repo))?;
    stage("tests on older kernels", &mut || old_kernels(repo))?;
    stage("documentation tests", &mut || repo.cargo(&["test", "--quiet", "--workspace", "--doc"]).run())?;
    stage("documentation", &mut || {
        let doc = repo.cargo(&["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"]);
        doc.env("RUSTDOCFLAGS", "-D warnings").run()
    })?;
    stage("fuzz corpora", &mut || fuzz::replay(repo))
}

/// rustfmt over the workspace and the fuzz targets.
fn format(repo: &Repo) -> Result {
    repo.cargo(&["fmt", "--all", "--", "--check"])
        .run()
        .and_then(|()| repo.cargo(&["fmt", "--manifest-path", fuzz::MANIFEST, "--", "--check"]).run())
        .map_err(|e| e.hint("cargo fmt --all && cargo fmt --manifest-path fuzz/Cargo.toml"))
}

/// shellcheck over every script of the repository, told by its first line, or by its name.
fn shellcheck(repo: &Repo) -> Result {
    let mut scripts: Vec<PathBuf> = Vec::new();
    for file in repo.files()? {
        let bytes = std::fs::read(repo.path(&file)).unwrap_or_default();
        if is_shell(&bytes) || file.extension().is_some_and(|e| e == "bash") {
            scripts.push(file);
        }
    }
    if scripts.is_empty() {
        return Ok(());
    }
    Tool::new("shellcheck").args(&scripts).current_dir(repo.root()).run()
}

fn is_shell(bytes: &[u8]) -> bool {
    let first = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    // One that is only read by other scripts says so itself.
    if first.starts_with(b"# shellcheck shell=") {
        return true;
    }
    let Some(interpreter) = first.strip_prefix(b"#!") else { return false };
    let interpreter = String::from_utf8_lossy(interpreter);
    let words = interpreter.split_whitespace().filter_map(|word| Path::new(word).file_name());
    words.take(2).any(|word| word == "sh" || word == "bash" || word == "dash")
}

fn deny(repo: &Repo) -> Result {
    let program = setup::deny(repo)?;
    for manifest in ["Cargo.toml", fuzz::MANIFEST] {
        Tool::new(&program)
            .called("cargo-deny")
            .args(["--manifest-path", manifest, "--config", "deny.toml", "--log-level", "error"])
            .args(["check", "licenses", "bans", "sources"])
            .current_dir(repo.root())
            .run()?;
    }
    Ok(())
}

fn nextest(tool: Tool, all: &mut Option<Count>) -> Result {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("the suites on real mounts need root").hint(
            "run `cargo xtask test` as root, or leave them out with \
             `cargo nextest run --workspace -E 'not package(datastore-tests)'`",
        ));
    }
    let mut count = None;
    let result = tool.run_watching(|line| {
        count = summary(line).or(count);
    });
    if let Some(Count { passed, failed }) = count {
        let before = all.unwrap_or(Count { passed: 0, failed: 0 });
        *all = Some(Count { passed: before.passed + passed, failed: before.failed + failed });
    }
    match (result, count) {
        (Ok(()), None) => Err(Failure::new("nextest ended well, but counted no tests")),
        (Ok(()), Some(Count { failed, .. })) if failed > 0 => {
            Err(Failure::new(format!("nextest ended well, but counts {failed} failed tests")))
        }
        (result, _) => result,
    }
}

/// Three ages of kernels, each with the calls that it lacks, so that every fallback runs through every suite on real mounts; 464 is
/// getxattrat. `fsopen` is not among them: without it nobody can look into a disk that is not mounted, which is what some suites are about; nor
/// `getrandom`, without which the standard library itself ends in a root that has no /dev/urandom (its fallback has tests of its own).
const OLDER: &[(&str, &str)] = &[
    ("Linux 5.11", "464,statmount,listmount,mount_setattr"),
    ("Linux 5.1", "464,statmount,listmount,mount_setattr,openat2,open_tree,move_mount"),
    ("Linux 3.10", "464,statmount,listmount,mount_setattr,openat2,open_tree,move_mount,statx,renameat2"),
];

/// The suites on real mounts, as on older kernels.
fn old_kernels(repo: &Repo) -> Result {
    for (kernel, calls) in OLDER {
        println!("-- as on {kernel}: without {calls}");
        // These suites start no `datastore` that could lack anything (in the small systems of `services` and `stories` neither), choose for
        // themselves what it lacks, or (the book) show what it does on a new kernel, or (C, PHP) run another program than the command.
        // `moving_kills` kills at random what the rigs kill at each call. And before Linux 5.2 the doctor cannot look under binds, which much
        // of its suite is about.
        let blind = if calls.contains("open_tree") { " or binary(doctor)" } else { "" };
        // Watching takes its time, and so do the kills of the rigs: the oldest one, which lacks most, is enough for them.
        let is_oldest = calls.contains("renameat2");
        let spared = if is_oldest { "" } else { " or binary(watch)" };
        let whole = "binary(services) or binary(stories) or binary(boot) or binary(packages) or binary(moving_kills)";
        let other = "binary(c_library) or binary(php_extension) or binary(parity) or binary(installed) or \
                     binary(php_servers) or binary(/^web_/)";
        let here = format!("binary(sandbox) or binary(old_kernels) or binary(book) or {other}");
        let apart = format!("{here} or {whole}{spared}{blind}");
        let kills = if is_oldest { " or (package(datastore-rigs-calls) and binary(kills))" } else { "" };
        let filter = format!("(package(datastore-tests) and not ({apart})){kills}");
        let run = repo.cargo(&["nextest", "run", "--workspace", "--profile", "ci", "-E", &filter]);
        run.env("DATASTORE_TEST_WITHOUT", calls)
            .env("DATASTORE_TEST_SEED", SEED)
            .run()
            .map_err(|e| e.context(&format!("the suites without {calls}")))?;
    }
    Ok(())
}

/// Reads `Summary [   0.3s] 16 tests run: 14 passed (1 slow), 1 failed, 1 timed out, 0 skipped`. A test that timed
/// out, or could not be started, has failed.
fn summary(line: &str) -> Option<Count> {
    let line = plain(line);
    let (_, counts) = line.trim_start().strip_prefix("Summary")?.split_once("run: ")?;
    let mut count = Count { passed: 0, failed: 0 };
    let mut depth = 0;
    // The parentheses hold further counts of the same tests.
    let outside: String = counts
        .chars()
        .filter(|c| {
            depth += i32::from(*c == '(');
            let keep = depth == 0;
            depth -= i32::from(*c == ')');
            keep
        })
        .collect();
    for part in outside.split(',') {
        let (number, word) = part.trim().split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        match word.trim() {
            "passed" => count.passed += number,
            "skipped" => {}
            _ => count.failed += number,
        }
    }
    Some(count)
}

/// A line without the escape sequences that colour it.
pub(crate) fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_summaries() {
        let count = |passed, failed| Some(Count { passed, failed });
        assert_eq!(summary("     Summary [   0.291s] 16 tests run: 16 passed, 0 skipped"), count(16, 0));
        assert_eq!(
            summary("Summary [ 1s] 3/4 tests run: 1 passed (1 slow, 1 flaky), 1 failed, 1 timed out, 2 skipped"),
            count(1, 2)
        );
        assert_eq!(
            summary(
                "\u{1b}[32;1m Summary\u{1b}[0m [ 1s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m2\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, 0 skipped"
            ),
            count(2, 0)
        );
        assert_eq!(summary("    Starting 16 tests across 2 binaries"), None);
    }

    #[test]
    fn shell_scripts_are_told_by_their_first_line() {
        assert!(is_shell(b"#!/bin/sh\necho"));
        assert!(is_shell(b"#!/usr/bin/env bash\n"));
        assert!(!is_shell(b"#!/usr/bin/python3\n"));
        assert!(!is_shell(b"#![allow(x)]\n"));
    }
}
