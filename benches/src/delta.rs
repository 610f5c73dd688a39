//! How long the last pass over a tree takes in which little has changed: what the engine knows from the kernel, beside a second
//! rsync(1), and beside a program that is told exactly what was changed.
//!
//! One tree and three equal copies, one for each. In every round the tree is changed, and then each brings its own copy up to
//! date, until it is on the disk.

mod changes;

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use datastore_exec::tree::delta::delta;
use datastore_exec::tree::dirty::Dirty;
use datastore_exec::tree::limits::{self, Holds};
use datastore_exec::tree::map::Map;
use datastore_exec::tree::owed::Owed;
use datastore_exec::tree::verify::{self, Contents};
use datastore_exec::tree::watch::Watch;
use datastore_exec::tree::written::Written;
use datastore_exec::tree::{self, Control, Tally, TreeError};
use datastore_tests::Sandbox;

use crate::disk;
use crate::measure::{median, run};
use changes::{Change, Tree};

/// The numbers of files for which the project promises something.
const SIZES: [u64; 2] = [200_000, 1_000_000];

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Repetitions; in each of them all three go over their copies.
    pub(crate) runs: usize,
    /// The trees are so many times smaller.
    pub(crate) shrink: u64,
}

/// Medians, in seconds.
#[derive(Debug, Clone)]
pub(crate) struct Passes {
    pub(crate) files: u64,
    /// Whether both trees were in memory.
    pub(crate) warm: bool,
    /// Changes in each round.
    pub(crate) changes: usize,
    pub(crate) ours: f64,
    /// The comparison of what was touched, contents and all, which comes after the pass.
    pub(crate) compared: f64,
    pub(crate) rsync: f64,
    pub(crate) told: f64,
}

/// Everything that was measured about last passes.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) runs: usize,
    pub(crate) promised: bool,
    pub(crate) passes: Vec<Passes>,
}

/// Measures both sizes, warm and cold.
pub(crate) fn measure(plan: Plan) -> Result<Figures, String> {
    let mut passes = Vec::new();
    for files in SIZES.map(|files| files / plan.shrink) {
        eprintln!("making a tree of {files} files, and three copies ...");
        let mut world = World::new(files)?;
        for warm in [true, false] {
            passes.push(world.compare(warm, plan.runs)?);
        }
        world.expect_alike()?;
    }
    Ok(Figures { runs: plan.runs, promised: plan.shrink == 1, passes })
}

/// Who brings a copy up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Ours,
    Rsync,
    Told,
}

const TOOLS: [Tool; 3] = [Tool::Ours, Tool::Rsync, Tool::Told];

impl Tool {
    fn copy(self) -> &'static str {
        match self {
            Self::Ours => "/to/ours",
            Self::Rsync => "/to/rsync",
            Self::Told => "/to/told",
        }
    }
}

/// The tree, its copies, and what the engine knows.
struct World {
    sandbox: Sandbox,
    tree: Tree,
    from: OwnedFd,
    to: OwnedFd,
    watch: Watch,
    map: Map,
    holds: Holds,
}

impl World {
    fn new(files: u64) -> Result<Self, String> {
        let sandbox = Sandbox::new();
        for (name, copies) in [("from", 1), ("to", TOOLS.len() as u64)] {
            let image = sandbox.path(format!("{name}.img"));
            // A file in eight has a block, and an inode takes 256 bytes.
            disk::sparse(&image, 256 + copies * (files >> 10))?;
            disk::format(&sandbox, &image, 16_384 + copies * (files + files / 16))?;
            sandbox.mount_loop(&image, format!("/{name}"));
        }
        let top = sandbox.path("/from/top");
        let tree = Tree::new(&top, files).map_err(|e| format!("make a tree: {e}"))?;
        for tool in TOOLS {
            fs::create_dir(sandbox.path(tool.copy())).map_err(|e| format!("make {}: {e}", tool.copy()))?;
        }
        let (from, to) = (open(&top)?, open(&sandbox.path(Tool::Ours.copy()))?);
        let holds = limits::holds(&to).map_err(|e| e.to_string())?;
        let map = Map::new(&open(&sandbox.path("/to"))?).map_err(|e| e.to_string())?;
        let watch = Watch::start(&from).map_err(|e| e.to_string())?;
        let this = Self { sandbox, tree, from, to, watch, map, holds };
        for tool in TOOLS {
            let to = open(&this.sandbox.path(tool.copy()))?;
            let map = (tool == Tool::Ours).then_some(&this.map);
            controlled(|control| tree::copy(&this.from, &to, map, control))?;
        }
        rustix::fs::sync();
        Ok(this)
    }

