//! What shells read: the script that asks, and the answers, each in the shell's own form.

use datastore_core::Result;
use serde::Serialize;

use super::{json, print};
use crate::args::Shell;
use crate::args::complete::Candidate;

impl Shell {
    /// Its name, and the file that it reads once.
    fn script(self) -> (&'static str, &'static str) {
        match self {
            Self::Bash => ("bash", include_str!("../../../packaging/completions/datastore.bash")),
            Self::Zsh => ("zsh", include_str!("../../../packaging/completions/_datastore")),
            Self::Fish => ("fish", include_str!("../../../packaging/completions/datastore.fish")),
        }
    }
}

#[derive(Serialize)]
struct Script {
    shell: &'static str,
    script: &'static str,
}

#[derive(Serialize)]
struct Words<'a> {
    words: Vec<Word<'a>>,
}

#[derive(Serialize)]
struct Word<'a> {
    word: &'a str,
    help: &'a str,
}

/// What the shell reads once.
pub(crate) fn script(shell: Shell, as_json: bool) -> Result<()> {
    let (shell, script) = shell.script();
    if as_json { json::print(&Script { shell, script }) } else { print(script) }
}

/// The words that may stand there; the shell does not want to hear the first `known` bytes again.
pub(crate) fn candidates(found: &[Candidate], shell: Shell, known: usize, as_json: bool) -> Result<()> {
    if as_json {
        let words = found.iter().map(|Candidate { word, help }| Word { word, help }).collect();
        return json::print(&Words { words });
    }
    let lines = found.iter().filter_map(|candidate| line(candidate, shell, known));
    print(&lines.collect::<String>())
}

/// One answer. A name with a line break in it could not be told from two.
fn line(candidate: &Candidate, shell: Shell, known: usize) -> Option<String> {
    let Candidate { word, help } = candidate;
    let word = word.get(known..).filter(|w| !w.contains(['\n', '\t']))?;
    Some(match shell {
        Shell::Bash => escaped(word, |c| !(c.is_alphanumeric() || "-_./=:,%+@~".contains(c))) + "\n",
        Shell::Zsh if help.is_empty() => escaped(word, |c| c == ':' || c == '\\') + "\n",
        Shell::Zsh => format!("{}:{help}\n", escaped(word, |c| c == ':' || c == '\\')),
        Shell::Fish if help.is_empty() => format!("{word}\n"),
        Shell::Fish => format!("{word}\t{help}\n"),
    })
}

/// The text with a backslash before each character that means something to the shell.
fn escaped(text: &str, special: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if special(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_its_form() {
        let told = |word: &str, help: &str, shell, known| {
            line(&Candidate { word: word.into(), help: help.into() }, shell, known)
        };
        assert_eq!(told("stop", "Unbind", Shell::Bash, 0).as_deref(), Some("stop\n"));
        assert_eq!(told("stop", "Unbind", Shell::Zsh, 0).as_deref(), Some("stop:Unbind\n"));
        assert_eq!(told("stop", "Unbind", Shell::Fish, 0).as_deref(), Some("stop\tUnbind\n"));
        assert_eq!(told("a b", "", Shell::Bash, 0).as_deref(), Some("a\\ b\n"));
        assert_eq!(told("a:b", "", Shell::Zsh, 0).as_deref(), Some("a\\:b\n"));
        assert_eq!(told("--format=xfs", "", Shell::Bash, 9).as_deref(), Some("xfs\n"));
        assert_eq!(told("a\nb", "", Shell::Fish, 0), None);
    }
}
