//! The only place that prints. A view takes values and makes text; the text leaves here.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a view is for")]

mod completions;
pub(crate) mod effective;
pub(crate) mod hint;
mod human;
pub(crate) mod json;
mod look;
mod manual;
pub(crate) mod offers;
pub(crate) mod progress;

use std::io::{self, Write as _};

use clap::error::{ContextKind, ContextValue};
use datastore_core::alarm::Alarm;
use datastore_core::candidate::Candidates;
use datastore_core::diag::Diagnostic;
use datastore_core::doctor::Diagnosis;
use datastore_core::log::{LogDetail, LogRow};
use datastore_core::peek::Peek;
use datastore_core::plan::{Plan, PlanId};
use datastore_core::request::unparsable;
use datastore_core::status::{Status, VolumeRow};
use datastore_core::usage::Usage;
use datastore_core::wanted::Wanted;
use datastore_core::{Error, ErrorKind, Result};
use datastore_exec::alarm::Delivery;
use datastore_exec::document::{Declared, Watched};
use datastore_exec::report::Report;
use datastore_exec::watch::Seen;

pub(crate) use self::completions::{candidates, script};
use self::look::Look;
pub(crate) use self::manual::{page, pages};
use crate::exit::{Code, Exit};

/// How many lines of a plan are shown with the question.
const MOST_LINES: usize = 40;

/// Writes to standard output. A reader that went away (`| head`) is no error; a full disk is.
fn print(text: &str) -> Result<()> {
    print_to_reader(text).map(drop)
}

/// The same; `false` if the reader went away.
fn print_to_reader(text: &str) -> Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            Err(Error::new(ErrorKind::System, "the result cannot be written to standard output").caused_by(error))
        }
    }
}

/// Writes to standard error; there is nobody to tell if that fails.
fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Says what failed: on standard error for people, as an object on standard output for programs.
pub(crate) fn failed(error: &Error, as_json: bool) {
    if as_json {
        if let Err(unwritten) = json::error(error) {
            tell(&human::error(&unwritten));
        }
    } else {
        tell(&human::error(error));
    }
}

/// Says what is wrong with the command line, or prints the help that was asked for.
pub(crate) fn not_understood(error: &clap::Error, as_json: bool) -> Code {
    if as_json && error.use_stderr() {
        failed(&for_programs(error).hint("datastore --help"), true);
    } else {
        let _ = error.print();
    }
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() }
}

/// What is wrong with the command line, in one sentence; of a value, as the engine would say it.
fn for_programs(error: &clap::Error) -> Error {
    if let (Some(ContextValue::String(value)), Some(why)) =
        (error.get(ContextKind::InvalidValue), std::error::Error::source(error))
    {
        return unparsable(value, &why);
    }
    let text = error.to_string();
    let message = text.lines().next().unwrap_or_default();
    Error::new(ErrorKind::Usage, message.strip_prefix("error: ").unwrap_or(message))
}

/// A word on the side.
pub(crate) fn note(text: &str) {
    tell(&format!("{text}\n"));
}

/// A question, without the end of the line.
pub(crate) fn question(text: &str) {
    tell(text);
}

/// The plan above the question, cut to what can be read.
pub(crate) fn plan_to_confirm(plan: &Plan) -> Result<()> {
    print(&human::plan(plan, Some(MOST_LINES), Look::of_stdout()))
}

/// The answer of `plan`.
pub(crate) fn plan(plan: &Plan, saved: Option<&PlanId>, as_json: bool) -> Result<()> {
    if as_json {
        return json::plan(plan, saved.is_some());
    }
    let mut text = human::plan(plan, None, Look::of_stdout());
    if let Some(id) = saved {
        let command = hint::typed(&format!("datastore apply --plan {id}"));
        text.push_str(&format!("kept; to do exactly this: {command}\n"));
    }
    print(&text)
}

/// What an operation came to.
pub(crate) fn report(report: &Report, as_json: bool) -> Result<()> {
    if as_json { json::print(report) } else { print(&human::report(report, Look::of_stdout())) }
}

/// What `recover` came to.
pub(crate) fn recovered(reports: &[Report], as_json: bool) -> Result<()> {
    if as_json { json::recovered(reports) } else { print(&human::recovered(reports, Look::of_stdout())) }
}

