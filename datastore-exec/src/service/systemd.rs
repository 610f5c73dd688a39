//! systemd, by its D-Bus interface (org.freedesktop.systemd1(5)).
//!
//! It is asked on the system bus, its documented interface. Where that does not answer nothing is stopped: systemd's own socket, which
//! systemctl(1) uses, is none of its promises, and its messages are not such as zbus reads.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use datastore_core::moving::Running;
use datastore_core::path::printable;
use datastore_core::plan::Remark;
use datastore_core::{Error, ErrorKind, Result, unit};
use futures_lite::StreamExt as _;
use zbus::blocking::Connection;
use zbus::connection::Builder;
use zbus::zvariant::{OwnedObjectPath, OwnedValue};
use zbus::{MatchRule, MessageStream};

use super::{Down, State, Up, failed};

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
/// The system bus. Where it is said to be by the environment does not count: whoever runs us may not choose whom we ask.
const SYSTEM: &str = "unix:path=/run/dbus/system_bus_socket";

/// A single answer may take so long: systemd reads units anew meanwhile, for example.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a state is looked at that systemd sends no signal for.
const PAUSE: Duration = Duration::from_millis(20);

/// Units that start others: stopped with what they start.
const TRIGGERS: &str = "TriggeredBy";
/// What has a unit started with it (systemd.unit(5): Wants=, Requires=, BindsTo=).
const WANTERS: [&str; 3] = ["WantedBy", "RequiredBy", "BoundBy"];
/// By whose stop a unit is stopped as well (systemd.unit(5): Requires=, Requisite=, BindsTo=, PartOf=, PropagatesStopTo=).
const DEPENDENTS: [&str; 5] = ["RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf", "PropagatesStopTo"];
/// What is started again after it went down with another unit. Not a target, which would take along what did not run.
const KINDS: [&str; 4] = [".service", ".socket", ".timer", ".path"];

/// A connection to systemd.
#[derive(Debug)]
pub struct Bus {
    connection: Connection,
}

/// A unit, by its object.
struct Unit<'a> {
    bus: &'a Bus,
    /// Its own name, whatever alias it was asked for by.
    id: String,
    path: OwnedObjectPath,
}

impl Bus {
    pub(super) fn connect() -> Result<Self> {
        let connect = || {
            let connection = zbus::block_on(Builder::address(SYSTEM)?.method_timeout(PATIENCE).build())?;
            let bus = Self { connection: connection.into() };
            // Without this systemd tells nobody of jobs; and it shows that somebody is there.
            bus.connection.call_method(Some(NAME), PATH, Some(MANAGER), "Subscribe", &())?;
            Ok(bus)
        };
        let hint = "is dbus installed, and does it run? systemctl status dbus.socket";
        connect().map_err(|error| says(error, "systemd does not answer on the system bus; nothing was stopped", hint))
    }

