//! A plan, by mapping.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use anstyle::Style;
use datastore_core::goal::Goal;
use datastore_core::plan::{Plan, Remark};
use datastore_core::state::State;
use datastore_core::step::Step;

use super::status::rows;
use super::text::{clean, count};
use crate::view::hint::typed;
use crate::view::look::Look;

/// The steps by mapping, then what is not done and why. With a limit, at most about so many lines of each.
pub(in crate::view) fn plan(plan: &Plan, limit: Option<usize>, look: Look) -> String {
    let mut out = String::new();
    if plan.is_empty() {
        out.push_str(&format!("`{}`: nothing to do\n", plan.goal));
    } else {
        out.push_str(&head(plan));
        for load in &plan.loads {
            let until =
                load.until.map(|until| format!(" (put aside, to be kept until {})", day(until))).unwrap_or_default();
            out.push_str(&format!("  {}{until}\n", clean(&load.to_string())));
        }
        out.push_str(&steps(plan, limit, look));
    }
    out.push_str(&not_done(plan.notes.as_slice(), limit, look));
    out.push_str(&remarks(&plan.remarks));
    out
}

/// The day of a time in seconds since 1970, in UTC.
fn day(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(FAR));
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since).to_string().chars().take(10).collect()
}

/// The end of the year 9999: no later time can be written.
const FAR: u64 = 253_402_300_799;

fn head(plan: &Plan) -> String {
    let host = plan.host.as_ref().map(|h| format!(" on {h}")).unwrap_or_default();
    let mappings = match plan.mappings.len() {
        0 => String::new(),
        n => format!(" for {}", count(n, "mapping")),
    };
    format!("`{}`{host}: {}{mappings}\n", plan.goal, count(plan.steps.len(), "step"))
}

fn steps(plan: &Plan, limit: Option<usize>, look: Look) -> String {
    let groups = groups(&plan.steps);
    let mut lines: Vec<(String, usize)> = Vec::new();
    for (mapping, steps) in &groups {
        let title = match mapping.and_then(|m| plan.mappings.get(m as usize)) {
            Some(subject) => {
                let names =
                    format!("{}  {}", look.paint(Style::new().bold(), subject.app.as_str()), subject.mount_point);
                Some(names)
            }
            None if plan.mappings.is_empty() => None,
            None => Some(look.paint(Style::new().bold(), "for all of them")),
        };
        let indent = if title.is_some() { "    " } else { "  " };
        lines.extend(title.map(|t| (format!("  {t}"), 0)));
        lines.extend(steps.iter().map(|s| (format!("{indent}{}", clean(&s.action.to_string())), 1)));
    }
    let mut cut_at = limit.filter(|&most| lines.len() > most).unwrap_or(lines.len());
    // A title whose steps are all hidden says nothing.
    while cut_at > 0 && cut_at < lines.len() && lines[cut_at - 1].1 == 0 {
        cut_at -= 1;
    }
    let mut out = String::new();
    if cut_at < lines.len() {
        out.push_str(&format!("  {}\n", kinds(&plan.steps)));
    }
    for (line, _) in &lines[..cut_at] {
        out.push_str(line);
        out.push('\n');
    }
    let hidden: usize = lines[cut_at..].iter().map(|(_, steps)| steps).sum();
    if hidden > 0 {
        out.push_str(&format!("  ... and {}{}\n", count(hidden, "more step"), show_all(&plan.goal)));
    }
    out
}

/// The steps of each mapping together, in the order in which each is first met.
fn groups(steps: &[Step]) -> Vec<(Option<u32>, Vec<&Step>)> {
    let mut groups: Vec<(Option<u32>, Vec<&Step>)> = Vec::new();
    let mut places = HashMap::new();
    for step in steps {
        let place = *places.entry(step.mapping).or_insert_with(|| {
            groups.push((step.mapping, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(step);
    }
    groups
}

/// "200 make-dir, 200 bind, 1 fstab", the most frequent first.
fn kinds(steps: &[Step]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for step in steps {
        let kind = step.action.kind();
        match counts.iter_mut().find(|(k, _)| *k == kind) {
            Some((_, n)) => *n += 1,
            None => counts.push((kind, 1)),
        }
    }
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    counts.iter().map(|(kind, n)| format!("{n} {kind}")).collect::<Vec<_>>().join(", ")
}

/// `plan` can show the plans of verbs about apps.
fn show_all(goal: &Goal) -> String {
    let is_shown =
        goal.apps().is_some() && !matches!(goal, Goal::Move(_) | Goal::Undo(_) | Goal::Abort(_) | Goal::Settle { .. });
    if is_shown { typed(&format!("; `datastore plan {goal}` shows all")) } else { String::new() }
}

/// Rows that no step makes active.
pub(super) fn not_done(notes: &[datastore_core::status::Row], limit: Option<usize>, look: Look) -> String {
    // Whoever waits for a package waits quietly.
    let (waiting, notes): (Vec<_>, Vec<_>) = notes.iter().partition(|n| n.state == State::Waiting);
    let mut out = String::new();
    if !waiting.is_empty() {
        let mappings = count(waiting.len(), "mapping");
        let which = typed("`datastore status` shows which");
        out.push_str(&format!("{mappings} waiting for an owner or a group; {which}\n"));
    }
    if notes.is_empty() {
        return out;
    }
    let most = limit.unwrap_or(notes.len());
    out.push_str("not done:\n");
    out.push_str(&rows(notes.iter().copied().take(most), true, look));
    if notes.len() > most {
        out.push_str(&format!("... and {} more; {}\n", notes.len() - most, typed("`datastore status` shows all")));
    }
    out
}

/// Things worth knowing.
pub(super) fn remarks(remarks: &[Remark]) -> String {
    let mut out = String::new();
    for remark in remarks {
        out.push_str(&format!("note: {}\n", clean(&remark.detail)));
        if !remark.hint.is_empty() {
            out.push_str(&format!("  hint: {}\n", clean(&typed(&remark.hint))));
        }
    }
    out
}
