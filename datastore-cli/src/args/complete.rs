//! What may stand next on a command line, in either grammar: the answer for the shells that complete words.
//!
//! The engine of clap_complete knows the verbs, options and values of the parser. What it does not know is put to it here: that an app may
//! stand before its verb, and which apps and volumes there are.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Command, CommandFactory as _};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate, complete};
use datastore_core::names::Names;

use datastore_core::request::Request;

use super::{Cli, grammar};

/// One word that may stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The word.
    pub(crate) word: String,
    /// What it means: a line, or nothing.
    pub(crate) help: String,
}

/// The root that the words of a command line name, for a look at its apps.
pub(crate) fn root(words: &[OsString]) -> PathBuf {
    let given = |pair: &[OsString]| match pair {
        [option, value] if option == "--root" => Some(PathBuf::from(value)),
        _ => None,
    };
    let joined = words.iter().find_map(|word| word.to_str().and_then(|w| w.strip_prefix("--root=")));
    words.windows(2).find_map(given).or(joined.map(PathBuf::from)).unwrap_or_else(|| "/".into())
}

/// What may stand in place of the last of the words, the first of which is the command. Files are looked for from `cwd`.
pub(crate) fn candidates(words: &[OsString], names: &Names, cwd: Option<&Path>) -> Vec<Candidate> {
    let Some((current, before)) = words.split_last().filter(|(_, before)| !before.is_empty()) else {
        return Vec::new();
    };
    let (mut line, place) = place(before);
    let at = line.len();
    line.push(current.clone());
    let found = complete(&mut command(names), line, at, cwd).unwrap_or_default();
    let wants_option = current.as_encoded_bytes().starts_with(b"-");
    let mut found: Vec<Candidate> = found.iter().filter_map(Candidate::of).collect();
    // An empty word asks for what is most likely wanted; options are offered to whoever types a `-`.
    found.retain(|c| wants_option || !c.word.starts_with('-'));
    match place {
        Place::First if !wants_option => {
            let fits = |app: &&String| current.to_str().is_some_and(|typed| app.starts_with(typed));
            let apps = names.apps.iter().filter(fits).map(|app| Candidate { word: app.clone(), help: "an app".into() });
            found.extend(apps.filter(|app| !grammar::is_verb(OsStr::new(&app.word))));
        }
        Place::VerbOfApp(verb) if !wants_option => {
            let command = Cli::command();
            let above = verb.as_ref().map_or(Some(&command), |v| command.find_subcommand(v));
            found.retain(|c| above.and_then(|a| a.find_subcommand(&c.word)).is_some_and(takes_app));
        }
        _ => {}
    }
    // Nobody names an app twice.
    found.retain(|c| !(names.apps.contains(&c.word) && before[1..].iter().any(|word| *word == *c.word)));
    found
}

/// What the word to be completed is to the grammar.
enum Place {
    /// The first word: a verb, or an app that stands before its verb.
    First,
    /// The verb of an app that stands before it; or its second word, of which this is the first.
    VerbOfApp(Option<String>),
    /// Whatever the parser says.
    Any,
}

/// The words before the one to be completed as the parser wants them, and what the one to be completed is.
fn place(before: &[OsString]) -> (Vec<OsString>, Place) {
    let places = grammar::places(before);
    let without = |at: usize| [&before[..at], &before[at + 1..]].concat();
    match places[..] {
        _ if before.last().is_some_and(|word| word == "--root") => (grammar::rewrite(before), Place::Any),
        [] => (before.to_vec(), Place::First),
        [first, ..] if grammar::is_verb(&before[first]) => (before.to_vec(), Place::Any),
        [app] => (without(app), Place::VerbOfApp(None)),
        [app, verb] if grammar::PAIRS.iter().any(|(first, _)| before[verb] == **first) => {
            (without(app), Place::VerbOfApp(before[verb].to_str().map(str::to_owned)))
        }
        _ => (grammar::rewrite(before), Place::Any),
    }
}

