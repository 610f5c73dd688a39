//! What a watcher sees, a line each.

use datastore_core::amount::count;
use datastore_core::state::{Reason, State};
use datastore_exec::watch::Seen;

use super::text::clean;
use crate::view::hint::typed;
use crate::view::look::{Look, colour_of};

/// One line.
pub(in crate::view) fn seen(seen: &Seen<'_>, look: Look) -> String {
    let state = |state: State, reason: Option<Reason>| {
        let word = look.paint(colour_of(state), state.as_str());
        reason.map_or_else(|| word.clone(), |reason| format!("{word} ({reason})"))
    };
    let change = |was: Option<State>, now: String| match was {
        Some(was) => format!("{was} -> {now}"),
        None => now,
    };
    let because = |detail: &str, hint: &str| {
        let detail = if detail.is_empty() { String::new() } else { format!(": {}", clean(detail)) };
        let hint = if hint.is_empty() { String::new() } else { format!(" (hint: {})", clean(&typed(hint))) };
        detail + &hint
    };
    let line = match seen {
        Seen::Ready { mappings, volumes } => {
            format!("watching {} on {}", count(*mappings, "mapping"), count(*volumes, "volume"))
        }
        Seen::Mapping { app, mount_point, was, now } => {
            let told = match now {
                Some(row) => change(*was, state(row.state, row.reason)) + &because(&row.detail, &row.hint),
                None => change(*was, "not declared any more".into()),
            };
            let place = if mount_point.is_empty() { String::new() } else { format!(" {}", clean(mount_point)) };
            format!("{}{place}: {told}", clean(app))
        }
        Seen::Volume { was, now } => {
            let told = change(*was, state(now.state, now.reason)) + &because(&now.detail, &now.hint);
            format!("volume {} {}: {told}", clean(&now.volume), clean(&now.path))
        }
        Seen::Remark(remark) => clean(&remark.detail) + &because("", &remark.hint),
    };
    line + "\n"
}
