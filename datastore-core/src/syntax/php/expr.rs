//! Expressions: the few that can be known from the text alone are worked out, all others are refused.

use std::collections::HashMap;
use std::rc::Rc;

use super::finding::Finding;
use super::lex::{Kind, Token};
use super::value::{self, DEEPEST_LIST, Entry, List, Value};
use crate::diag::{Code, FileId, Located, Span};

/// How deep parentheses and arrays may be nested.
const DEEPEST: u32 = 64;
/// The longest text that an expression may give, in bytes. Nothing longer than a path has a meaning here.
const LONGEST: usize = 16 * 1024;

/// What is known of a variable.
#[derive(Debug, Clone)]
pub(super) enum Slot {
    Known(Value),
    /// Something that is not executed may have changed it.
    Unknown,
}

/// The variables of the file. `config['base']` is the one element of an array that has a slot of its own.
#[derive(Debug, Default)]
pub(super) struct Variables<'a>(HashMap<&'a str, Slot>);

/// The name of the slot of `$config['base']`; no variable can be called so.
pub(super) const CONFIG_BASE: &str = "config['base']";

impl<'a> Variables<'a> {
    pub(super) fn set(&mut self, name: &'a str, value: Value) {
        self.put(name, Slot::Known(value));
    }
    pub(super) fn forget(&mut self, name: &'a str) {
        self.put(name, Slot::Unknown);
    }
    fn put(&mut self, name: &'a str, slot: Slot) {
        if name == "config" {
            self.0.insert(CONFIG_BASE, Slot::Unknown);
        }
        self.0.insert(name, slot);
    }

    /// The value of a variable, or why there is none.
    fn get(&self, name: &str, range: (u32, u32)) -> Result<&Value, Finding> {
        match self.0.get(name) {
            Some(Slot::Known(value)) => Ok(value),
            Some(Slot::Unknown) => Err(Finding::new(
                range,
                Code::NotEvaluable,
                format!("the value of `${name}` is not known here, because what sets or changes it is not executed"),
            )
            .hint("write the value itself as a text in quotes")),
            None if matches!(name, "base" | CONFIG_BASE) => {
                Err(Finding::new(range, Code::NotEvaluable, format!("the value of `${name}` is not known"))
                    .hint("set `$config['base']` in /etc/clearos/storage.conf, or write the path itself in quotes"))
            }
            None => Err(Finding::new(range, Code::NotEvaluable, format!("`${name}` is not set in this file"))
                .hint(format!("assign a text to `${name}` above, or write the value itself in quotes"))),
        }
    }
}

/// How many bytes of text may still be made, so that joining texts to themselves stays within bounds.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    /// Counts text that is made, and refuses when it is too much.
    pub(super) fn charge(&mut self, bytes: usize, range: (u32, u32)) -> Result<(), Finding> {
        if bytes > LONGEST {
            return Err(Finding::new(range, Code::TooLarge, format!("the text is longer than {LONGEST} bytes")));
        }
        self.0 = self
            .0
            .checked_sub(bytes)
            .ok_or_else(|| Finding::new(range, Code::TooLarge, "the values of this file are too large together"))?;
        Ok(())
    }
}

/// A cursor over the tokens which works out expressions. Whatever it gives, it has moved past what it understood and
/// stands on the token that it did not.
pub(super) struct Evaluator<'a> {
    pub(super) text: &'a str,
    pub(super) file: FileId,
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    pub(super) variables: Variables<'a>,
    /// Whether an element of an array was refused since this was last cleared.
    pub(super) refused: bool,
    pub(super) budget: Budget,
    depth: u32,
}

type Evaluated = Result<Located<Value>, Finding>;

impl<'a> Evaluator<'a> {
    pub(super) fn new(text: &'a str, file: FileId, tokens: Vec<Token>) -> Self {
        let budget = Budget(text.len() * 8 + LONGEST);
        Self { text, file, tokens, at: 0, variables: Variables::default(), refused: false, budget, depth: 0 }
    }

