//! Raises and clears alarms after whatever looked at the machine, and keeps the open ones in `/var/lib/datastore/alarms.json`.
//!
//! Only root's runs do. With no alarm open and nothing wrong it costs one open(2) of a file that is not there.

mod sinks;

use std::collections::BTreeSet;
use std::time::Duration;

use datastore_core::alarm::{Alarm, Book, Change, Failure, Findings, Occasion, Sinks, Trouble};
use datastore_core::goal::Goal;
use datastore_core::plan::Remark;
use datastore_core::resolve::{Incumbents, resolve};
use datastore_core::state::{Reason, State};
use datastore_core::status::Row;
use datastore_core::value::{AppName, Attrs};
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use serde::Serialize;

use crate::durable::{self, Expect};
use crate::lock::{self, Attempt, Share};
use crate::report::Report;
use crate::root::Root;
use crate::sys::clock;
use crate::{load, observe, operation, run_files};

const DIR: &str = "/var/lib/datastore";
/// In the name of its temporary file.
const TAG: &str = "alarm";
const BOOK: &str = "/var/lib/datastore/alarms.json";
/// How long to wait for another run that is telling its own alarms: a command or a mail may take its time.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many are told one by one; a disk that has gone may take thousands of mappings with it, and who is called for each hears none.
const MOST: usize = 20;

/// What became of telling one alarm to one sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// `syslog`, `command`, `mail` or `events`.
    pub sink: &'static str,
    /// Where it went: a socket, a program, an address.
    pub to: String,
    /// Why it did not arrive; `null` if it was taken.
    pub error: Option<String>,
}

/// The open alarms.
///
/// # Errors
/// [`ErrorKind::Invalid`] if the file is damaged; [`ErrorKind::Privilege`] for whoever may not read it.
pub(crate) fn open(root: &Root) -> Result<Book> {
    let path = AbsPath::literal(BOOK);
    let Some(bytes) = observe::read(root, &path)? else { return Ok(Book::default()) };
    Book::parse(&bytes).map_err(|why| {
        Error::new(ErrorKind::Invalid, format!("{path} cannot be understood: {why}"))
            .hint(format!("remove it: whatever is still wrong is told again; rm {path}"))
    })
}

/// Tells what the result of a verb means. What cannot be told is said in the remarks and tried again the next time.
pub(crate) fn after(root: &Root, goal: &Goal, report: &mut Report) {
    let Some(apps) = goal.apps() else { return };
    // A configlet that was written tells nothing about what is bound.
    if matches!(goal, Goal::Declare(_)) {
        return;
    }
    let is_wrong = |row: &&Row| matches!(row.state, State::Refused | State::Interrupted);
    let wrong: Vec<&Row> = report.failed.iter().chain(report.notes.iter().filter(is_wrong)).collect();
    // Whoever takes an app down is told what failed, and nobody need be woken for it; nor for an app that is in somebody's hands.
    let brings_up = !matches!(goal, Goal::Stop(_) | Goal::Disable(_) | Goal::Remap(_));
    let (bad, other): (Vec<&Row>, Vec<&Row>) =
        wrong.into_iter().partition(|row| brings_up && row.reason != Some(Reason::Busy));
    let unsure: BTreeSet<(&str, &str)> =
        other.into_iter().map(|row| (row.app.as_str(), row.mount_point.as_str())).collect();
    let covers = |app: &str| {
        AppName::parse(app).is_ok_and(|app| apps.has(&app)) && !unsure.iter().any(|(a, at)| *a == app && at.is_empty())
    };
    let findings = Findings { bad, unsure: unsure.clone(), covers };
    report.remarks.extend(settle(root, &findings));
    // Nobody waits any more for the services of an app that was taken down on purpose.
    if matches!(goal, Goal::Stop(_) | Goal::Disable(_)) {
        report.remarks.extend(settle_services(root, covers, None));
    }
}

