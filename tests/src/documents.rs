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
    // Other tests attach loop devices meanwhile.
    if let Some(rows) = value.get_mut("candidates").and_then(Value::as_array_mut) {
        rows.retain(|row| !row["device"].as_str().is_some_and(|device| device.starts_with("/dev/loop")));
    }
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
    if let Some(difference) = difference(here, there, at) {
        panic!("{difference}");
    }
}

/// Where two documents differ first, if they do.
#[must_use]
pub fn difference(here: &Value, there: &Value, at: &str) -> Option<String> {
    let is_same = match (here, there) {
        (Value::Object(a), Value::Object(b)) => {
            let names = |of: &Map<String, Value>| of.keys().cloned().collect::<Vec<_>>();
            if names(a) != names(b) {
                return Some(format!("{at}: the fields are {:?} and {:?}", names(a), names(b)));
            }
            return a.iter().find_map(|(name, value)| difference(value, &b[name], &format!("{at}.{name}")));
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            return pairs.find_map(|(i, (a, b))| difference(a, b, &format!("{at}[{i}]")));
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => here == there,
    };
    (!is_same).then(|| format!("{at}: {here:#} and {there:#}"))
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

/// The row of a device among those that could become a volume.
///
/// # Panics
/// If there is none.
#[must_use]
#[track_caller]
pub fn of_device<'d>(candidates: &'d Value, device: &str) -> &'d Value {
    let rows = candidates["candidates"].as_array().into_iter().flatten();
    rows.into_iter().find(|row| row["device"] == device).unwrap_or_else(|| panic!("{device} in {candidates:#}"))
}
