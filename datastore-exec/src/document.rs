//! What programs read, whatever language they speak: the command prints these as JSON, and the C library hands out the same fields.
//! They are part of the interface. What stands by itself (status, a report, a diagnosis) is serialised as it is.

use datastore_core::diag::Diagnostic;
use datastore_core::log::LogRow;
use datastore_core::plan::{self, Load, Remark};
use datastore_core::state::State;
use datastore_core::status::Row;
use datastore_core::value::AppName;
use datastore_core::{Error, ErrorKind};
use serde::Serialize;

use crate::report::Report;
use crate::watch::Seen;

/// Something failed.
#[derive(Debug, Serialize)]
pub struct Failure<'a> {
    error: Wrong<'a>,
}

#[derive(Debug, Serialize)]
struct Wrong<'a> {
    kind: ErrorKind,
    message: &'a str,
    causes: Vec<String>,
    errno: Option<i32>,
    hint: Option<&'a str>,
}

impl<'a> Failure<'a> {
    /// This error, with all that caused it.
    #[must_use]
    pub fn of(error: &'a Error) -> Self {
        let first = std::error::Error::source(error);
        let causes = std::iter::successors(first, |cause| cause.source()).map(ToString::to_string).collect();
        let (message, hint) = (error.message(), error.get_hint());
        Self { error: Wrong { kind: error.kind(), message, causes, errno: error.errno(), hint } }
    }
}

/// A plan.
#[derive(Debug, Serialize)]
pub struct Plan<'a> {
    id: String,
    goal: String,
    host: String,
    empty: bool,
    saved: bool,
    steps: Vec<Step<'a>>,
    notes: &'a [Row],
    remarks: &'a [Remark],
    refused: usize,
    loads: &'a [Load],
}

#[derive(Debug, Serialize)]
struct Step<'a> {
    step: usize,
    kind: &'static str,
    app: &'a str,
    mount_point: String,
    text: String,
}

impl<'a> Plan<'a> {
    /// This plan; whether it is kept.
    #[must_use]
    pub fn of(plan: &'a plan::Plan, saved: bool) -> Self {
        let steps = plan.steps.iter().enumerate().map(|(i, step)| {
            let subject = step.mapping.and_then(|m| plan.mappings.get(m as usize));
            Step {
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

/// What is wrong in the configuration.
#[derive(Debug, Serialize)]
pub struct Diagnostics<'a> {
    diagnostics: &'a [&'a Diagnostic],
    errors: usize,
}

impl<'a> Diagnostics<'a> {
    /// These.
    #[must_use]
    pub fn of(diagnostics: &'a [&'a Diagnostic]) -> Self {
        Self { diagnostics, errors: diagnostics.iter().filter(|d| d.is_error()).count() }
    }
}

/// Operations that have run.
#[derive(Debug, Serialize)]
pub struct Log<'a> {
    /// The oldest first.
    pub operations: &'a [LogRow],
}

/// What was finished that had stopped half-way.
#[derive(Debug, Serialize)]
pub struct Recovered<'a> {
    /// What each came to.
    pub recovered: &'a [Report],
}

/// A configlet was written or removed at the wish of a program, or was so already.
#[derive(Debug, Serialize)]
pub struct Declared<'a> {
    /// The app.
    pub app: &'a AppName,
    /// The configlet.
    pub file: String,
    /// Whether anything has been changed.
    pub changed: bool,
    /// The operation that has changed it; `null` if nothing was changed.
    pub operation: Option<&'a str>,
    /// What is known besides.
    pub remarks: &'a [Remark],
    /// The command to go on with; empty if there is none.
    pub next: String,
}

impl<'a> Declared<'a> {
    /// What `config add` came to. `rows` are those of the app, as it is now: one that is disabled cannot be started.
    #[must_use]
    pub fn added(app: &'a AppName, report: &'a Report, rows: &[Row]) -> Self {
        let verb = if rows.iter().any(|row| row.state == State::Disabled) { "enable" } else { "start" };
        Self::of(app, report, format!("datastore {verb} {app}"))
    }

    /// What `config remove` came to.
    #[must_use]
    pub fn removed(app: &'a AppName, report: &'a Report) -> Self {
        Self::of(app, report, String::new())
    }

    fn of(app: &'a AppName, report: &'a Report, next: String) -> Self {
        let operation = report.operation.as_ref().map(datastore_core::journal::OperationId::as_str);
        let file = datastore_core::declaration::file_of(app);
        Self { app, file, changed: operation.is_some(), operation, remarks: &report.remarks, next }
    }
}

/// One line of `watch`.
#[derive(Debug, Serialize)]
pub struct Watched<'a> {
    /// Seconds since 1970.
    pub at: i64,
    /// What was seen.
    #[serde(flatten)]
    pub seen: Seen<'a>,
}

/// The guard lets a service start.
#[derive(Debug, Serialize)]
pub struct ServiceGuarded<'a> {
    /// The service.
    pub service: &'a str,
    /// The apps that name it, all of which have their data.
    pub apps: &'a [AppName],
    /// Always true: a refusal is an error.
    pub ready: bool,
}

/// The guard lets an app start.
#[derive(Debug, Serialize)]
pub struct Guarded<'a> {
    /// The app.
    pub app: &'a AppName,
    /// Always true: a refusal is an error.
    pub ready: bool,
}
