//! What other programs see of an operation: `/run/datastore/ops/<id>.json` while it runs, and one line in each volume's log.
//!
//! Neither is needed for recovery, so neither is synced, and a failure to write one fails no operation: it is told.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use datastore_core::journal::{OperationId, Unfinished};
use datastore_core::progress::Progress;
use datastore_core::value::Attrs;
use datastore_core::{AbsPath, Error, Result};
use rustix::fs::OFlags;

use crate::durable;
use crate::root::{Root, if_there};
use crate::sys::{Entry, fd, proc};

/// Where the progress of operations is.
const OPS: &str = "/run/datastore/ops";
/// How many of them are kept.
const KEPT: usize = 50;
/// The most that is read of one.
const LIMIT: usize = 64 << 10;
/// How often a running operation says how far it is.
const EVERY: Duration = Duration::from_millis(500);

/// Writes the progress of one operation.
pub(crate) struct ProgressFile<'a> {
    root: &'a Root,
    last: Option<Instant>,
}

impl<'a> ProgressFile<'a> {
    pub(crate) fn new(root: &'a Root) -> Self {
        Self { root, last: None }
    }

    /// Writes it, unless that was done a moment ago and nothing else has begun.
    pub(crate) fn write(&mut self, progress: &Progress, is_news: bool) -> Result<()> {
        if !is_news && self.last.is_some_and(|l| l.elapsed() < EVERY) {
            return Ok(());
        }
        self.last = Some(Instant::now());
        let dir = make_dirs(self.root, OPS, 0o755)?;
        let name = format!("{}.json", progress.operation);
        let temporary = format!(".{name}.tmp");
        put(&dir, OPS, &name, &temporary, &serde_json::to_vec(progress).unwrap_or_default())?;
        if progress.state != Progress::RUNNING {
            prune(self.root)?;
        }
        Ok(())
    }
}

/// How far the operations are that are running: these, or, for whoever may not read journals, those that say so; one of them whose process has
/// gone is told to be interrupted. What cannot be read is left out.
pub(crate) fn running(root: &Root, known: Option<&[Unfinished]>) -> Vec<Progress> {
    if known.is_some_and(<[Unfinished]>::is_empty) {
        return Vec::new();
    }
    let Ok(dir) = root.open_file(&AbsPath::literal(OPS), OFlags::RDONLY | OFlags::DIRECTORY, 0) else {
        return Vec::new();
    };
    let mut names: Vec<Vec<u8>> = Vec::new();
    let listed = fd::each_name(&dir, |name| {
        if name.ends_with(b".json") && !name.starts_with(b".") {
            names.push(name.to_vec());
        }
        true
    });
    if listed.is_err() {
        return Vec::new();
    }
    names.sort();
    let read = |name: &Vec<u8>| {
        let file = fd::open(Entry::new(&dir, name), OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK, 0).ok()?;
        serde_json::from_slice::<Progress>(&fd::read_all(&file, LIMIT).ok()?).ok()
    };
    let at_work = |mut told: Progress| match known {
        _ if told.state != Progress::RUNNING => None,
        Some(known) => known.iter().any(|running| running.operation == told.operation).then_some(told),
        None => {
            if !proc::is_alive(told.pid) {
                Progress::INTERRUPTED.clone_into(&mut told.state);
            }
            Some(told)
        }
    };
    names.iter().filter_map(read).filter_map(at_work).collect()
}

/// How far an operation is, or was when it ended; none if nothing tells (any more).
pub(crate) fn progress(root: &Root, operation: &OperationId) -> Result<Option<Progress>> {
    let path = AbsPath::literal(OPS).child(&format!("{operation}.json"));
    let Some(file) = if_there(root.open_file(&path, OFlags::RDONLY | OFlags::NONBLOCK, 0))? else { return Ok(None) };
    Ok(serde_json::from_slice(&fd::read_all(&file, LIMIT)?).ok())
}

