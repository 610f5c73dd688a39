//! The command lines that are let through. An option stands where it stands here or nowhere; a name is what the command itself takes for one.

use std::ffi::OsString;

use datastore_core::plan::PlanId;
use datastore_core::value::{AppName, VolumeName};

/// What is let through, for the message of a refusal. The checks below do not read it; a test holds it against them.
pub(crate) const FORMS: &str = "\
plan VERB APP --save --json              VERB: apply start stop restart enable disable remap import reclaim
plan apply|reclaim --save --json         reclaim [APP] [--expired]
plan import APP [--verify content] --save --json
plan move APP --to VOLUME [--max-downtime N] [--verify content] --save --json
plan move APP --undo [--keep old|new] --save --json
plan move APP --resume|--abort --save --json
apply --plan ID --yes --json
config add --json
config remove APP --json
volume add NAME --device /dev/PATH [--format ext4|xfs|btrfs] --yes --json
volume remove NAME --yes --json
volume candidates --json
recover --yes --json
doctor --json
usage --json
log [APP] --json
";

/// No word is longer.
const LONGEST: usize = 512;
/// No line has more words.
const MOST: usize = 16;
/// How a verb that only plans ends.
const KEPT: [&str; 2] = ["--save", "--json"];
/// How a verb that changes something ends.
const AGREED: [&str; 2] = ["--yes", "--json"];

/// Whether a command line is let through; else why not, as a sentence.
pub(crate) fn check(words: &[OsString]) -> Result<(), String> {
    let refused =
        || format!("this command line is not let through; nothing has been done. These are:\n{}", FORMS.trim_end());
    if words.len() > MOST || words.iter().any(|word| word.len() > LONGEST) {
        return Err(refused());
    }
    // What is not UTF-8 is no word of these.
    let words: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
    words.filter(|words| is_let_through(words)).map(drop).ok_or_else(refused)
}

fn is_let_through(words: &[&str]) -> bool {
    match words {
        ["config", "add", "--json"]
        | ["doctor", "--json"]
        | ["usage", "--json"]
        | ["log", "--json"]
        | ["volume", "candidates", "--json"]
        | ["recover", "--yes", "--json"] => true,
        ["apply", "--plan", id, end @ ..] => PlanId::parse(id).is_ok() && end == AGREED,
        ["config", "remove", app, "--json"] | ["log", app, "--json"] => is_app(app),
        ["volume", "remove", name, end @ ..] => is_volume(name) && end == AGREED,
        ["volume", "add", name, "--device", device, rest @ ..] => {
            let end = match rest {
                ["--format", "ext4" | "xfs" | "btrfs", end @ ..] => end,
                end => end,
            };
            is_volume(name) && is_device(device) && end == AGREED
        }
        ["plan", verb, rest @ ..] => rest.strip_suffix(&KEPT).is_some_and(|rest| is_plan(verb, rest)),
        _ => false,
    }
}

/// What stands between the verb of a plan and its end.
fn is_plan(verb: &str, words: &[&str]) -> bool {
    match (verb, words) {
        ("apply" | "reclaim", []) | ("reclaim", ["--expired"]) => true,
        ("apply" | "start" | "stop" | "restart" | "enable" | "disable" | "remap" | "import" | "reclaim", [app])
        | ("reclaim", [app, "--expired"])
        | ("import", [app, "--verify", "content"])
        | ("move", [app, "--undo" | "--resume" | "--abort"] | [app, "--undo", "--keep", "old" | "new"]) => is_app(app),
        ("move", [app, "--to", volume, rest @ ..]) => is_app(app) && is_volume(volume) && is_how(rest),
        _ => false,
    }
}

/// How data is to be moved.
fn is_how(words: &[&str]) -> bool {
    match words {
        [] | ["--verify", "content"] => true,
        ["--max-downtime", seconds, rest @ ..] => is_number(seconds) && matches!(rest, [] | ["--verify", "content"]),
        _ => false,
    }
}

fn is_app(word: &str) -> bool {
    AppName::parse(word).is_ok()
}

fn is_volume(word: &str) -> bool {
    VolumeName::parse(word).is_ok()
}

fn is_number(word: &str) -> bool {
    (1..=6).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit())
}

/// What is below /dev and no disk: others than root can put files there, or it leads to files that the caller has open.
const NO_DISKS: [&str; 8] = ["shm", "mqueue", "hugepages", "fd", "stdin", "stdout", "stderr", "pts"];

/// A path below /dev in its only spelling, and not where a file that is no disk could be.
fn is_device(word: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.:+-".contains(&b);
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && name.bytes().all(plain);
    word.strip_prefix("/dev/").is_some_and(|rest| {
        rest.split('/').all(is_name) && !rest.split('/').next().is_some_and(|first| NO_DISKS.contains(&first))
    })
}

#[cfg(test)]
mod tests;
