//! Statements: assignments that matter are handed to a [`Schema`], all others are passed over.
//!
//! Nothing is executed, so whatever is passed over might have changed a variable. What it may have changed is no
//! longer known; and where that is a variable that matters, it is an error: better refused than half believed.

use std::rc::Rc;

use super::expr::{Budget, CONFIG_BASE, Evaluator};
use super::finding::{Finding, Findings};
use super::lex::{Kind, Token};
use super::skip::pair;
use super::value::Value;
use crate::diag::{Code, FileId, Located, Severity, nearest};

/// An assignment `$name[key]... = value` outside any block.
#[derive(Debug)]
pub(super) struct Assignment {
    /// The variable, without `$`.
    pub(super) name: &'static str,
    /// From `$` to the last bracket.
    pub(super) range: (u32, u32),
    /// What stands in the brackets.
    pub(super) keys: Vec<Located<Value>>,
    /// The value.
    pub(super) value: Located<Value>,
}

/// What a file may say: which variables matter, and what becomes of their assignments.
pub(super) trait Schema {
    /// Names of the variables that matter.
    const NAMES: &'static [&'static str];
    /// How bad it is if a variable that matters cannot be known.
    fn severity(name: &str) -> Severity;
    /// Whether an element of a variable that matters does not matter, so that its value need not be known.
    fn ignores(name: &str, keys: &[Located<Value>]) -> bool;
    /// Takes an assignment. Its objections go to `report`; one to a value that is refused has not been reported yet.
    fn assign(&mut self, assignment: &Assignment, report: &mut Report<'_>);
}

/// Where a [`Schema`] puts its objections, and what it may spend.
pub(super) struct Report<'r> {
    pub(super) findings: &'r mut Findings,
    pub(super) budget: &'r mut Budget,
}

/// The keys of an assignment's left side, and where it stands.
type Target = (Vec<Located<Value>>, (u32, u32));

/// Statements that open blocks or guard another statement.
const CONTROLS: [&str; 20] = [
    "if",
    "else",
    "elseif",
    "for",
    "foreach",
    "while",
    "do",
    "switch",
    "try",
    "catch",
    "finally",
    "function",
    "class",
    "interface",
    "trait",
    "abstract",
    "final",
    "namespace",
    "enum",
    "readonly",
];
/// Reads all statements of a file.
pub(super) struct Reader<'a, S> {
    pub(super) eval: Evaluator<'a>,
    pub(super) schema: S,
    pub(super) findings: Findings,
    /// For each bracket its partner, [`END`](super::skip::END) if it has none.
    pub(super) partner: Vec<u32>,
}

impl<'a, S: Schema> Reader<'a, S> {
    pub(super) fn new(text: &'a str, file: FileId, tokens: Vec<Token>, schema: S, findings: Findings) -> Self {
        let partner = pair(text, &tokens);
        Self { eval: Evaluator::new(text, file, tokens), schema, findings, partner }
    }

    pub(super) fn read(&mut self) {
        while !self.eval.at_end() {
            let before = self.eval.at;
            self.statement();
            debug_assert!(self.eval.at > before, "a statement takes at least one token");
            self.eval.at = self.eval.at.max(before + 1);
        }
    }

