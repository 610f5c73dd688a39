//! The pages, held against the command.

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::*;
use crate::args::{self, Cli};

/// What a command line comes to: `None` if it is in order or only lacks what the sentence around it leaves out.
fn wrong(line: &str) -> Option<clap::Error> {
    let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    let lacks = |e: &clap::Error| {
        matches!(e.kind(), ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand)
    };
    args::parse(&words).err().filter(|error| !lacks(error))
}

/// The commands of a page: those in examples, and those that stand in bold in a sentence.
fn commands(source: &str) -> (Vec<String>, Vec<String>) {
    let (mut shown, mut named) = (Vec::new(), Vec::new());
    let mut in_example = false;
    for line in source.lines() {
        in_example = (in_example || line == ".EX") && line != ".EE";
        let text = plain::unescaped(line);
        let typed = text.strip_prefix("# ").or(text.strip_prefix("$ ")).unwrap_or(&text);
        let bold = [".B ", ".BR ", ".RB "].iter().find_map(|request| text.strip_prefix(request));
        if let Some(bold) = bold {
            named.extend(bold.trim_start_matches('"').strip_prefix("datastore ").filter(|r| !r.starts_with('(')).map(
                |rest| {
                    let rest = rest.split('"').next().unwrap_or_default();
                    format!("datastore {rest}")
                },
            ));
        } else if in_example && typed.starts_with("datastore ") {
            shown.push(args::examples::command(typed).to_owned());
        }
    }
    (shown, named)
}

#[test]
fn every_command_that_a_page_shows_is_understood() {
    for page in PAGES {
        let source = page.source();
        let (shown, named) = commands(&source);
        assert!(!shown.is_empty(), "{}: no command was found", page.name);
        for line in &shown {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            assert!(args::parse(&words).is_ok(), "{}: {line}", page.name);
        }
        for line in &named {
            let error = wrong(line);
            assert!(error.is_none(), "{}: {line}: {}", page.name, error.unwrap());
        }
    }
    assert!(wrong("datastore no-such-verb").is_some());
}

#[test]
fn every_verb_and_option_is_in_the_manual() {
    fn look(command: &clap::Command, path: &str, source: &str) {
        for verb in command.get_subcommands() {
            let path = format!("{path} {}", verb.get_name()).trim_start().to_owned();
            if verb.has_subcommands() {
                look(verb, &path, source);
                continue;
            }
            let at = source.find(&format!("\n.SS {}\n", roff::literal(&path))).unwrap_or_else(|| panic!("{path}"));
            let section = source[at + 1..].split("\n.S").next().unwrap_or_default();
            for arg in verb.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let word =
                    arg.get_long().map_or_else(|| arg.get_value_names().unwrap()[0].to_string(), |l| format!("--{l}"));
                assert!(section.contains(&roff::literal(&word)), "{path}: {word} is not in {section}");
            }
            assert!(
                section.split_once("\n.EX\n").is_some_and(|(_, ex)| ex.contains("datastore ")),
                "{path} has no examples"
            );
        }
    }
    look(&Cli::command(), "", &find("datastore").unwrap().source());
}

#[test]
fn every_page_has_a_title_line_that_is_true() {
    for page in PAGES {
        let source = page.source();
        let title = source.lines().find(|line| line.starts_with(".TH ")).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let wanted = format!(".TH {} {} {DATE} \"datastore {version}\" ", page.name.to_uppercase(), page.section);
        assert!(title.starts_with(&wanted), "{title}\n{wanted}");
        assert!(source.contains(&format!("\n.SH NAME\n{} \\- {}\n", page.name.replace('-', "\\-"), page.title)));
        for other in PAGES.iter().filter(|other| *other != page) {
            let named = format!(".BR {} ({})", other.name.replace('-', "\\-"), other.section);
            assert!(source.contains(&named), "{} does not name {}", page.name, other.name);
        }
    }
}
