//! `status` and `volume list`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use anstyle::Style;
use datastore_core::state::State;
use datastore_core::status::{OperationRow, Row, Status, VolumeRow};

use super::Table;
use super::text::{clean, count, size};
use crate::view::hint::typed;
use crate::view::look::{Look, colour_of};

/// Everything that is. A disabled mapping explains itself only where its app was `named`.
pub(in crate::view) fn status(status: &Status, named: bool, look: Look) -> String {
    let mut out = String::new();
    let none_yet = || typed("no host yet: datastore init");
    let host = Some(status.host.clone()).filter(|host| !host.is_empty()).unwrap_or_else(none_yet);
    out.push_str(&format!("{} {}\n", look.paint(Style::new().bold(), "HOST"), clean(&host)));
    for part in [rows(status.mappings.iter(), named, look), volumes(&status.volumes, look), operations(status, look)] {
        if !part.is_empty() {
            out.push('\n');
            out.push_str(&part);
        }
    }
    out.push_str(&format!("\n{}\n", summary(&status.mappings)));
    if !status.complete {
        out.push_str("not everything could be seen: without root, identity and mode of the stores are not known\n");
    }
    out
}

/// Mappings, each with why it is not active below it.
pub(super) fn rows<'r>(rows: impl Iterator<Item = &'r Row>, named: bool, look: Look) -> String {
    let mut table = Table::new(["STATE", "APP", "MOUNT POINT", "STORE"]);
    for row in rows {
        let below = if row.state == State::Disabled && !named { Vec::new() } else { below(row) };
        let cells = [row.state.as_str(), &row.app, or_dash(&row.mount_point), or_dash(&row.store)];
        table.row(cells.map(Cow::Borrowed), colour_of(row.state), &below);
    }
    table.draw(look)
}

/// A text, or a sign that there is none.
pub(super) fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// Why, and what mends it.
fn below(row: &Row) -> Vec<String> {
    if row.state == State::Active {
        return Vec::new();
    }
    explained(row.reason.map(datastore_core::state::Reason::as_str), &row.detail, &row.hint)
}

pub(super) fn explained(reason: Option<&str>, detail: &str, hint: &str) -> Vec<String> {
    let mut lines = Vec::new();
    match (reason, detail) {
        (None, "") => {}
        (None, detail) => lines.push(detail.to_owned()),
        (Some(reason), "") => lines.push(reason.to_owned()),
        (Some(reason), detail) => lines.push(format!("{reason}: {detail}")),
    }
    if !hint.is_empty() {
        lines.push(format!("hint: {}", typed(hint)));
    }
    lines
}

/// "3 mappings: 2 active, 1 refused", in the order of the states.
fn summary(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no mappings".into();
    }
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(row.state).or_default() += 1;
    }
    let parts: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
    let mut text = format!("{}: {}", count(rows.len(), "mapping"), parts.join(", "));
    if counts.contains_key(&State::Disabled) {
        text.push_str(&typed("; `datastore enable APP` asks for a disabled one"));
    }
    text
}

/// Volumes with their sizes.
pub(in crate::view) fn volumes(volumes: &[VolumeRow], look: Look) -> String {
    let mut table = Table::new(["STATE", "VOLUME", "PATH", "SOURCE", "TYPE", ">SIZE", ">FREE", ">USED", ">MAPPINGS"]);
    for row in volumes {
        let bytes = |value: Option<u64>| value.map_or(Cow::Borrowed("-"), |bytes| size(bytes).into());
        let mut below = explained(row.reason.map(datastore_core::state::Reason::as_str), &row.detail, &row.hint);
        if row.read_only {
            below.push("read-only".into());
        }
        if row.inodes.is_some_and(|all| all > 0) && row.inodes_free == Some(0) {
            below.push("no inodes are left: no new file can be made, whatever the free space".into());
        }
        let cells = [
            row.state.as_str().into(),
            Cow::Borrowed(&*row.volume),
            Cow::Borrowed(&*row.path),
            or_dash(&row.source).into(),
            or_dash(&row.fstype).into(),
            bytes(row.bytes),
            bytes(row.bytes_free),
            used(row.bytes, row.bytes_free).into(),
            row.mappings.to_string().into(),
        ];
        table.row(cells, colour_of(row.state), &below);
    }
    table.draw(look)
}

/// How full it is, in percent, rounded up as df(1) does: 100% means that nothing is left.
fn used(bytes: Option<u64>, free: Option<u64>) -> String {
    match (bytes, free) {
        (Some(bytes), Some(free)) if bytes > 0 => {
            let used = u128::from(bytes.saturating_sub(free));
            format!("{}%", (used * 100).div_ceil(u128::from(bytes)))
        }
        _ => "-".into(),
    }
}

fn operations(status: &Status, look: Look) -> String {
    let mut table = Table::new(["STATE", "OPERATION", "GOAL", "SINCE", ">DONE", ">STEPS"]);
    for row in &status.operations {
        let OperationRow { operation, goal, state, since, done, steps, trouble, hint, .. } = row;
        // A mapping is moving; an operation is running.
        let word = if *state == State::Moving { "running" } else { state.as_str() };
        let [done, steps] = [done, steps].map(|n| Cow::Owned(n.to_string()));
        let cells =
            [word.into(), Cow::Borrowed(&**operation), Cow::Borrowed(&**goal), time(*since).into(), done, steps];
        table.row(cells, colour_of(*state), &explained(None, trouble, hint));
    }
    table.draw(look)
}

/// Seconds since 1970 as RFC 3339 has them.
pub(super) fn time(seconds: i64) -> String {
    let moment = u64::try_from(seconds).ok().and_then(|s| UNIX_EPOCH.checked_add(Duration::from_secs(s)));
    // humantime knows years up to 9999.
    let known = moment.filter(|_| seconds < 253_402_300_800);
    known.map_or_else(|| "-".into(), |m| humantime::format_rfc3339_seconds(m).to_string())
}
