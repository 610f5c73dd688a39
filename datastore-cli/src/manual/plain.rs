//! A page as plain text, for a machine that has no man(1): a rescue system, a container. It knows the requests that our pages use, which a
//! test holds against the pages.

/// Columns of a line.
const WIDTH: usize = 78;
/// How far text stands in from its heading.
const STEP: usize = 7;

/// Stands for an escape that is not known.
const UNKNOWN: &str = "\u{fffd}";

/// The page as text.
pub(crate) fn plain(source: &str) -> String {
    let mut text = Text::default();
    for line in source.lines() {
        text.line(line);
    }
    text.flush();
    text.out
}

/// The text so far.
#[derive(Default)]
struct Text {
    out: String,
    /// Words of the paragraph that is being filled.
    words: Vec<String>,
    /// How far the paragraph stands in.
    indent: usize,
    /// The tag that waits for its paragraph.
    tag: Option<String>,
    /// Whether the next line is the tag of a `.TP`.
    tag_next: bool,
    /// Whether lines are not filled.
    as_is: bool,
    /// How many `.RS` are open.
    inset: usize,
    /// Whether a heading stands right above.
    after_heading: bool,
}

impl Text {
    fn line(&mut self, line: &str) {
        let Some(request) = line.strip_prefix('.') else {
            return self.text(&unescaped(line));
        };
        let (name, rest) = request.split_once(' ').unwrap_or((request, ""));
        match name {
            "SH" => self.heading(rest, 0),
            "SS" => self.heading(rest, 3),
            "PP" => self.paragraph(0),
            "TP" => {
                self.paragraph(STEP);
                self.tag_next = true;
            }
            "IP" => {
                self.paragraph(STEP);
                self.tag = arguments(rest).first().cloned();
            }
            "RS" | "RE" => {
                self.flush();
                self.inset = if name == "RS" { self.inset + 1 } else { self.inset.saturating_sub(1) };
            }
            "EX" | "EE" => {
                self.flush();
                self.as_is = name == "EX";
            }
            "br" => self.flush(),
            "B" | "I" => self.text(&arguments(rest).join(" ")),
            "BR" | "IR" | "RB" | "RI" | "BI" | "IB" => self.text(&arguments(rest).concat()),
            // The title, and comments.
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        self.after_heading = false;
        if self.tag_next {
            self.tag_next = false;
            self.tag = Some(text.to_owned());
        } else if self.as_is {
            let indent = STEP + self.indent + self.inset * STEP;
            self.out.push_str(format!("{:indent$}{text}", "").trim_end());
            self.out.push('\n');
        } else {
            self.words.extend(text.split_whitespace().map(str::to_owned));
        }
    }

    fn heading(&mut self, text: &str, indent: usize) {
        self.paragraph(0);
        self.inset = 0;
        self.out.push_str(&format!("{:indent$}{}\n", "", arguments(text).join(" ")));
        self.after_heading = true;
    }

    /// Ends the paragraph and begins one that stands in so far.
    fn paragraph(&mut self, indent: usize) {
        self.flush();
        if !self.out.is_empty() && !self.out.ends_with("\n\n") && !self.after_heading {
            self.out.push('\n');
        }
        self.after_heading = false;
        self.indent = indent;
    }

    /// Writes the paragraph, filled.
    fn flush(&mut self) {
        let inset = STEP + self.inset * STEP;
        let indent = inset + self.indent;
        let mut line = match self.tag.take() {
            // A tag that leaves no room has a line of its own.
            Some(tag) if tag.chars().count() + 1 > self.indent => {
                self.out.push_str(&format!("{:inset$}{tag}\n", ""));
                String::new()
            }
            Some(tag) => format!("{:inset$}{tag:width$}", "", width = self.indent),
            None => String::new(),
        };
        for word in std::mem::take(&mut self.words) {
            if line.is_empty() {
                line = format!("{:indent$}{word}", "");
            } else if line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.out.push_str(&format!("{}\n", line.trim_end()));
                line = format!("{:indent$}{word}", "");
            } else {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
                line.push_str(&word);
            }
        }
        if !line.is_empty() {
            self.out.push_str(&format!("{}\n", line.trim_end()));
        }
    }
}

/// The arguments of a request, with quotes and escapes resolved.
fn arguments(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (one, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        found.push(unescaped(one));
        rest = after.trim_start();
    }
    found
}

/// A text with its escapes resolved, without fonts.
pub(super) fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let (length, meaning) = match escape.as_bytes() {
            [b'f', ..] => (2, ""),
            [b'(', ..] => match escape.get(1..3).unwrap_or_default() {
                "aq" => (3, "'"),
                "dq" => (3, "\""),
                "ga" => (3, "`"),
                "ti" => (3, "~"),
                "ha" => (3, "^"),
                _ => (3, UNKNOWN),
            },
            [b'e', ..] => (1, "\\"),
            [b'-', ..] => (1, "-"),
            [b'&' | b'|' | b'/', ..] => (1, ""),
            _ => (1.min(escape.len()), UNKNOWN),
        };
        out.push_str(meaning);
        rest = escape.get(length..).unwrap_or_default();
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manual::PAGES;

    #[test]
    fn a_small_page() {
        let source = ".TH A 8\n.SH NAME\na \\- it\n.SH B\n.PP\nSee\n.BR man (1)\nand\n.IR you .\n.TP\n.B \\-\\-x\nLong.\n.EX\n  y \\(aqz\\(aq\n.EE\n";
        let wanted =
            "NAME\n       a - it\n\nB\n       See man(1) and you.\n\n       --x    Long.\n                y 'z'\n";
        assert_eq!(plain(source), wanted);
    }

    /// What this module does not know would be lost on the way.
    #[test]
    fn every_request_of_our_pages_is_known() {
        let known = "TH SH SS PP TP IP RS RE EX EE br B I BR IR RB RI BI IB \\\"";
        for page in PAGES {
            let source = page.source();
            for line in source.lines() {
                assert!(!line.starts_with('\''), "{}: {line}", page.name);
                let Some(request) = line.strip_prefix('.') else { continue };
                let name = request.split(' ').next().unwrap_or_default();
                assert!(known.split(' ').any(|k| k == name), "{}: {line}", page.name);
            }
            let text = plain(&source);
            assert!(!text.contains('\\'), "{}: an escape is left", page.name);
            for line in text.lines() {
                assert!(!line.starts_with('.') && !line.contains(UNKNOWN), "{}: {line}", page.name);
                assert!(line.chars().count() <= 80, "{}: {line}", page.name);
            }
        }
    }
}
