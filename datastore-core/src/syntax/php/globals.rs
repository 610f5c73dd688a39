//! What `/etc/clearos/storage.conf` may say: `$config['base']` and `$config['enabled']`.

use super::finding::Finding;
use super::statement::{Assignment, Report, Schema};
use super::value::Value;
use crate::diag::{Code, Located, Severity, Span, nearest};
use crate::raw::RawClearOsGlobals;
use crate::syntax::keys;

/// The globals as read so far.
#[derive(Debug, Default)]
pub(super) struct Globals {
    pub(super) globals: RawClearOsGlobals,
}

impl Schema for Globals {
    const NAMES: &'static [&'static str] = &["config"];

    fn severity(_name: &str) -> Severity {
        Severity::Error
    }

    fn ignores(_name: &str, _keys: &[Located<Value>]) -> bool {
        false
    }

    fn assign(&mut self, assignment: &Assignment, report: &mut Report<'_>) {
        let Assignment { keys, value, range, .. } = assignment;
        let span = Span { start: range.0, end: range.1, ..value.span };
        match (&keys[..], &value.value) {
            ([key], _) => self.key(key, value, span, report),
            ([], Value::List(list)) => {
                if std::mem::take(&mut self.globals) != RawClearOsGlobals::default() {
                    report.twice(span, "`$config`");
                }
                for entry in list.entries.iter() {
                    match (&entry.key, &entry.value.value) {
                        (Some(key), _) => self.key(key, &entry.value, key.span, report),
                        (None, Value::Refused(finding)) => report.push(Finding::clone(finding)),
                        (None, _) => {
                            let what = "a value without its key";
                            report.push(Finding::at(entry.value.span, Code::BadValue, what));
                        }
                    }
                }
            }
            ([], Value::Refused(finding)) => report.push(Finding::clone(finding)),
            _ => report.push(
                Finding::at(span, Code::BadValue, "`$config` takes one key and a value")
                    .hint("write `$config['base'] = '/store';`"),
            ),
        }
    }
}

impl Globals {
    fn key(&mut self, key: &Located<Value>, value: &Located<Value>, span: Span, report: &mut Report<'_>) {
        match &key.value {
            Value::Text(name) if &**name == "base" => {
                let text = report.text(value, "`$config['base']`");
                report.put(&mut self.globals.base, text, span, "`$config['base']`");
            }
            Value::Text(name) if &**name == "enabled" => {
                let is = report.boolean(value, "`$config['enabled']`");
                report.put(&mut self.globals.enabled, is, span, "`$config['enabled']`");
            }
            // ClearOS may keep settings of its own here, so this is no reason to refuse the file.
            other => {
                let finding = Finding::at(key.span, Code::UnknownKey, "this key of `$config` means nothing here");
                let near = match other {
                    Value::Text(name) => nearest(name, keys::CONFIG),
                    _ => None,
                };
                let hint = near.map_or("the keys are base, enabled".into(), |n| format!("did you mean `{n}`?"));
                report.push(finding.hint(hint).at_most(Severity::Warning));
            }
        }
    }
}
