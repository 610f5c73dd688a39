//! What people read.

mod alarm;
mod candidates;
mod config;
mod doctor;
mod log;
mod peek;
mod plan;
mod report;
mod status;
mod table;
#[cfg(test)]
pub(super) mod tests;
mod text;
mod usage;
mod watch;

pub(super) use alarm::{alarms, deliveries};
pub(super) use candidates::candidates;
pub(super) use config::{declared, diagnostics, effective};
pub(super) use doctor::diagnosis;
pub(super) use log::{log, log_detail, log_line};
pub(super) use peek::peek;
pub(super) use plan::plan;
pub(super) use report::{recovered, report};
pub(super) use status::{status, volumes};
pub(super) use table::Table;
pub(super) use text::{clean, cut};
pub(super) use usage::usage;
pub(super) use watch::seen;
#[cfg(test)]
pub(super) use {candidates::tests as candidates_tests, usage::tests as usage_tests};

use datastore_core::Error;

use super::hint::typed;

/// An error with its causes on one line, and its hint on the next.
pub(super) fn error(error: &Error) -> String {
    let mut text = format!("datastore: {}\n", clean(&error.chain()));
    if let Some(hint) = error.get_hint() {
        text.push_str(&format!("hint: {}\n", clean(&typed(hint))));
    }
    text
}
