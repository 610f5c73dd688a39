//! What a configlet may say in PHP: the proposal's `$mapping` and ClearOS's `$storage`.

use std::collections::HashMap;
use std::rc::Rc;

use super::finding::Finding;
use super::statement::{Assignment, Report, Schema};
use super::value::Value;
use crate::diag::{Code, Located, Severity, Span, nearest};
use crate::raw::{RawApp, RawMapping, RawTarget};
use crate::syntax::keys;

/// Which of the two a mapping was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Mapping,
    Storage,
}

impl Form {
    fn variable(self) -> &'static str {
        match self {
            Self::Mapping => "mapping",
            Self::Storage => "storage",
        }
    }
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Mapping => keys::MAPPING,
            Self::Storage => keys::STORAGE,
        }
    }
}

/// The app as read so far.
#[derive(Debug, Default)]
pub(super) struct Configlet {
    pub(super) app: RawApp,
    /// Where each mount point stands in `app.mappings`.
    places: HashMap<Rc<str>, (usize, Form)>,
    /// Whether any mapping was given by `$mapping`, and by `$storage`.
    given: [bool; 2],
}

impl Schema for Configlet {
    const NAMES: &'static [&'static str] =
        &["mapping", "storage", "premount", "postmount", "hook_timeout", "services", "enabled", "title", "info"];

    fn severity(name: &str) -> Severity {
        if matches!(name, "title" | "info") { Severity::Warning } else { Severity::Error }
    }

    fn ignores(name: &str, keys: &[Located<Value>]) -> bool {
        name == "info" && !keys.is_empty() && !matches!(keys, [key] if is_name(&key.value))
    }

    fn assign(&mut self, assignment: &Assignment, report: &mut Report<'_>) {
        let Assignment { name, keys, value, range } = assignment;
        let span = Span { start: range.0, end: range.1, ..value.span };
        let form = match *name {
            "mapping" => Form::Mapping,
            "storage" => Form::Storage,
            "info" => return self.info(keys, value, span, report),
            _ if !keys.is_empty() => {
                let what = format!("`${name}` is one value, and has no keys");
                return report.push(
                    Finding::at(span, Code::BadValue, what)
                        .hint(format!("write `${name} = ...;`"))
                        .at_most(Self::severity(name)),
                );
            }
            _ => return self.scalar(name, value, span, report),
        };
        match &keys[..] {
            [] => self.all(form, value, span, report),
            [mount_point] => self.whole(form, mount_point, value, report),
            [mount_point, key] => {
                if let Some(place) = self.place(form, mount_point, report) {
                    self.key(place, form, key, value, span, report);
                }
            }
            [.., extra] => {
                let what = format!("`${name}` takes a mount point and a key, and no more");
                report.push(Finding::at(extra.span, Code::BadValue, what));
            }
        }
    }
}

impl Configlet {
    /// `$premount = ...;` and its like.
    fn scalar(&mut self, name: &str, value: &Located<Value>, span: Span, report: &mut Report<'_>) {
        let what = format!("`${name}`");
        let app = &mut self.app;
        match name {
            "premount" => {
                let text = report.text(value, &what);
                report.put(&mut app.premount, text, span, &what);
            }
            "postmount" => {
                let text = report.text(value, &what);
                report.put(&mut app.postmount, text, span, &what);
            }
            "hook_timeout" => {
                let number = report.integer(value, &what);
                report.put(&mut app.hook_timeout, number, span, &what);
            }
            "services" => {
                let texts = report.texts(value, &what);
                report.put(&mut app.services, texts, span, &what);
            }
            "enabled" => {
                let is = report.boolean(value, &what);
                report.put(&mut app.enabled, is, span, &what);
            }
            _ => {
                let text = report.text(value, &what);
                report.put(&mut app.title, text, span, &what);
            }
        }
    }

    /// `$info['name']` is the title; whatever else `$info` holds means nothing to us.
    fn info(&mut self, keys: &[Located<Value>], value: &Located<Value>, span: Span, report: &mut Report<'_>) {
        let title = match (keys, &value.value) {
            ([key], _) if is_name(&key.value) => value,
            ([], Value::List(list)) => {
                match list.entries.iter().find(|e| e.key.as_ref().is_some_and(|k| is_name(&k.value))) {
                    // A title in the user's language.
                    Some(entry) if matches!(entry.value.value, Value::Refused(_)) => return,
                    Some(entry) => &entry.value,
                    None => return,
                }
            }
            _ => return,
        };
        let what = "`$info['name']`";
        let text = report.text(title, what);
        report.put(&mut self.app.title, text, span, what);
    }

    /// `$mapping = array(...)`: in PHP it throws away what stood there before.
    fn all(&mut self, form: Form, value: &Located<Value>, span: Span, report: &mut Report<'_>) {
        let name = form.variable();
        let list = match &value.value {
            Value::List(list) => list,
            Value::Refused(finding) => return report.push(Finding::clone(finding)),
            other => {
                let what = format!("`${name}` must be an array of mount points, and {} stands here", other.kind());
                return report.push(
                    Finding::at(value.span, Code::BadValue, what)
                        .hint(format!("write `${name}['/mount/point']['key'] = 'value';`")),
                );
            }
        };
        if self.given[form as usize] {
            let what = format!("this throws away every `${name}` above it");
            return report.push(
                Finding::at(span, Code::NotEvaluable, what).hint("remove it, or the assignments that it throws away"),
            );
        }
        for entry in list.entries.iter() {
            match (&entry.key, &entry.value.value) {
                (_, Value::Refused(finding)) => report.push(Finding::clone(finding)),
                (Some(mount_point), _) => self.whole(form, mount_point, &entry.value, report),
                (None, _) => {
                    let what = "a mapping without its mount point";
                    report.push(
                        Finding::at(entry.value.span, Code::BadValue, what)
                            .hint("write `'/mount/point' => array(...)`"),
                    );
                }
            }
        }
    }

