//! What the statements that are passed over may have changed.
//!
//! PHP passes arguments by reference without a mark at the call, so a variable that is an argument counts as changed,
//! unless the callee is known to leave it alone. A variable that is only read keeps its value.

use super::finding::Finding;
use super::lex::Kind;
use super::skip::END;
use super::statement::{Reader, Schema};
use crate::diag::{Code, Severity};

/// The words before `(` which are no call, or whose callee leaves its arguments as they are.
const HARMLESS: [&str; 30] = [
    "if",
    "elseif",
    "while",
    "switch",
    "match",
    "return",
    "echo",
    "print",
    "exit",
    "die",
    "require",
    "require_once",
    "include",
    "include_once",
    "and",
    "or",
    "isset",
    "empty",
    "array",
    "lang",
    "getenv",
    "clearos_load_language",
    "define",
    "defined",
    "count",
    "print_r",
    "var_dump",
    "file_exists",
    "is_dir",
    "dirname",
];

impl<S: Schema> Reader<'_, S> {
    /// Forgets every variable that the tokens `from..to` may change, and reports those that matter.
    pub(super) fn taint(&mut self, from: usize, to: usize) {
        self.taint_in(from, to, None, false);
    }

    /// [`Reader::taint`] within a block called `block`. `reported` says that the first statement has its finding.
    pub(super) fn taint_in(&mut self, from: usize, to: usize, block: Option<&str>, mut reported: bool) {
        // For each open bracket whether what stands directly in it may be changed.
        let mut open: Vec<bool> = Vec::new();
        for at in from..to.min(self.eval.tokens.len()) {
            let token = self.eval.token(at);
            match token.kind {
                Kind::Byte(b'(' | b'[' | b'{') => open.push(self.changes_content(at, from, open.last().copied())),
                Kind::Byte(b')' | b']' | b'}') => {
                    open.pop();
                    reported &= !token.is(b'}') || block.is_none();
                }
                // One finding for each statement is enough.
                Kind::Byte(b';') => reported = false,
                Kind::Byte(b'$') if !reported => {
                    reported = true;
                    let what = "a variable whose name is known only at run time could change a mapping";
                    self.findings.push(Finding::new(token.range(), Code::NotEvaluable, what).hint("name the variable"));
                }
                Kind::Name if !reported && self.sets_anything(at) => {
                    reported = true;
                    let what = format!("`{}` could change a mapping", self.eval.word(token));
                    self.findings.push(Finding::new(token.range(), Code::NotEvaluable, what).hint("remove it"));
                }
                Kind::Variable if self.changes(at, open.last().copied().unwrap_or(false)) => {
                    let name = &self.eval.word(token)[1..];
                    self.eval.variables.forget(name);
                    let anything = (name == "GLOBALS").then_some("GLOBALS");
                    if let (Some(name), false) = (self.matters(token).or(anything), reported) {
                        reported = true;
                        self.changed(name, at, block);
                    }
                }
                _ => {}
            }
        }
    }

    /// Reports a variable that matters and that is changed in a way which is not followed.
    fn changed(&mut self, name: &str, at: usize, block: Option<&str>) {
        let token = self.eval.token(at);
        let end = self.after_elements(at).map_or(token.end, |after| self.eval.token(after - 1).end);
        let (what, hint) = match block {
            Some(block) => (
                format!("`${name}` is set inside {block}, which is not executed, so nobody knows whether it holds"),
                "write the assignment by itself, outside of any block, condition or function",
            ),
            None => (
                format!(
                    "`${name}` is used in a way that cannot be worked out, because configuration is never executed"
                ),
                "use it in plain assignments only",
            ),
        };
        let severity = if name == "GLOBALS" { Severity::Error } else { S::severity(name) };
        let finding = Finding::new((token.start, end), Code::NotEvaluable, what).hint(hint);
        self.findings.push(finding.at_most(severity));
    }

    /// Whether a word calls something that may set any variable.
    fn sets_anything(&self, at: usize) -> bool {
        let token = self.eval.token(at);
        let word = self.eval.word(token).trim_start_matches('\\');
        let called = self.eval.token(at + 1).is(b'(');
        let member = at > 0 && matches!(self.eval.word(self.eval.token(at - 1)), "->" | "?->" | "::" | "function");
        called && !member && ["eval", "extract", "parse_str"].iter().any(|n| word.eq_ignore_ascii_case(n))
    }

    /// Whether what stands directly in a bracket may be changed: arguments of a call, and targets of `list()`.
    fn changes_content(&self, at: usize, from: usize, outer: Option<bool>) -> bool {
        let outer = outer.unwrap_or(false);
        let before = if at > from { Some(self.eval.token(at - 1)) } else { None };
        let after_operand =
            before.is_some_and(|b| matches!(b.kind, Kind::Variable | Kind::Name | Kind::Byte(b')' | b']' | b'}')));
        match self.eval.token(at).kind {
            Kind::Byte(b'(') => match before {
                Some(name) if name.kind == Kind::Name => {
                    let word = self.eval.word(name).trim_start_matches('\\');
                    let array = word.eq_ignore_ascii_case("array");
                    // A method may be called like a harmless function.
                    let method = at > 1 && matches!(self.eval.word(self.eval.token(at - 2)), "->" | "?->" | "::");
                    (array && outer) || method || !HARMLESS.iter().any(|h| word.eq_ignore_ascii_case(h))
                }
                _ => after_operand,
            },
            Kind::Byte(b'[') if !after_operand => {
                let close = self.partner[at];
                outer || (close != END && self.eval.token(close as usize + 1).is(b'='))
            }
            _ => false,
        }
    }

    /// Whether the variable at `at` may be changed where it stands.
    fn changes(&self, at: usize, in_changing: bool) -> bool {
        let before = if at > 0 { Some(self.eval.token(at - 1)) } else { None };
        let by_prefix = before.is_some_and(|b| match b.kind {
            Kind::Byte(b'&') => true,
            Kind::Operator => matches!(self.eval.word(b), "++" | "--"),
            Kind::Name => ["as", "global", "static"].iter().any(|n| self.eval.is_name(b, n)),
            _ => false,
        });
        let Some(after) = self.after_elements(at) else { return true };
        let next = self.eval.token(after);
        let by_suffix = next.is(b'=')
            || next.kind == Kind::Operator && {
                let word = self.eval.word(next);
                matches!(word, "++" | "--")
                    || (word.ends_with('=') && !matches!(word, "==" | "===" | "!=" | "!==" | "<=" | ">="))
            };
        in_changing || by_prefix || by_suffix
    }
}
