//! Finishing operations that stopped half-way: core says what to plan again, and it takes the same road as anything else.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use datastore_core::config::CONFIGLETS;
use datastore_core::goal::Goal;
use datastore_core::journal::{OperationId, Outcome};
use datastore_core::manifest::DIRECTORY;
use datastore_core::plan::{self, volume::EBUSY};
use datastore_core::recover;
use datastore_core::resolve::{incumbents, resolve};
use datastore_core::state::Reason;
use datastore_core::wanted::Wanted;
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::engine::Engine;
use crate::event::{Event, Listener};
use crate::operation::{self, Terms};
use crate::report::Report;
use crate::root::{Root, if_there};
use crate::sys::{Entry, fd};
use crate::{alarm, durable, journal_file, load, observe, receipts, run_files, usage};

/// How long a disk may stay busy after the run that used it has died.
const PATIENCE: Duration = Duration::from_secs(3);

/// Finishes every one of them, the oldest first.
///
/// # Errors
/// [`ErrorKind::Privilege`] for whoever is not root: journals are root's, so nobody else can know that there is nothing to do.
pub(crate) fn recover(engine: &Engine, listener: &mut dyn Listener) -> Result<Vec<Report>> {
    operation::demand_privilege("recover")?;
    usage::note_after_boot(engine);
    alarm::tidy(engine.root())?;
    let scan = journal_file::scan(engine.root())?;
    if scan.unfinished.is_empty() {
        return Ok(Vec::new());
    }
    let mut reports = Vec::new();
    for recovery in recover::recover(&scan.unfinished) {
        let name = recovery.goal.as_ref().map(ToString::to_string).unwrap_or_default();
        listener.event(&Event::Recovering { operation: recovery.operation.as_str(), goal: &name });
        let told = scan.unfinished.iter().find(|u| u.operation == recovery.operation);
        let goal = told.and_then(|u| u.goal.as_ref());
        let owes = told.is_some_and(|u| !u.owes.is_empty());
        clean(engine.root(), &wanted(engine.root())?, &recovery.operation, goal)?;
        if let Some(goal) = &recovery.goal {
            match finish(engine, goal, listener) {
                Ok(report) => {
                    // Somebody uses what was bound before its hooks had run, so it cannot be taken off: it stays interrupted.
                    let waits =
                        owes && report.failed.iter().chain(&report.notes).any(|r| r.reason == Some(Reason::Busy));
                    reports.push(report);
                    if waits {
                        continue;
                    }
                }
                // What it was about is gone by now (an app, a disk): then there is nothing left to finish.
                Err(error) if matches!(error.kind(), ErrorKind::Usage | ErrorKind::Refused) => {
                    let operation = recovery.operation.as_str();
                    listener.event(&Event::GivenUp { operation, why: &error.chain() });
                }
                Err(error) => return Err(error),
            }
        }
        if told.is_some_and(|u| u.rest.is_some()) {
            receipts::settle(engine.root(), &recovery.operation)?;
        }
        if let Some(unfinished) = told {
            sweep(engine.root(), &unfinished.rooms)?;
        }
        // A volume that was not mounted before is now.
        clean(engine.root(), &wanted(engine.root())?, &recovery.operation, goal)?;
        journal_file::close(engine.root(), &recovery.operation, Outcome::Recovered).map_err(|why| {
            let operation = recovery.operation.as_str();
            let message =
                format!("{operation} has been finished, but counts as interrupted, for its journal has no end yet");
            Error::new(why.kind(), message)
                .with_errno(why.errno().unwrap_or(0))
                .hint(why.get_hint().unwrap_or("datastore recover").to_owned())
                .caused_by(why)
        })?;
        // For onlookers only, as everything in /run.
        let _ = run_files::settle(engine.root(), &recovery.operation);
    }
    Ok(reports)
}

/// Plans the goal again and applies it.
///
/// A mount(8) that died with the run may still be in the kernel, which does not give up a mount half-way: its disk is busy until
/// then.
fn finish(engine: &Engine, goal: &Goal, listener: &mut dyn Listener) -> Result<Report> {
    let (begun, mut is_again) = (Instant::now(), false);
    loop {
        let done = engine.plan(goal).and_then(|plan| operation::execute(engine, plan, Terms::Recovering, listener));
        match done {
            Err(error) if error.errno() == Some(EBUSY) && begun.elapsed() < PATIENCE => {
                std::thread::sleep(PATIENCE / 100);
            }
            // What failed is asked for once more, from what is there by now: nobody else would come back to it.
            Ok(report) if matches!(goal, Goal::Settle { .. }) && report.torn && !is_again => {
                is_again = true;
            }
            done => return done,
        }
    }
}

/// What is asked for now.
fn wanted(root: &Root) -> Result<Wanted> {
    Ok(resolve(load::load(root, None)?, &incumbents(&observe::fstab(root)?)))
}

/// Removes directories that were an operation's alone, where nothing is in them: what they held was all that told of them.
pub(crate) fn sweep(root: &Root, rooms: &BTreeSet<AbsPath>) -> Result<()> {
    for room in rooms {
        let Some(above) = room.parent() else { continue };
        let Some(dir) = if_there(root.open_file(&above, OFlags::RDONLY | OFlags::DIRECTORY, 0))? else { continue };
        match fd::remove_dir(Entry::new(&dir, room.file_name())) {
            Err(error) if !matches!(error.errno(), Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::NOENT) => {
                return Err(error.into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes the temporary files that it left beside files that it was replacing.
fn clean(root: &Root, wanted: &Wanted, operation: &OperationId, goal: Option<&Goal>) -> Result<()> {
    let mut places = vec![AbsPath::literal("/etc"), AbsPath::literal(CONFIGLETS), AbsPath::literal(receipts::DIR)];
    places.extend(wanted.mappings.iter().map(|m| m.home.child(DIRECTORY)));
    places.extend(wanted.volumes.iter().map(|v| v.path.child(DIRECTORY)));
    // Of a volume to which nothing was moved in the end, too.
    places.extend(wanted.volumes.iter().filter_map(|v| wanted.base(v)).map(|base| base.child(DIRECTORY)));
    // The volume that it was to add may not be declared yet.
    if let Some(request) = goal.and_then(Goal::new_volume) {
        places.push(plan::volume::path_of(&wanted.store, request).child(DIRECTORY));
    }
    places.sort();
    places.dedup();
    for place in places {
        for file in durable::leftovers(root, &place, operation.tag())? {
            durable::remove_leftover(root, &file, operation.tag())?;
        }
    }
    Ok(())
}
