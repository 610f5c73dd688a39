//! `peek`.

use std::borrow::Cow;

use anstyle::Style;
use datastore_core::peek::{Copied, Entry, EntryKind, Peek, Peeked};

use super::Table;
use super::status::time;
use super::text::{clean, count, size};
use crate::view::hint::typed;
use crate::view::look::Look;

/// What lies under each mount point, and what was copied.
pub(in crate::view) fn peek(peek: &Peek, look: Look) -> String {
    let mut out = String::new();
    for (i, mapping) in peek.mappings.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        out.push_str(&place(mapping, look));
    }
    match &peek.copied {
        Some(copied) => out.push_str(&format!("\n{}", told(copied))),
        None if peek.mappings.iter().any(|m| m.hidden) => {
            let hint = format!("datastore peek {} --copy-to DIR", peek.app);
            out.push_str(&format!("\nhint: a copy of it: {}\n", typed(&hint)));
        }
        None => {}
    }
    out
}

fn place(mapping: &Peeked, look: Look) -> String {
    let mut out = look.paint(Style::new().bold(), &clean(&mapping.mount_point));
    if !mapping.hidden {
        out.push_str(&format!("  {}\n", mapping.detail));
        return out;
    }
    out.push_str("  hidden under the bind:\n");
    let mut table = Table::new(["KIND", "MODE", "USER", "GROUP", ">SIZE", "CHANGED", "NAME"]);
    for entry in &mapping.entries {
        let name = match &*entry.target {
            "" => Cow::Borrowed(&*entry.path),
            target => format!("{} -> {target}", entry.path).into(),
        };
        let cells = [
            Cow::Borrowed(entry.kind.as_str()),
            Cow::Borrowed(&*entry.mode),
            named(&entry.user, entry.uid),
            named(&entry.group, entry.gid),
            bytes(entry),
            time(entry.modified).into(),
            name,
        ];
        table.row(cells, Style::new(), &[]);
    }
    out.push_str(&table.draw(look));
    if mapping.cut {
        out.push_str("... and more\n");
    }
    out
}

fn named(name: &str, number: u32) -> Cow<'_, str> {
    if name.is_empty() { number.to_string().into() } else { name.into() }
}

fn bytes(entry: &Entry) -> Cow<'_, str> {
    if entry.kind == EntryKind::File { size(entry.size).into() } else { "-".into() }
}

fn told(copied: &Copied) -> String {
    let mut directories = count(copied.directories, "directory");
    directories.push_str(&format!(", {}", count(copied.links, "link")));
    let files = count(copied.files, "file");
    let mut out = format!("copied to {}: {files} ({}), {directories}\n", clean(&copied.to), size(copied.bytes));
    if !copied.left_out.is_empty() {
        out.push_str("left out:\n");
    }
    for left in &copied.left_out {
        out.push_str(&format!("  {}: {}\n", clean(&left.path), clean(&left.why)));
    }
    if copied.more_left_out > 0 {
        out.push_str(&format!("  and {} more\n", copied.more_left_out));
    }
    out
}
