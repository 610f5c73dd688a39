//! How fast the tree engine copies beside cp(1) and rsync(1), in turn on the same trees: from one ext4 in an image to another one
//! that is new for every copy, until everything is on the disk.

mod data;
pub(crate) mod engine;
mod pair;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use datastore_tests::Sandbox;

use crate::disk;
use crate::measure::{median, run};
use data::Set;
use pair::Pair;

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Repetitions; in each of them all three copy.
    pub(crate) runs: usize,
    /// The trees are so many times smaller than those for which the project promises something.
    pub(crate) shrink: u64,
}

/// How one tree was copied: medians, in seconds.
#[derive(Debug, Clone)]
pub(crate) struct Copies {
    pub(crate) set: &'static str,
    /// Entries of the tree, and bytes of its files.
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// Whether the tree was in memory.
    pub(crate) warm: bool,
    pub(crate) ours: f64,
    pub(crate) cp: f64,
    pub(crate) rsync: f64,
}

/// Everything that was measured about copies.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) runs: usize,
    /// Whether the trees have the size for which the project promises something.
    pub(crate) promised: bool,
    pub(crate) copies: Vec<Copies>,
    /// The entries of the largest tree, and the most memory in MiB that its copy took.
    pub(crate) peak: (u64, f64),
}

/// Who copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Ours,
    Cp,
    Rsync,
}

const TOOLS: [Tool; 3] = [Tool::Ours, Tool::Cp, Tool::Rsync];

impl Tool {
    /// The command that copies what is in one directory to another.
    fn command(self, sandbox: &Sandbox, from: &Path, to: &Path) -> Result<Command, String> {
        let inner = |dir: &Path, end: &str| {
            let mut path = dir.as_os_str().to_owned();
            path.push(end);
            path
        };
        Ok(match self {
            Self::Ours => engine::command(sandbox, from, to)?,
            Self::Cp => {
                let mut command = sandbox.command("cp");
                command.arg("-a").arg(inner(from, "/.")).arg(to);
                command
            }
            Self::Rsync => {
                let mut command = sandbox.command("rsync");
                command.args(["-aHAX", "--sparse"]).arg(inner(from, "/")).arg(inner(to, "/"));
                command
            }
        })
    }
}

/// Measures all trees, one after the other.
pub(crate) fn measure(plan: Plan) -> Result<Figures, String> {
    let mut copies = Vec::new();
    for (set, colds) in [(&data::SMALL, &[false, true][..]), (&data::MAILS, &[false]), (&data::LARGE, &[false])] {
        eprintln!("copying {} ...", set.name);
        let pair = Pair::new(set, plan.shrink)?;
        for &cold in colds {
            copies.push(compare(&pair, set, cold, plan.runs)?);
        }
    }
    eprintln!("copying {} ...", data::MANY.name);
    let pair = Pair::new(&data::MANY, plan.shrink)?;
    pair.renew()?;
    let peak = once(&pair, Tool::Ours)?.peak_mib;
    let entries = pair.entries;
    Ok(Figures { runs: plan.runs, promised: plan.shrink == 1, copies, peak: (entries, peak) })
}

fn compare(pair: &Pair, set: &Set, cold: bool, runs: usize) -> Result<Copies, String> {
    let own = engine::program()?;
    let mut times = [const { Vec::new() }; TOOLS.len()];
    for round in 0..runs {
        for turn in 0..TOOLS.len() {
            // Each of them is the first one in its turn.
            let at = (round + turn) % TOOLS.len();
            pair.renew()?;
            if cold {
                disk::forget(&pair.sandbox, &[&own, Path::new("cp"), Path::new("rsync")])?;
            } else {
                pair.remember()?;
            }
            times[at].push(once(pair, TOOLS[at])?.seconds);
        }
    }
    let [ours, cp, rsync] = times.map(median);
    let middle = |time: Option<f64>| time.ok_or_else(|| format!("no copy of {} was measured", set.name));
    let (ours, cp, rsync) = (middle(ours)?, middle(cp)?, middle(rsync)?);
    // What is measured takes long: somebody may want to see how it goes.
    eprintln!("  {}: {ours:.2} s, cp -a {cp:.2} s, rsync {rsync:.2} s", if cold { "cold" } else { "warm" });
    Ok(Copies { set: set.name, entries: pair.entries, bytes: pair.bytes, warm: !cold, ours, cp, rsync })
}

/// One copy.
struct Once {
    seconds: f64,
    peak_mib: f64,
}

/// Copies the tree to the new file system, until it is on the disk; looks whether all of it is there.
fn once(pair: &Pair, tool: Tool) -> Result<Once, String> {
    let (from, to) = pair.directories();
    let target = std::fs::File::open(&to).map_err(|e| format!("open {}: {e}", to.display()))?;
    let start = Instant::now();
    let sample = run(&mut tool.command(&pair.sandbox, &from, &to)?)?;
    rustix::fs::syncfs(&target).map_err(|e| format!("syncfs {}: {e}", to.display()))?;
    let seconds = start.elapsed().as_secs_f64();
    pair.expect_whole(tool.command(&pair.sandbox, &from, &to)?.get_program())?;
    #[allow(clippy::cast_precision_loss, reason = "kibibytes of memory are far below 2^52")]
    Ok(Once { seconds, peak_mib: sample.peak_kib as f64 / 1024.0 })
}