    fn unit(&self, name: &str) -> Result<Unit<'_>> {
        let name = unit::service(name);
        let failed = |error| says(error, &format!("systemd does not say what {name} is"), &look_at(&name));
        let answer =
            self.connection.call_method(Some(NAME), PATH, Some(MANAGER), "LoadUnit", &(&name,)).map_err(failed)?;
        let path: OwnedObjectPath = answer.body().deserialize().map_err(failed)?;
        let mut unit = Unit { bus: self, id: name, path };
        unit.id = unit.text("Id")?;
        Ok(unit)
    }

    pub(super) fn state(&self, name: &str) -> Result<State> {
        self.unit(name)?.state()
    }

    pub(super) fn running<S: AsRef<str>>(&self, names: &[S]) -> Result<(Running, Vec<Remark>)> {
        let (mut found, mut remarks) = (Running::default(), Vec::new());
        // What was asked for comes first, what goes down with it behind; a dependent is never before what it depends on, for
        // what it shares with an earlier one was found there.
        let mut waiting: Vec<Vec<String>> = names.iter().map(|name| vec![unit::service(name.as_ref())]).collect();
        let mut seen = HashSet::new();
        for group in &mut waiting {
            let mut next = 0;
            while let Some(name) = group.get(next).cloned() {
                let asked_for = next == 0;
                next += 1;
                let unit = self.unit(&name)?;
                if !seen.insert(unit.id.clone()) {
                    continue;
                }
                let state = unit.state()?;
                if asked_for && let Some(remark) = passed_over(&unit.id, state) {
                    remarks.push(remark);
                }
                let is_service = unit.id.ends_with(".service");
                if state == State::Running {
                    unit.demand_by_hand()?;
                    if is_service {
                        found.services.push(unit.id.clone());
                    } else {
                        found.triggers.push(unit.id.clone());
                    }
                    for kind in DEPENDENTS {
                        group.extend(
                            unit.list(kind)?.into_iter().filter(|n| KINDS.iter().any(|kind| n.ends_with(kind))),
                        );
                    }
                }
                // These start it also while it is down.
                if is_service {
                    group.extend(unit.list(TRIGGERS)?);
                }
            }
        }
        Ok((found, remarks))
    }

    pub(super) fn stop(&self, name: &str, limit: Duration) -> Result<Down> {
        let begun = Instant::now();
        let unit = self.unit(name)?;
        if unit.state()? != State::Running {
            return Ok(Down::Already);
        }
        let result = unit.job("StopUnit", "could not be stopped", limit, limit)?;
        let id = &unit.id;
        while unit.state()? == State::Running {
            let over = begun.elapsed() >= limit;
            if over || result != "done" {
                let what = if result == "done" { "it was started again meanwhile" } else { job_says(&result) };
                return Err(failed(format!("{id} could not be stopped: {what}"), look_at(id)));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(if unit.state()? == State::Failed { Down::Badly } else { Down::Ended })
    }

    pub(super) fn start(&self, name: &str, limit: Duration) -> Result<u32> {
        let begun = Instant::now();
        let unit = self.unit(name)?;
        let id = &unit.id;
        // A job to start it would wait for its end too. But systemd tries that job again at each change on the way down and counts
        // each time against StartLimitBurst=, until it refuses. If there is no end to it the job is left with systemd all the same.
        while begun.elapsed() < limit && unit.text("ActiveState")? == "deactivating" {
            std::thread::sleep(PAUSE);
        }
        if unit.is_settled_up()? {
            return Ok(unit.restarts());
        }
        // Nor do starts count that were before: it ran, and was stopped for us.
        let reset = self.connection.call_method(Some(NAME), PATH, Some(MANAGER), "ResetFailedUnit", &(id,)).map(|_| ());
        match reset {
            // Not loaded, so that it counts nothing.
            Err(zbus::Error::MethodError(name, ..)) if name.ends_with(".NoSuchUnit") => {}
            other => other.map_err(|error| says(error, &format!("{id} could not be started"), &look_at(id)))?,
        }
        let result = unit.job("StartUnit", "could not be started", limit.saturating_sub(begun.elapsed()), limit)?;
        if result != "done" {
            let why = unit.why().unwrap_or_else(|| job_says(&result).to_owned());
            return Err(failed(format!("{id} could not be started: {why}"), look_at(id)));
        }
        Ok(unit.restarts())
    }

    pub(super) fn ask_to_start(&self, name: &str) -> Result<()> {
        let unit = self.unit(name)?;
        let id = &unit.id;
        let asked =
            self.connection.call_method(Some(NAME), PATH, Some(MANAGER), "StartUnit", &(id, "replace")).map(|_| ());
        asked.map_err(|error| says(error, &format!("{id} could not be started"), &look_at(id)))
    }

    pub(super) fn is_wanted(&self, name: &str) -> Result<bool> {
        let unit = self.unit(name)?;
        let is_down = matches!(unit.state()?, State::Stopped | State::Failed);
        Ok(is_down
            && WANTERS.iter().try_fold(false, |found, kind| Ok::<_, Error>(found || !unit.list(kind)?.is_empty()))?)
    }

    pub(super) fn has_just_fallen(&self, name: &str, within: Duration) -> Result<bool> {
        let unit = self.unit(name)?;
        Ok(match unit.text("ActiveState")?.as_str() {
            "deactivating" => true,
            "inactive" | "failed" => {
                let since = Duration::from_micros(unit.get("InactiveEnterTimestampMonotonic")?);
                let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
                let now = Duration::try_from(now).unwrap_or_default();
                // One that has never run has no such time.
                !since.is_zero() && now.saturating_sub(since) <= within
            }
            _ => false,
        })
    }

    pub(super) fn probe(&self, name: &str, restarts: u32) -> Result<Up> {
        let unit = self.unit(name)?;
        let id = &unit.id;
        match unit.text("ActiveState")?.as_str() {
            // One that is started again and again is up for an instant now and then.
            "active" | "reloading" | "refreshing" if unit.restarts() == restarts => Ok(Up::Runs),
            // Without RemainAfterExit= such a one has run and is down again, and that is well.
            "inactive" if unit.service("Type").is_some_and(|kind: String| kind == "oneshot") => Ok(Up::Ended),
            _ => {
                let why = unit.why().unwrap_or_else(|| "it did not stay up".to_owned());
                Err(failed(format!("{id} was started and is down again: {why}"), look_at(id)))
            }
        }
    }
}

impl Unit<'_> {
    fn property(&self, interface: &str, name: &str) -> zbus::Result<OwnedValue> {
        let properties = Some("org.freedesktop.DBus.Properties");
        let bus = &self.bus.connection;
        let answer = bus.call_method(Some(NAME), &self.path, properties, "Get", &(interface, name))?;
        answer.body().deserialize()
    }

    fn get<T: TryFrom<OwnedValue>>(&self, name: &str) -> Result<T>
    where
        zbus::Error: From<T::Error>,
    {
        let value = self.property(UNIT, name).and_then(|value| T::try_from(value).map_err(zbus::Error::from));
        value.map_err(|error| says(error, &format!("systemd does not tell {name} of {}", self.id), &look_at(&self.id)))
    }

    fn text(&self, name: &str) -> Result<String> {
        self.get(name)
    }

    /// A list of units; empty where this systemd does not know the property (PropagatesStopTo came with 249).
    fn list(&self, name: &str) -> Result<Vec<String>> {
        match self.get(name) {
            Err(error) if unknown_property(&error) => Ok(Vec::new()),
            other => other,
        }
    }

    fn state(&self) -> Result<State> {
        match self.text("ActiveState")?.as_str() {
            "inactive" | "failed" | "maintenance" => {}
            // active, reloading, refreshing, activating (auto-restart too), deactivating
            _ => return Ok(State::Running),
        }
        Ok(match self.text("LoadState")?.as_str() {
            "masked" => State::Masked,
            "not-found" => State::NotInstalled,
            _ if self.text("ActiveState")? == "failed" => State::Failed,
            _ => State::Stopped,
        })
    }

    /// Whether it is up, and not on its way down or waiting to be started again.
    fn is_settled_up(&self) -> Result<bool> {
        let (job, _): (u32, OwnedObjectPath) = self.get("Job").and_then(|value: OwnedValue| {
            <(u32, OwnedObjectPath)>::try_from(value)
                .map_err(|error| says(error.into(), &format!("systemd does not tell the job of {}", self.id), ""))
        })?;
        Ok(job == 0 && self.text("ActiveState")? == "active")
    }

    /// What runs must be such that somebody may stop it and start it.
    fn demand_by_hand(&self) -> Result<()> {
        for (property, what) in [("CanStop", "stopped"), ("CanStart", "started again once it is down")] {
            if !self.get::<bool>(property)? {
                let message = format!("{} runs and could not be {what} (it is {})", self.id, self.text("LoadState")?);
                let hint = format!(
                    "systemctl cat {}: is it masked or removed, or has it RefuseManualStart= or RefuseManualStop=?",
                    self.id
                );
                return Err(Error::new(ErrorKind::Refused, message).hint(hint));
            }
        }
        Ok(())
    }

    /// What is said when time is up.
    fn late(&self, what: &str, limit: Duration) -> Error {
        let how = self.text("SubState").unwrap_or_else(|error| error.chain());
        let limit = humantime::format_duration(limit);
        failed(format!("{} {what} within {limit} (it is {how})", self.id), look_at(&self.id))
    }

    /// Has systemd do a job and waits for its result, as long as is left of the limit.
    fn job(&self, method: &str, could_not: &str, left: Duration, limit: Duration) -> Result<String> {
        let what = format!("{} {could_not}", self.id);
        let error = |error| says(error, &what, &look_at(&self.id));
        let mut rule = MatchRule::builder().msg_type(zbus::message::Type::Signal).interface(MANAGER).map_err(error)?;
        rule = rule.member("JobRemoved").map_err(error)?;
        let connection = self.bus.connection.inner();
        // Listening begins before the job does, so that its end is not missed.
        let mut signals =
            zbus::block_on(MessageStream::for_match_rule(rule.build(), connection, Some(4096))).map_err(error)?;
        // "replace" takes the place of a job of the other kind that is still under way.
        let answer = self.bus.connection.call_method(Some(NAME), PATH, Some(MANAGER), method, &(&self.id, "replace"));
        let job: OwnedObjectPath = answer.and_then(|answer| answer.body().deserialize()).map_err(error)?;
        let ended = async {
            while let Some(signal) = signals.next().await {
                let (_, ended, _, result): (u32, OwnedObjectPath, String, String) = signal?.body().deserialize()?;
                if ended == job {
                    return Ok(Some(result));
                }
            }
            Err(zbus::Error::Failure("the connection was closed".into()))
        };
        let over = async {
            async_io::Timer::after(left).await;
            Ok(None)
        };
        match zbus::block_on(futures_lite::future::or(ended, over)).map_err(error)? {
            Some(result) => Ok(result),
            None => Err(self.late(could_not, limit)),
        }
    }

    /// A property that only services have; none of other units, or where this systemd does not know it.
    fn service<T: TryFrom<OwnedValue>>(&self, name: &str) -> Option<T> {
        T::try_from(self.property(SERVICE, name).ok()?).ok()
    }

    /// How often it was started again by itself since somebody started it (systemd 235 counts that).
    fn restarts(&self) -> u32 {
        self.service("NRestarts").unwrap_or(0)
    }

    /// What systemd knows of a failure, in words.
    fn why(&self) -> Option<String> {
        let told = |name: &str| self.property(UNIT, name).ok();
        let (asserted, conditions) = (told("AssertTimestamp"), told("AssertResult"));
        if u64::try_from(asserted?).is_ok_and(|t| t > 0) && !bool::try_from(conditions?).unwrap_or(true) {
            return Some("an Assert...= of the unit does not hold".into());
        }
        let result: String = self.service("Result")?;
        let status: i32 = self.service("ExecMainStatus")?;
        match result.as_str() {
            "success" => None,
            "exit-code" if status != 0 => Some(format!("its program ended with status {status}")),
            other => Some(format!("systemd's word is `{other}`")),
        }
    }
}