/// The parser's command, in which every argument that takes an app or a volume knows which there are.
fn command(names: &Names) -> Command {
    /// Only the argument that is asked for makes candidates of them.
    fn offer(names: &Arc<Names>, words: fn(&Names) -> Vec<&str>) -> ArgValueCandidates {
        let names = Arc::clone(names);
        ArgValueCandidates::new(move || words(&names).into_iter().map(CompletionCandidate::new).collect())
    }
    fn apps(names: &Names) -> Vec<&str> {
        names.apps.iter().map(String::as_str).collect()
    }
    fn teach(command: Command, names: &Arc<Names>) -> Command {
        let removes_volume = command.get_name() == "remove";
        let command = command.mut_args(|arg| match arg.get_value_names() {
            Some([name]) if *name == "APP" => arg.add(offer(names, apps)),
            Some([name]) if *name == "VERB|APP" => {
                arg.add(offer(names, |names| Request::VERBS.iter().copied().chain(apps(names)).collect()))
            }
            Some([name]) if *name == "VOLUME|DIR" || *name == "NAME" && removes_volume => {
                arg.add(offer(names, |names| names.volumes.iter().map(String::as_str).collect()))
            }
            _ => arg,
        });
        command.mut_subcommands(|sub| teach(sub, names))
    }
    teach(Cli::command(), &Arc::new(names.clone()))
}

/// Whether a verb, or one of its second words, can be said of an app.
fn takes_app(verb: &Command) -> bool {
    let is_app = |arg: &clap::Arg| arg.get_value_names().is_some_and(|n| n.iter().any(|n| n.ends_with("APP")));
    verb.get_positionals().any(is_app) || verb.get_subcommands().any(takes_app)
}

impl Candidate {
    /// `None` for what is not text: no shell could be told.
    fn of(candidate: &CompletionCandidate) -> Option<Self> {
        let word = candidate.get_value().to_str()?.to_owned();
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        Some(Self { word, help: help.lines().next().unwrap_or_default().to_owned() })
    }
}

