//! Measures what fills the volumes, and keeps what was found in `/run/datastore/usage.json`, for everybody to read.
//!
//! It is for onlookers, as everything in `/run`: replaced as a whole, not synced, and locked by nobody. Where two measure at once, what the
//! second one writes counts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use datastore_core::goal::Apps;
use datastore_core::moving::Left;
use datastore_core::state::State;
use datastore_core::usage::{Amount, ParkedUsage, StoreUsage, Usage};
use datastore_core::value::AppName;
use datastore_core::wanted::Wanted;
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use rustix::fs::OFlags;

use crate::engine::Engine;
use crate::event::{Event, Listener};
use crate::gauge::{Counts, Gauge};
use crate::moving::left_unmeasured;
use crate::root::{Miss, Root};
use crate::run_files;
use crate::sys::{clock, fd};
use crate::tree::{self, TreeError, Watch, measure::measure as measure_tree};
use crate::{observe, operation, receipts};

/// Where it is kept.
const DIR: &str = "/run/datastore";
const FILE: &str = "usage.json";
/// The most that is read of it: a row of each of a hundred thousand mappings.
const LIMIT: usize = 64 << 20;

/// What was measured last, as far as it holds; no app named means all.
pub(crate) fn usage(engine: &Engine, apps: &[AppName]) -> Result<Usage> {
    let wanted = wanted(engine, apps)?;
    Ok(kept(engine.root()).now(&wanted, parked(engine.root()).as_deref()).of(apps))
}

/// Walks over the store directories and what was put aside of these apps, or of all.
pub(crate) fn measure(engine: &Engine, apps: &[AppName], listener: &mut dyn Listener) -> Result<Usage> {
    if !operation::privileged() {
        return Err(Error::new(
            ErrorKind::Privilege,
            "only root may walk over the data of all apps; nothing was measured",
        )
        .hint("run it with sudo; what was measured last is shown by: datastore usage --kept"));
    }
    let root = engine.root();
    let wanted = wanted(engine, apps)?;
    let status = engine.status(apps)?;
    // Before the work, which may take an hour.
    run_files::make_dirs(root, DIR, 0o755)?;
    let missing: HashMap<&str, &str> =
        status.volumes.iter().filter(|v| v.state != State::Active).map(|v| (&*v.volume, &*v.detail)).collect();
    let asked = Apps::named(apps.to_vec());
    let mut fresh = Usage::default();
    for mapping in wanted.mappings.iter().filter(|mapping| asked.has(&mapping.app)) {
        let found = match missing.get(mapping.volume.as_str()) {
            Some(why) => Found::Untold((*why).to_owned()),
            None => look(root, &mapping.store, listener),
        };
        let amount = match found {
            Found::Amount(amount) => amount,
            // Nobody has asked for it, so nobody misses it.
            Found::Absent | Found::Untold(_) if !mapping.enabled => continue,
            Found::Absent => nothing("it has no store directory yet"),
            Found::Untold(why) => Amount::untold(why),
        };
        fresh.stores.push(StoreUsage::of(mapping, amount));
    }
    let left = left_unmeasured(root)?;
    for left in left.iter().filter(|left| left.parked && asked.has(&left.app)) {
        let amount = match look(root, &left.path, listener) {
            Found::Amount(amount) => amount,
            // It was reclaimed a moment ago.
            Found::Absent => continue,
            Found::Untold(why) => Amount::untold(why),
        };
        fresh.parked.push(ParkedUsage::of(left, &wanted, amount));
    }
    let all = kept(root).now(&wanted, parked(root).as_deref()).without(apps).with(fresh);
    write(root, &all).map_err(|error| {
        let hint = error.get_hint().unwrap_or("look after /run, then run the command again").to_owned();
        Error::new(error.kind(), "what was measured cannot be kept; what was kept before is as it was")
            .hint(hint)
            .caused_by(error)
    })?;
    Ok(all.of(apps))
}

/// Brings the list of what is put aside up to date after an operation that may have changed it, so that whoever may not read receipts knows
/// of it. As all that is for onlookers, it fails nothing.
pub(crate) fn note_parked(engine: &Engine) {
    let root = engine.root();
    let Some(parked) = parked(root) else { return };
    let before = kept(root);
    if parked.is_empty() && before.parked.is_empty() {
        return;
    }
    let Ok(wanted) = engine.config() else { return };
    let after = before.clone().now(&wanted, Some(&parked));
    if after != before {
        let _ = write(root, &after);
    }
}