/// Tells that an app was kept from starting.
pub(crate) fn kept_from_starting(root: &Root, rows: &[Row]) {
    // Not for an app that was stopped on purpose, is not asked for, or waits for its owner.
    let is_wrong = |row: &&Row| matches!(row.state, State::Refused | State::Interrupted | State::Pending);
    let findings =
        Findings { bad: rows.iter().filter(is_wrong).collect(), unsure: BTreeSet::new(), covers: |_: &str| false };
    // Whoever starts the app is told of the refusal itself; the alarm is tried again the next time.
    let _ = settle(root, &findings);
}

/// Tells that an app may start again, if there was an alarm.
pub(crate) fn lets_start(root: &Root, app: &AppName) {
    let covers = |a: &str| a == app.as_str();
    let findings = Findings { bad: Vec::new(), unsure: BTreeSet::new(), covers };
    let _ = settle(root, &findings);
    let _ = settle_services(root, covers, None);
}

/// Tells that services of an app could not be stopped or started.
pub(crate) fn services_failed(root: &Root, app: &AppName, failure: &Failure) -> Vec<Remark> {
    settle_services(root, |_| false, Some((app.as_str(), failure)))
}

/// Tells that the services of an app run again, if there was an alarm.
pub(crate) fn services_run(root: &Root, app: &AppName) -> Vec<Remark> {
    settle_services(root, |a| a == app.as_str(), None)
}

/// Tells what whoever watches the machine has seen of mappings and of all volumes.
pub(crate) fn seen<F: Fn(&str) -> bool>(root: &Root, findings: &Findings<'_, F>, troubles: &[Trouble]) -> Vec<Remark> {
    let is_quiet = troubles.is_empty() && findings.bad.is_empty();
    change(root, is_quiet, |_| true, |book, now| book.settle(findings, now).and(book.settle_volumes(troubles, now)))
}

/// Sends a test through every sink that is configured.
pub(crate) fn test(root: &Root) -> Result<Vec<Delivery>> {
    operation::demand_privilege("send a test of the alarm")?;
    let (to, host) = configured(root)?;
    Ok(sinks::tell(root, &to, &Alarm::test(clock::now()), Occasion::Test, &host))
}

/// Takes findings into the book and tells what is new and what is over.
fn settle<F: Fn(&str) -> bool>(root: &Root, findings: &Findings<'_, F>) -> Vec<Remark> {
    let is_quiet = findings.bad.is_empty();
    change(root, is_quiet, |app| (findings.covers)(app), |book, now| book.settle(findings, now))
}

/// The same for what became of services.
fn settle_services(root: &Root, apps: impl Fn(&str) -> bool, failed: Option<(&str, &Failure)>) -> Vec<Remark> {
    change(root, failed.is_none(), &apps, |book, now| book.settle_services(&apps, failed, now))
}

/// Changes the book and tells what that comes to. Where nothing is wrong and no alarm concerns the apps nothing is done.
fn change(
    root: &Root,
    is_quiet: bool,
    covers: impl Fn(&str) -> bool,
    settle: impl FnOnce(&mut Book, i64) -> Change,
) -> Vec<Remark> {
    if !operation::privileged() {
        return Vec::new();
    }
    let concerns = |book: &Book| book.alarms.iter().any(|alarm| covers(&alarm.app));
    if is_quiet && open(root).is_ok_and(|book| !concerns(&book)) {
        return Vec::new();
    }
    let hint = || "datastore alarm test".to_owned();
    match change_locked(root, settle) {
        Ok(failed) => {
            let remark = |d: &Delivery| Remark {
                detail: format!("the alarm did not reach {} ({}): {}", d.sink, d.to, d.error.as_deref().unwrap_or("")),
                hint: hint(),
            };
            failed.iter().map(remark).collect()
        }
        Err(error) => vec![Remark { detail: format!("alarms could not be told: {}", error.chain()), hint: hint() }],
    }
}