/// Why something that was asked for is passed over.
fn passed_over(id: &str, state: State) -> Option<Remark> {
    let (detail, hint) = match state {
        State::Masked => {
            (format!("{id} is masked: it is neither stopped nor started"), format!("systemctl unmask {id}"))
        }
        State::NotInstalled => (
            format!("there is no {id} on this machine: it is neither stopped nor started"),
            "install it, or take it out of `services`".into(),
        ),
        _ => return None,
    };
    Some(Remark { detail, hint })
}

/// systemd's word for how a job ended (org.freedesktop.systemd1(5), JobRemoved), as the end of a sentence.
fn job_says(result: &str) -> &str {
    match result {
        "canceled" => "somebody else cancelled it",
        "timeout" => "it took longer than its unit allows",
        "dependency" => "something that it depends on failed",
        "skipped" => "systemd found that it does not apply",
        "failed" => "systemd says that it failed",
        other => other,
    }
}

pub(super) fn look_at(name: &str) -> String {
    format!("systemctl status {}", unit::service(name))
}

fn says(error: zbus::Error, message: &str, hint: &str) -> Error {
    use zbus::Error::MethodError;
    let (kind, text) = match &error {
        MethodError(name, text, _)
            if name.ends_with(".AccessDenied") || name.ends_with(".InteractiveAuthorizationRequired") =>
        {
            (ErrorKind::Privilege, text.clone())
        }
        MethodError(_, text, _) => (ErrorKind::System, text.clone()),
        _ => (ErrorKind::System, None),
    };
    let text = text.map_or_else(String::new, |text| format!(": {}", printable(text.as_bytes())));
    Error::new(kind, format!("{message}{text}")).hint(hint).caused_by(error)
}

fn unknown_property(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<zbus::Error>());
    matches!(cause, Some(zbus::Error::MethodError(name, ..)) if name.ends_with(".UnknownProperty"))
}