    fn compare(&mut self, warm: bool, runs: usize) -> Result<Passes, String> {
        let mut times = [const { Vec::new() }; TOOLS.len()];
        let mut compared = Vec::new();
        let mut count = 0;
        for round in 0..runs {
            let changes = self.tree.change().map_err(|e| format!("change the tree: {e}"))?;
            count = changes.len();
            rustix::fs::sync();
            // To rsync a time is the same if the second is.
            std::thread::sleep(Duration::from_secs(1));
            for turn in 0..TOOLS.len() {
                // Each of them is the first one in its turn.
                let at = (round + turn) % TOOLS.len();
                let tool = TOOLS[at];
                if warm {
                    [self.tree.top(), &self.sandbox.path(tool.copy())].into_iter().try_for_each(look)?;
                } else {
                    disk::forget(&self.sandbox, &[Path::new("rsync")])?;
                }
                let begun = Instant::now();
                let touched = match tool {
                    Tool::Ours => Some(self.ours()?),
                    Tool::Rsync => self.rsync().map(|()| None)?,
                    Tool::Told => self.told(&changes).map(|()| None)?,
                };
                times[at].push(begun.elapsed().as_secs_f64());
                if let Some(owed) = touched {
                    let begun = Instant::now();
                    self.expect_settled(owed)?;
                    compared.push(begun.elapsed().as_secs_f64());
                }
            }
        }
        let [ours, rsync, told] = times.map(median);
        let middle = |time: Option<f64>| time.ok_or("no pass was measured");
        let (ours, rsync, told) = (middle(ours)?, middle(rsync)?, middle(told)?);
        let compared = middle(median(compared))?;
        eprintln!("  {}: {ours:.3} s, rsync {rsync:.2} s, told {told:.3} s", if warm { "warm" } else { "cold" });
        Ok(Passes { files: self.tree.files(), warm, changes: count, ours, compared, rsync, told })
    }

    /// As the last pass of a move does.
    fn ours(&self) -> Result<Owed, String> {
        self.watch.settle();
        let changes = match self.watch.take() {
            Dirty::Some(changes) => changes,
            Dirty::Everything(why) => return Err(why.to_string()),
        };
        let written = Written::default();
        let done = controlled(|control| delta(&self.from, &self.to, &changes, &self.map, Some(&written), control))?;
        if let Some(why) = done.scan {
            return Err(format!("the pass was not enough: {why}"));
        }
        tree::sync(&self.to).map_err(|e| e.to_string())?;
        let mut owed = Owed::default();
        owed.looked(Some(&done.touched), &done.walked);
        owed.wrote(written.take());
        Ok(owed)
    }

    fn rsync(&self) -> Result<(), String> {
        let inner = |path: &Path| {
            let mut path = path.as_os_str().to_owned();
            path.push("/");
            path
        };
        let mut command = self.sandbox.command("rsync");
        command.args(["-aHAX", "--delete"]).arg(inner(self.tree.top()));
        run(command.arg(inner(&self.sandbox.path(Tool::Rsync.copy()))))?;
        self.sync()
    }

    fn told(&self, changes: &[Change]) -> Result<(), String> {
        let to = self.sandbox.path(Tool::Told.copy());
        changes::repeat(changes, self.tree.top(), &to).map_err(|e| format!("repeat the changes: {e}"))?;
        self.sync()
    }

    fn sync(&self) -> Result<(), String> {
        rustix::fs::syncfs(&self.to).map_err(|e| format!("syncfs: {e}"))
    }

    fn expect_settled(&self, mut owed: Owed) -> Result<(), String> {
        let contents = Contents::All;
        let found = controlled(|control| owed.settle(&self.from, &self.to, &self.holds, contents, control))?;
        expect_none("what the pass wrote", &found)
    }

    /// Demands that all three copies are equal to the tree.
    fn expect_alike(&self) -> Result<(), String> {
        for tool in TOOLS {
            let to = open(&self.sandbox.path(tool.copy()))?;
            let found = controlled(|control| verify::verify(&self.from, &to, &self.holds, Contents::Sample, control))?;
            expect_none(tool.copy(), &found)?;
        }
        Ok(())
    }
}

fn expect_none(what: &str, found: &verify::Verified) -> Result<(), String> {
    let named: Vec<String> = found.differences.iter().take(5).map(ToString::to_string).collect();
    if found.differ == 0 { Ok(()) } else { Err(format!("{what}: {} differ: {}", found.differ, named.join(", "))) }
}

fn open(dir: &Path) -> Result<OwnedFd, String> {
    File::open(dir).map(OwnedFd::from).map_err(|e| format!("open {}: {e}", dir.display()))
}

fn controlled<T>(what: impl FnOnce(&Control<'_>) -> Result<T, TreeError>) -> Result<T, String> {
    let (stop, tally) = (AtomicBool::new(false), Tally::default());
    let control = Control { label: "/", stop: &stop, tally: &tally, watch: &(), threads: tree::THREADS };
    what(&control).map_err(|error| format!("{error}: {}", error.cause().map(ToString::to_string).unwrap_or_default()))
}

/// Brings the attributes of a whole tree into memory.
fn look(top: &Path) -> Result<(), String> {
    let mut dirs: Vec<PathBuf> = vec![top.to_path_buf()];
    let mut all = || -> std::io::Result<()> {
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                if entry.metadata()?.is_dir() {
                    dirs.push(entry.path());
                }
            }
        }
        Ok(())
    };
    all().map_err(|e| format!("look at {}: {e}", top.display()))
}
