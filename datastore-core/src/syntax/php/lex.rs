//! PHP text into tokens. Only the places of tokens are kept; what a string says is worked out when it is needed.
//!
//! The rules are those of PHP's own scanner (the PHP manual, "Basic syntax", "Strings", "Comments"), as far as they
//! decide where a token ends.

use super::finding::{Finding, Findings};
use crate::diag::Code;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `$name`.
    Variable,
    /// A word: keyword, constant, function, class; `\` may stand in it.
    Name,
    /// `12`, `0755`, `0x1f`.
    Integer,
    /// `1.5`, `.5`, `1e3`.
    Float,
    /// `'...'`.
    Quoted,
    /// `"..."`.
    Template,
    /// `<<<END ... END`.
    Heredoc,
    /// A command in backticks.
    Shell,
    /// An operator or bracket of one character. `?>` ends a statement and is given as `;`.
    Byte(u8),
    /// An operator of several characters.
    Operator,
    /// Something that cannot be a token, or that does not end. It is reported already.
    Broken,
}

/// One token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// First byte.
    pub(super) start: u32,
    /// One past the last byte.
    pub(super) end: u32,
}

impl Token {
    pub(super) fn range(self) -> (u32, u32) {
        (self.start, self.end)
    }
    pub(super) fn text(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }
    pub(super) fn is(self, byte: u8) -> bool {
        self.kind == Kind::Byte(byte)
    }
}

/// Operators of several characters, longest first.
const OPERATORS: [&str; 31] = [
    "<<=", ">>=", "**=", "...", "<=>", "===", "!==", "??=", "?->", "+=", "-=", "*=", "/=", ".=", "%=", "&=", "|=",
    "^=", "=>", "->", "::", "==", "!=", "<=", ">=", "&&", "||", "??", "++", "--", "**",
];

/// Whether a byte may stand in a name. Everything above ASCII may.
fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// How long the name at the beginning of `bytes` is; 0 if there is none.
pub(super) fn name_length(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(b) if in_name(*b) && !b.is_ascii_digit() => bytes.iter().take_while(|&&b| in_name(b)).count(),
        _ => 0,
    }
}

/// Past a byte order mark and a `#!` line.
fn preamble(text: &str) -> usize {
    let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    if text[start..].starts_with("#!") { text[start..].find('\n').map_or(text.len(), |i| start + i + 1) } else { start }
}

/// Past white space and comments.
fn past_blank(text: &str, mut at: usize) -> usize {
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_ascii_start();
        at += rest.len() - trimmed.len();
        let length = if let Some(comment) = trimmed.strip_prefix("/*") {
            comment.find("*/").map(|i| i + 4)
        } else if trimmed.starts_with("//") || trimmed.starts_with('#') {
            Some(trimmed.find(['\n', '\r']).unwrap_or(trimmed.len()))
        } else {
            None
        };
        match length {
            Some(n) => at += n,
            None => return at,
        }
    }
}

/// Where the code begins if an opening tag stands at `at`.
fn past_tag(text: &str, at: usize) -> Option<usize> {
    let rest = &text.as_bytes()[at..];
    if !rest.starts_with(b"<?") {
        return None;
    }
    let word = &rest[2..2 + name_length(&rest[2..])];
    if word.eq_ignore_ascii_case(b"php") {
        Some(at + 5)
    } else if word.eq_ignore_ascii_case(b"xml") {
        None
    } else if rest.get(2) == Some(&b'=') {
        Some(at + 3)
    } else {
        Some(at + 2)
    }
}

/// Whether the text begins as PHP: an opening tag or a variable, after what may stand before either.
pub(super) fn begins_as_php(text: &str) -> bool {
    let at = past_blank(text, preamble(text));
    past_tag(text, at).is_some() || text.as_bytes().get(at) == Some(&b'$')
}

/// All tokens of the file. What is wrong with their form goes to `findings`.
pub(super) fn tokens(text: &str, findings: &mut Findings) -> Vec<Token> {
    let begin = preamble(text);
    let at = past_tag(text, past_blank(text, begin)).unwrap_or(begin);
    let mut lexer = Lexer { text, bytes: text.as_bytes(), at, out: Vec::with_capacity(text.len() / 8), findings };
    while lexer.token() {}
    lexer.out
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    out: Vec<Token>,
    findings: &'a mut Findings,
}

