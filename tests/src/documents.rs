//! What several languages have of one thing: documents, held against each other, and what a C header declares.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// A document without what differs from one run to the next.
#[must_use]
pub fn steady(document: &Value) -> Value {
    let mut value = document.clone();
    let forget = |of: &mut Value, fields: &[&str]| {
        for field in fields {
            if let Some(field) = of.get_mut(field) {
                *field = Value::Null;
            }
        }
    };
    forget(&mut value, &["id", "timing", "plan", "operation"]);
    let list = |value: &mut Value, name: &str, fields: &[&str]| {
        let rows = value.get_mut(name).and_then(Value::as_array_mut);
        rows.into_iter().flatten().for_each(|row| forget(row, fields));
    };
    // Others write to this disk as well.
    list(&mut value, "volumes", &["bytes_free", "inodes_free"]);
    // Where a tree is put aside has a part of the seed in its name.
    list(&mut value, "steps", &["text"]);
    value
}

/// Demands that two documents are alike.
///
/// # Panics
/// If they are not: the message says where.
#[track_caller]
pub fn same(here: &Value, there: &Value, at: &str) {
    match (here, there) {
        (Value::Object(a), Value::Object(b)) => {
            let names = |of: &Map<String, Value>| of.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(a), names(b), "{at}");
            a.iter().for_each(|(name, value)| same(value, &b[name], &format!("{at}.{name}")));
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{at}");
            a.iter().zip(b).enumerate().for_each(|(i, (a, b))| same(a, b, &format!("{at}[{i}]")));
        }
        (Value::Number(a), Value::Number(b)) => assert_eq!(a.as_f64(), b.as_f64(), "{at}"),
        _ => assert_eq!(here, there, "{at}"),
    }
}

/// The functions that a C header declares.
#[must_use]
pub fn declared(header: &str) -> BTreeSet<String> {
    let begins = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase()) && !line.starts_with("typedef");
    let name = |line: &str| {
        let before = line.split_once('(')?.0;
        before.rsplit([' ', '*']).next().filter(|name| name.starts_with("datastore_")).map(str::to_owned)
    };
    header.lines().filter(begins).filter_map(name).collect()
}