    pub(super) fn matters(&self, token: Token) -> Option<&'static str> {
        if token.kind != Kind::Variable {
            return None;
        }
        let name = &self.eval.word(token)[1..];
        S::NAMES.iter().find(|n| **n == name).copied()
    }

    fn statement(&mut self) {
        let token = self.eval.peek(0);
        match token.kind {
            Kind::Byte(b';') => self.eval.at += 1,
            Kind::Byte(b'{') => self.region("a block"),
            Kind::Variable => self.assignment(token),
            Kind::Name => {
                let word = self.eval.word(token).to_ascii_lowercase();

                match word.as_str() {
                    _ if self.lacks_dollar() => {
                        let what = format!("`{word}` is no variable without its `$`");
                        let finding = Finding::new(token.range(), Code::Syntax, what);
                        self.abandon(finding.hint(format!("write `${word}`")), self.eval.at);
                    }
                    "return" | "exit" | "die" | "goto" | "__halt_compiler" => self.leave(token, &word),
                    _ => match CONTROLS.iter().find(|c| **c == word) {
                        Some(control) => self.region(&format!("`{control}`")),
                        None => self.pass_over(),
                    },
                }
            }
            _ => self.pass_over(),
        }
    }

    /// Whether an assignment to a variable that matters begins here, but for the `$`.
    fn lacks_dollar(&self) -> bool {
        let (name, next) = (self.eval.peek(0), self.eval.peek(1));
        (next.is(b'[') || next.is(b'=')) && S::NAMES.iter().any(|n| self.eval.is_name(name, n))
    }

    fn assignment(&mut self, token: Token) {
        let name = &self.eval.word(token)[1..];
        let start = self.eval.at;
        let Some(known) = self.matters(token) else { return self.plain(name) };
        self.eval.refused = false;
        let result = self.target(known, token);
        let severity = S::severity(known);
        let value_at = self.eval.at;
        let (keys, range) = match result {
            Ok(target) => target,
            Err(finding) => return self.abandon(finding.at_most(severity), start),
        };
        // A title in the user's language: there is none here, and nothing is wrong with that.
        let translated = self.eval.is_name(self.eval.peek(0), "lang") && self.eval.peek(1).is(b'(');
        if S::ignores(known, &keys) || (translated && severity == Severity::Warning) {
            return self.pass_over();
        }
        let value = match self.eval.expression() {
            Ok(value) if self.ends_statement() => Ok(value),
            Ok(_) => Err(self.eval.unexpected("`;`")),
            Err(finding) => Err(finding),
        };
        let value = match value {
            Ok(value) => value,
            // The schema reports it; so the mapping is known, though not all of it.
            Err(finding) => {
                self.remember(name, None);
                let reported = self.on_broken();
                self.skip(start);
                if !reported {
                    let span = self.eval.span(finding.start, finding.end);
                    let value = Located::new(Value::Refused(Rc::new(finding.at_most(severity))), span);
                    self.assign(&Assignment { name: known, range, keys, value });
                }
                return;
            }
        };
        if self.eval.refused {
            self.taint(value_at, self.eval.at);
        }
        self.remember(if keys.is_empty() { name } else { "" }, Some(&value.value));
        self.finish();
        if known == "config" && matches!(&keys[..], [k] if matches!(&k.value, Value::Text(t) if &**t == "base")) {
            self.eval.variables.set(CONFIG_BASE, value.value.clone());
        }
        self.assign(&Assignment { name: known, range, keys, value });
    }

    fn assign(&mut self, assignment: &Assignment) {
        let mut report = Report { findings: &mut self.findings, budget: &mut self.eval.budget };
        self.schema.assign(assignment, &mut report);
    }

    /// Sets a variable of the file, or forgets it. Elements of arrays are not kept.
    fn remember(&mut self, name: &'a str, value: Option<&Value>) {
        match value {
            _ if name.is_empty() => {}
            Some(value) => self.eval.variables.set(name, value.clone()),
            None => self.eval.variables.forget(name),
        }
    }

    /// The left side of an assignment to a variable that matters, up to and with its `=`.
    fn target(&mut self, name: &str, token: Token) -> Result<Target, Finding> {
        self.eval.at += 1;
        let mut keys = Vec::new();
        let mut end = token.end;
        while self.eval.peek(0).is(b'[') {
            self.eval.at += 1;
            if self.eval.peek(0).is(b']') {
                let range = (token.start, self.eval.peek(0).end);
                return Err(Finding::new(range, Code::NotEvaluable, format!("`${name}[] =` is not read"))
                    .hint("write the whole value in one assignment, with its key"));
            }
            keys.push(self.eval.expression()?);
            end = self.eval.expect(b']', "`]`")?.end;
        }
        let next = self.eval.peek(0);
        if next.is(b'=') {
            self.eval.at += 1;
            if self.eval.peek(0).is(b'&') {
                return Err(self.eval.unexpected("a value"));
            }
            return Ok((keys, (token.start, end)));
        }
        if next.kind == Kind::Operator || next.is(b'{') || next.is(b'(') {
            let what = format!("`{}` on `${name}` cannot be worked out", self.eval.word(next));
            return Err(Finding::new((token.start, next.end), Code::NotEvaluable, what)
                .hint("write the whole value in one assignment with `=`"));
        }
        Err(self.eval.unexpected("`=`"))
    }

    /// A statement that begins with a variable which does not matter, though others may be set from it.
    fn plain(&mut self, name: &'a str) {
        let start = self.eval.at;
        if self.eval.peek(1).is(b'=') && !self.eval.peek(2).is(b'&') {
            self.eval.at += 2;
            self.eval.refused = false;
            let value = self.eval.expression().ok();
            if let (Some(value), true, false) = (value, self.ends_statement(), self.eval.refused) {
                self.eval.variables.set(name, value.value);
                self.suspect(name, start);
                return self.finish();
            }
            self.eval.variables.forget(name);
            self.eval.at = start + 2;
            self.suspect(name, start);
            return self.pass_over();
        }
        self.suspect(name, start);
        self.pass_over();
    }

    /// Warns of a name that is nearly one that matters.
    fn suspect(&mut self, name: &str, index: usize) {
        // Short names are near to everything, and a long walk through every name is not worth it.
        if !(5..=12).contains(&name.len()) {
            return;
        }
        let names: Vec<_> = S::NAMES.iter().copied().filter(|n| n.len() > 5).collect();
        if let Some(meant) = nearest(name, &names) {
            let token = self.eval.token(index);
            let what = format!("`${name}` means nothing here and is passed over");
            let finding = Finding::new(token.range(), Code::UnknownKey, what).hint(format!("did you mean `${meant}`?"));
            self.findings.push(finding.at_most(Severity::Warning));
        }
    }

    /// Whether the next token is a variable at the beginning of a line: where a `;` was forgotten, a new statement.
    fn begins_line(&self) -> bool {
        let at = self.eval.at;
        at > 0 && self.eval.peek(0).kind == Kind::Variable && {
            let between = self.eval.token(at - 1).end as usize..self.eval.peek(0).start as usize;
            self.eval.text[between].contains('\n')
        }
    }

    /// Whether a statement ends here, be it with its `;` or where one was forgotten.
    fn ends_statement(&self) -> bool {
        self.eval.peek(0).is(b';') || self.begins_line() || self.eval.at_end()
    }

    /// Takes the end of a statement that was understood.
    fn finish(&mut self) {
        if self.eval.peek(0).is(b';') {
            self.eval.at += 1;
        } else {
            self.missing_semicolon();
        }
    }

    pub(super) fn missing_semicolon(&mut self) {
        let last = self.eval.token(self.eval.at.saturating_sub(1));
        let finding = Finding::new(last.range(), Code::Syntax, "`;` is missing after this");
        self.findings.push(finding.hint("end the statement with `;`"));
    }

    /// Reports a finding about the statement that began at `start`, and passes over it.
    fn abandon(&mut self, finding: Finding, start: usize) {
        if !self.on_broken() {
            self.findings.push(finding);
        }
        self.skip(start);
    }

    /// Whether the next token is broken, which the lexer has reported already.
    fn on_broken(&self) -> bool {
        self.eval.peek(0).kind == Kind::Broken && !self.eval.at_end()
    }

    /// Passes over a statement that has its finding.
    fn skip(&mut self, start: usize) {
        self.eval.at = self.end_of_statement(start, false).max(start + 1);
        self.taint_in(start, self.eval.at, None, true);
    }

    /// Passes over a statement that is no assignment.
    fn pass_over(&mut self) {
        let from = self.eval.at;
        self.eval.at = self.end_of_statement(from, true).max(from + 1);
        self.taint(from, self.eval.at);
    }

    /// Passes over a block or a statement that may or may not be run.
    fn region(&mut self, what: &str) {
        let from = self.eval.at;
        self.eval.at = self.end_of_control(from).max(from + 1);
        if let Some(open) = (from..self.eval.at).find(|&i| self.unpaired(i)) {
            self.unbalanced(open);
        }
        self.taint_in(from, self.eval.at, Some(what), false);
    }

    /// `return` and the like: PHP reads no further.
    fn leave(&mut self, token: Token, word: &str) {
        let lost = (self.eval.at + 1..self.eval.tokens.len()).any(|i| self.matters(self.eval.token(i)).is_some());
        if lost {
            let what = format!("PHP stops at this `{word}`, or jumps, and would not read all that follows");
            self.findings.push(Finding::new(token.range(), Code::NotEvaluable, what).hint("remove it"));
        }
        self.eval.at = self.eval.tokens.len();
    }
}
