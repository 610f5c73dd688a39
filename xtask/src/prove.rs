//! `cargo xtask prove`: everything that takes minutes, and what it comes to, in `docs/proof.md`.
//!
//! It can be stopped at any time and goes on where it was: what has passed is written down below `target/proof`, for the commit that it was
//! tried on. (Of a tree with changes that are not committed the same is kept apart.)

mod page;
mod planted;
mod state;

use std::time::Instant;

use crate::failure::{Failure, Result};
use crate::fuzz;
use crate::repo::Repo;
use crate::setup;
use crate::tool::Tool;
use state::State;

/// The crates of the rigs, for nextest.
pub(crate) const RIGS: &str = "package(/^datastore-rigs/)";

/// What belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Whole machines in an emulator, and other tests of the suites that take minutes
    Machines,
    /// Bugs that are put in on purpose: each must be found
    Planted,
    /// Power failures, killed and failed system calls, races, random trees
    Rigs,
    /// Every fuzz target
    Fuzz,
    /// docs/proof.md, of what is known so far
    Page,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these parts; without any, all of them
    parts: Vec<Part>,
    /// So many inputs for each fuzz target, counted over all sessions of this version
    #[arg(long, default_value_t = 200_000_000)]
    runs: u64,
    /// So many seconds at most for each fuzz target in this session; the rest is for the next one
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// Forget what has passed already
    #[arg(long)]
    again: bool,
}

/// Runs them one after the other. The page is written in the end, whatever became of the others.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("the long tests mount file systems and need root").hint("run it as root"));
    }
    let state = State::open(repo, args.again)?;
    let wants = |part: Part| args.parts.is_empty() || args.parts.contains(&part);
    let mut failures = Vec::new();
    let mut part = |part: Part, name: &str, work: &mut dyn FnMut() -> Result| {
        if wants(part) {
            println!("\n== {name}");
            let begun = Instant::now();
            failures.extend(work().err().map(|failure| failure.context(name)));
            println!("== {name}: {:.0} s", begun.elapsed().as_secs_f64());
        }
    };
    if args.parts.iter().any(|part| *part != Part::Page) || args.parts.is_empty() {
        setup::run(repo)?;
    }
    part(Part::Planted, "planted bugs", &mut || planted::run(repo, &state));
    part(Part::Rigs, "rigs", &mut || {
        let tool = repo.cargo(&["nextest", "run", "--workspace", "--profile", "rigs", "--run-ignored", "all"]);
        tests(repo, &state, tool.env("DATASTORE_RIGS", "release"), RIGS)
    });
    part(Part::Machines, "whole machines", &mut || {
        setup::emulator()?;
        let tool = repo.cargo(&["nextest", "run", "--workspace", "--profile", "prove", "--run-ignored", "only"]);
        tests(repo, &state, tool, &format!("not {RIGS}"))
    });
    part(Part::Fuzz, "fuzz targets", &mut || fuzz::prove(repo, args.runs, args.seconds));
    part(Part::Page, "docs/proof.md", &mut || page::write(repo, &state));
    for failure in &failures {
        eprintln!("{failure}");
    }
    match failures.len() {
        0 => Ok(()),
        number => Err(Failure::new(format!("{number} parts did not end well; what has passed is not run again"))),
    }
}

/// Runs those of the chosen tests that have not passed yet.
fn tests(repo: &Repo, state: &State, nextest: Tool, chosen: &str) -> Result {
    // The command is what they are about.
    repo.cargo(&["build", "--quiet", "--package", "datastore-cli", "--package", "datastore-tests"]).run()?;
    let passed = state.passed()?;
    let left: Vec<String> = passed.iter().map(|test| format!("({})", test.filter())).collect();
    let filter = if left.is_empty() { chosen.to_owned() } else { format!("({chosen}) - ({})", left.join(" + ")) };
    if !passed.is_empty() {
        println!("{} tests have passed already on this commit", passed.len());
    }
    let mut trouble = None;
    let outcome = nextest
        .args(["--status-level", "pass", "--no-tests", "pass", "--filterset", &filter])
        .env("DATASTORE_EVIDENCE", state.evidence())
        .run_watching(|line| {
            if let Some(test) = state::passed(line) {
                trouble = state.note(&test).err();
            }
        });
    trouble.map_or(outcome, Err)
}
