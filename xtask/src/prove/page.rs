//! `docs/proof.md`: for each invariant of `SECURITY.md` what was done to it, how often, and what came of it; and what is not proven.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use super::state::State;
use crate::failure::{Doing as _, Failure, Result};
use crate::fuzz;
use crate::repo::Repo;

/// Where it is.
const PAGE: &str = "docs/proof.md";
/// How many promises there are.
const PROMISES: u32 = 32;
/// Where what is written by hand begins: it is kept.
const BY_HAND: &str = "## What is not proven";

/// Makes the page anew, but for what was written by hand.
pub(super) fn write(repo: &Repo, state: &State) -> Result {
    let told = state.told()?;
    let invariants = invariants(&repo.read("SECURITY.md")?)?;
    let old = repo.read(PAGE).unwrap_or_default();
    let by_hand = old.find(BY_HAND).map_or(BY_HAND, |at| &old[at..]);
    let mut out = String::from(
        "# What was tried\n\nThis page is made by `cargo xtask prove`, which can be run by anybody who has root on a machine that he does not \
         need. The figures are those of one run of it",
    );
    let _ = writeln!(out, ", on {} ({}).", state.version, machine());
    out.push_str("\n## Invariants\n\nThe numbers and the promises are those of [SECURITY.md](../SECURITY.md). Nothing that was tried broke one, or it would not stand here.\n\n");
    out.push_str("| | promise | rig | what was counted |\n| --- | --- | --- | --- |\n");
    for (number, promise, checked) in &invariants {
        let mut rigs: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        for one in told.iter().filter(|one| names(one, *number)) {
            let sums = rigs.entry(one["rig"].as_str().unwrap_or_default()).or_default();
            for (what, count) in counts(one) {
                *sums.entry(what).or_default() += count;
            }
        }
        if rigs.is_empty() {
            let _ = writeln!(out, "| {number} | {promise} | {checked} | in `cargo xtask test` |");
        }
        for (rig, sums) in rigs {
            let sums: Vec<String> = sums.iter().map(|(what, sum)| format!("{} {what}", grouped(*sum))).collect();
            let _ = writeln!(out, "| {number} | {promise} | {rig} | {} |", sums.join(", "));
        }
    }
    out.push_str("\n## Experiments\n\n| rig | experiment | counted | seconds |\n| --- | --- | --- | --- |\n");
    for one in told.iter().filter(|one| one["rig"] != "planted") {
        let sums: Vec<String> = counts(one).map(|(what, sum)| format!("{} {what}", grouped(sum))).collect();
        let (rig, what) = (one["rig"].as_str().unwrap_or_default(), one["what"].as_str().unwrap_or_default());
        let _ = writeln!(out, "| {rig} | {what} | {} | {} |", sums.join(", "), one["seconds"]);
    }
    out.push_str("\n## Bugs put in on purpose\n\nA rig that finds nothing proves nothing unless it would have found something. Each of these was put into the command, and the rig failed.\n\n");
    let planted: Vec<&str> =
        told.iter().filter(|one| one["rig"] == "planted").filter_map(|one| one["what"].as_str()).collect();
    let _ = writeln!(out, "{} found: {}.", planted.len(), planted.join(", "));
    out.push_str("\n## Fuzz targets\n\n| target | inputs | sessions | crashes |\n| --- | --- | --- | --- |\n");
    for line in fuzz::tallies(repo)? {
        let (runs, sessions, crashes) = (&line["runs"], &line["sessions"], &line["crashes"]);
        let runs = grouped(runs.as_u64().unwrap_or(0));
        let _ = writeln!(out, "| {} | {runs} | {sessions} | {crashes} |", line["target"].as_str().unwrap_or_default());
    }
    let _ = write!(out, "\n{by_hand}");
    if !out.ends_with('\n') {
        out.push('\n');
    }
    fs::write(repo.path(PAGE), out).doing(format_args!("write {PAGE}"))?;
    println!("{PAGE}: {} experiments, {} planted bugs", told.len() - planted.len(), planted.len());
    Ok(())
}

/// The numbered promises, each with where it is checked.
fn invariants(security: &str) -> Result<Vec<(u32, String, String)>> {
    let list = security.split("\n## ").find(|part| part.starts_with("What is promised")).unwrap_or_default();
    let mut found: Vec<(u32, String)> = Vec::new();
    for line in list.lines() {
        let begun = line.split_once(". ").and_then(|(number, text)| Some((number.parse::<u32>().ok()?, text)));
        match (begun, found.last_mut()) {
            (Some((number, text)), _) => found.push((number, text.to_owned())),
            (None, Some((_, text))) if line.starts_with("  ") => {
                text.push(' ');
                text.push_str(line.trim());
            }
            _ => {}
        }
    }
    if !found.iter().map(|(number, _)| *number).eq(1..=PROMISES) {
        return Err(Failure::new(format!("SECURITY.md lists {} promises, or not in their order", found.len())));
    }
    let parts = |(number, text): (u32, String)| match text.split_once(" *") {
        Some((promise, checked)) => (number, promise.to_owned(), checked.trim_end_matches('*').to_owned()),
        None => (number, text, String::new()),
    };
    Ok(found.into_iter().map(parts).collect())
}

fn names(one: &Value, number: u32) -> bool {
    one["invariants"].as_array().is_some_and(|all| all.iter().any(|n| *n == number))
}

fn counts(one: &Value) -> impl Iterator<Item = (&str, u64)> {
    one["counts"].as_object().into_iter().flatten().map(|(what, count)| (what.as_str(), count.as_u64().unwrap_or(0)))
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// What it ran on: cores and kernel.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel: String = kernel.trim().split('-').next().unwrap_or_default().to_owned();
    format!("{cores} cores, Linux {kernel}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 12, 123, 1234, 1_234_567].map(grouped), ["0", "12", "123", "1,234", "1,234,567"]);
    }

    #[test]
    fn every_promise_has_its_place() {
        let invariants = invariants(&Repo::find().unwrap().read("SECURITY.md").unwrap()).unwrap();
        assert_eq!(invariants.len(), 32);
        assert!(
            invariants.iter().all(|(_, promise, checked)| promise.len() > 20 && !checked.is_empty()),
            "{invariants:?}"
        );
    }
}
