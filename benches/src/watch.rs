//! What `datastore watch` costs on a machine on which nothing happens.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::measure::run;
use crate::world::World;

/// How many mappings it watches.
const MAPPINGS: usize = 100;
/// After so long it has looked once more and listens.
const SETTLING: Duration = Duration::from_secs(15);
/// So long it is watched.
const TIME: Duration = Duration::from_secs(30);
/// So often it is tried: whatever the kernel warns of meanwhile wakes it.
const TRIES: usize = 4;

/// What it costs.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) mappings: usize,
    /// Its memory, and the part of it that is its own and not the program file's, in KiB.
    pub(crate) resident: u64,
    pub(crate) own: u64,
    /// How often it was woken, and in how many seconds.
    pub(crate) wakeups: u64,
    pub(crate) seconds: u64,
}

/// It is ended when the measuring is over.
struct Watcher(Child);

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Watches a watcher.
pub(crate) fn measure(datastore: &Path) -> Result<Figures, String> {
    eprintln!("watching {MAPPINGS} mappings ...");
    let world = World::new(datastore, MAPPINGS);
    run(&mut world.datastore(&["apply", "--yes"]))?;
    let mut command = world.datastore(&["watch"]);
    let child = command.stdout(Stdio::null()).spawn().map_err(|e| format!("start {command:?}: {e}"))?;
    let watcher = Watcher(child);
    let mut wakeups = u64::MAX;
    for _ in 0..TRIES {
        std::thread::sleep(SETTLING);
        let before = status(&watcher, "voluntary_ctxt_switches:")?;
        std::thread::sleep(TIME);
        wakeups = wakeups.min(status(&watcher, "voluntary_ctxt_switches:")? - before);
        if wakeups == 0 {
            break;
        }
    }
    let (resident, own) = (status(&watcher, "VmRSS:")?, status(&watcher, "RssAnon:")?);
    Ok(Figures { mappings: MAPPINGS, resident, own, wakeups, seconds: TIME.as_secs() })
}

/// A number of `/proc/PID/status` (proc(5)).
fn status(watcher: &Watcher, name: &str) -> Result<u64, String> {
    let path = format!("/proc/{}/status", watcher.0.id());
    let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}; has it ended?"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(|| format!("{path} has no {name}"))?;
    line.trim().trim_end_matches(" kB").parse().map_err(|e| format!("{path}: {line}: {e}"))
}