/// Removes what a run left beside the book that stopped while it wrote.
///
/// # Errors
/// If it cannot be removed, or somebody tells alarms for long.
pub(crate) fn tidy(root: &Root) -> Result<()> {
    let dir = AbsPath::literal(DIR);
    if durable::leftovers(root, &dir, TAG)?.is_empty() {
        return Ok(());
    }
    let _lock = match lock::take(root, "alarm", Share::Exclusive, "alarm", PATIENCE)? {
        Attempt::Taken(lock) => lock,
        Attempt::Held(held) => return Err(held.into()),
    };
    for file in durable::leftovers(root, &dir, TAG)? {
        durable::remove_leftover(root, &file, TAG)?;
    }
    Ok(())
}

fn change_locked(root: &Root, settle: impl FnOnce(&mut Book, i64) -> Change) -> Result<Vec<Delivery>> {
    let lock = match lock::take(root, "alarm", Share::Exclusive, "alarm", PATIENCE)? {
        Attempt::Taken(lock) => lock,
        Attempt::Held(held) => return Err(held.into()),
    };
    // A book that cannot be understood must not keep an alarm from being told.
    let mut book = open(root).unwrap_or_default();
    let before = book.clone();
    let change = settle(&mut book, clock::now());
    let mut failed: Vec<Delivery> = Vec::new();
    if !change.raised.is_empty() || !change.cleared.is_empty() {
        let (to, host) = configured(root)?;
        let mut tell = |alarm: &Alarm, occasion: Occasion| {
            let told = sinks::tell(root, &to, alarm, occasion, &host);
            let before = failed.len();
            failed.extend(told.into_iter().filter(|d| d.error.is_some()));
            failed.len() == before
        };
        let mut told = Vec::new();
        for (alarms, occasion) in [(&change.raised, Occasion::Raised), (&change.cleared, Occasion::Cleared)] {
            let (first, rest) = alarms.split_at(alarms.len().min(MOST));
            told.extend(first.iter().filter(|alarm| tell(alarm, occasion)).cloned());
            if !rest.is_empty() && tell(&Alarm::many(rest.len(), clock::now()), occasion) {
                told.extend_from_slice(rest);
            }
        }
        book.told(&told);
    }
    if book != before {
        let _ = run_files::make_dirs(root, DIR, 0o755)?;
        let path = AbsPath::literal(BOOK);
        // Readable by everybody, as status is: a web page shows the open alarms.
        let _ = durable::replace(root, &path, &book.render(), TAG, Attrs::root(0o644), Expect::Anything)?;
    }
    drop(lock);
    failed.sort_by(|a, b| (a.sink, &a.to).cmp(&(b.sink, &b.to)));
    failed.dedup();
    Ok(failed)
}

/// Where alarms go, and the host's name for them.
fn configured(root: &Root) -> Result<(Sinks, String)> {
    let wanted = resolve(load::globals(root), &Incumbents::new());
    Ok((wanted.alarm, wanted.host.map(|host| host.to_string()).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Sandbox;

    #[test]
    fn services_raise_one_alarm_until_they_run() {
        Sandbox::run(|sandbox| {
            let (root, app) = (sandbox.root(), AppName::parse("shop").unwrap());
            assert_eq!(services_run(&root, &app), []);
            assert_eq!(open(&root).unwrap(), Book::default());
            let failure = Failure { detail: "shop.service could not be started".into(), hint: String::new() };
            for _ in 0..2 {
                assert_eq!(services_failed(&root, &app, &failure), []);
                let book = open(&root).unwrap();
                assert_eq!(book.alarms.len(), 1);
                assert!(book.alarms[0].told && book.alarms[0].word() == "service-failed", "{book:?}");
            }
            assert_eq!(services_run(&root, &AppName::parse("other").unwrap()), []);
            assert_eq!(open(&root).unwrap().alarms.len(), 1);
            assert_eq!(services_run(&root, &app), []);
            assert_eq!(open(&root).unwrap(), Book::default());
        });
    }
}