/// What is. `named` if apps were asked for by name.
pub(crate) fn status(status: &Status, named: bool, as_json: bool) -> Result<()> {
    if as_json { json::print(status) } else { print(&human::status(status, named, Look::of_stdout())) }
}

/// The answer of `volume list`.
pub(crate) fn volumes(volumes: &[VolumeRow], as_json: bool) -> Result<()> {
    if as_json { json::volumes(volumes) } else { print(&human::volumes(volumes, Look::of_stdout())) }
}

/// The answer of `volume candidates`.
pub(crate) fn devices(found: &Candidates, as_json: bool) -> Result<()> {
    if as_json { json::print(found) } else { print(&human::candidates(found, Look::of_stdout())) }
}

/// The answer of `usage`.
pub(crate) fn usage(usage: &Usage, as_json: bool) -> Result<()> {
    if as_json { json::print(usage) } else { print(&human::usage(usage, Look::of_stdout())) }
}

/// The open alarms.
pub(crate) fn alarms(alarms: &[Alarm], as_json: bool) -> Result<()> {
    if as_json { json::alarms(alarms) } else { print(&human::alarms(alarms, Look::of_stdout())) }
}

/// Which ways a test of the alarm took.
pub(crate) fn deliveries(told: &[Delivery], as_json: bool) -> Result<()> {
    if as_json { json::deliveries(told) } else { print(&human::deliveries(told)) }
}

/// The answer of `doctor`.
pub(crate) fn diagnosis(diagnosis: &Diagnosis, as_json: bool) -> Result<()> {
    if as_json { json::print(diagnosis) } else { print(&human::diagnosis(diagnosis, Look::of_stdout())) }
}

/// The answer of `peek`.
pub(crate) fn peek(peek: &Peek, as_json: bool) -> Result<()> {
    if as_json { json::print(peek) } else { print(&human::peek(peek, Look::of_stdout())) }
}

/// The answer of `log`.
pub(crate) fn log(rows: &[LogRow], as_json: bool) -> Result<()> {
    if as_json { json::log(rows) } else { print(&human::log(rows, Look::of_stdout())) }
}

/// The answer of `log --operation`.
pub(crate) fn log_detail(detail: &LogDetail, as_json: bool) -> Result<()> {
    if as_json { json::print(detail) } else { print(&human::log_detail(detail, Look::of_stdout())) }
}

/// One line of `log --follow`; `false` if nobody reads any more.
pub(crate) fn log_line(row: &LogRow, as_json: bool) -> Result<bool> {
    let line = if as_json { json::line(row)? } else { human::log_line(row, Look::of_stdout()) };
    print_to_reader(&line)
}

/// One line of `watch`; `false` if nobody reads it any more. The journal has a time of its own.
pub(crate) fn seen(seen: Seen<'_>, as_json: bool) -> Result<bool> {
    let now = std::time::SystemTime::now();
    let line = if as_json {
        let at =
            now.duration_since(std::time::UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
        json::line(&Watched { at, seen })?
    } else if std::env::var_os("JOURNAL_STREAM").is_some() {
        human::seen(&seen, Look::of_stdout())
    } else {
        format!("{} {}", humantime::format_rfc3339_seconds(now), human::seen(&seen, Look::of_stdout()))
    };
    print_to_reader(&line)
}

/// The answer of `config check`.
pub(crate) fn diagnostics(found: &[&Diagnostic], wanted: &Wanted, as_json: bool) -> Result<()> {
    if as_json { json::diagnostics(found) } else { print(&human::diagnostics(found, wanted)) }
}

/// What `config add` or `config remove` came to.
pub(crate) fn declared(declared: &Declared<'_>, as_json: bool) -> Result<()> {
    if as_json { json::print(declared) } else { print(&human::declared(declared)) }
}

/// The answer of `config import`: the TOML on standard output, what was found on standard error.
pub(crate) fn imported(text: &str, found: &[Diagnostic], as_json: bool) -> Result<()> {
    if as_json {
        return json::imported(text, found);
    }
    for finding in found {
        tell(&format!("{finding}\n"));
    }
    // Half a configlet must not come into a file.
    if found.iter().any(Diagnostic::is_error) { Ok(()) } else { print(text) }
}
