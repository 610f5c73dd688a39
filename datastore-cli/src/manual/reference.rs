//! datastore(8): the sections about verbs and exit codes are made from the parser and from the table of exit codes, the rest is in
//! `datastore.8.in`.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use super::Page;
use super::roff::{bold, example, italic, literal, prose};
use crate::args::Cli;
use crate::exit;

/// The hand-written part, with a line `@NAME@` where a part that is made belongs.
const FRAME: &str = include_str!("datastore.8.in");

/// The whole page.
pub(super) fn page(page: &Page, date: &str) -> String {
    let mut command = Cli::command();
    command.build();
    let mut out =
        String::from(".\\\" Made from the command's own parser by `cargo xtask check --write`; do not edit.\n");
    writeln!(
        out,
        ".TH {} {} {date} \"datastore {}\" \"System administration\"",
        page.name.to_uppercase(),
        page.section,
        env!("CARGO_PKG_VERSION")
    )
    .expect("writing to a string");
    writeln!(out, ".SH NAME\n{} \\- {}", page.name, literal(page.title)).expect("writing to a string");
    for line in FRAME.lines() {
        match line {
            "@OPTIONS@" => out.push_str(&entries(command.get_arguments())),
            "@VERBS@" => out.push_str(&verbs(&command, "")),
            "@CODES@" => out.push_str(&codes(exit::CODES)),
            "@LSB@" => out.push_str(&codes(exit::LSB)),
            line => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

/// A section for each verb below a command, those of two words under both.
fn verbs(command: &Command, above: &str) -> String {
    let mut out = String::new();
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let path = format!("{above} {}", verb.get_name()).trim_start().to_owned();
        if verb.has_subcommands() {
            out.push_str(&verbs(verb, &path));
        } else {
            out.push_str(&section(verb, &path));
        }
    }
    out
}

/// One verb: how it is written, what it does, its arguments, examples.
fn section(verb: &Command, path: &str) -> String {
    let shown = || verb.get_arguments().filter(|arg| !arg.is_hide_set() && !is_for_all(arg));
    let mut out = format!(".SS {}\n{}", literal(path), bold(&format!("datastore {path}")));
    for arg in shown() {
        out.push(' ');
        out.push_str(&usage(arg));
    }
    let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
    writeln!(out, "\n.PP\n{}.", prose(&about)).expect("writing to a string");
    out.push_str(&entries(shown()));
    let after = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
    for (i, block) in after.split("\n\n").enumerate() {
        match block.strip_prefix("Examples:\n") {
            Some(lines) => {
                let lines: Vec<&str> = lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
                out.push_str(&example(&lines));
            }
            None if i > 0 => writeln!(out, ".PP\n{}", prose(block)).expect("writing to a string"),
            None => {}
        }
    }
    out
}

/// Whether the option stands in the section about options for all verbs.
fn is_for_all(arg: &Arg) -> bool {
    arg.is_global_set() || matches!(arg.get_id().as_str(), "help" | "version")
}

/// An argument as a line of usage shows it.
fn usage(arg: &Arg) -> String {
    let word = named(arg);
    let many = if takes_many(arg) { " .\\|.\\|." } else { "" };
    if arg.is_required_set() { format!("{word}{many}") } else { format!("[{word}{many}]") }
}

fn takes_many(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|range| range.max_values() > 1)
}

/// The argument with its value.
fn named(arg: &Arg) -> String {
    let value = arg.get_value_names().and_then(|names| names.first()).map(|name| italic(name));
    let value = value.filter(|_| arg.get_action().takes_values());
    let long = arg.get_long().map(|long| bold(&format!("--{long}")));
    [long, value].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A list of arguments, each with what it means.
fn entries<'a>(args: impl Iterator<Item = &'a Arg>) -> String {
    let mut out = String::new();
    for arg in args {
        let short = arg.get_short().map(|short| bold(&format!("-{short}")) + ", ").unwrap_or_default();
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        // The parser's own option speaks of a shorter form of itself.
        let help = help.split(" (see more").next().unwrap_or_default();
        write!(out, ".TP\n{short}{}\n{}", named(arg), prose(help)).expect("writing to a string");
        let values: Vec<String> = arg.get_possible_values().iter().map(|v| bold(v.get_name())).collect();
        if arg.get_action().takes_values() && !values.is_empty() {
            write!(out, ": {}", values.join(", ")).expect("writing to a string");
        }
        let defaults: Vec<String> = arg.get_default_values().iter().map(|v| bold(&v.to_string_lossy())).collect();
        if arg.get_action().takes_values() && !defaults.is_empty() {
            write!(out, " (default: {})", defaults.join(" ")).expect("writing to a string");
        }
        out.push_str(".\n");
    }
    out
}

/// A table of exit codes.
fn codes(table: &[(u8, &str)]) -> String {
    table.iter().fold(String::new(), |mut out, (code, meaning)| {
        writeln!(out, ".TP\n{}\n{}.", bold(&code.to_string()), prose(meaning)).expect("writing to a string");
        out
    })
}
