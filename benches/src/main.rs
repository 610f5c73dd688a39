//! How fast `datastore` is beside mount(8) and beside a raw loop of system calls that does the same binding, all in one
//! run on one machine, with the bounds that the project promises. `cargo xtask bench` builds and starts it, as root, in
//! a mount namespace of its own.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "prints a report")]

mod measure;
mod raw_loop;
mod report;
mod series;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use report::Report;
use rustix::mount::MountFlags;
use series::{Plan, Series};

/// Measures the `datastore` command beside mount(8) and a raw loop of system calls.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Args {
    /// The command to measure (`cargo xtask bench` gives the release build)
    #[arg(long)]
    datastore: PathBuf,
    /// How many mappings, one series for each
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000, 10_000])]
    sizes: Vec<usize>,
    /// How often each of our own measurements is repeated; the median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// How often mount(8) is measured at 10,000 mappings and more, where one run takes half a minute
    #[arg(long, default_value_t = 1)]
    slow_peer_runs: usize,
    /// How many pairs of `guard` and /bin/true
    #[arg(long, default_value_t = 41)]
    guard_pairs: usize,
}

fn main() -> ExitCode {
    match measure_all(&Args::parse()) {
        Ok(report) => {
            print!("{report}");
            if report.all_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all(args: &Args) -> Result<Report, String> {
    // mount(8) keeps a file of its own in /run/mount; the machine's must not see our mounts.
    rustix::mount::mount("bench", "/run", "tmpfs", MountFlags::empty(), None).map_err(|e| {
        format!("mount a tmpfs on /run in a namespace of our own: {e}; start this by `cargo xtask bench`")
    })?;
    let mut sizes = args.sizes.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let largest = *sizes.last().ok_or("no size to measure")?;
    let mut all: Vec<Series> = Vec::new();
    for size in sizes {
        eprintln!("measuring {size} mappings ...");
        let runs = args.runs.max(1);
        let peer_runs = if size >= 10_000 { args.slow_peer_runs.max(1) } else { runs };
        let guard_pairs = if size == largest { args.guard_pairs.max(1) } else { 0 };
        all.push(series::measure(&args.datastore, &Plan { size, runs, peer_runs, guard_pairs })?);
    }
    Ok(Report::new(&all))
}