/// Bash cuts words at `=` too (COMP_WORDBREAKS): `--format=x` comes as three. Puts them together again, and says how much of the last one
/// bash does not want to hear again.
pub(crate) fn joined(words: &[OsString]) -> (Vec<OsString>, usize) {
    let mut whole: Vec<OsString> = Vec::with_capacity(words.len());
    let mut known = 0;
    let mut open = false;
    for word in words {
        known = 0;
        match whole.last_mut() {
            Some(last) if word == "=" && last.as_encoded_bytes().starts_with(b"--") => {
                last.push("=");
                (open, known) = (true, last.len());
            }
            Some(last) if open => {
                known = last.len();
                last.push(word);
                open = false;
            }
            _ => whole.push(word.clone()),
        }
    }
    (whole, known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    /// What is offered for the end of a line.
    fn offered(line: &str) -> Vec<String> {
        let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let names = Names { apps: list(&["home", "httpd", "stats"]), volumes: list(&["data0", "data1"]) };
        candidates(&words(&format!("datastore {line}")), &names, None).into_iter().map(|c| c.word).collect()
    }

    #[test]
    fn both_grammars() {
        for (line, wanted) in [
            ("sto", "stop"),
            ("st", "status start stop stats"),
            ("ht", "httpd"),
            ("stop ht", "httpd"),
            ("stop ", "home httpd stats"),
            ("stop home ", "httpd stats"),
            ("httpd st", "status start stop"),
            ("httpd stop ", "home stats"),
            // No verb that has nothing to do with apps.
            ("httpd in", ""),
            ("httpd vol", ""),
            ("httpd re", "restart remap reclaim"),
            ("httpd config ", "check show remove"),
            ("httpd config show --o", "--origin"),
            ("config ", "check show add remove import help"),
            ("--root /r httpd sto", "stop"),
            ("--json httpd sto", "stop"),
            ("--json --root=/r sto", "stop"),
            ("plan st", "start stop stats"),
            ("plan stop ht", "httpd"),
            ("httpd plan sto", "stop"),
            ("volume ", "add candidates list remove help"),
            ("volume remove ", "data0 data1"),
            ("volume add ", ""),
            ("init --enable ho", "home"),
            ("volume add data1 --device /x --format ", "ext4 xfs btrfs"),
            ("volume add data1 --format=x", "--format=xfs"),
            ("start home --acc", "--accept-store"),
            ("home start --acc", "--accept-store"),
            ("completions ", "bash zsh fish"),
            ("man datastore-", "datastore-configlet"),
            ("help sto", "stop"),
            ("recover ", ""),
        ] {
            assert_eq!(offered(line).join(" "), wanted, "{line}");
        }
        assert!(offered("--").contains(&"--root".to_owned()));
        // The hidden way in is for shells alone.
        assert!(!offered("completions bash --").contains(&"--word".to_owned()));
    }

    #[test]
    fn every_verb_that_takes_apps_offers_them() {
        fn look(command: &Command, path: &str, asked: &mut usize) {
            let arg = command.get_positionals().find(|arg| arg.get_index() == Some(1));
            if arg.and_then(clap::Arg::get_value_names).is_some_and(|names| names[0].ends_with("APP")) {
                assert!(offered(&format!("{path} htt")).contains(&"httpd".to_owned()), "{path}");
                *asked += 1;
            }
            for sub in command.get_subcommands().filter(|s| s.get_name() != "help") {
                look(sub, format!("{path} {}", sub.get_name()).trim_start(), asked);
            }
        }
        let mut command = Cli::command();
        command.build();
        let mut asked = 0;
        look(&command, "", &mut asked);
        assert!(asked > 10, "only {asked} verbs were asked");
    }

    #[test]
    fn a_word_says_what_it_does() {
        let names = Names::default();
        let found = candidates(&words("datastore recov"), &names, None);
        assert_eq!(
            found,
            [Candidate { word: "recover".into(), help: "Finish operations that stopped half-way".into() }]
        );
        assert_eq!(candidates(&words("datastore"), &names, None), []);
        assert_eq!(candidates(&[], &names, None), []);
    }

    #[test]
    fn files_are_offered_where_they_are_meant() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("images")).unwrap();
        std::fs::write(dir.path().join("images.conf"), "").unwrap();
        let found = |line: &str| -> Vec<String> {
            let all = candidates(&words(&format!("datastore {line}")), &Names::default(), Some(dir.path()));
            all.into_iter().map(|c| c.word).collect()
        };
        assert_eq!(found("init --device im"), ["images.conf", "images/"]);
        assert_eq!(found("config import im"), ["images.conf", "images/"]);
        assert_eq!(found("--root im"), ["images.conf", "images/"]);
        assert_eq!(found("home --root im"), ["images.conf", "images/"]);
        assert_eq!(found("stop im"), [""; 0]);
    }

    #[test]
    fn the_root_of_the_line() {
        for (line, root_of_it) in [
            ("datastore st", "/"),
            ("datastore --root /r st", "/r"),
            ("datastore stop --root=/r h", "/r"),
            ("datastore stop --root", "/"),
        ] {
            assert_eq!(root(&words(line)), Path::new(root_of_it), "{line}");
        }
    }

    #[test]
    fn words_that_bash_cuts() {
        for (given, whole, known) in [
            ("datastore --root = /r st", "datastore --root=/r st", 0),
            ("datastore add --format = x", "datastore add --format=x", 9),
            ("datastore add --format =", "datastore add --format=", 9),
            ("datastore a = b", "datastore a = b", 0),
        ] {
            assert_eq!(joined(&words(given)), (words(whole), known), "{given}");
        }
    }
}
