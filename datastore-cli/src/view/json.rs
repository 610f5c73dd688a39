//! What programs read: one document on standard output. Field names are part of the interface; most are chosen in core and exec, where the
//! C library has them from too.

use datastore_core::alarm::Alarm;
use datastore_core::diag::Diagnostic;
use datastore_core::log::LogRow;
use datastore_core::plan::Plan;
use datastore_core::status::VolumeRow;
use datastore_core::value::AppName;
use datastore_core::{Error, ErrorKind, Result};
use datastore_exec::alarm::Delivery;
use datastore_exec::document;
use datastore_exec::report::Report;
use serde::Serialize;

use super::offers::Offer;

/// Prints a document.
pub(crate) fn print(document: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(document).map_err(unwritable)?;
    text.push('\n');
    super::print(&text)
}

/// A document on one line, for those who read many.
pub(super) fn line(document: &impl Serialize) -> Result<String> {
    serde_json::to_string(document).map(|text| text + "\n").map_err(unwritable)
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::System, "the result cannot be written as JSON").caused_by(error)
}

pub(super) fn error(error: &Error) -> Result<()> {
    print(&document::Failure::of(error))
}

pub(super) fn plan(plan: &Plan, saved: bool) -> Result<()> {
    print(&document::Plan::of(plan, saved))
}

#[derive(Serialize)]
struct Volumes<'a> {
    volumes: &'a [VolumeRow],
}

pub(super) fn volumes(volumes: &[VolumeRow]) -> Result<()> {
    print(&Volumes { volumes })
}

pub(super) fn log(operations: &[LogRow]) -> Result<()> {
    print(&document::Log { operations })
}

pub(super) fn recovered(recovered: &[Report]) -> Result<()> {
    print(&document::Recovered { recovered })
}

#[derive(Serialize)]
struct Alarms<'a> {
    alarms: &'a [Alarm],
}

pub(super) fn alarms(alarms: &[Alarm]) -> Result<()> {
    print(&Alarms { alarms })
}

#[derive(Serialize)]
struct Deliveries<'a> {
    deliveries: &'a [Delivery],
}

pub(super) fn deliveries(deliveries: &[Delivery]) -> Result<()> {
    print(&Deliveries { deliveries })
}

pub(super) fn diagnostics(diagnostics: &[&Diagnostic]) -> Result<()> {
    print(&document::Diagnostics::of(diagnostics))
}

#[derive(Serialize)]
struct Imported<'a> {
    toml: &'a str,
    diagnostics: &'a [Diagnostic],
    errors: usize,
}

pub(super) fn imported(toml: &str, diagnostics: &[Diagnostic]) -> Result<()> {
    print(&Imported { toml, diagnostics, errors: diagnostics.iter().filter(|d| d.is_error()).count() })
}

/// The app may start; a refusal is an error object.
pub(crate) fn guarded(app: &AppName) -> Result<()> {
    print(&document::Guarded { app, ready: true })
}

/// The service may start; a refusal is an error object.
pub(crate) fn service_guarded(service: &str, apps: &[AppName]) -> Result<()> {
    print(&document::ServiceGuarded { service, apps, ready: true })
}

#[derive(Serialize)]
struct Adopted<'a> {
    #[serde(flatten)]
    report: &'a Report,
    enable: Option<&'a Report>,
}

#[derive(Serialize)]
struct Initialised<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// What `--enable` came to; `null` without it.
    enable: Option<&'a Report>,
    /// What `--import` came to, app by app.
    import: &'a [Report],
    /// The apps that are declared and not asked for.
    offers: &'a [Offer],
}

/// The report of `init`, with what came after it.
pub(crate) fn init(report: &Report, enable: Option<&Report>, import: &[Report], offers: &[Offer]) -> Result<()> {
    print(&Initialised { report, enable, import, offers })
}

/// The report of `adopt`, with that of the binds that came after it.
pub(crate) fn adopted(report: &Report, enable: Option<&Report>) -> Result<()> {
    print(&Adopted { report, enable })
}

#[cfg(test)]
mod tests;
