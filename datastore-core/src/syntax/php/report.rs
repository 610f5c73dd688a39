//! Values taken as what a key needs, or an objection.

use std::rc::Rc;

use super::finding::Finding;
use super::statement::Report;
use super::value::Value;
use crate::diag::{Code, Located, Severity, Span};
use crate::raw::RawText;

impl Report<'_> {
    pub(super) fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// A text. `what` names the key in the message.
    pub(super) fn text(&mut self, value: &Located<Value>, what: &str) -> Option<RawText> {
        let finding = match &value.value {
            Value::Text(text) => {
                return match self.budget.charge(text.len(), (value.span.start, value.span.end)) {
                    Ok(()) => Some(Located::new(String::from(&**text), value.span)),
                    Err(finding) => {
                        self.push(finding);
                        None
                    }
                };
            }
            Value::Integer(_) if what == "permissions" => {
                Finding::at(value.span, Code::BadValue, "permissions are written as a number, not as a text")
                    .hint("write them as octal digits in quotes, such as '0755'")
            }
            other => self.wrong(value, what, "a text", &format!("{} is not", other.kind())),
        };
        self.push(finding);
        None
    }

    /// TRUE or FALSE.
    pub(super) fn boolean(&mut self, value: &Located<Value>, what: &str) -> Option<Located<bool>> {
        if let Value::Bool(is) = value.value {
            return Some(Located::new(is, value.span));
        }
        let finding = self.wrong(value, what, "TRUE or FALSE", "write it without quotes");
        self.push(finding);
        None
    }

    /// A whole number.
    pub(super) fn integer(&mut self, value: &Located<Value>, what: &str) -> Option<Located<i64>> {
        if let Value::Integer(number) = value.value {
            return Some(Located::new(number, value.span));
        }
        let finding = self.wrong(value, what, "a whole number", "write it without quotes");
        self.push(finding);
        None
    }

    /// An array of texts.
    pub(super) fn texts(&mut self, value: &Located<Value>, what: &str) -> Option<Located<Vec<RawText>>> {
        let Value::List(list) = &value.value else {
            let finding = self.wrong(value, what, "an array of texts", "write it as `array('one', 'two')`");
            self.push(finding);
            return None;
        };
        let each = format!("each of {what}");
        let mut out = Vec::with_capacity(list.entries.len());
        for entry in list.entries.iter() {
            match &entry.key {
                Some(key) if !matches!(key.value, Value::Integer(_)) => {
                    let finding = Finding::at(key.span, Code::BadValue, format!("{what} takes a list without keys"));
                    self.push(finding.hint("remove the key and its `=>`"));
                }
                _ => out.extend(self.text(&entry.value, &each)),
            }
        }
        Some(Located::new(out, value.span))
    }

    /// The objection to a value of the wrong kind; its own, if it could not be known at all.
    fn wrong(&self, value: &Located<Value>, what: &str, wanted: &str, hint: &str) -> Finding {
        match &value.value {
            Value::Refused(finding) => Finding::clone(Rc::as_ref(finding)),
            other => {
                let message = format!("{what} must be {wanted}, and {} stands here", other.kind());
                let finding = Finding::at(value.span, Code::BadValue, message);
                match other {
                    Value::Integer(_) | Value::Bool(_) if wanted == "a text" => finding.hint("put it in quotes"),
                    Value::Null => finding.hint("remove the assignment if nothing is meant"),
                    _ if wanted == "a text" => finding.hint("give one text in quotes"),
                    _ => finding.hint(hint),
                }
            }
        }
    }

    /// Puts a value into its place, and warns if another stood there.
    pub(super) fn put<T>(&mut self, place: &mut Option<T>, value: Option<T>, span: Span, what: &str) {
        let Some(value) = value else { return };
        if place.replace(value).is_some() {
            self.twice(span, what);
        }
    }

    /// A warning that something stands here for the second time.
    pub(super) fn twice(&mut self, span: Span, what: &str) {
        let finding = Finding::at(span, Code::Duplicate, format!("{what} is given twice; the later value counts"));
        self.push(finding.hint("remove one of the two").at_most(Severity::Warning));
    }
}
