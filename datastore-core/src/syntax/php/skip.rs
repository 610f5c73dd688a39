//! Where statements and control structures end, found from the brackets alone.

use super::finding::Finding;
use super::lex::{Kind, Token};
use super::statement::{Reader, Schema};
use crate::diag::Code;

/// The partner of a bracket that has none.
pub(super) const END: u32 = u32::MAX;

impl<S: Schema> Reader<'_, S> {
    pub(super) fn unpaired(&self, index: usize) -> bool {
        matches!(self.eval.token(index).kind, Kind::Byte(b'(' | b'[' | b'{' | b')' | b']' | b'}'))
            && self.partner[index] == END
    }

    pub(super) fn unbalanced(&mut self, index: usize) {
        let token = self.eval.token(index);
        let closes = matches!(token.kind, Kind::Byte(b')' | b']' | b'}'));
        let what = if closes { "opened" } else { "closed" };
        let what = format!("this `{}` is never {what}", self.eval.word(token));
        self.findings.push(Finding::new(token.range(), Code::Syntax, what));
    }

    /// Behind the `;` that ends a statement. With `report`, also says where one is missing.
    pub(super) fn end_of_statement(&mut self, from: usize, report: bool) -> usize {
        let mut at = from;
        let mut unbalanced = None;
        let end = loop {
            let token = self.eval.token(at);
            if at >= self.eval.tokens.len() {
                if report && unbalanced.is_none() && self.eval.tokens.last().is_some_and(|t| t.kind != Kind::Broken) {
                    let last = self.eval.token(at - 1);
                    let what = "the file ends inside a statement";
                    self.findings.push(Finding::new(last.range(), Code::Syntax, what).hint("end it with `;`"));
                }
                break at;
            }
            match token.kind {
                Kind::Byte(b';') => break at + 1,
                Kind::Byte(b'(' | b'[' | b'{') if self.partner[at] != END => at = self.partner[at] as usize,
                _ if self.unpaired(at) => {
                    unbalanced = unbalanced.or(Some(at));
                    if token.is(b'}') {
                        break at + 1;
                    }
                }
                Kind::Variable if at > from && self.follows_operand(at) => {
                    if report && unbalanced.is_none() {
                        self.eval.at = at;
                        self.missing_semicolon();
                    }
                    break at;
                }
                _ => {}
            }
            at += 1;
        };
        if let (Some(index), true) = (unbalanced, report) {
            self.unbalanced(index);
        }
        end
    }

    /// Whether a variable stands at the beginning of a line after something that is complete: no PHP statement goes
    /// on like that, so a `;` was forgotten.
    fn follows_operand(&self, at: usize) -> bool {
        let before = self.eval.token(at - 1);
        let complete = matches!(
            before.kind,
            Kind::Quoted | Kind::Template | Kind::Integer | Kind::Float | Kind::Variable | Kind::Byte(b')' | b']')
        );
        complete && self.eval.text[before.end as usize..self.eval.token(at).start as usize].contains('\n')
    }

    /// Behind a control structure with all its branches, in braces, without, or in the `if: ... endif;` form. Where
    /// it cannot be told, the rest of the file counts as part of it.
    pub(super) fn end_of_control(&self, from: usize) -> usize {
        let eval = &self.eval;
        let count = eval.tokens.len();
        let is = |at: usize, names: &[&str]| names.iter().any(|n| eval.is_name(eval.token(at), n));
        let (mut at, mut colons, mut loops) = (from, 0usize, 0usize);
        // The word before the last parenthesis at this level.
        let mut head = None;
        while at < count {
            let token = eval.token(at);
            match token.kind {
                Kind::Byte(open @ (b'(' | b'[' | b'{')) => {
                    if self.partner[at] == END {
                        return if open == b'{' { count } else { self.after_unclosed(at) };
                    }
                    if open == b'(' {
                        head = at.checked_sub(1).filter(|_| at > from);
                    }
                    at = self.partner[at] as usize;
                    if open == b'{' && colons == 0 {
                        let next = at + 1;
                        if loops > 0 && is(next, &["while"]) {
                            loops -= 1;
                        } else if !is(next, &["else", "elseif", "catch", "finally"]) {
                            return next;
                        }
                    }
                }
                Kind::Byte(b'}') => return at,
                Kind::Byte(b';') if colons == 0 => {
                    if loops > 0 && is(at + 1, &["while"]) {
                        loops -= 1;
                    } else if !is(at + 1, &["else", "elseif"]) {
                        return at + 1;
                    }
                }
                Kind::Byte(b':') if at > 0 && eval.token(at - 1).is(b')') => {
                    let opens = ["if", "for", "foreach", "while", "switch", "declare"];
                    colons += usize::from(head.is_some_and(|h| is(h, &opens)));
                }
                Kind::Name if is(at, &["do"]) => loops += 1,
                Kind::Name if colons > 0 && eval.word(token).len() > 4 => {
                    let ends = ["endif", "endfor", "endforeach", "endwhile", "endswitch", "enddeclare"];
                    if is(at, &ends) {
                        colons -= 1;
                        if colons == 0 {
                            return if eval.token(at + 1).is(b';') { at + 2 } else { at + 1 };
                        }
                    }
                }
                _ => {}
            }
            at += 1;
        }
        count
    }

    /// Behind the `;` that cut off an unclosed parenthesis.
    fn after_unclosed(&self, at: usize) -> usize {
        (at..self.eval.tokens.len()).find(|&i| self.eval.token(i).is(b';')).map_or(self.eval.tokens.len(), |i| i + 1)
    }

    /// Behind a variable with its `[...]` and `->name`. `None` if there are so many that it is not worth a walk.
    pub(super) fn after_elements(&self, at: usize) -> Option<usize> {
        let mut at = at + 1;
        for _ in 0..64 {
            let token = self.eval.token(at);
            match token.kind {
                Kind::Byte(b'[' | b'{') if self.partner.get(at).is_some_and(|p| *p != END) => {
                    at = self.partner[at] as usize + 1;
                }
                Kind::Operator if matches!(self.eval.word(token), "->" | "?->" | "::") => at += 2,
                _ => return Some(at.min(self.eval.tokens.len())),
            }
        }
        None
    }
}

