//! How fast `datastore` is: binding beside mount(8) and a raw loop of system calls, copying beside cp(1) and rsync(1), a last pass
//! beside rsync(1) and beside a program that is told what to do, a writer with and without the watch, PHP with the extension beside PHP that
//! starts the command, a watcher where nothing happens, a machine that comes up; all in one run on one machine, with the bounds that the project promises. `cargo xtask bench` builds and starts it,
//! as root, in a mount namespace of its own.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "prints a report")]

mod boot;
mod copies;
mod delta;
mod disk;
mod measure;
mod php;
mod raw_loop;
mod report;
mod series;
mod watch;
mod world;
mod writer;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use report::Report;
use rustix::mount::MountFlags;
use series::{Plan, Series};

/// Measures binds beside mount(8) and a raw loop of system calls, copies and last passes beside cp(1) and rsync(1), a writer that is
/// watched, and PHP by the extension beside PHP that starts the command.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Args {
    /// What to measure; else everything but `boot`, which needs what the tests have built
    what: Vec<What>,
    /// The command to measure (`cargo xtask bench` gives the release build)
    #[arg(long, required_unless_present_any = ["copy_tree", "write_files"])]
    datastore: Option<PathBuf>,
    /// Where everything is installed, for the series `php` (`cargo xtask bench` does it)
    #[arg(long)]
    installed: Option<PathBuf>,
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
    /// Copies trees, and tells PHP of mappings, so many times smaller or fewer, for which nothing is promised
    #[arg(long, default_value_t = 1)]
    shrink: u64,
    /// Copies one directory to another with the engine, and measures nothing
    #[arg(long, num_args = 2, value_names = ["FROM", "TO"], hide = true)]
    copy_tree: Option<Vec<PathBuf>>,
    /// Writes so many files below a directory, and measures nothing
    #[arg(long, num_args = 2, value_names = ["DIR", "COUNT"], hide = true)]
    write_files: Option<Vec<PathBuf>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Thousands of binds, and the guard
    Binds,
    /// Whole trees
    Copies,
    /// The last pass over a tree in which little has changed
    Delta,
    /// A program that writes while changes are followed
    Writer,
    /// What a watcher costs where nothing happens
    Watch,
    /// PHP, by the extension
    Php,
    /// A machine that comes up, its disk away, and the generator
    Boot,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match (&args.copy_tree, &args.write_files) {
        (Some(dirs), _) => copies::engine::copy(dirs).map(|()| true),
        (None, Some(what)) => writer::write(what).map(|()| true),
        (None, None) => measure_all(&args).map(|report| {
            print!("{report}");
            report.all_met()
        }),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
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
    let wanted = |what| args.what.is_empty() || args.what.contains(&what);
    let mut report = Report::default();
    if wanted(What::Binds) {
        report.binds(&measure_binds(args)?);
    }
    if wanted(What::Copies) {
        let plan = copies::Plan { runs: args.runs.max(1), shrink: args.shrink.max(1) };
        report.copies(&copies::measure(plan)?);
    }
    if wanted(What::Delta) {
        let plan = delta::Plan { runs: args.runs.max(1), shrink: args.shrink.max(1) };
        report.delta(&delta::measure(plan)?);
    }
    if wanted(What::Writer) {
        let plan = writer::Plan { runs: args.runs.max(1), shrink: args.shrink.max(1) };
        report.writer(&writer::measure(plan)?);
    }
    if wanted(What::Watch) {
        report.watch(&watch::measure(args.datastore.as_deref().ok_or("no command to measure")?)?);
    }
    if args.what.contains(&What::Boot) {
        report.boot(&boot::measure(args.runs.max(1))?);
    }
    if wanted(What::Php) {
        let installed = args.installed.clone().ok_or("nothing is installed that PHP could load")?;
        let plan = php::Plan { installed, runs: args.runs.max(1), shrink: args.shrink.max(1) };
        report.php(&php::measure(&plan)?);
    }
    Ok(report)
}

fn measure_binds(args: &Args) -> Result<Vec<Series>, String> {
    let datastore = args.datastore.as_deref().ok_or("no command to measure")?;
    let mut sizes = args.sizes.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let largest = *sizes.last().ok_or("no size to measure")?;
    let runs = args.runs.max(1);
    let measure = |size| {
        eprintln!("measuring {size} mappings ...");
        let peer_runs = if size >= 10_000 { args.slow_peer_runs.max(1) } else { runs };
        let guard_pairs = if size == largest { args.guard_pairs.max(1) } else { 0 };
        series::measure(datastore, &Plan { size, runs, peer_runs, guard_pairs })
    };
    sizes.into_iter().map(measure).collect()
}
