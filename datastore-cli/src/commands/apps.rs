//! The verbs about apps that change something.

use datastore_core::Result;
use datastore_core::goal::{self, Goal};
use datastore_exec::engine::Engine;
use datastore_exec::report::Report;

use super::Session;
use super::change::{self, Change};
use crate::args::{self, Apply, Import, Move, Reclaim, SomeApps, Start};
use crate::exit::Exit;
use crate::view::{self, progress::Progress};

pub(crate) fn apply(session: &Session, args: Apply) -> Result<Exit> {
    let engine = session.engine()?;
    let Some(id) = args.plan else {
        return with_question(session, &engine, &Goal::Apply(args::apps(args.apps, args.accept_store)));
    };
    let can_ask = change::can_ask(session);
    change::recover_first(session, &engine, can_ask)?;
    let prepared = engine.load(&id)?;
    finish(session, change::confirm(session, &engine, prepared, can_ask)?)
}

pub(crate) fn start(session: &Session, args: Start) -> Result<Exit> {
    without_question(session, &Goal::Start(args::apps(args.apps, args.accept_store)))
}

pub(crate) fn stop(session: &Session, args: SomeApps) -> Result<Exit> {
    without_question(session, &Goal::Stop(args::apps(args.apps, false)))
}

pub(crate) fn restart(session: &Session, args: SomeApps) -> Result<Exit> {
    without_question(session, &Goal::Restart(args::apps(args.apps, false)))
}

pub(crate) fn enable(session: &Session, args: SomeApps) -> Result<Exit> {
    with_question(session, &session.engine()?, &Goal::Enable(args::apps(args.apps, false)))
}

pub(crate) fn disable(session: &Session, args: SomeApps) -> Result<Exit> {
    with_question(session, &session.engine()?, &Goal::Disable(args::apps(args.apps, false)))
}

pub(crate) fn remap(session: &Session, args: SomeApps) -> Result<Exit> {
    with_question(session, &session.engine()?, &Goal::Remap(args::apps(args.apps, false)))
}

/// Finishes what stopped half-way.
pub(crate) fn recover(session: &Session) -> Result<Exit> {
    let reports = session.engine()?.recover(&mut Progress::new(session.global.json))?;
    view::recovered(&reports, session.global.json)?;
    Ok(reports.iter().map(Exit::of_report).fold(Exit::Done, Exit::or))
}

pub(crate) fn import(session: &Session, args: Import) -> Result<Exit> {
    let goal = Goal::Import(goal::Import { apps: args::apps(vec![args.app], false), verify: args.verify });
    with_question(session, &session.engine()?, &goal)
}

pub(crate) fn move_to(session: &Session, args: Move) -> Result<Exit> {
    let engine = session.engine()?;
    let goal = engine.goal(args.how.request("move", vec![args.app]).asked()?)?;
    with_question(session, &engine, &goal)
}

pub(crate) fn reclaim(session: &Session, args: Reclaim) -> Result<Exit> {
    let Reclaim { apps, expired } = args;
    let goal = Goal::Reclaim(goal::Reclaim { apps: args::apps(apps, false), expired });
    with_question(session, &session.engine()?, &goal)
}

fn without_question(session: &Session, goal: &Goal) -> Result<Exit> {
    let report = change::at_once(session, &session.engine()?, goal)?;
    told(session, &report)
}

/// The whole of a verb that asks.
pub(crate) fn with_question(session: &Session, engine: &Engine, goal: &Goal) -> Result<Exit> {
    finish(session, change::asked(session, engine, goal)?)
}

fn finish(session: &Session, change: Change) -> Result<Exit> {
    match change {
        Change::Declined => Ok(Exit::Failed),
        Change::Made(report) => told(session, &report),
    }
}

fn told(session: &Session, report: &Report) -> Result<Exit> {
    view::report(report, session.global.json)?;
    Ok(Exit::of_report(report))
}
