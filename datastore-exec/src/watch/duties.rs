//! What is done beside telling, where the configuration asks for it: services are stopped whose data has gone, and an app is brought back whose
//! data has come back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use datastore_core::goal::{Apps, Goal};
use datastore_core::plan::Remark;
use datastore_core::state::{Reason, State};
use datastore_core::status::{Row, Status};
use datastore_core::value::{AppName, VolumeName};
use datastore_core::wanted::{Volume, Wanted};
use datastore_core::watch::{OnLoss, OnReturn};
use datastore_core::{AbsPath, Error, Result};
use nix::sys::signal::{SigSet, Signal};

use crate::engine::Engine;
use crate::event::Silent;
use crate::kept::Which;
use crate::service::Manager;
use crate::steps::volume;
use crate::{kept, observe, units};

/// How long a service whose data has gone may take to go down.
const STOP: Duration = Duration::from_secs(300);
/// What has been down for longer when its data goes was not stopped for that.
const FALLEN: Duration = Duration::from_secs(30);
/// A volume that could not be mounted is not tried again sooner.
const PAUSE: Duration = Duration::from_secs(2);

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Duties {
    /// Apps that had their data and have lost it.
    lost: BTreeSet<AppName>,
    /// Apps that have been tried to be brought back since: once is enough.
    tried: BTreeSet<AppName>,
    /// When a volume was tried to be mounted.
    mounted: BTreeMap<VolumeName, Instant>,
    /// When there is something to be tried again.
    due: Option<Instant>,
}

impl Duties {
    /// Does what is to be done after a look, and says what that was. Whatever is changed by it is seen by the next look.
    pub(super) fn fulfil(
        &mut self,
        engine: &Engine,
        wanted: &Wanted,
        status: &Status,
        lost: &BTreeSet<&str>,
    ) -> Vec<Remark> {
        self.due = None;
        let names = lost.iter().filter_map(|app| AppName::parse(app).ok());
        let lost: BTreeMap<AppName, Vec<String>> = names
            .map(|app| {
                let services = units::services_of(engine.root(), &app);
                (app, services)
            })
            .collect();
        let mut remarks = Vec::new();
        // Before we stop anything ourselves.
        let fallen: Vec<_> = lost.iter().map(|(app, services)| (app, fallen(engine, services))).collect();
        if wanted.watch.on_loss == OnLoss::Stop {
            remarks.extend(lost.iter().flat_map(|(app, services)| undisturbed(|| stop(engine, app, services))));
        }
        for (app, fallen) in fallen {
            match fallen {
                Ok(names) => names.iter().for_each(|name| kept::waits(engine.root(), app, Which::One(name))),
                Err(error) => {
                    remarks.push(remark(&format!("what went down with the data of `{app}` is not known"), &error));
                }
            }
        }
        self.lost.extend(lost.into_keys());
        if wanted.watch.on_return == OnReturn::Start {
            for row in &status.mappings {
                if row.state == State::Refused {
                    self.tried.retain(|app| app.as_str() != row.app);
                }
            }
            remarks.extend(self.mount(engine, wanted, status));
            remarks.extend(self.bring_back(engine, status));
        }
        remarks
    }

    /// When it is to be looked again although nothing happens.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Mounts volumes that apps wait for, where fstab has them and what they are mounted from is there.
    fn mount(&mut self, engine: &Engine, wanted: &Wanted, status: &Status) -> Vec<Remark> {
        let waiting = |row: &&datastore_core::status::VolumeRow| {
            row.state == State::Refused && row.reason == Some(Reason::VolumeMissing) && row.mappings > 0
        };
        let mut remarks = Vec::new();
        for row in status.volumes.iter().filter(waiting) {
            let Some(volume) = wanted.volumes.iter().find(|volume| volume.name.as_str() == row.volume) else {
                continue;
            };
            if let Some(again) = self.mounted.get(&volume.name).map(|at| *at + PAUSE).filter(|at| *at > Instant::now())
            {
                self.due = Some(self.due.map_or(again, |due| due.min(again)));
                continue;
            }
            match mount(engine, volume) {
                Ok(false) => continue,
                Ok(true) => remarks.push(Remark {
                    detail: format!("volume `{}` is there again, and has been mounted at {}", volume.name, volume.path),
                    hint: String::new(),
                }),
                Err(error) => remarks.push(remark(&format!("volume `{}` could not be mounted", volume.name), &error)),
            }
            self.mounted.insert(volume.name.clone(), Instant::now());
        }
        remarks
    }

