//! Commands within sentences and tables: the real command line must understand them.

use std::process::Command;

use datastore_tests::binary;

/// Words that stand for something, each with something of that kind.
const STAND_FOR: &[(&str, &str)] = &[
    ("ID", "20261124T164218792Z-de2484e0"),
    ("PLAN", "1f0c2d3e4b5a6978"),
    ("VERB", "status"),
    ("TYPE", "ext4"),
    ("TIME", "2h"),
    ("N", "3"),
    ("PATH", "/home/alice"),
    ("BASE", "/store/data0/live/server1"),
];

/// What is said of the program, and not to it.
const NO_COMMANDS: &[&str] = &["datastore APP VERB", "datastore VERB [APP...]", "datastore --root DIR ..."];

/// Commands of `datastore` that its command line does not understand.
pub(crate) fn check(inline: &[(usize, String)]) -> Vec<String> {
    let mut findings = Vec::new();
    for (line, code) in inline {
        let Some(rest) = code.strip_prefix("datastore ") else { continue };
        if NO_COMMANDS.contains(&code.as_str()) {
            continue;
        }
        if let Err(why) = understood(rest) {
            findings.push(format!("line {line}: `{code}` is no command: {why}"));
        }
    }
    findings
}

/// Whether the command line can be read. Nothing is done: the root does not exist, and that is found next.
fn understood(words: &str) -> Result<(), String> {
    let words = words.split_whitespace().filter(|word| *word != "...").map(|word| {
        let word = word.trim_matches(['[', ']', '"']).trim_end_matches("...");
        STAND_FOR.iter().find(|(stands, _)| *stands == word).map_or(word, |(_, value)| value)
    });
    let mut words: Vec<&str> = words.collect();
    if let Some(at) = words.iter().position(|word| *word == "--plan") {
        words.splice(at + 1.., ["1f0c2d3e4b5a6978"]);
    }
    if let Some(at) = words.iter().position(|word| *word == "--root") {
        words.drain(at..(at + 2).min(words.len()));
    }
    let mut command = Command::new(binary::datastore());
    command.args(["--root", "/no/such/root"]).args(&words);
    let output = command.output().map_err(|e| e.to_string())?;
    // Exit code 2 is that of a command line that makes no sense.
    match output.status.code() {
        Some(2) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Some(_) => Ok(()),
        None => Err(output.status.to_string()),
    }
}
