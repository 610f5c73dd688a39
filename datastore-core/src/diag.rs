//! Diagnostics: what is wrong in a text, where, and what to do about it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::path::printable;

/// A file in [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// Where a value stands: a range of bytes in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A value, and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Located<T> {
    /// Puts the two together.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
    /// The same place with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: f(self.value), span: self.span }
    }
}

/// One text that was read, with the name to print for it.
#[derive(Debug, Clone)]
struct Source {
    name: Arc<str>,
    text: Arc<str>,
    /// Where each line begins, once somebody has asked for a place: a file of thousands of mistakes is not counted through for each of them.
    lines: OnceLock<Box<[u32]>>,
}

/// All the texts of one run, so that a [`Span`] can be turned into file, line and column.
#[derive(Debug, Clone, Default)]
pub struct Sources(Vec<Source>);

/// A place that a person can go to. Lines and columns count from 1; a column counts characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file's path below the root.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Sources {
    /// Adds a text and says by which id it goes.
    pub fn add(&mut self, name: &str, text: &str) -> FileId {
        self.0.push(Source { name: name.into(), text: text.into(), lines: OnceLock::new() });
        FileId(u32::try_from(self.0.len() - 1).expect("fewer than 2^32 files"))
    }
    /// The text of a file.
    #[must_use]
    pub fn text(&self, file: FileId) -> Arc<str> {
        self.0[file.0 as usize].text.clone()
    }
    /// The name of a file.
    #[must_use]
    pub fn name(&self, file: FileId) -> &str {
        &self.0[file.0 as usize].name
    }
    /// Where a span begins.
    #[must_use]
    pub fn place(&self, span: Span) -> Place {
        let source = &self.0[span.file.0 as usize];
        let (line, column, _) = source.locate(span.start as usize);
        Place { file: source.name.to_string(), line, column }
    }
    /// A diagnostic about a span.
    #[must_use]
    pub fn diagnose(&self, span: Span, code: Code, message: impl Into<String>) -> Diagnostic {
        let source = &self.0[span.file.0 as usize];
        let (line, column, text) = source.locate(span.start as usize);
        let rest = text.chars().count().saturating_sub(column as usize - 1).max(1);
        let width = source
            .text
            .get(span.start as usize..(span.end as usize).max(span.start as usize))
            .map_or(1, |t| t.chars().count());
        Diagnostic {
            severity: Severity::Error,
            code,
            place: Some(Place { file: source.name.to_string(), line, column }),
            source_line: Some(text.chars().take(SHOWN).collect()),
            width: u32::try_from(width.clamp(1, rest.min(SHOWN))).unwrap_or(1),
            message: shortened(message.into()),
            hint: None,
        }
    }
}

impl Source {
    /// Line, column and text of the line that holds a byte.
    fn locate(&self, offset: usize) -> (u32, u32, &str) {
        let text = &*self.text;
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let starts = self.lines.get_or_init(|| {
            let after = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| number(at + 1));
            std::iter::once(0).chain(after).collect()
        });
        let line = starts.partition_point(|&start| start as usize <= offset);
        let start = starts[line - 1] as usize;
        let end = starts.get(line).map_or(text.len(), |&next| next as usize - 1);
        let column = text[start..offset].chars().count() + 1;
        (number(line), number(column), text[start..end].trim_end_matches('\r'))
    }
}

/// So many characters of a line are shown.
const SHOWN: usize = 240;
/// A longer message, in bytes, holds a word of the configuration that nobody reads.
const LONGEST: usize = 1200;

/// The message, without the middle of what is too long.
fn shortened(message: String) -> String {
    if message.len() <= LONGEST {
        return message;
    }
    let cut = |mut at: usize| {
        while !message.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    format!("{}\u{2026}{}", &message[..cut(LONGEST / 2)], &message[cut(message.len() - LONGEST / 2)..])
}

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look; nothing is refused for it.
    Warning,
    /// What it stands in is refused.
    Error,
}

/// What is wrong, as a fixed word. The words are part of the interface (`config check --json`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Code {
    /// The text does not follow the grammar.
    Syntax,
    /// The file is not there or cannot be read.
    Unreadable,
    /// The file, or a directory above it, could be changed by somebody other than root.
    Unsafe,
    /// The file is larger than 1 MiB, or there are too many mappings.
    TooLarge,
    /// A key that nobody knows.
    UnknownKey,
    /// A key that is missing.
    MissingKey,
    /// The same key or mount point twice in one file.
    Duplicate,
    /// A value of the wrong type or form.
    BadValue,
    /// `%{...}` that nobody knows.
    UnknownExpansion,
    /// A mount point or store directory that is not allowed.
    ForbiddenPath,
    /// Two mappings that share a mount point or store directory, or lie inside each other's store.
    Overlap,
    /// A volume that no configuration names.
    UnknownVolume,
    /// A value that this program cannot work out, because it never runs configuration.
    NotEvaluable,
    /// The name of the file is not the name of an app.
    BadName,
    /// `host` is not set yet.
    NotInitialised,
}