    pub(super) fn span(&self, start: u32, end: u32) -> Span {
        Span { file: self.file, start, end }
    }
    /// The token `ahead` of the next one. Past the last there is an empty, broken one.
    pub(super) fn peek(&self, ahead: usize) -> Token {
        self.token(self.at + ahead)
    }
    pub(super) fn token(&self, index: usize) -> Token {
        let end = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        self.tokens.get(index).copied().unwrap_or(Token { kind: Kind::Broken, start: end, end })
    }
    pub(super) fn at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }
    pub(super) fn word(&self, token: Token) -> &'a str {
        token.text(self.text)
    }
    /// Whether a token is a keyword, whatever its case.
    pub(super) fn is_name(&self, token: Token, name: &str) -> bool {
        token.kind == Kind::Name && self.word(token).eq_ignore_ascii_case(name)
    }

    /// An expression: operands joined with `.`.
    pub(super) fn expression(&mut self) -> Evaluated {
        if self.depth >= DEEPEST {
            let what = format!("brackets are nested more than {DEEPEST} deep");
            return Err(Finding::new(self.peek(0).range(), Code::Syntax, what).hint("write the value directly"));
        }
        self.depth += 1;
        let result = self.joined();
        self.depth -= 1;
        result
    }

    fn joined(&mut self) -> Evaluated {
        let first = self.operand()?;
        if !self.peek(0).is(b'.') {
            return Ok(first);
        }
        let mut span = first.span;
        let mut text = String::new();
        self.append(&mut text, &first)?;
        while self.peek(0).is(b'.') {
            self.at += 1;
            let next = self.operand()?;
            span.end = next.span.end;
            self.append(&mut text, &next)?;
        }
        Ok(Located::new(Value::Text(text.into()), span))
    }

    /// Joins an operand of `.` to what stands before it.
    fn append(&mut self, text: &mut String, operand: &Located<Value>) -> Result<(), Finding> {
        let part = operand.value.to_text().ok_or_else(|| {
            let what = format!("{} cannot be joined with `.`", operand.value.kind());
            Finding::at(operand.span, Code::BadValue, what).hint("join texts only")
        })?;
        let range = (operand.span.start, operand.span.end);
        self.budget.charge(part.len(), range)?;
        if text.len() + part.len() > LONGEST {
            return Err(Finding::new(range, Code::TooLarge, format!("the text is longer than {LONGEST} bytes")));
        }
        text.push_str(&part);
        Ok(())
    }

    fn operand(&mut self) -> Evaluated {
        let token = self.peek(0);
        let located = |this: &Self, value| Located::new(value, this.span(token.start, token.end));
        let value = match token.kind {
            Kind::Quoted => {
                let text = value::quoted(self.word(token));
                self.budget.charge(text.len(), token.range())?;
                Value::Text(text)
            }
            Kind::Template => {
                let (variables, budget) = (&self.variables, &mut self.budget);
                let text = value::template(token.text(self.text), token.start, |name, range| {
                    let text = variables.get(name, range)?.to_text().ok_or_else(|| {
                        Finding::new(range, Code::BadValue, format!("`${name}` is an array, not a text"))
                    })?;
                    budget.charge(text.len(), range)?;
                    Ok(text)
                })?;
                budget.charge(text.len(), token.range())?;
                Value::Text(text)
            }
            Kind::Integer => match value::integer(self.word(token)) {
                Some(number) => Value::Integer(number),
                None => return Err(Finding::new(token.range(), Code::BadValue, "the number is not valid")),
            },
            Kind::Byte(b'(') => return self.parenthesis(),
            Kind::Byte(b'[') => {
                self.at += 1;
                return self.list(token.start, b']');
            }
            Kind::Name => {
                let word = self.word(token);
                let called = self.peek(1).is(b'(');
                let plain = word.strip_prefix('\\').unwrap_or(word);
                if called && word.eq_ignore_ascii_case("array") {
                    self.at += 2;
                    return self.list(token.start, b')');
                }
                match plain {
                    _ if called => return Err(self.refuse(token)),
                    _ if plain.eq_ignore_ascii_case("true") => Value::Bool(true),
                    _ if plain.eq_ignore_ascii_case("false") => Value::Bool(false),
                    _ if plain.eq_ignore_ascii_case("null") => Value::Null,
                    _ => return Err(self.refuse(token)),
                }
            }
            Kind::Variable => return self.variable(token),
            _ => return Err(self.unexpected("a value")),
        };
        self.at += 1;
        Ok(located(self, value))
    }

    fn parenthesis(&mut self) -> Evaluated {
        let open = self.peek(0);
        let (cast, close) = (self.peek(1), self.peek(2));
        if cast.kind == Kind::Name && close.is(b')') {
            let known = ["string", "int", "integer", "bool", "boolean", "array", "float", "double", "object", "binary"];
            if known.iter().any(|k| self.is_name(cast, k)) {
                let what = format!("the cast `({})` cannot be worked out", self.word(cast));
                return Err(Finding::new((open.start, close.end), Code::NotEvaluable, what).hint(IN_QUOTES));
            }
        }
        self.at += 1;
        let inner = self.expression()?;
        let end = self.expect(b')', "`)`")?;
        Ok(Located::new(inner.value, self.span(open.start, end.end)))
    }

    /// The elements of an array, after its opening bracket.
    fn list(&mut self, start: u32, close: u8) -> Evaluated {
        let mut entries = Vec::new();
        let mut depth = 1;
        while !self.peek(0).is(close) {
            let entry = match self.entry(close) {
                Ok(entry) => entry,
                // The other elements may be fine, or wrong as well: each is worth its own finding.
                Err(finding) => self.past_element(finding).map(|value| Entry { key: None, value })?,
            };
            if let Value::List(list) = &entry.value.value {
                depth = depth.max(list.depth + 1);
            }
            entries.push(entry);
            if !self.peek(0).is(b',') {
                break;
            }
            self.at += 1;
        }
        let end = self.expect(close, if close == b']' { "`,` or `]`" } else { "`,` or `)`" })?.end;
        let span = self.span(start, end);
        if depth > DEEPEST_LIST {
            return Err(Finding::at(span, Code::Syntax, format!("arrays are nested more than {DEEPEST_LIST} deep")));
        }
        Ok(Located::new(Value::List(List { entries: entries.into(), depth }), span))
    }

    /// One element: `value` or `key => value`.
    fn entry(&mut self, close: u8) -> Result<Entry, Finding> {
        let first = self.expression()?;
        if self.peek(0).kind != Kind::Operator || self.word(self.peek(0)) != "=>" {
            self.ends_element(close)?;
            return Ok(Entry { key: None, value: first });
        }
        self.at += 1;
        let value = match self.expression().and_then(|value| self.ends_element(close).map(|()| value)) {
            Ok(value) => value,
            Err(finding) => self.past_element(finding)?,
        };
        Ok(Entry { key: Some(first), value })
    }

    fn ends_element(&mut self, close: u8) -> Result<(), Finding> {
        let next = self.peek(0);
        if next.is(b',') || next.is(close) { Ok(()) } else { Err(self.unexpected("`,` or the end of the array")) }
    }

    /// Goes on to the end of an element that was refused. Gives up where the statement or the file ends first.
    fn past_element(&mut self, finding: Finding) -> Evaluated {
        let mut open = 0usize;
        while !self.at_end() {
            match self.peek(0).kind {
                Kind::Byte(b'(' | b'[') => open += 1,
                Kind::Byte(b',') if open == 0 => break,
                Kind::Byte(b')' | b']') if open == 0 => break,
                Kind::Byte(b')' | b']') => open -= 1,
                // Statements may stand in braces; they are not ours to walk through.
                Kind::Byte(b';' | b'{' | b'}') => return Err(finding),
                _ => {}
            }
            self.at += 1;
        }
        if self.at_end() {
            return Err(finding);
        }
        self.refused = true;
        let span = self.span(finding.start, finding.end);
        Ok(Located::new(Value::Refused(Rc::new(finding)), span))
    }

    fn variable(&mut self, token: Token) -> Evaluated {
        let name = &self.word(token)[1..];
        let mut end = token.end;
        let mut taken = 1;
        let mut slot = name;
        if self.peek(1).is(b'[') {
            let (key, close) = (self.peek(2), self.peek(3));
            let is_base =
                matches!(key.kind, Kind::Quoted | Kind::Template) && self.word(key).trim_matches(['\'', '"']) == "base";
            if name != "config" || !is_base || !close.is(b']') {
                let what = format!("an element of `${name}` cannot be worked out");
                return Err(Finding::new(token.range(), Code::NotEvaluable, what).hint(IN_QUOTES));
            }
            (slot, end, taken) = (CONFIG_BASE, close.end, 4);
        }
        let value = self.variables.get(slot, (token.start, end))?.clone();
        self.at += taken;
        Ok(Located::new(value, self.span(token.start, end)))
    }

    /// Takes the token, or says what was expected.
    pub(super) fn expect(&mut self, byte: u8, what: &str) -> Result<Token, Finding> {
        let token = self.peek(0);
        if token.is(byte) {
            self.at += 1;
            return Ok(token);
        }
        Err(self.unexpected(what))
    }

    /// A word that is no value: a call, a constant, a keyword.
    fn refuse(&self, token: Token) -> Finding {
        let word = self.word(token);
        let what = if self.peek(1).is(b'(') { "the call of" } else { "the constant or keyword" };
        let what = format!("{what} `{word}` cannot be worked out, because configuration is never executed");
        Finding::new(token.range(), Code::NotEvaluable, what).hint(IN_QUOTES)
    }

    /// What to say of the next token where `wanted` should stand.
    pub(super) fn unexpected(&self, wanted: &str) -> Finding {
        let token = self.peek(0);
        let word = self.word(token);
        let not_evaluable = |what: String| Finding::new(token.range(), Code::NotEvaluable, what).hint(IN_QUOTES);
        match token.kind {
            _ if self.at_end() => {
                let last = self.tokens.last().map_or((0, 0), |t| t.range());
                Finding::new(last, Code::Syntax, format!("the file ends where {wanted} should stand"))
            }
            Kind::Heredoc => not_evaluable("a heredoc is not read".into()),
            Kind::Shell => not_evaluable("a command in backticks is never run".into()),
            Kind::Float => not_evaluable("a number with a fraction means nothing here".into()),
            Kind::Byte(b'?') => {
                not_evaluable("a choice with `?` cannot be worked out, because configuration is never executed".into())
            }
            Kind::Byte(b'&') => not_evaluable("a reference (`&`) cannot be followed".into()),
            Kind::Byte(b'$') => not_evaluable("a variable whose name is known only at run time cannot be read".into()),
            Kind::Byte(b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'|' | b'^' | b'!' | b'@' | b'~')
            | Kind::Operator => not_evaluable(format!("the operator `{word}` cannot be worked out")),
            Kind::Byte(b'=') if wanted == "`;`" => not_evaluable("two assignments in one cannot be worked out".into()),
            Kind::Name if ["and", "or", "xor", "instanceof"].iter().any(|o| self.is_name(token, o)) => {
                not_evaluable(format!("the operator `{word}` cannot be worked out"))
            }
            _ => {
                let shown: String = word.chars().take(32).map(|c| if c.is_control() { ' ' } else { c }).collect();
                Finding::new(token.range(), Code::Syntax, format!("expected {wanted}, found `{shown}`"))
            }
        }
    }
}

/// The hint for almost everything that cannot be worked out.
const IN_QUOTES: &str = "write the value itself as a text in quotes";