/// The same where nothing is kept at all and something was put aside: after a boot, `/run` is empty.
pub(crate) fn note_after_boot(engine: &Engine) {
    let is_kept = engine.root().stat(&file()).is_ok();
    if !is_kept && receipts::all(engine.root()).is_ok_and(|all| !all.is_empty()) {
        note_parked(engine);
    }
}

/// The configuration, in which each of these apps is declared.
fn wanted(engine: &Engine, apps: &[AppName]) -> Result<Wanted> {
    let wanted = engine.config()?;
    Apps::named(apps.to_vec()).demand_known(&wanted, &observe::fstab(engine.root())?)?;
    Ok(wanted)
}

/// What is put aside; `None` for whoever cannot see that.
fn parked(root: &Root) -> Option<Vec<Left>> {
    if !operation::privileged() {
        return None;
    }
    left_unmeasured(root).ok().map(|left| left.into_iter().filter(|left| left.parked).collect())
}

/// What became of a tree that was to be measured.
enum Found {
    Amount(Amount),
    Absent,
    Untold(String),
}

fn nothing(detail: &str) -> Amount {
    Amount {
        bytes: Some(0),
        apparent: Some(0),
        entries: Some(0),
        measured: Some(clock::now()),
        complete: true,
        detail: detail.into(),
    }
}

/// Measures a tree, and tells how far that is.
fn look(root: &Root, path: &AbsPath, listener: &mut dyn Listener) -> Found {
    root.forget_within(path);
    let top = match root.open_file(path, OFlags::RDONLY | OFlags::DIRECTORY, 0) {
        Ok(top) => top,
        Err(Miss::Absent(_)) => return Found::Absent,
        Err(other) => return Found::Untold(Error::from(other).chain()),
    };
    let (label, odd) = (path.to_string(), Odd::default());
    let mut gauge = Gauge::new(&[]);
    let tell = |now| {
        let walk = gauge.read("measuring", &label, Counts::Some, now);
        listener.event(&Event::Walking { walk: &walk });
    };
    let (measured, _) = tree::followed(&label, &odd, tell, |control| measure_tree(&top, control));
    match measured {
        Ok(found) => {
            let detail = odd.told();
            Found::Amount(Amount {
                bytes: Some(found.allocated),
                apparent: Some(found.bytes),
                entries: Some(found.entries),
                measured: Some(clock::now()),
                complete: detail.is_empty(),
                detail,
            })
        }
        Err(error) => Found::Untold(Error::from(error).chain()),
    }
}

/// What could not be looked at in a tree.
#[derive(Default)]
struct Odd {
    count: AtomicU64,
    first: Mutex<String>,
}

impl Odd {
    fn told(&self) -> String {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        match self.count.load(Ordering::Relaxed) {
            0 => String::new(),
            1 => format!("without what could not be looked at: {first}"),
            n => format!("without what could not be looked at, in {n} places; the first: {first}"),
        }
    }
}

impl Watch for Odd {
    fn left_out(&self, error: &TreeError) -> bool {
        if self.count.fetch_add(1, Ordering::Relaxed) == 0 {
            let why = error.cause().map(|cause| format!(": {cause}")).unwrap_or_default();
            *self.first.lock().unwrap_or_else(PoisonError::into_inner) = format!("{error}{why}");
        }
        true
    }
}

fn file() -> AbsPath {
    AbsPath::literal(DIR).child(FILE)
}

/// What is kept. What cannot be read or understood was written by another version, and is measured anew.
fn kept(root: &Root) -> Usage {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let Ok(file) = root.open_file(&file(), flags, 0) else { return Usage::default() };
    fd::read_all(file, LIMIT).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn write(root: &Root, usage: &Usage) -> Result<()> {
    let dir = run_files::make_dirs(root, DIR, 0o755)?;
    // Nobody else writes to the same file meanwhile.
    let temporary = format!(".{FILE}.{}.tmp", std::process::id());
    run_files::put(&dir, DIR, FILE, &temporary, &serde_json::to_vec(usage).unwrap_or_default())
}

/// How many names there are in a directory, and what they take on the disk.
pub(crate) fn weigh(root: &Root, path: &AbsPath) -> Option<(u64, u64)> {
    let top = root.open_file(path, OFlags::RDONLY | OFlags::DIRECTORY, 0).ok()?;
    let label = path.to_string();
    let (measured, _) = tree::followed(&label, &(), |_| {}, |control| measure_tree(&top, control));
    // The top itself is no name in it.
    measured.ok().map(|all| (all.entries.saturating_sub(1), all.allocated))
}
