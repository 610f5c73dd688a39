//! What an operation came to.

use datastore_core::journal::{OperationId, Outcome};
use datastore_core::moving::Downtime;
use datastore_core::plan::{PlanId, Remark};
use datastore_core::status::Row;
use datastore_core::value::AppName;
use serde::Serialize;

/// The result of a verb that changes something. Serialised, this is what `--json` prints.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was asked for, as on the command line.
    pub goal: String,
    /// The operation; `null` if there was nothing to do.
    pub operation: Option<OperationId>,
    /// The plan that was applied.
    pub plan: PlanId,
    /// How it ended; `null` if there was nothing to do.
    pub outcome: Option<Outcome>,
    /// How many steps there were.
    pub steps: usize,
    /// How many of them were done and not taken back.
    pub done: usize,
    /// Mappings whose steps failed and were taken back, with the reason.
    pub failed: Vec<Row>,
    /// Mappings that were asked for and that no step touched: refused, waiting, stopped.
    pub notes: Vec<Row>,
    /// How the app is whose data was moved; `null` where none was.
    pub probe: Option<Probed>,
    /// Things worth knowing.
    pub remarks: Vec<Remark>,
    /// Operations that had stopped half-way and were finished first.
    pub recovered: Vec<OperationId>,
    /// How long the app could not be used while its data was moved; `null` if nothing was.
    pub downtime: Option<Downtime>,
    /// Where the time went.
    pub timing: Timing,
    /// Whether something is neither as it was nor as it was to be; `remarks` tell what.
    #[serde(skip)]
    pub torn: bool,
}

impl Report {
    /// Whether something that was asked for was refused.
    #[must_use]
    pub fn refused(&self) -> bool {
        self.notes.iter().any(Row::is_denied)
    }
}

/// How an app is after its data was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probed {
    /// The app.
    pub app: AppName,
    /// Whether the guard lets it start; `null` if it was stopped before, so that nothing is bound.
    pub ready: Option<bool>,
    /// Why not: a sentence; empty if it does.
    pub detail: String,
    /// What to do then.
    pub hint: String,
    /// What ran before, in the order in which it was started again.
    pub services: Vec<ServiceRow>,
}

impl Probed {
    /// One of which the guard has not been asked.
    pub(crate) fn of(app: &AppName, services: Vec<ServiceRow>) -> Self {
        Self { app: app.clone(), ready: None, detail: String::new(), hint: String::new(), services }
    }

    /// Whether it may start, and all that ran before runs again.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.ready != Some(false) && self.failed().next().is_none()
    }

    /// The services that do not run again.
    pub fn failed(&self) -> impl Iterator<Item = &ServiceRow> {
        self.services.iter().filter(|row| row.state == ServiceState::Failed)
    }
}

/// A service that was stopped and started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceRow {
    /// Its name.
    pub service: String,
    /// How it is.
    pub state: ServiceState,
    /// Why it failed: a sentence; empty if it did not.
    pub detail: String,
    /// What to do then.
    pub hint: String,
}

/// How a service is that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// It runs.
    Running,
    /// It has done what it is for, and ended well.
    Ended,
    /// It was not started, or is down again.
    Failed,
}

/// Where the time went, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Timing {
    /// Reading configuration.
    pub load_ms: f64,
    /// Looking at the machine.
    pub observe_ms: f64,
    /// Planning and checking the plan.
    pub plan_ms: f64,
    /// Carrying out all steps, the journal included.
    pub apply_ms: f64,
    /// Of that, the steps that bind.
    pub bind_ms: f64,
}
