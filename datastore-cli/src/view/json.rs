//! What programs read: one document on standard output. Field names are part of the interface; those of rows and reports are chosen in
//! core and exec.

use datastore_core::alarm::Alarm;
use datastore_core::diag::Diagnostic;
use datastore_core::log::LogRow;
use datastore_core::plan::{Load, Plan, Remark};
use datastore_core::status::{Row, VolumeRow};
use datastore_core::value::AppName;
use datastore_core::{Error, ErrorKind, Result};
use datastore_exec::alarm::Delivery;
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

#[derive(Serialize)]
struct Failure<'a> {
    error: Wrong<'a>,
}

#[derive(Serialize)]
struct Wrong<'a> {
    kind: ErrorKind,
    message: &'a str,
    causes: Vec<String>,
    errno: Option<i32>,
    hint: Option<&'a str>,
}

impl<'a> Failure<'a> {
    fn of(error: &'a Error) -> Self {
        let first = std::error::Error::source(error);
        let causes = std::iter::successors(first, |cause| cause.source()).map(ToString::to_string).collect();
        let (message, hint) = (error.message(), error.get_hint());
        Self { error: Wrong { kind: error.kind(), message, causes, errno: error.errno(), hint } }
    }
}

pub(super) fn error(error: &Error) -> Result<()> {
    print(&Failure::of(error))
}

#[derive(Serialize)]
struct PlanView<'a> {
    id: String,
    goal: String,
    host: String,
    empty: bool,
    saved: bool,
    steps: Vec<StepView<'a>>,
    notes: &'a [Row],
    remarks: &'a [Remark],
    refused: usize,
    loads: &'a [Load],
}

#[derive(Serialize)]
struct StepView<'a> {
    step: usize,
    kind: &'static str,
    app: &'a str,
    mount_point: String,
    text: String,
}

impl<'a> PlanView<'a> {
    fn of(plan: &'a Plan, saved: bool) -> Self {
        let steps = plan.steps.iter().enumerate().map(|(i, step)| {
            let subject = step.mapping.and_then(|m| plan.mappings.get(m as usize));
            StepView {
                step: i + 1,
                kind: step.action.kind(),
                app: subject.map(|s| &s.app).or(step.action.app()).map_or("", AppName::as_str),
                mount_point: subject.map(|s| s.mount_point.to_string()).unwrap_or_default(),
                text: step.action.to_string(),
            }
        });
        Self {
            id: plan.id().to_string(),
            goal: plan.goal.to_string(),
            host: plan.host.as_ref().map(ToString::to_string).unwrap_or_default(),
            empty: plan.is_empty(),
            saved,
            steps: steps.collect(),
            notes: &plan.notes,
            remarks: &plan.remarks,
            refused: plan.refused(),
            loads: &plan.loads,
        }
    }
}

pub(super) fn plan(plan: &Plan, saved: bool) -> Result<()> {
    print(&PlanView::of(plan, saved))
}

#[derive(Serialize)]
struct Volumes<'a> {
    volumes: &'a [VolumeRow],
}

pub(super) fn volumes(volumes: &[VolumeRow]) -> Result<()> {
    print(&Volumes { volumes })
}

#[derive(Serialize)]
struct Log<'a> {
    operations: &'a [LogRow],
}

pub(super) fn log(operations: &[LogRow]) -> Result<()> {
    print(&Log { operations })
}

#[derive(Serialize)]
struct Recovered<'a> {
    recovered: &'a [Report],
}

pub(super) fn recovered(recovered: &[Report]) -> Result<()> {
    print(&Recovered { recovered })
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

#[derive(Serialize)]
struct Diagnostics<'a> {
    diagnostics: &'a [&'a Diagnostic],
    errors: usize,
}

pub(super) fn diagnostics(diagnostics: &[&Diagnostic]) -> Result<()> {
    print(&Diagnostics { diagnostics, errors: diagnostics.iter().filter(|d| d.is_error()).count() })
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

#[derive(Serialize)]
struct Guarded<'a> {
    app: &'a str,
    ready: bool,
}

/// The app may start; a refusal is an error object.
pub(crate) fn guarded(app: &AppName) -> Result<()> {
    print(&Guarded { app: app.as_str(), ready: true })
}

#[derive(Serialize)]
struct Initialised<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// What `--enable` came to; `null` without it.
    enable: Option<&'a Report>,
    /// The apps that are declared and not asked for.
    offers: &'a [Offer],
}

/// The report of `init`, with what came after it.
pub(crate) fn init(report: &Report, enable: Option<&Report>, offers: &[Offer]) -> Result<()> {
    print(&Initialised { report, enable, offers })
}

#[cfg(test)]
mod tests;
