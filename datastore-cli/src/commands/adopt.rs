//! `adopt`: a volume of another machine, and the binds of what is on it.

use datastore_core::goal::{Apps, Goal, VolumeSource};
use datastore_core::{Error, Result};
use datastore_exec::Engine;
use datastore_exec::adoption::Wish;

use super::Session;
use super::change::{self, Change};
use super::volume::below_root;
use crate::args::Adopt;
use crate::exit::Exit;
use crate::view::{self, progress::Progress};

pub(crate) fn adopt(session: &Session, args: &Adopt) -> Result<Exit> {
    let engine = session.engine()?;
    let json = session.global.json;
    let can_ask = change::can_ask(session);
    change::recover_first(session, &engine, can_ask)?;
    let goal = engine.adoption(wish(&engine, args)?)?;
    let prepared = engine.plan(&goal)?;
    if args.show {
        view::plan(prepared.plan(), None, json)?;
        return Ok(Exit::Done);
    }
    let apps = Apps::named(prepared.plan().mappings.iter().map(|subject| subject.app.clone()).collect());
    let Change::Made(report) = change::confirm(session, &engine, prepared, can_ask)? else {
        return Ok(Exit::Failed);
    };
    if !json {
        view::report(&report, false)?;
    }
    let mut exit = Exit::of_report(&report);
    let mut enabled = None;
    if exit == Exit::Done && !apps.names.is_empty() {
        // It was shown in the same plan.
        let goal = Goal::Enable(apps);
        let bound = engine.run(&goal, &mut Progress::new(json)).map_err(|why| {
            Error::new(why.kind(), "the volume has been adopted and stays so, but its apps could not be enabled")
                .with_errno(why.errno().unwrap_or(0))
                .hint(why.get_hint().map_or_else(|| format!("datastore {goal}"), ToOwned::to_owned))
                .caused_by(why)
        })?;
        if !json {
            view::report(&bound, false)?;
        }
        exit = Exit::of_report(&bound);
        enabled = Some(bound);
    }
    if json {
        view::json::adopted(&report, enabled.as_ref())?;
    }
    Ok(exit)
}

fn wish(engine: &Engine, args: &Adopt) -> Result<Wish> {
    let source = match (&args.device, &args.directory) {
        (Some(device), _) => Some(VolumeSource::Device(below_root(engine, device)?)),
        (None, Some(directory)) => Some(VolumeSource::Directory(below_root(engine, directory)?)),
        (None, None) => None,
    };
    Ok(Wish { name: args.name.clone(), source, from: args.host.clone(), host: args.present.clone() })
}
