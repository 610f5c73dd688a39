//! Text as man(7) wants it.

use std::fmt::Write as _;

/// A text in which every character stands for itself, also where it is copied from the page into a shell.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for (i, c) in text.chars().enumerate() {
        match c {
            // At the beginning of a line these two would make it a request.
            '.' if i == 0 => out.push_str("\\&."),
            '\'' => out.push_str("\\(aq"),
            '"' => out.push_str("\\(dq"),
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '`' => out.push_str("\\(ga"),
            '~' => out.push_str("\\(ti"),
            '^' => out.push_str("\\(ha"),
            c => out.push(c),
        }
    }
    out
}

/// The text in bold: what is typed as it stands.
pub(super) fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", literal(text))
}

/// The text in italics: what stands for something else.
pub(super) fn italic(text: &str) -> String {
    format!("\\fI{}\\fR", literal(text))
}

/// A sentence of the help. What stands in backquotes there is typed as it stands.
pub(super) fn prose(text: &str) -> String {
    let mut out = String::new();
    for (i, part) in text.split('`').enumerate() {
        out.push_str(&if i % 2 == 1 { bold(part) } else { literal(part) });
    }
    out
}

/// Lines that are not filled.
pub(super) fn example(lines: &[&str]) -> String {
    let mut out = String::from(".PP\n.EX\n");
    for line in lines {
        writeln!(out, "{}", literal(line)).expect("writing to a string");
    }
    out + ".EE\n"
}