    /// Binds the data of apps that have lost it or whose services wait for it, and has these started.
    fn bring_back(&mut self, engine: &Engine, status: &Status) -> Vec<Remark> {
        let mut apps: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in &status.mappings {
            apps.entry(&row.app).or_default().push(row);
        }
        let waiting = kept::apps(engine.root());
        let mut remarks = Vec::new();
        for (name, rows) in apps {
            let Ok(app) = AppName::parse(name) else { continue };
            let is_bound = |row: &&Row| matches!(row.state, State::Active | State::Drifted);
            let is_ready = rows.iter().all(|row| is_bound(row) || row.state == State::Pending);
            if !is_ready || !(self.lost.contains(&app) || waiting.contains(&app)) {
                continue;
            }
            if rows.iter().all(is_bound) {
                self.lost.remove(&app);
                remarks.extend(undisturbed(|| kept::release(engine, |other| *other == app)));
            } else if self.tried.insert(app.clone()) {
                remarks.extend(undisturbed(|| apply(engine, &app)));
            }
        }
        remarks
    }
}

fn apply(engine: &Engine, app: &AppName) -> Vec<Remark> {
    let goal = Goal::Apply(Apps::named(vec![app.clone()]));
    match engine.run(&goal, &mut Silent) {
        Ok(report) if report.failed.is_empty() && report.operation.is_some() => {
            let done = Remark { detail: format!("the data of `{app}` is bound again"), hint: String::new() };
            std::iter::once(done).chain(report.remarks).collect()
        }
        // What failed is told as an alarm.
        Ok(report) => report.remarks,
        Err(error) => vec![remark(&format!("the data of `{app}` could not be bound again"), &error)],
    }
}

/// Stops what runs of an app; it is started again when its data is there.
fn stop(engine: &Engine, app: &AppName, services: &[String]) -> Vec<Remark> {
    let down = || -> Result<Vec<Remark>> {
        let manager = Manager::of(engine.root())?;
        let (running, mut remarks) = manager.running(services)?;
        if running.is_empty() {
            return Ok(remarks);
        }
        // First, so that what is down is known to wait whatever comes.
        kept::stopped(engine.root(), app, &running)?;
        remarks.extend(manager.stop_all(&running, STOP)?);
        let names: Vec<&str> = running.up().collect();
        remarks.push(Remark {
            detail: format!("`{app}` has lost its data: {} stopped", names.join(", ")),
            hint: format!("datastore status {app}"),
        });
        Ok(remarks)
    };
    down().unwrap_or_else(|error| vec![remark(&format!("`{app}` has lost its data, and could not be stopped"), &error)])
}

/// Those of these services that systemd has stopped itself: with a disk that is pulled out it takes off what is mounted of it, and stops what needs that.
/// They wait for their data as those do that we stop.
fn fallen<'s>(engine: &Engine, services: &'s [String]) -> Result<Vec<&'s str>> {
    let manager = Manager::of(engine.root())?;
    let mut fallen = Vec::new();
    for name in services {
        if manager.has_just_fallen(name, FALLEN)? {
            fallen.push(name.as_str());
        }
    }
    Ok(fallen)
}

/// Mounts a volume by its line in fstab; `false` if there is none, or nothing to be mounted yet.
fn mount(engine: &Engine, volume: &Volume) -> Result<bool> {
    let root = engine.root();
    let fstab = observe::fstab(root)?;
    let mut rows = fstab.entries().filter(|row| row.entry.mount_point().as_ref() == Some(&volume.path));
    let (Some(row), None) = (rows.next(), rows.next()) else { return Ok(false) };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let source = text(&row.entry.spec);
    let is_there = match source.split_once('=') {
        Some(("LABEL", label)) => root.stat(&udev("by-label").child(label)).is_ok(),
        Some(("UUID", id)) => root.stat(&udev("by-uuid").child(id)).is_ok(),
        Some(_) => false,
        None => AbsPath::parse(&source).is_ok_and(|path| root.stat(&path).is_ok()),
    };
    if !is_there || row.entry.has_option("noauto") {
        return Ok(false);
    }
    volume::mount(root, &source, &volume.path, &text(&row.entry.vfstype), &text(&row.entry.options))?;
    Ok(true)
}

/// Where udev(7) makes links to disks.
fn udev(kind: &str) -> AbsPath {
    AbsPath::literal("/dev/disk").child(kind)
}

fn remark(what: &str, error: &Error) -> Remark {
    Remark { detail: format!("{what}: {}", error.chain()), hint: error.get_hint().unwrap_or_default().to_owned() }
}

/// Does something that should come to its end even if we are told to end meanwhile.
fn undisturbed<T>(what: impl FnOnce() -> T) -> T {
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
    let before = signals.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK);
    let done = what();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    done
}
