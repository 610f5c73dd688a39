//! Services that wait for the data of their app: the guard has refused them as they were about to start, or they were stopped because the data
//! had gone. They are asked to start as soon as it is there (`/run/datastore/kept/APP.json`; nobody waits over a reboot).

use datastore_core::moving::Running;
use datastore_core::plan::Remark;
use datastore_core::value::AppName;
use datastore_core::{AbsPath, Result, unit};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::root::Root;
use crate::service::Manager;
use crate::sys::fd;
use crate::{guard, observe, operation, run_files, units};

const DIR: &str = "/run/datastore/kept";

/// What waits for the data of one app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// These.
    #[serde(default)]
    services: Running,
    /// Whichever of its services somebody wants to run: the guard was asked about the app, and not told for which.
    #[serde(default)]
    wanted: bool,
}

/// Which service waits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which<'a> {
    /// One of the app's; nobody said which.
    Any,
    /// This one.
    One(&'a str),
}

/// Notes that a service waits: the guard has refused it, or it went down with its data. Whoever starts it is told of the refusal itself, so
/// nothing fails here.
pub(crate) fn waits(root: &Root, app: &AppName, which: Which<'_>) {
    let _ = note(root, app, |note| match which {
        Which::Any => note.wanted = true,
        Which::One(name) if note.services.up().any(|known| unit::is_same_service(known, name)) => {}
        Which::One(name) => note.services.services.push(name.to_owned()),
    });
}

/// Notes what was stopped because its data had gone.
pub(crate) fn stopped(root: &Root, app: &AppName, services: &Running) -> Result<()> {
    note(root, app, |note| note.services = services.clone())
}

fn note(root: &Root, app: &AppName, change: impl FnOnce(&mut Note)) -> Result<()> {
    if !operation::privileged() || !root.is_machine() {
        return Ok(());
    }
    let before = read(root, app);
    let mut note = before.clone().unwrap_or_default();
    change(&mut note);
    if before.as_ref() != Some(&note) {
        let dir = run_files::make_dirs(root, DIR, 0o755)?;
        let text = serde_json::to_vec(&note).unwrap_or_default();
        run_files::put(&dir, DIR, &format!("{app}.json"), &format!(".{app}.tmp"), &text)?;
    }
    Ok(())
}

/// Nobody waits any more: the app was taken down on purpose.
pub(crate) fn forget(root: &Root, app: &AppName) {
    if let Ok(place) = root.place(&path(app)) {
        let _ = fd::remove_file(place.entry());
    }
}

/// The apps whose services wait.
pub(crate) fn apps(root: &Root) -> Vec<AppName> {
    let Ok(dir) = root.open_file(&AbsPath::literal(DIR), OFlags::RDONLY | OFlags::DIRECTORY, 0) else {
        return Vec::new();
    };
    let mut apps = Vec::new();
    let _ = fd::each_name(&dir, |name| {
        let app = std::str::from_utf8(name).ok().and_then(|name| AppName::parse(name.strip_suffix(".json")?).ok());
        apps.extend(app);
        true
    });
    apps.sort();
    apps
}

/// Asks the service manager to start what waits for apps that have their data by now, and does not wait for that: the manager may be waiting
/// for us. What is asked to start is told.
pub(crate) fn release(engine: &Engine, covers: impl Fn(&AppName) -> bool) -> Vec<Remark> {
    if !operation::privileged() || !engine.root().is_machine() {
        return Vec::new();
    }
    let ready = |app: &AppName| covers(app) && guard::has_its_data(engine, app);
    apps(engine.root()).into_iter().filter(ready).flat_map(|app| release_one(engine, &app, None)).collect()
}

/// The same for one app that has its data, but for a service that is just about to start.
pub(crate) fn release_one(engine: &Engine, app: &AppName, starting: Option<&str>) -> Vec<Remark> {
    let root = engine.root();
    let Some(note) = read(root, app) else { return Vec::new() };
    // Before the start: the guard that it asks must not find the note again.
    forget(root, app);
    match ask(root, app, &note, starting) {
        Ok(names) if names.is_empty() => Vec::new(),
        Ok(names) => vec![Remark {
            detail: format!("`{app}` has its data: {} waited for it and can start now", names.join(", ")),
            hint: String::new(),
        }],
        Err(error) => vec![Remark {
            detail: format!("what waited for the data of `{app}` could not be started: {}", error.chain()),
            hint: error.get_hint().unwrap_or_default().to_owned(),
        }],
    }
}

fn ask(root: &Root, app: &AppName, note: &Note, starting: Option<&str>) -> Result<Vec<String>> {
    let manager = Manager::of(root)?;
    let mut names: Vec<String> = note.services.up().map(str::to_owned).collect();
    if note.wanted {
        for name in units::services_of(root, app) {
            let is_known = names.iter().any(|known| unit::is_same_service(known, &name));
            if !is_known && manager.is_wanted(&name)? {
                names.push(name);
            }
        }
    }
    names.retain(|name| starting.is_none_or(|starting| !unit::is_same_service(name, starting)));
    names.iter().try_for_each(|name| manager.ask_to_start(name))?;
    Ok(names)
}

fn read(root: &Root, app: &AppName) -> Option<Note> {
    serde_json::from_slice(&observe::read(root, &path(app)).ok()??).ok()
}

fn path(app: &AppName) -> AbsPath {
    AbsPath::literal(DIR).child(&format!("{app}.json"))
}
