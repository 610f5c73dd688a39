//! How much a program that writes is slowed down by somebody who follows what changes.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use datastore_exec::tree::watch::{Pending, Watch};
use datastore_tests::Sandbox;

use crate::copies::engine::program;
use crate::disk;
use crate::measure::{median, run};

/// The option with which this program writes files.
const WRITE: &str = "--write-files";
/// How many files are written for what the project promises.
const FILES: u64 = 20_000;
/// Files in one directory.
const IN_ONE: u64 = 100;
/// The least and the largest length of a file.
const LENGTHS: (u64, u64) = (4 << 10, 64 << 10);
/// Where the file system is mounted, which is new for each run.
const POINT: &str = "/disk";

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Repetitions; in each of them it writes alone and watched.
    pub(crate) runs: usize,
    /// So many times fewer files.
    pub(crate) shrink: u64,
}

/// Medians, in seconds.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) runs: usize,
    pub(crate) promised: bool,
    pub(crate) files: u64,
    pub(crate) alone: f64,
    pub(crate) watched: f64,
}

/// Measures a writer alone and watched, in turn.
pub(crate) fn measure(plan: Plan) -> Result<Figures, String> {
    let files = FILES / plan.shrink;
    eprintln!("writing {files} files ...");
    let sandbox = Sandbox::new();
    let image = sandbox.path("disk.img");
    disk::full(&image, 256 + 2 * files * (LENGTHS.0 + LENGTHS.1) / 2 / (1 << 20))?;
    let (mut alone, mut watched) = (Vec::new(), Vec::new());
    for round in 0..plan.runs {
        // Each of them is the first one in its turn.
        for watch in [round % 2 == 0, round % 2 == 1] {
            disk::renew(&sandbox, &image, 16_384 + 2 * files, POINT)?;
            let seconds = once(&sandbox, files, watch)?;
            if watch { &mut watched } else { &mut alone }.push(seconds);
        }
    }
    let middle = |times| median(times).ok_or("no writer was measured");
    let (alone, watched) = (middle(alone)?, middle(watched)?);
    eprintln!("  alone {alone:.3} s, watched {watched:.3} s");
    Ok(Figures { runs: plan.runs, promised: plan.shrink == 1, files, alone, watched })
}

fn once(sandbox: &Sandbox, files: u64, watched: bool) -> Result<f64, String> {
    let top = sandbox.path(POINT).join("top");
    let tree =
        fs::create_dir(&top).and_then(|()| File::open(&top)).map_err(|e| format!("make {}: {e}", top.display()))?;
    rustix::fs::sync();
    let watch = watched.then(|| Watch::start(&OwnedFd::from(tree))).transpose().map_err(|e| e.to_string())?;
    let mut writer = sandbox.command(program()?);
    let sample = run(writer.arg(WRITE).arg(&top).arg(files.to_string()))?;
    if let Some(watch) = watch {
        watch.settle();
        match watch.pending() {
            // Each file, and each directory.
            Pending::Entries(count) if count as u64 >= files => {}
            other => return Err(format!("{files} files were written, and the watch saw {other:?}")),
        }
    }
    Ok(sample.wall.as_secs_f64())
}

/// Writes so many files below a directory, each closed before the next one is made.
pub(crate) fn write(args: &[std::path::PathBuf]) -> Result<(), String> {
    let [top, count] = args else { return Err(format!("{WRITE} DIR COUNT")) };
    let count: u64 = count.to_str().and_then(|count| count.parse().ok()).ok_or("a number of files")?;
    files(top, count).map_err(|e| format!("write below {}: {e}", top.display()))
}

fn files(top: &Path, count: u64) -> std::io::Result<()> {
    let bytes = vec![0x5a; usize::try_from(LENGTHS.1).unwrap_or(0)];
    for number in 0..count {
        let dir = top.join((number / IN_ONE).to_string());
        if number % IN_ONE == 0 {
            fs::create_dir(&dir)?;
        }
        // All lengths alike often, and none twice in a row.
        let length = LENGTHS.0 + number * 7919 % (LENGTHS.1 - LENGTHS.0 + 1);
        File::create_new(dir.join(number.to_string()))?.write_all(&bytes[..usize::try_from(length).unwrap_or(0)])?;
    }
    Ok(())
}
