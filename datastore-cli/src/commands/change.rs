//! The road of every verb that changes something: plan, show, ask, apply; or all at once with `--yes`.

use std::io::{BufRead as _, IsTerminal as _};

use datastore_core::goal::Goal;
use datastore_core::{Error, ErrorKind, Result};
use datastore_exec::Engine;
use datastore_exec::engine::Prepared;
use datastore_exec::report::Report;

use super::Session;
use crate::view::{self, progress::Progress};

/// How a change came out.
#[derive(Debug)]
pub(crate) enum Change {
    /// It was carried out, or there was nothing to do.
    Made(Box<Report>),
    /// The answer to the question was no.
    Declined,
}

impl Change {
    fn made(report: Report) -> Self {
        Self::Made(Box::new(report))
    }
}

/// Does it without a question: the verbs that init scripts call, and `--yes`.
pub(crate) fn at_once(session: &Session, engine: &Engine, goal: &Goal) -> Result<Report> {
    engine.run(goal, &mut Progress::new(session.global.json))
}

/// Does it with `--yes`; else shows the plan and asks.
pub(crate) fn asked(session: &Session, engine: &Engine, goal: &Goal) -> Result<Change> {
    if session.global.yes {
        return at_once(session, engine, goal).map(Change::made);
    }
    let can_ask = can_ask(session);
    recover_first(session, engine, can_ask)?;
    confirm(session, engine, engine.plan(goal)?, can_ask)
}

/// Finishes what stopped half-way, where something is to be done at all: that was agreed to when it began.
pub(crate) fn recover_first(session: &Session, engine: &Engine, can_ask: bool) -> Result<()> {
    if session.global.yes || can_ask {
        engine.recover(&mut Progress::new(session.global.json))?;
    }
    Ok(())
}

/// Shows a plan, asks, and applies exactly that plan.
pub(crate) fn confirm(session: &Session, engine: &Engine, prepared: Prepared, can_ask: bool) -> Result<Change> {
    confirm_with(session, engine, prepared, &[], can_ask)
}

/// The same for a plan after which other things are done, a line for each: yes is said to all of it.
pub(crate) fn confirm_with(
    session: &Session,
    engine: &Engine,
    prepared: Prepared,
    then: &[String],
    can_ask: bool,
) -> Result<Change> {
    let plan = prepared.checked.plan();
    let is_idle = plan.is_empty() && then.is_empty();
    if !is_idle && !session.global.yes {
        if !session.global.json {
            view::plan_to_confirm(plan)?;
            view::offers::then(then)?;
        }
        if !can_ask {
            let what =
                format!("`{}` changes this machine and nobody can be asked; nothing has been changed", plan.goal);
            return Err(Error::new(ErrorKind::Usage, what).hint("to do it without a question, add --yes"));
        }
        if !answer()? {
            view::note("nothing has been changed");
            return Ok(Change::Declined);
        }
    }
    engine.apply(prepared, &mut Progress::new(session.global.json)).map(Change::made)
}

/// Whether there is a person to ask: input and output are a terminal, and nobody asked for JSON.
pub(crate) fn can_ask(session: &Session) -> bool {
    !session.global.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

fn answer() -> Result<bool> {
    view::question("Go on? [y/N] ");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| {
        Error::new(ErrorKind::System, "the answer cannot be read; nothing has been changed").caused_by(error)
    })?;
    Ok(is_yes(&line))
}

fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(["y\n", "Y\n", " yes \n", "YES"].into_iter().all(is_yes));
        assert!(!["", "\n", "n\n", "yy\n", "ja\n", "no\n"].into_iter().any(is_yes));
    }
}