/// The caller refuses files beyond 1 MiB, so an offset fits.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    fn push(&mut self, kind: Kind, end: usize) {
        self.out.push(Token { kind, start: offset(self.at), end: offset(end) });
        self.at = end;
    }

    /// Reports something that has no end, and takes the rest of the file for it.
    fn endless(&mut self, opener: usize, what: &str, hint: &str) {
        let range = (offset(self.at), offset(self.at + opener));
        self.findings.push(Finding::new(range, Code::Syntax, format!("{what} that begins here never ends")).hint(hint));
        self.push(Kind::Broken, self.bytes.len());
    }

    /// Takes one token, comment or stretch of white space. False at the end.
    fn token(&mut self) -> bool {
        let Some(&byte) = self.bytes.get(self.at) else { return false };
        let rest = self.rest();
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
            b'#' => self.line_comment(),
            b'/' if rest.starts_with(b"//") => self.line_comment(),
            b'/' if rest.starts_with(b"/*") => match self.text[self.at + 2..].find("*/") {
                Some(i) => self.at += i + 4,
                None => self.endless(2, "a comment", "close it with `*/`"),
            },
            b'?' if rest.starts_with(b"?>") => self.close_tag(),
            b'\'' => match quoted_length(rest, b'\'') {
                Some(n) => self.push(Kind::Quoted, self.at + n),
                None => self.endless(1, "a string", "close it with `'`"),
            },
            b'"' => match template_length(rest) {
                Some(n) => self.push(Kind::Template, self.at + n),
                None => self.endless(1, "a string", "close it with `\"`"),
            },
            b'`' => match quoted_length(rest, b'`') {
                Some(n) => self.push(Kind::Shell, self.at + n),
                None => self.endless(1, "a command in backticks", "remove it: commands are never run"),
            },
            b'$' => match name_length(&rest[1..]) {
                0 => self.push(Kind::Byte(b'$'), self.at + 1),
                n => self.push(Kind::Variable, self.at + 1 + n),
            },
            b'0'..=b'9' => self.number(),
            b'.' if rest.get(1).is_some_and(u8::is_ascii_digit) => self.number(),
            b'<' if rest.starts_with(b"<<<") && self.heredoc() => {}
            b'\\' => match name_length(&rest[1..]) {
                0 => self.broken(),
                _ => self.name(),
            },
            _ if name_length(rest) > 0 => self.name(),
            b'!'..=b'~' => {
                let long = OPERATORS.iter().find(|op| rest.starts_with(op.as_bytes()));
                match long {
                    Some(op) => self.push(Kind::Operator, self.at + op.len()),
                    None => self.push(Kind::Byte(byte), self.at + 1),
                }
            }
            _ => self.broken(),
        }
        true
    }

    /// A control character, or a lone backslash; several in a row are one finding.
    fn broken(&mut self) {
        let odd = |b: &u8| b.is_ascii_control() && !b.is_ascii_whitespace() || *b == 0x0c;
        let n = self.rest().iter().take_while(|b| odd(b)).count().max(1);
        let range = (offset(self.at), offset(self.at + n));
        self.findings.push(
            Finding::new(range, Code::Syntax, "a character that cannot stand here").hint("remove it from the file"),
        );
        self.push(Kind::Broken, self.at + n);
    }

    /// A comment to the end of the line, or to `?>` before it, as in PHP.
    fn line_comment(&mut self) {
        let rest = self.rest();
        let line = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        self.at += memchr::memmem::find(&rest[..line], b"?>").unwrap_or(line);
    }

    /// `?>`: a `;`, then text that is no code, up to the next opening tag.
    fn close_tag(&mut self) {
        self.push(Kind::Byte(b';'), self.at + 2);
        while let Some(i) = memchr::memmem::find(self.rest(), b"<?") {
            self.at += i;
            if let Some(code) = past_tag(self.text, self.at) {
                self.at = code;
                return;
            }
            self.at += 2;
        }
        self.at = self.bytes.len();
    }

    fn name(&mut self) {
        let n = self.rest().iter().take_while(|&&b| in_name(b) || b == b'\\').count();
        // What follows is data, whatever it looks like.
        if self.rest()[..n].eq_ignore_ascii_case(b"__halt_compiler") {
            self.push(Kind::Name, self.at + n);
            self.push(Kind::Byte(b';'), self.at);
            self.at = self.bytes.len();
        } else {
            self.push(Kind::Name, self.at + n);
        }
    }

    fn number(&mut self) {
        let rest = self.rest();
        let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit() || **b == b'_').count();
        let mut kind = Kind::Integer;
        let mut n = digits(0);
        if rest[0] == b'0' && rest.get(1).is_some_and(|b| matches!(b | 0x20, b'x' | b'b' | b'o')) {
            n = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        } else {
            if rest.get(n) == Some(&b'.') && !rest[n + 1..].starts_with(b"..") {
                kind = Kind::Float;
                n += 1 + digits(n + 1);
            }
            let sign = usize::from(matches!(rest.get(n + 1), Some(b'+' | b'-')));
            if matches!(rest.get(n), Some(b'e' | b'E')) && rest.get(n + 1 + sign).is_some_and(u8::is_ascii_digit) {
                kind = Kind::Float;
                n += 1 + sign + digits(n + 1 + sign);
            }
        }
        self.push(kind, self.at + n);
    }

    /// `<<<LABEL`, `<<<"LABEL"` or `<<<'LABEL'` up to the line that begins with the label. False if it is none.
    fn heredoc(&mut self) -> bool {
        let rest = self.rest();
        let mut at = 3 + rest[3..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        let quote = rest.get(at).copied().filter(|b| matches!(b, b'\'' | b'"'));
        at += usize::from(quote.is_some());
        let length = name_length(&rest[at..]);
        let label = &rest[at..at + length];
        at += length;
        if quote.is_some() {
            if rest.get(at).copied() != quote {
                return false;
            }
            at += 1;
        }
        if length == 0 || !matches!(rest.get(at), Some(b'\n' | b'\r')) {
            return false;
        }
        while let Some(i) = memchr::memchr2(b'\n', b'\r', &rest[at..]) {
            at += i + 1;
            at += rest[at..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
            if rest[at..].starts_with(label) && !rest.get(at + length).is_some_and(|b| in_name(*b)) {
                self.push(Kind::Heredoc, self.at + at + length);
                return true;
            }
        }
        self.endless(3, "a heredoc", "write the value as a string in quotes");
        true
    }
}

/// The length of a string up to its closing quote, both quotes included.
fn quoted_length(bytes: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr2(quote, b'\\', bytes.get(at..)?)?;
        if bytes[at] == quote {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The length of a string in double quotes. In `{$...}` and `${...}` stands code, which may hold strings again.
fn template_length(bytes: &[u8]) -> Option<usize> {
    // True for a string, false for code within one.
    let mut inside = vec![true];
    let mut at = 1;
    while let Some(&in_string) = inside.last() {
        let rest = bytes.get(at..)?;
        match (*rest.first()?, in_string) {
            (b'\\', true) => at += 1,
            (b'"', true) => {
                inside.pop();
            }
            (b'{', true) if rest.get(1) == Some(&b'$') => inside.push(false),
            (b'$', true) if rest.get(1) == Some(&b'{') => {
                inside.push(false);
                at += 1;
            }
            (b'"', false) => inside.push(true),
            (b'\'', false) => at += quoted_length(rest, b'\'')? - 1,
            (b'{', false) => inside.push(false),
            (b'}', false) => {
                inside.pop();
            }
            _ => {}
        }
        at += 1;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lex(text: &str) -> Vec<(Kind, &str)> {
        let mut findings = Findings::default();
        tokens(text, &mut findings).into_iter().map(|t| (t.kind, t.text(text))).collect()
    }

    #[test]
    fn an_assignment() {
        use Kind::*;
        assert_eq!(
            lex("<?php $a['b'] .= \"x\" . 0755; // c\n"),
            [
                (Variable, "$a"),
                (Byte(b'['), "["),
                (Quoted, "'b'"),
                (Byte(b']'), "]"),
                (Operator, ".="),
                (Template, "\"x\""),
                (Byte(b'.'), "."),
                (Integer, "0755"),
                (Byte(b';'), ";"),
            ]
        );
    }

    #[test]
    fn strings_end_where_php_ends_them() {
        for text in [r"'a\'b'", r"'a\\'", r#""a\"b""#, r#""{$a["x"]}""#, r#""${a}""#, r#""%{base}/x""#, "'a\nb'"] {
            assert_eq!(lex(&format!("${text}"))[1..].len(), 1, "{text}");
            assert_eq!(lex(&format!("$a {text}"))[1].1, text);
        }
    }

    #[test]
    fn comments_tags_and_data() {
        let names = |text| lex(text).into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(names("$a # x ?> text $b <?php $c"), ["$a", "?>", "$c"]);
        assert_eq!(names("#!/usr/bin/php\n/* a */ <?php $a /* $b */ // $c\r\n$d"), ["$a", "$d"]);
        assert_eq!(names("\u{feff}<?PHP\n$a ?>\n<html>"), ["$a", "?>"]);
        assert_eq!(names("$a; __HALT_COMPILER(); $b"), ["$a", ";", "__HALT_COMPILER", ""]);
        assert_eq!(names("$a = <<<'E'\n $b;\n  E;\n$c"), ["$a", "=", "<<<'E'\n $b;\n  E", ";", "$c"]);
        assert_eq!(names("$a <<< 2"), ["$a", "<", "<", "<", "2"]);
        assert_eq!(names("<?= $a ?> <?xml ?> <? $b"), ["$a", "?>", "$b"]);
    }

    #[test]
    fn numbers() {
        for (text, kind) in [
            ("0", Kind::Integer),
            ("0x1f", Kind::Integer),
            ("1_000", Kind::Integer),
            ("1.5e-3", Kind::Float),
            (".5", Kind::Float),
            ("1.", Kind::Float),
        ] {
            assert_eq!(lex(&format!("$a {text}"))[1..], [(kind, text)]);
        }
    }
}
