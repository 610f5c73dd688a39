//! `init`: the host's name, the first volume, and what can be enabled next.

use datastore_core::goal::Goal;
use datastore_core::value::HostName;
use datastore_core::{AbsPath, Result};
use datastore_exec::Engine;

use super::change::{self, Change};
use super::{Session, volume};
use crate::args::{self, Init};
use crate::exit::Exit;
use crate::view;
use crate::view::offers::{Found, Offer, Place};

pub(crate) fn init(session: &Session, args: Init) -> Result<Exit> {
    let engine = session.engine()?;
    let host = host(&engine, args.host)?;
    let request = volume::request(&engine, args.volume, args.source)?;
    let Change::Made(report) = change::asked(session, &engine, &Goal::Init { host, volume: request })? else {
        return Ok(Exit::Failed);
    };
    let json = session.global.json;
    if !json {
        view::report(&report, false)?;
    }
    let mut exit = Exit::of_report(&report);
    let mut enabled = None;
    if exit == Exit::Done && !args.enable.is_empty() {
        match change::asked(session, &engine, &Goal::Enable(args::apps(args.enable, false)))? {
            Change::Declined => exit = Exit::Failed,
            Change::Made(report) => {
                if !json {
                    view::report(&report, false)?;
                }
                exit = Exit::of_report(&report);
                enabled = Some(report);
            }
        }
    }
    let offers = offers(&engine)?;
    if json {
        view::json::init(&report, enabled.as_deref(), &offers)?;
    } else {
        view::offers::print(&offers)?;
    }
    Ok(exit)
}

/// The name given, else the one that the configuration has already, else the machine's own: renaming the machine moves no data.
fn host(engine: &Engine, given: Option<HostName>) -> Result<HostName> {
    let known = || engine.config().ok().and_then(|wanted| wanted.host);
    match given.or_else(known) {
        Some(host) => Ok(host),
        None => volume::own_name(),
    }
}

/// The apps that are declared and not asked for, with what stands at their mount points.
fn offers(engine: &Engine) -> Result<Vec<Offer>> {
    let wanted = engine.config()?;
    let apps = wanted.apps.iter().filter(|app| !app.enabled && app.problem.is_none());
    let offer = |app: &datastore_core::wanted::App| Offer {
        app: app.name.to_string(),
        title: app.title.clone().unwrap_or_default(),
        places: wanted.of_app(&app.name).map(|(_, m)| place(engine, &m.mount_point)).collect(),
    };
    Ok(apps.map(offer).collect())
}

fn place(engine: &Engine, mount_point: &AbsPath) -> Place {
    let found = match engine.root().is_empty_dir(mount_point) {
        Ok(true) => Found::Empty,
        Ok(false) => Found::Filled,
        Err(miss) if miss.is_absent() => Found::Absent,
        Err(_) => Found::Unreadable,
    };
    Place { mount_point: mount_point.to_string(), found }
}
