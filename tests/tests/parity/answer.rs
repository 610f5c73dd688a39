//! What a surface answers, in one form.

use datastore_tests::Run;
use datastore_tests::documents::{difference, steady};
use serde_json::{Map, Value, json};

use crate::cases::Apart;

#[derive(Debug)]
pub(crate) struct Answer {
    /// What was told, or the error with kind, errno, head (the message without its causes, where a surface has it), message and hint.
    what: Result<Value, Value>,
    /// Which kinds of events there were; none where nobody listened.
    events: Option<Value>,
    /// The methods that were called.
    pub(crate) calls: Vec<String>,
    /// As it was printed.
    text: String,
}

impl Answer {
    pub(crate) fn told(document: Value) -> Self {
        Self { what: Ok(document), events: None, calls: Vec::new(), text: String::new() }
    }

    /// What one of the programs in Rust, C and PHP printed.
    pub(crate) fn of_driver(run: &Run) -> Self {
        let mut all = run.json();
        let what = match all.get("error") {
            Some(error) => {
                if let Some(class) = error.get("class") {
                    demand_class(class, &error["kind"]);
                }
                Err(error.clone())
            }
            None => Ok(all["told"].take()),
        };
        let events = all.get("events").filter(|events| **events != json!(["untold"])).cloned();
        let calls = all["calls"].as_array().into_iter().flatten();
        let calls = calls.filter_map(Value::as_str).map(str::to_owned).collect();
        Self { what, events, calls, text: run.stdout.clone() }
    }

    /// What the command printed.
    pub(crate) fn of_command(run: &Run) -> Self {
        let mut all = run.json();
        let Some(error) = all.get_mut("error") else { return Self { text: run.stdout.clone(), ..Self::told(all) } };
        let causes = error["causes"].as_array().expect("causes").iter().filter_map(Value::as_str);
        let head = error["message"].as_str().expect("a message");
        let message = std::iter::once(head).chain(causes).collect::<Vec<_>>().join(": ");
        let error = json!({
            "kind": error["kind"],
            "errno": error["errno"].as_i64().unwrap_or(0),
            "head": head,
            "message": message,
            "hint": error["hint"].as_str().unwrap_or_default(),
        });
        Self { what: Err(error), ..Self::told(Value::Null) }
    }

    /// The other surfaces say nothing where the guard lets an app start.
    pub(crate) fn without_the_word_that_all_is_well(mut self) -> Self {
        if self.what.as_ref().is_ok_and(|told| told["ready"] == true) {
            self.what = Ok(Value::Null);
        }
        self
    }

    /// The kind of the error, if it is one.
    pub(crate) fn kind(&self) -> Option<&str> {
        self.what.as_ref().err().and_then(|error| error["kind"].as_str())
    }

    /// A field of what was told.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        self.what.as_ref().ok()?.get(name)?.as_str().map(str::to_owned)
    }

    /// The names of the fields of what was told, in the order in which they were printed.
    pub(crate) fn fields(&self) -> Vec<String> {
        let name = regex_lite::Regex::new("\"([a-z_]+)\" ?:").expect("a pattern");
        let names = name.captures_iter(&self.text).map(|found| found[1].to_owned());
        // These stand around it.
        names.filter(|name| !matches!(&**name, "told" | "events" | "calls")).collect()
    }

    /// Where two of them differ, if they do.
    pub(crate) fn difference(&self, other: &Self, apart: Option<Apart>) -> Option<String> {
        let events = || self.events.as_ref().zip(other.events.as_ref());
        match (&self.what, &other.what) {
            (Ok(a), Ok(b)) => difference(&settled(a), &settled(b), "told")
                .or_else(|| events().and_then(|(a, b)| difference(a, b, "events"))),
            (Err(a), Err(b)) => {
                let common = |of: &Value, beside: &Value| {
                    let fields = of.as_object().expect("an error is an object").iter();
                    let both = fields.filter(|(name, _)| beside.get(name.as_str()).is_some());
                    let both = both.filter(|(name, _)| apart != Some(Apart::OwnHint) || *name != "hint");
                    settled(&Value::Object(
                        both.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>(),
                    ))
                };
                difference(&common(a, b), &common(b, a), "error")
            }
            (Ok(_), Err(error)) | (Err(error), Ok(_)) => Some(format!("one of them failed: {error:#}")),
        }
    }
}

/// The class of an exception says by whose fault.
#[track_caller]
fn demand_class(class: &Value, kind: &Value) {
    let wanted = match kind.as_str().expect("a reason") {
        "usage" => "Datastore\\InvalidArgumentException",
        "refused" | "invalid" | "locked" | "interrupted" => "Datastore\\RefusedException",
        "privilege" => "Datastore\\PrivilegeException",
        _ => "Datastore\\SystemException",
    };
    assert_eq!(class, wanted, "the class of {kind}");
}

/// Without what differs from one run to the next, or from one machine to another that is made alike.
fn settled(document: &Value) -> Value {
    let mut value = steady(document);
    if let Some(recovered) = value.get_mut("recovered").and_then(Value::as_array_mut) {
        recovered.iter_mut().for_each(|report| *report = settled(report));
    }
    forget(&mut value);
    value
}

/// How long something took, and what was drawn by lot, wherever it stands.
fn forget(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| match &**name {
            "ms" => *value = Value::Null,
            _ => forget(value),
        }),
        Value::Array(list) => list.iter_mut().for_each(forget),
        Value::String(text) => *text = without_ids(text),
        _ => {}
    }
}

/// A text without its operations, plans and numbers of parked trees: words of digits and letters of a certain length.
fn without_ids(text: &str) -> String {
    let is_time = |word: &str| word.len() == 19 && word.ends_with('Z') && word.as_bytes()[8] == b'T';
    let is_hex = |word: &str| {
        let mut bytes = word.bytes();
        matches!(word.len(), 8 | 16) && bytes.all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
    };
    let pieces = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let settle = |piece: &str| {
        let word = piece.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        if is_time(word) || is_hex(word) { format!("...{}", &piece[word.len()..]) } else { piece.to_owned() }
    };
    pieces.map(settle).collect()
}

#[test]
fn ids_are_left_out() {
    let text =
        "20261127T223913824Z-90de7c9c did plan 262344be61f4b695: /var/.datastore-parked-3f4fa8d9/mail, 1234567 of it";
    assert_eq!(without_ids(text), "...-... did plan ...: /var/.datastore-parked-.../mail, 1234567 of it");
}