/// The partner of each bracket. A `;` ends open parentheses and square brackets (but for those of `for`), so that a
/// forgotten bracket spoils its own statement only.
pub(super) fn pair(text: &str, tokens: &[Token]) -> Vec<u32> {
    let mut partner = vec![END; tokens.len()];
    // Index, bracket, and whether it belongs to `for`.
    let mut open: Vec<(usize, u8, bool)> = Vec::new();
    let mut braces = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        let Kind::Byte(byte) = token.kind else { continue };
        match byte {
            b'(' | b'[' | b'{' => {
                let head = at.checked_sub(1).map(|i| tokens[i].text(text));
                open.push((at, byte, byte == b'(' && head.is_some_and(|h| h.eq_ignore_ascii_case("for"))));
                braces += usize::from(byte == b'{');
            }
            b';' => {
                while open.last().is_some_and(|(_, bracket, of_for)| *bracket != b'{' && !of_for) {
                    open.pop();
                }
            }
            b')' | b']' | b'}' => {
                let opener = match byte {
                    b')' => b'(',
                    b']' => b'[',
                    _ => b'{',
                };
                if opener == b'{' && braces == 0 {
                    continue;
                }
                while let Some(&(index, bracket, _)) = open.last() {
                    if bracket == b'{' && opener != b'{' {
                        break;
                    }
                    open.pop();
                    if bracket == opener {
                        braces -= usize::from(opener == b'{');
                        partner[index] = u32::try_from(at).unwrap_or(END);
                        partner[at] = u32::try_from(index).unwrap_or(END);
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    partner
}