impl Code {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Unreadable => "unreadable",
            Self::Unsafe => "unsafe",
            Self::TooLarge => "too-large",
            Self::UnknownKey => "unknown-key",
            Self::MissingKey => "missing-key",
            Self::Duplicate => "duplicate",
            Self::BadValue => "bad-value",
            Self::UnknownExpansion => "unknown-expansion",
            Self::ForbiddenPath => "forbidden-path",
            Self::Overlap => "overlap",
            Self::UnknownVolume => "unknown-volume",
            Self::NotEvaluable => "not-evaluable",
            Self::BadName => "bad-name",
            Self::NotInitialised => "not-initialised",
        }
    }
}

/// One finding about configuration. Its [`Display`](fmt::Display) form is what the terminal shows, several lines with the source line and a marker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub code: Code,
    /// Where, if in a file at all.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// The line in question, cut to 240 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_line: Option<String>,
    /// How many characters of the line are meant.
    #[serde(skip)]
    pub width: u32,
    /// What is wrong: a sentence without a full stop.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A diagnostic about a whole file.
    #[must_use]
    pub fn about_file(file: &str, code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            place: Some(Place { file: file.into(), line: 1, column: 1 }),
            source_line: None,
            width: 0,
            message: shortened(message.into()),
            hint: None,
        }
    }
    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// The same as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }
    /// Whether something is refused for it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
    /// `file:line:column: message`, for a status row: one line, whatever the configuration holds.
    #[must_use]
    pub fn one_line(&self) -> String {
        let text = match &self.place {
            Some(place) => format!("{place}: {}", self.message),
            None => self.message.clone(),
        };
        printable(text.as_bytes())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        // Words of the configuration stand in all of them, and whoever wrote it need not be who reads this.
        let plain = |text: &str| printable(text.as_bytes());
        write!(f, "{word}[{}]: {}", self.code.as_str(), plain(&self.message))?;
        if let Some(place) = &self.place {
            if self.source_line.is_some() {
                write!(f, "\n  --> {}", plain(&place.to_string()))?;
            } else {
                write!(f, "\n  --> {}", plain(&place.file))?;
            }
            if let Some(line) = &self.source_line {
                let number = place.line.to_string();
                let pad = " ".repeat(number.len());
                let clean: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                write!(f, "\n{pad} |\n{number} | {clean}")?;
                // What stands beyond the part that is shown cannot be pointed at.
                let (before, shown) = (place.column as usize - 1, line.chars().count());
                if before <= shown {
                    let mark = "^".repeat((self.width as usize).min(shown - before).max(1));
                    write!(f, "\n{pad} | {}{mark}", " ".repeat(before))?;
                }
            }
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {}", plain(hint))?;
        }
        Ok(())
    }
}

/// The word of `known` that is nearest to `given`, if any is near enough to be meant.
#[must_use]
pub fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|word| (distance(given, word), *word))
        .filter(|(d, word)| *d <= (word.len().min(given.len()) / 3).max(1))
        .min()
        .map(|(_, word)| word)
}

/// Damerau-Levenshtein distance (insert, delete, replace, swap of neighbours).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_word() {
        let known = ["permissions", "owner", "group", "target"];
        assert_eq!(nearest("permisions", &known), Some("permissions"));
        assert_eq!(nearest("onwer", &known), Some("owner"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("nope", &["home"]), None);
    }

    #[test]
    fn words_of_a_configlet_drive_no_terminal() {
        let mut sources = Sources::default();
        let text = "\"\\u001b]0;x\\u0007\\n\\u009b2J\" = 1\n[mapping.\"/a\"]\ntarget = \"%{\\u001b[2J}\"\n";
        let file = sources.add("/etc/datastore.d/x\u{1b}.conf", text);
        let (_, found) = crate::syntax::toml::configlet(file, &sources);
        assert_eq!(found.len(), 1);
        for line in found[0].to_string().split('\n').chain([found[0].one_line().as_str()]) {
            assert!(!line.contains(char::is_control), "{line:?}");
        }
        assert!(
            found[0].to_string().starts_with("error[unknown-key]: unknown key `\\x1b]0;x\\x07\\x0a\\xc2\\x9b2J`\n"),
            "{}",
            found[0]
        );
    }

    #[test]
    fn prints_place_line_and_hint() {
        let mut sources = Sources::default();
        let file = sources.add("/etc/datastore.d/httpd.conf", "a = 1\nmöde = \"9\"\n");
        let span = Span { file, start: 6, end: 11 };
        let text =
            sources.diagnose(span, Code::UnknownKey, "unknown key `möde`").hint("did you mean `mode`?").to_string();
        assert_eq!(
            text,
            "error[unknown-key]: unknown key `möde`\n  --> /etc/datastore.d/httpd.conf:2:1\n  |\n2 | möde = \"9\"\n  | ^^^^\n  hint: did you mean `mode`?"
        );
    }
}
