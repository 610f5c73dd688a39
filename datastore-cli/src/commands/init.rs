//! `init`: the host's name, the first volume, and the data that is there already; asked for, read from a file, or given.

mod answers;
mod guide;

use datastore_core::goal::{self, Apps, Goal};
use datastore_core::value::{AppName, HostName};
use datastore_core::wanted::Wanted;
use datastore_core::{AbsPath, Result};
use datastore_exec::Engine;
use datastore_exec::report::Report;

use self::answers::Answers;
use self::guide::Terminal;
use super::change::{self, Change};
use super::{Session, volume};
use crate::args::{self, Init};
use crate::exit::Exit;
use crate::view;
use crate::view::offers::{Found, Offer, Place};
use crate::view::progress::Progress;

pub(crate) fn init(session: &Session, args: Init) -> Result<Exit> {
    let engine = session.engine()?;
    let can_ask = change::can_ask(session);
    // Whoever says nothing is asked; whoever says something is taken at his word.
    let is_guided = can_ask && !session.global.yes && args.says_nothing();
    let answers = Answers::of(args)?;
    let answers = if is_guided {
        match guide::ask(&engine, answers, &mut Terminal)? {
            Some(answers) => answers,
            None => return Ok(Exit::Failed),
        }
    } else {
        answers
    };
    let host = host(&engine, answers.host.clone())?;
    let request = volume::request(&engine, answers.volume.clone(), answers.source.clone())?;
    let goal = Goal::Init { host: host.clone(), volume: request };
    change::recover_first(session, &engine, can_ask)?;
    let prepared = engine.plan(&goal)?;
    let wanted = engine.config_of(&host)?;
    demand_apps(&wanted, &answers)?;
    let then = if session.global.yes { Vec::new() } else { outline(&engine, &wanted, &answers) };
    let Change::Made(report) = change::confirm_with(session, &engine, prepared, &then, can_ask)? else {
        return Ok(Exit::Failed);
    };
    follow(session, &engine, &report, answers)
}

/// What comes after the volume is there: data is brought in, app by app, and the other apps are asked for.
fn follow(session: &Session, engine: &Engine, report: &Report, answers: Answers) -> Result<Exit> {
    let json = session.global.json;
    let told = |report: &Report| if json { Ok(()) } else { view::report(report, false) };
    told(report)?;
    let mut exit = Exit::of_report(report);
    let mut imported = Vec::new();
    let mut enabled = None;
    if exit == Exit::Done {
        for app in answers.import {
            let goal = Goal::Import(goal::Import { apps: Apps::named(vec![app]), verify: None });
            // One that cannot be brought in keeps no other from it.
            match engine.run(&goal, &mut Progress::new(json)) {
                Ok(report) => {
                    told(&report)?;
                    exit = exit.or(Exit::of_report(&report));
                    imported.push(report);
                }
                Err(error) => {
                    view::failed(&error, false);
                    exit = exit.or(Exit::of(error.kind()));
                }
            }
        }
        if !answers.enable.is_empty() {
            let report = engine.run(&Goal::Enable(args::apps(answers.enable, false)), &mut Progress::new(json))?;
            told(&report)?;
            exit = exit.or(Exit::of_report(&report));
            enabled = Some(report);
        }
    }
    let offers = offers(&engine.config()?, engine);
    if json {
        view::json::init(report, enabled.as_ref(), &imported, &offers)?;
        return Ok(exit);
    }
    view::offers::print(&offers)?;
    if !imported.is_empty() || enabled.is_some() {
        // The mounts, as the proposal's procedure ends with.
        view::status(&engine.status(&[])?, false, false)?;
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

/// Refuses, before anything is done, apps that nobody declares.
fn demand_apps(wanted: &Wanted, answers: &Answers) -> Result<()> {
    let mut named = answers.import.iter().chain(&answers.enable);
    named.find(|name| wanted.app(name).is_none()).map_or(Ok(()), |name| Err(wanted.no_such_app(name)))
}

/// The lines for what comes after the volume.
fn outline(engine: &Engine, wanted: &Wanted, answers: &Answers) -> Vec<String> {
    let import = |app: &AppName| {
        let places: Vec<String> = wanted.of_app(app).map(|(_, m)| weight(engine, &m.mount_point)).collect();
        let services = wanted.app(app).map(|app| app.services.join(", ")).filter(|names| !names.is_empty());
        let stops = services.map(|names| format!("; stops {names} for the last of it")).unwrap_or_default();
        format!("bring in the data of `{app}`: {}{stops}", places.join(", "))
    };
    let enable = |app: &AppName| format!("ask for `{app}`");
    answers.import.iter().map(import).chain(answers.enable.iter().map(enable)).collect()
}

/// "/home (3 entries, 1.0 MiB)".
fn weight(engine: &Engine, at: &AbsPath) -> String {
    match engine.weigh(at) {
        Some((entries, bytes)) => {
            let entries = usize::try_from(entries).unwrap_or(usize::MAX);
            format!(
                "{at} ({}, {})",
                datastore_core::amount::count(entries, "entry"),
                datastore_core::amount::size(bytes)
            )
        }
        None => format!("{at} (not there)"),
    }
}

/// The apps that are declared and not asked for, with what stands at their mount points.
fn offers(wanted: &Wanted, engine: &Engine) -> Vec<Offer> {
    let apps = wanted.apps.iter().filter(|app| !app.enabled && app.problem.is_none());
    let offer = |app: &datastore_core::wanted::App| Offer {
        app: app.name.to_string(),
        title: app.title.clone().unwrap_or_default(),
        places: wanted.of_app(&app.name).map(|(_, m)| place(engine, &m.mount_point)).collect(),
    };
    apps.map(offer).collect()
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
