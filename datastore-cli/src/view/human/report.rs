//! What an operation came to.

use datastore_core::moving::Downtime;
use datastore_exec::report::Report;

use super::plan::{not_done, remarks};
use super::status::rows;
use super::text::{count, duration};
use crate::view::look::Look;

/// More rows than this are on the screen for nobody.
const MOST_ROWS: usize = 40;

/// One operation.
pub(in crate::view) fn report(report: &Report, look: Look) -> String {
    let mut out = String::new();
    for operation in &report.recovered {
        out.push_str(&format!("finished first what had stopped half-way: {operation}\n"));
    }
    let Report { goal, steps, done, .. } = report;
    if report.operation.is_none() {
        if report.notes.is_empty() {
            out.push_str(&format!("nothing to do: `{goal}`: all that it asks for is so already\n"));
        } else {
            out.push_str(&format!("`{goal}` changed nothing\n"));
        }
    } else if report.failed.is_empty() && done == steps {
        out.push_str(&format!("`{goal}`: {} done in {}\n", count(*done, "step"), duration(report.timing.apply_ms)));
    } else {
        out.push_str(&format!(
            "`{goal}`: {done} of {}; the rest was not done or was taken back\n",
            count(*steps, "step")
        ));
    }
    if let Some(downtime) = &report.downtime {
        out.push_str(&could_not_be_used(downtime));
    }
    if !report.failed.is_empty() {
        out.push_str("failed:\n");
        out.push_str(&rows(report.failed.iter().take(MOST_ROWS), true, look));
        if report.failed.len() > MOST_ROWS {
            out.push_str(&format!("... and {} more\n", report.failed.len() - MOST_ROWS));
        }
    }
    out.push_str(&not_done(&report.notes, Some(MOST_ROWS), look));
    out.push_str(&remarks(&report.remarks));
    out
}

/// How long, and what the time went into.
fn could_not_be_used(downtime: &Downtime) -> String {
    let time = |ms: u64| format!("{}.{:03} s", ms / 1000, ms % 1000);
    let parts: Vec<String> = downtime.parts.iter().map(|part| format!("{} {}", part.what, time(part.ms))).collect();
    format!("its data could not be used for {} ({})\n", time(downtime.ms), parts.join(", "))
}

/// All that `recover` did.
pub(in crate::view) fn recovered(reports: &[Report], look: Look) -> String {
    if reports.is_empty() {
        return "nothing to do: no operation stopped half-way\n".into();
    }
    reports.iter().map(|r| report(r, look)).collect()
}
