//! `log`.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};
use datastore_core::log::{Ending, LogDetail, LogRow, StepState};

use super::Table;
use super::status::{or_dash, time};
use super::text::clean;
use crate::view::hint::typed;
use crate::view::look::Look;

/// So many names of apps, and so many failures, are shown of one operation.
const MOST: usize = 8;

/// Operations, each with what failed below it.
pub(in crate::view) fn log(rows: &[LogRow], look: Look) -> String {
    if rows.is_empty() {
        return "no operations\n".into();
    }
    let mut table = Table::new(["OUTCOME", "BEGAN", "BY", "GOAL", ">DONE", ">STEPS", "OPERATION"]);
    for row in rows {
        let cells = [
            Cow::Borrowed(row.outcome.as_str()),
            time(row.at).into(),
            who(row).into(),
            or_dash(&row.goal).into(),
            row.done.to_string().into(),
            row.steps.to_string().into(),
            Cow::Borrowed(&*row.operation),
        ];
        table.row(cells, colour_of(row.outcome), &below(row));
    }
    table.draw(look)
}

/// One operation with its steps.
pub(in crate::view) fn log_detail(detail: &LogDetail, look: Look) -> String {
    let row = &detail.operation;
    let mut out = log(std::slice::from_ref(row), look);
    let ended = row.ended.map_or_else(|| "it has not ended".into(), |at| format!("it ended at {}", time(at)));
    out.push_str(&format!("\nhost {}; {ended}\n", clean(or_dash(&row.host))));
    let mut table = Table::new(["STATE", ">STEP", "APP", "WHAT"]);
    for step in &detail.steps {
        let cells = [
            Cow::Borrowed(step.state.as_str()),
            step.step.to_string().into(),
            or_dash(&step.app).into(),
            Cow::Borrowed(&*step.text),
        ];
        let why = if step.error.is_empty() { Vec::new() } else { vec![step.error.clone()] };
        table.row(cells, colour_of_step(step.state), &why);
    }
    if !detail.steps.is_empty() {
        out.push('\n');
        out.push_str(&table.draw(look));
    }
    out
}

/// One operation on one line, for `--follow`.
pub(in crate::view) fn log_line(row: &LogRow, look: Look) -> String {
    let mut out = format!(
        "{} {} {} `{}` {}/{} {}",
        time(row.ended.unwrap_or(row.at)),
        look.paint(colour_of(row.outcome), row.outcome.as_str()),
        clean(&who(row)),
        clean(or_dash(&row.goal)),
        row.done,
        row.steps,
        row.operation,
    );
    let why = std::iter::once(row.detail.clone()).chain(failures(row));
    for why in why.filter(|why| !why.is_empty()) {
        out.push_str(&format!("; {}", clean(&why)));
    }
    out.push('\n');
    out
}

/// Who asked: a name, else a number.
fn who(row: &LogRow) -> String {
    match row.uid {
        _ if !row.user.is_empty() => row.user.clone(),
        Some(uid) => uid.to_string(),
        None => "-".into(),
    }
}

fn below(row: &LogRow) -> Vec<String> {
    let mut lines = Vec::new();
    let named: Vec<&str> = row.goal.split(' ').collect();
    let (shown, hidden) = row.apps.split_at(row.apps.len().min(MOST));
    let more = hidden.len() + row.more_apps;
    // The goal names those that were asked for by name.
    if shown.iter().any(|app| !named.contains(&app.as_str())) {
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        lines.push(format!("apps: {}{more}", shown.join(", ")));
    }
    if !row.detail.is_empty() {
        lines.push(row.detail.clone());
    }
    lines.extend(failures(row));
    if row.outcome == Ending::Interrupted {
        lines.push(format!("hint: {}", typed("datastore recover")));
    }
    lines
}

fn failures(row: &LogRow) -> Vec<String> {
    let mut lines: Vec<String> = row.failures.iter().take(MOST).map(|f| format!("{}: {}", f.text, f.error)).collect();
    let more = row.failures.len().saturating_sub(MOST) + row.more_failures;
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn colour_of(ending: Ending) -> Style {
    let colour = |c: AnsiColor| Style::new().fg_color(Some(c.into()));
    match ending {
        Ending::Done => colour(AnsiColor::Green),
        Ending::Partly | Ending::Recovered => colour(AnsiColor::Yellow),
        Ending::Failed | Ending::Interrupted | Ending::Damaged => colour(AnsiColor::Red).bold(),
        Ending::Running => colour(AnsiColor::Cyan),
    }
}

fn colour_of_step(state: StepState) -> Style {
    match state {
        StepState::Done => colour_of(Ending::Done),
        StepState::Failed | StepState::Stuck => colour_of(Ending::Failed),
        StepState::Begun | StepState::Undone => colour_of(Ending::Partly),
        StepState::Open => Style::new().dimmed(),
    }
}
