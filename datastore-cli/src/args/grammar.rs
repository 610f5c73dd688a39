//! The two grammars: `datastore httpd stop` becomes `datastore stop httpd` before anything else is read.

use std::ffi::{OsStr, OsString};

/// Every verb. A verb always wins over an app of that name. A test holds the list against the parser.
pub(super) const VERBS: &[&str] = &[
    "init",
    "adopt",
    "volume",
    "plan",
    "apply",
    "status",
    "doctor",
    "check",
    "start",
    "stop",
    "restart",
    "enable",
    "disable",
    "remap",
    "guard",
    "recover",
    "watch",
    "alarm",
    "config",
    "import",
    "move",
    "reclaim",
    "usage",
    "peek",
    "log",
    "completions",
    "man",
    "help",
];
/// Verbs of two words that may have an app before them, each with its second words.
pub(super) const PAIRS: &[(&str, &[&str])] =
    &[("volume", &["add", "candidates", "list", "remove"]), ("config", &["check", "show", "add", "remove", "import"])];

/// Whether the word is a verb.
pub(super) fn is_verb(word: &OsStr) -> bool {
    word.to_str().is_some_and(|w| VERBS.contains(&w))
}

/// Puts the verb first: if the first word is no verb and the second is one, they change places. After a verb of two
/// words, the app goes behind the second (`datastore httpd config show`).
pub(super) fn rewrite(words: &[OsString]) -> Vec<OsString> {
    let mut words = words.to_vec();
    let places = places(&words);
    let [app, verb, rest @ ..] = &places[..] else { return words };
    if is_verb(&words[*app]) || !is_verb(&words[*verb]) {
        return words;
    }
    let pair = PAIRS.iter().find(|(first, _)| words[*verb] == **first);
    let after = match (pair, rest.first()) {
        (Some((_, second)), Some(&next)) if second.iter().any(|w| words[next] == **w) => next,
        _ => *verb,
    };
    // What stands between moves one place to the front, and the app behind it.
    words[*app..=after].rotate_left(1);
    words
}

/// Where the words are that are neither options nor their values. Only `--root` takes its value as a word of its own before a verb.
pub(super) fn places(words: &[OsString]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut i = 1;
    while i < words.len() {
        match words[i].as_encoded_bytes() {
            b"--" => break,
            b"--root" => i += 1,
            [b'-', _, ..] => {}
            _ => places.push(i),
        }
        i += 1;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verb_goes_first() {
        for (given, meant) in [
            ("httpd stop", "stop httpd"),
            ("stop httpd", "stop httpd"),
            ("--root /r httpd stop", "--root /r stop httpd"),
            ("--root=/r --json httpd --yes stop", "--root=/r --json --yes stop httpd"),
            ("httpd start --accept-store", "start httpd --accept-store"),
            ("httpd config show --origin", "config show httpd --origin"),
            ("httpd config", "config httpd"),
            ("httpd config --json check", "config --json check httpd"),
            // A verb wins over an app of its name, in either place.
            ("stop start", "stop start"),
            ("plan stop httpd", "plan stop httpd"),
            ("httpd plan stop", "plan httpd stop"),
            // Nothing to put in order: left for the parser to refuse.
            ("httpd", "httpd"),
            ("httpd mysqld", "httpd mysqld"),
            ("-- httpd stop", "-- httpd stop"),
            ("", ""),
        ] {
            let words = |text: &str| -> Vec<OsString> {
                std::iter::once("datastore").chain(text.split_whitespace()).map(OsString::from).collect()
            };
            assert_eq!(rewrite(&words(given)), words(meant), "{given}");
        }
    }
}