/// Puts a file in its place as a whole, readable by everybody, without syncing it.
pub(crate) fn put(dir: &OwnedFd, path: &str, name: &str, temporary: &str, text: &[u8]) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
    let file = fd::open(Entry::new(dir, temporary.as_bytes()), flags, 0o644)?;
    let filled = fd::set_mode(&file, 0o644).and_then(|()| fd::write_all(&file, text)).map_err(Error::from);
    let done = filled.and_then(|()| {
        rustix::fs::renameat(dir, temporary, dir, name).map_err(|errno| {
            Error::new(datastore_core::ErrorKind::System, format!("{path}/{name} cannot be written"))
                .with_errno(errno.raw_os_error())
        })
    });
    if done.is_err() {
        // Whoever looks at the directory finds no half of a file.
        let _ = fd::remove_file(Entry::new(dir, temporary.as_bytes()));
    }
    done
}

/// Says of an operation that stopped half-way that it was recovered, and takes away what it was writing when it stopped. Whoever
/// follows the file would wait for ever otherwise.
pub(crate) fn settle(root: &Root, operation: &OperationId) -> Result<()> {
    let Some(dir) = if_there(root.open_file(&AbsPath::literal(OPS), OFlags::RDONLY | OFlags::DIRECTORY, 0))? else {
        return Ok(());
    };
    let name = format!("{operation}.json");
    let temporary = format!(".{name}.tmp");
    match fd::open(Entry::new(&dir, name.as_bytes()), OFlags::RDONLY | OFlags::NOFOLLOW, 0) {
        Err(error) if error.errno() == rustix::io::Errno::NOENT => {}
        Err(error) => return Err(error.into()),
        Ok(old) => {
            let mut told: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(&fd::read_all(&old, LIMIT)?).unwrap_or_default();
            told.insert("state".into(), "recovered".into());
            put(&dir, OPS, &name, &temporary, &serde_json::to_vec(&told).unwrap_or_default())?;
        }
    }
    match fd::remove_file(Entry::new(&dir, temporary.as_bytes())) {
        Err(error) if error.errno() != rustix::io::Errno::NOENT => Err(error.into()),
        _ => Ok(()),
    }
}

/// Removes the oldest files beyond [`KEPT`]; their names sort by time.
fn prune(root: &Root) -> Result<()> {
    let dir = root.open_file(&AbsPath::literal(OPS), OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
    let mut names: Vec<Vec<u8>> = Vec::new();
    fd::each_name(&dir, |name| {
        if name.ends_with(b".json") && !name.starts_with(b".") {
            names.push(name.to_vec());
        }
        true
    })?;
    names.sort();
    for name in names.iter().rev().skip(KEPT) {
        fd::remove_file(Entry::new(&dir, name))?;
    }
    Ok(())
}

/// Makes a directory and those above it, as far as they are missing, and opens it.
pub(crate) fn make_dirs(root: &Root, path: &str, mode: u32) -> Result<OwnedFd> {
    let path = AbsPath::parse(path).map_err(|e| Error::new(datastore_core::ErrorKind::Usage, e.to_string()))?;
    let mut above: Vec<AbsPath> = path.ancestors().filter(|p| !p.is_root()).collect();
    above.reverse();
    for (dir, mode) in above.iter().map(|d| (d, 0o755)).chain([(&path, mode)]) {
        let place = root.place(dir)?;
        fd::make_dir_if_missing(place.entry(), mode).map_err(|e| e.because(format!("{dir} cannot be made")))?;
    }
    Ok(root.open_dir(&path)?)
}

/// Adds a line to the log of a volume, where it has one.
pub(crate) fn log(root: &Root, volume: &AbsPath, line: &str) -> Result<()> {
    let directory = volume.child("log");
    if root.stat(&directory).is_err() {
        return Ok(());
    }
    let clean: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    durable::append_line(root, &directory.child("operations.log"), clean.as_bytes(), Attrs::root(0o600), false)
}
