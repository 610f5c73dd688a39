//! The pages of the manual as the repository holds them, cut into what a test asks for.

use std::fs;
use std::path::PathBuf;

/// The files, each with its section of the manual.
pub const PAGES: &[&str] = &["datastore.8", "datastore.conf.5", "datastore.d.5", "datastore-configlet.7"];

/// Where a page lies.
#[must_use]
pub fn path(page: &str) -> PathBuf {
    crate::repository("packaging/man").join(page)
}

/// Its source.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn source(page: &str) -> String {
    fs::read_to_string(path(page)).unwrap_or_else(|e| panic!("{page}: {e}"))
}

/// The lines of a section (`.SH`), without its heading.
///
/// # Panics
/// If the page has no such section.
#[must_use]
pub fn section(page: &str, heading: &str) -> String {
    let source = source(page);
    let at = source.find(&format!("\n.SH {heading}\n")).unwrap_or_else(|| panic!("{page} has no section {heading}"));
    let body = &source[at + 1..];
    let body = &body[body.find('\n').expect("a heading is a line") + 1..];
    body.split("\n.SH ").next().unwrap_or_default().to_owned()
}

/// The tags of the lists of a text: what stands in the line after each `.TP`, up to ` = `, cut at commas.
#[must_use]
pub fn tags(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let tags = lines.windows(2).filter(|pair| pair[0] == ".TP").map(|pair| words(pair[1]));
    tags.flat_map(|tag| {
        let names = tag.split(" = ").next().unwrap_or_default().to_owned();
        names.split(", ").map(str::to_owned).collect::<Vec<_>>()
    })
    .collect()
}

/// What a line shows: the arguments of `.B` and its like, without fonts and escapes.
fn words(line: &str) -> String {
    let (request, rest) = line.split_once(' ').unwrap_or(("", line));
    if !request.starts_with('.') {
        return unescaped(line);
    }
    let mut shown = Vec::new();
    let mut rest = rest.trim_start();
    while !rest.is_empty() {
        let (one, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("a quote that is closed"),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        shown.push(unescaped(one));
        rest = after.trim_start();
    }
    shown.join(if request.len() == 2 { " " } else { "" })
}

/// The examples (`.EX` to `.EE`) in order, as a reader sees them.
#[must_use]
pub fn examples(page: &str) -> Vec<String> {
    let source = source(page);
    source.split("\n.EX\n").skip(1).map(|rest| unescaped(rest.split("\n.EE").next().unwrap_or_default())).collect()
}

/// A configlet or another file in an example, and the path in its first comment.
#[must_use]
pub fn file(example: &str) -> Option<(&str, &str)> {
    let first = example.strip_prefix("<?php\n").unwrap_or(example).lines().next().unwrap_or_default();
    let path = first.strip_prefix("# ").or(first.strip_prefix("// "))?;
    path.starts_with("/etc/").then_some((path, example))
}

/// The text without fonts and escapes.
fn unescaped(text: &str) -> String {
    let mut out = text.to_owned();
    for (escape, meaning) in [
        ("\\fB", ""),
        ("\\fI", ""),
        ("\\fR", ""),
        ("\\-", "-"),
        ("\\(aq", "'"),
        ("\\(dq", "\""),
        ("\\(ga", "`"),
        ("\\&", ""),
    ] {
        out = out.replace(escape, meaning);
    }
    out
}
