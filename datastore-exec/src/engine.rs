//! The engine: each call is observe, then core, then act.

use std::path::Path;

use datastore_core::Result;
use datastore_core::goal::Goal;
use datastore_core::plan::PlanId;
use datastore_core::status::Status;
use datastore_core::value::AppName;
use datastore_core::verify::CheckedPlan;
use datastore_core::wanted::Wanted;

use crate::Root;
use crate::event::Listener;
use crate::report::{Report, Timing};

/// datastore on one root.
#[derive(Debug)]
pub struct Engine {
    root: Root,
}

/// A plan that was made and checked, and is not applied yet.
#[derive(Debug)]
#[must_use]
pub struct Prepared {
    /// The plan.
    pub checked: CheckedPlan,
    /// Where the time went so far.
    pub timing: Timing,
}
