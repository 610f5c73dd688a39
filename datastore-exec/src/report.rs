//! What an operation came to.

use datastore_core::journal::{OperationId, Outcome};
use datastore_core::moving::Downtime;
use datastore_core::plan::{PlanId, Remark};
use datastore_core::status::Row;
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
    /// Things worth knowing.
    pub remarks: Vec<Remark>,
    /// Operations that had stopped half-way and were finished first.
    pub recovered: Vec<OperationId>,
    /// How long the app could not be used while its data was moved; `null` if nothing was.
    pub downtime: Option<Downtime>,
    /// Where the time went.
    pub timing: Timing,
}

impl Report {
    /// Whether something that was asked for was refused.
    #[must_use]
    pub fn refused(&self) -> bool {
        self.notes.iter().any(Row::is_denied)
    }
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