    /// `$mapping['/mp'] = array(...)`.
    fn whole(&mut self, form: Form, mount_point: &Located<Value>, value: &Located<Value>, report: &mut Report<'_>) {
        let known = self.places.len();
        let Some(place) = self.place(form, mount_point, report) else { return };
        let list = match &value.value {
            Value::List(list) => list,
            Value::Refused(finding) => return report.push(Finding::clone(finding)),
            other => {
                let what = format!("a mapping must be an array of keys, and {} stands here", other.kind());
                let name = form.variable();
                return report.push(
                    Finding::at(value.span, Code::BadValue, what)
                        .hint(format!("write `${name}['/mount/point']['key'] = 'value';`")),
                );
            }
        };
        if self.places.len() == known {
            let mapping = &mut self.app.mappings[place];
            report.twice(mount_point.span, &format!("the mapping of `{}`", shown(&mapping.mount_point.value)));
            *mapping = RawMapping::new(mapping.mount_point.clone());
        }
        for entry in list.entries.iter() {
            match (&entry.key, &entry.value.value) {
                (Some(key), _) => self.key(place, form, key, &entry.value, key.span, report),
                (None, Value::Refused(finding)) => report.push(Finding::clone(finding)),
                (None, _) => {
                    let what = "a value without its key";
                    report.push(Finding::at(entry.value.span, Code::BadValue, what).hint("write `'key' => 'value'`"));
                }
            }
        }
    }

    /// The place of a mapping, made at its first appearance.
    fn place(&mut self, form: Form, mount_point: &Located<Value>, report: &mut Report<'_>) -> Option<usize> {
        if let Value::Text(text) = &mount_point.value
            && let Some(&(place, known)) = self.places.get(text)
        {
            if known == form {
                return Some(place);
            }
            let what = format!("`{}` is given both by `$mapping` and by `$storage`", shown(text));
            report.push(Finding::at(mount_point.span, Code::Duplicate, what).hint("keep one of the two"));
            return None;
        }
        let text = report.text(mount_point, "a mount point")?;
        let place = self.app.mappings.len();
        self.given[form as usize] = true;
        self.places.insert(text.value.as_str().into(), (place, form));
        self.app.mappings.push(RawMapping::new(text));
        Some(place)
    }

    /// `['/mp']['key'] = value`. `span` is where the key is given.
    fn key(
        &mut self,
        place: usize,
        form: Form,
        key: &Located<Value>,
        value: &Located<Value>,
        span: Span,
        report: &mut Report<'_>,
    ) {
        let Value::Text(name) = &key.value else {
            let what = format!("a key of `${}` must be a text, and {} stands here", form.variable(), key.value.kind());
            return report.push(Finding::at(key.span, Code::BadValue, what).hint(known_keys(form)));
        };
        let mapping = &mut self.app.mappings[place];
        let name = &**name;
        match (name, form) {
            ("options", Form::Mapping) => {
                let texts = report.texts(value, name);
                report.put(&mut mapping.options, texts, span, "`options`");
            }
            ("unusual", Form::Mapping) => {
                let is = report.boolean(value, name);
                report.put(&mut mapping.unusual, is, span, "`unusual`");
            }
            ("base" | "directory", Form::Storage) => {
                let Some(text) = report.text(value, name) else { return };
                let target = mapping.target.get_or_insert(RawTarget::ClearOs { base: None, directory: None });
                if let RawTarget::ClearOs { base, directory } = target {
                    let half = if name == "base" { base } else { directory };
                    report.put(half, Some(text), span, &format!("`{name}`"));
                }
            }
            _ if form.keys().contains(&name) => {
                let text = report.text(value, name);
                let what = format!("`{name}`");
                match name {
                    "target" => report.put(&mut mapping.target, text.map(RawTarget::Path), span, &what),
                    "permissions" => report.put(&mut mapping.permissions, text, span, &what),
                    "owner" => report.put(&mut mapping.owner, text, span, &what),
                    "group" => report.put(&mut mapping.group, text, span, &what),
                    "volume" => report.put(&mut mapping.volume, text, span, &what),
                    "premount" => report.put(&mut mapping.premount, text, span, &what),
                    _ => report.put(&mut mapping.postmount, text, span, &what),
                }
            }
            _ => {
                let what = format!("`${}` has no key `{}`", form.variable(), shown(name));
                let hint = nearest(name, form.keys())
                    .map_or_else(|| known_keys(form), |near| format!("did you mean `{near}`?"));
                report.push(Finding::at(key.span, Code::UnknownKey, what).hint(hint));
            }
        }
    }
}

/// Whether a key of `$info` is the one that holds the title.
fn is_name(key: &Value) -> bool {
    matches!(key, Value::Text(text) if &**text == "name")
}

fn known_keys(form: Form) -> String {
    format!("the keys of `${}` are {}", form.variable(), form.keys().join(", "))
}

/// A text for a message: one line, not too long.
fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}
