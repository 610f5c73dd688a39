//! What is shown beside what came out.

use regex_lite::Regex;

/// A line that stands for any number of lines.
pub(crate) const CUT: &str = "...";

/// What may differ from one run to the next, each with what stands for it.
const MAY_DIFFER: &[(&str, &str)] = &[
    (r"\b\d{8}T\d{9}Z-[0-9a-f]{8}\b", "OPERATION"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?Z?", "TIME"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "IDENTITY"),
    (r"\b[0-9a-f]{16}\b", "PLAN"),
    (r"\bparked([-/])[0-9a-f]{8}\b", "parked${1}MARK"),
    (r"\buntil \d{4}-\d\d-\d\d\b", "until DAY"),
    (r"\b\d+\.\d+ s\b", "SECONDS"),
    (r"\b\d+(\.\d+)? [KMGT]?i?B\b", "SIZE"),
    (r"\b(process|kill|PID) \d+", "$1 NUMBER"),
    (r"\brunning for \d+ s\b", "running for SECONDS"),
];

/// Lines with what may differ taken out, and with columns that are as wide as whatever is in them.
pub(crate) struct Normal {
    differs: Vec<(Regex, &'static str)>,
    columns: Regex,
    progress: Regex,
}

impl Normal {
    pub(crate) fn new() -> Self {
        let regex = |text: &str| Regex::new(text).expect("a regular expression");
        Self {
            differs: MAY_DIFFER.iter().map(|(text, word)| (regex(text), *word)).collect(),
            columns: regex(r"(\S)  +"),
            // Slow work says how far it is; on another machine it is not slow.
            progress: regex(r"^(\d+/\d+|copying|comparing|removing|measuring) "),
        }
    }

    pub(crate) fn line(&self, line: &str) -> String {
        let mut line = line.trim_end().to_owned();
        for (regex, word) in &self.differs {
            line = regex.replace_all(&line, *word).into_owned();
        }
        self.columns.replace_all(&line, "$1  ").into_owned()
    }

    /// Whether the real output is what is shown.
    pub(crate) fn same(&self, shown: &[String], real: &[String]) -> bool {
        let normal = |lines: &[String]| -> Vec<String> {
            lines.iter().filter(|line| !self.progress.is_match(line)).map(|line| self.line(line)).collect()
        };
        matches(&normal(shown), &normal(real))
    }
}

/// Whether lines are as a pattern with [`CUT`] says.
fn matches(pattern: &[String], lines: &[String]) -> bool {
    match pattern.split_first() {
        None => lines.is_empty(),
        Some((cut, rest)) if cut == CUT => (0..=lines.len()).any(|skip| matches(rest, &lines[skip..])),
        Some((first, rest)) => lines.first() == Some(first) && matches(rest, &lines[1..]),
    }
}

/// The real output, shortened where the one that was shown is: as many lines of its beginning and end, or of its middle from the same
/// first line on.
pub(crate) fn shortened(normal: &Normal, shown: &[String], real: &[String]) -> Vec<String> {
    let Some(first) = shown.iter().position(|line| line == CUT) else { return real.to_vec() };
    let last = shown.iter().rposition(|line| line == CUT).expect("there is a first one");
    let cut = [CUT.to_owned()];
    if first == 0 && last + 1 == shown.len() && last > 1 {
        let begins = normal.line(&shown[1]);
        let Some(at) = real.iter().position(|line| normal.line(line) == begins) else { return real.to_vec() };
        let end = real.len().min(at + last - 1);
        return cut.iter().chain(&real[at..end]).chain(&cut).cloned().collect();
    }
    let tail = shown.len() - last - 1;
    if first + tail >= real.len() {
        return real.to_vec();
    }
    real[..first].iter().chain(&cut).chain(&real[real.len() - tail..]).cloned().collect()
}

/// Both, for a person.
pub(crate) fn difference(shown: &[String], real: &[String]) -> String {
    let all = |mark: char, lines: &[String]| -> String { lines.iter().map(|l| format!("  {mark} {l}\n")).collect() };
    all('-', shown) + &all('+', real)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_may_differ_differs_and_nothing_else_does() {
        let same = |a: &str, b: &str| Normal::new().same(&lines(a), &lines(b));
        assert!(same("`apply`: 13 steps done in 0.00 s", "`apply`: 13 steps done in 1.24 s"));
        assert!(!same("`apply`: 13 steps done in 0.00 s", "`apply`: 14 steps done in 0.00 s"));
        assert!(same("a  252 GiB   10%  x", "a  1.5 MiB  10%  x"));
        assert!(!same("a  252 GiB  10%  x", "a  252 GiB  11%  x"));
        assert!(same("20261124T164218792Z-de2484e0.log", "20271124T164218792Z-00000000.log"));
        assert!(same("a\nb", "a\n3/7 make file system\nb"));
        assert!(!same("  a", "    a"), "how far a line is indented means something");
        assert!(!same("a", "") && !same("", "a") && !same("a\nb", "b\na"));
    }

    #[test]
    fn a_cut_stands_for_any_lines() {
        let same = |a: &str, b: &str| Normal::new().same(&lines(a), &lines(b));
        assert!(same("...", "") && same("a\n...", "a\nb\nc") && same("...\nc", "a\nb\nc") && same("a\n...\nc", "a\nc"));
        assert!(!same("a\n...\nc", "a\nb") && !same("b\n...", "a\nb"));
        let shortened = |shown: &str, real: &str| shortened(&Normal::new(), &lines(shown), &lines(real));
        assert_eq!(shortened("x\n...\nz", "1\n2\n3\n4"), lines("1\n...\n4"));
        assert_eq!(shortened("x\n...\nz", "1\n2"), lines("1\n2"));
        assert_eq!(shortened("x", "1\n2"), lines("1\n2"));
        assert_eq!(shortened("...\na   b\nx\n...", "1\na  b\n2\n3"), lines("...\na  b\n2\n..."));
    }
}
