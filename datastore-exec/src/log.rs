//! Operations that have run, out of their journals, one at a time: those of ten thousand mappings are megabytes each.

use std::collections::HashMap;
use std::time::Duration;

use datastore_core::journal::OperationId;
use datastore_core::log::{self, Ending, LogDetail, LogRow, Query};
use datastore_core::{AbsPath, Error, ErrorKind, Result};

use crate::engine::Engine;
use crate::journal_file::list::{DIRECTORIES, Found, Listed, list};
use crate::notices::Notices;
use crate::root::Root;

/// While an operation runs it is looked at so often: that its process was killed is told to nobody.
const EVERY: Duration = Duration::from_secs(1);

/// The rows of a query, oldest first.
pub(crate) fn log(engine: &Engine, query: &Query) -> Result<Vec<LogRow>> {
    select(engine, query, &all(engine.root())?)
}

fn select(engine: &Engine, query: &Query, journals: &[Listed]) -> Result<Vec<LogRow>> {
    let mut rows = Vec::new();
    // From the newest on, so that no more journals are read than are asked for.
    for listed in journals.iter().rev().filter(|l| query.may_have(&l.operation)) {
        if query.last.is_some_and(|last| rows.len() >= last) {
            break;
        }
        rows.extend(look(engine, query, listed)?.filter(|seen| seen.asked).map(|seen| seen.row));
    }
    rows.reverse();
    Ok(rows)
}

/// One operation with its steps.
pub(crate) fn log_of(engine: &Engine, operation: &OperationId) -> Result<LogDetail> {
    let none = || {
        Error::new(ErrorKind::Usage, format!("no operation is called {operation}"))
            .hint("datastore log lists the operations; the newest 200 are kept")
    };
    let listed = all(engine.root())?.into_iter().find(|l| l.operation == *operation).ok_or_else(none)?;
    match listed.open(engine.root())? {
        Found::Told { told, running } => {
            let operation = row_of(engine, &told, &log::apps_of(&told.begin), running)?;
            Ok(LogDetail { operation, steps: log::steps(&told) })
        }
        Found::Nothing => Ok(LogDetail { operation: nothing(operation), steps: Vec::new() }),
        Found::Damaged(error) => Err(error),
        Found::Gone => Err(none()),
    }
}

/// All journals; a refusal says whose they are.
fn all(root: &Root) -> Result<Vec<Listed>> {
    list(root).map_err(|error| match error.kind() {
        ErrorKind::Privilege => {
            Error::new(ErrorKind::Privilege, "the journals of operations are for root alone").hint("run it as root")
        }
        _ => error,
    })
}

/// A journal that was looked at.
struct Seen {
    row: LogRow,
    /// Whether the query means it.
    asked: bool,
}

/// Reads a journal; `None` if it is not there any more.
fn look(engine: &Engine, query: &Query, listed: &Listed) -> Result<Option<Seen>> {
    let (row, apps) = match listed.open(engine.root())? {
        Found::Told { told, running } => {
            let apps = log::apps_of(&told.begin);
            (row_of(engine, &told, &apps, running)?, apps)
        }
        Found::Nothing => (nothing(&listed.operation), Vec::new()),
        // What it was about is not known, so it may be what is looked for.
        Found::Damaged(error) => {
            let row = bare(&listed.operation, Ending::Damaged, error.chain());
            return Ok(Some(Seen { row, asked: true }));
        }
        Found::Gone => return Ok(None),
    };
    let asked = query.may_have(&listed.operation) && query.has(&row, &apps);
    Ok(Some(Seen { row, asked }))
}

fn row_of(engine: &Engine, told: &datastore_core::journal::Told, apps: &[String], running: bool) -> Result<LogRow> {
    let ids = engine.ids()?;
    Ok(LogRow::of(told, apps, running, |uid| ids.user_name(uid)))
}

fn nothing(operation: &OperationId) -> LogRow {
    bare(operation, Ending::Interrupted, "it stopped before anything was done".into())
}

/// The row of an operation of which its name alone is known; that begins with the time.
fn bare(operation: &OperationId, ending: Ending, detail: String) -> LogRow {
    let name = operation.as_str();
    let time =
        format!("{}-{}-{}T{}:{}:{}Z", &name[..4], &name[4..6], &name[6..8], &name[9..11], &name[11..13], &name[13..15]);
    let at = humantime::parse_rfc3339(&time).ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    let at = at.and_then(|d| i64::try_from(d.as_secs()).ok()).unwrap_or(0);
    LogRow { at, ..LogRow::bare(operation, ending, detail) }
}

/// Hands rows over as operations begin and end, until `each` says `false`.
pub(crate) fn follow(engine: &Engine, query: &Query, each: &mut dyn FnMut(&LogRow) -> Result<bool>) -> Result<()> {
    let root = engine.root();
    // Watched before looked at, so that nothing comes in between.
    let watch = || Notices::of(root, DIRECTORIES.map(|dir| (AbsPath::literal(dir), None)));
    let mut notices = watch()?;
    let journals = all(root)?;
    // How each operation stood when it was last looked at; only of those whose journals are there.
    let mut known: HashMap<OperationId, Ending> = HashMap::new();
    for listed in &journals {
        let seen = if listed.has_ended() { None } else { look(engine, query, listed)? };
        known.insert(listed.operation.clone(), seen.map_or(Ending::Done, |seen| seen.row.outcome));
    }
    for row in select(engine, query, &journals)? {
        if !each(&row)? {
            return Ok(());
        }
    }
    loop {
        let running = known.values().any(|ending| *ending == Ending::Running);
        notices.wait(running.then_some(EVERY))?;
        notices = watch()?;
        let mut now = HashMap::new();
        for listed in all(root)? {
            let before = known.get(&listed.operation).copied();
            // An interrupted one may be ended by `recover`; what has ended does not change.
            if let Some(ending) = before.filter(|e| !matches!(e, Ending::Running | Ending::Interrupted)) {
                now.insert(listed.operation, ending);
                continue;
            }
            let Some(Seen { row, asked }) = look(engine, query, &listed)? else { continue };
            now.insert(listed.operation, row.outcome);
            if asked && before != Some(row.outcome) && !each(&row)? {
                return Ok(());
            }
        }
        known = now;
    }
}
