//! What an operation came to.

use datastore_core::moving::Downtime;
use datastore_exec::report::{Probed, Report, ServiceState};

use super::plan::{not_done, remarks};
use super::status::rows;
use super::text::{clean, count, duration};
use crate::view::hint::typed;
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
    } else if report.failed.is_empty() && report.probe.as_ref().is_some_and(|probe| !probe.is_well()) {
        let is_bound = report.probe.as_ref().is_some_and(|probe| probe.ready == Some(true));
        let holds =
            if is_bound { "the data is whole, in its new place and bound" } else { "the data is whole and in place" };
        let all = count(*steps, "step");
        out.push_str(&format!("`{goal}`: {done} of {all} done; {holds}, but not all is as it was\n"));
    } else if report.failed.is_empty() && done == steps {
        out.push_str(&format!("`{goal}`: {} done in {}\n", count(*done, "step"), duration(report.timing.apply_ms)));
    } else {
        out.push_str(&format!(
            "`{goal}`: {done} of {}; the rest was not done or was taken back\n",
            count(*steps, "step")
        ));
    }
    if !report.failed.is_empty() {
        out.push_str("failed:\n");
        out.push_str(&rows(report.failed.iter().take(MOST_ROWS), true, look));
        if report.failed.len() > MOST_ROWS {
            out.push_str(&format!("... and {} more\n", report.failed.len() - MOST_ROWS));
        }
    }
    out.push_str(&report.probe.as_ref().map(probed).unwrap_or_default());
    if let Some(downtime) = &report.downtime {
        out.push_str(&could_not_be_used(downtime));
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

/// How an app is whose data was moved. Without services there is nothing to say but that the guard refuses it.
fn probed(probe: &Probed) -> String {
    let up: Vec<&str> =
        probe.services.iter().filter(|row| row.state != ServiceState::Failed).map(|row| row.service.as_str()).collect();
    let mut out = if up.is_empty() { String::new() } else { format!("started again: {}\n", clean(&up.join(", "))) };
    let failed = probe.failed().map(|row| (&row.detail, &row.hint));
    let refused = (probe.ready == Some(false)).then_some((&probe.detail, &probe.hint));
    for (n, (detail, hint)) in failed.chain(refused).enumerate() {
        if n == 0 {
            out.push_str("failed:\n");
        }
        out.push_str(&format!("  {}\n  hint: {}\n", clean(detail), clean(&typed(hint))));
    }
    out
}

/// All that `recover` did.
pub(in crate::view) fn recovered(reports: &[Report], look: Look) -> String {
    if reports.is_empty() {
        return "nothing to do: no operation stopped half-way\n".into();
    }
    reports.iter().map(|r| report(r, look)).collect()
}
