//! Whatever a call tells, as a tree that can be read: the fields and words are those of the command's JSON output.

use datastore_core::{Error, ErrorKind, Result};
use serde::Serialize;

use crate::build::build;
use crate::guard::{calm, free, maybe};
use crate::text::{Owned, Text};

/// Nothing.
pub const DATASTORE_NULL: u32 = 0;
/// True or false.
pub const DATASTORE_BOOL: u32 = 1;
/// A whole number.
pub const DATASTORE_INT: u32 = 2;
/// A number with a fraction.
pub const DATASTORE_FLOAT: u32 = 3;
/// Text.
pub const DATASTORE_TEXT: u32 = 4;
/// Values, one after the other.
pub const DATASTORE_LIST: u32 = 5;
/// Values, each with a name.
pub const DATASTORE_MAP: u32 = 6;

/// A value, and those inside it.
#[derive(Debug)]
pub struct Value(pub(crate) Node);

/// What a value is.
#[derive(Debug)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Owned),
    List(Vec<Value>),
    Map(Vec<(Owned, Value)>),
}

/// What is at a pointer; nothing where that cannot be one.
///
/// # Safety
/// As for [`maybe`].
unsafe fn node<'a>(value: *const Value) -> &'a Node {
    // SAFETY: the caller promises it.
    unsafe { maybe(value) }.map_or(&Node::Null, |value| &value.0)
}

impl Value {
    /// What something looks like to programs.
    pub(crate) fn of(document: &impl Serialize) -> Result<Self> {
        build(document)
            .map_err(|error| Error::new(ErrorKind::System, "the result cannot be handed out").caused_by(error))
    }

    fn len(&self) -> usize {
        match &self.0 {
            Node::List(values) => values.len(),
            Node::Map(fields) => fields.len(),
            _ => 0,
        }
    }
}

/// Returns what a value is: `DATASTORE_NULL`, `_BOOL`, `_INT`, `_FLOAT`, `_TEXT`, `_LIST` or `_MAP`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_value_kind(value: *const Value) -> u32 {
    // SAFETY: as said at the top of the header.
    calm(DATASTORE_NULL, || match unsafe { node(value) } {
        Node::Null => DATASTORE_NULL,
        Node::Bool(_) => DATASTORE_BOOL,
        Node::Int(_) => DATASTORE_INT,
        Node::Float(_) => DATASTORE_FLOAT,
        Node::Text(_) => DATASTORE_TEXT,
        Node::List(_) => DATASTORE_LIST,
        Node::Map(_) => DATASTORE_MAP,
    })
}

/// Returns whether a value is true; false for anything but a bool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_value_bool(value: *const Value) -> bool {
    // SAFETY: as said at the top of the header.
    calm(false, || matches!(unsafe { node(value) }, Node::Bool(true)))
}

/// Returns a whole number; 0 for anything else.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_value_int(value: *const Value) -> i64 {
    // SAFETY: as said at the top of the header.
    calm(0, || match unsafe { node(value) } {
        Node::Int(number) => *number,
        _ => 0,
    })
}

/// Returns a number, whole or not; 0 for anything else.
#[unsafe(no_mangle)]
#[allow(clippy::cast_precision_loss, reason = "a float was asked for")]
pub unsafe extern "C" fn datastore_value_float(value: *const Value) -> f64 {
    // SAFETY: as said at the top of the header.
    calm(0.0, || match unsafe { node(value) } {
        Node::Float(number) => *number,
        Node::Int(number) => *number as f64,
        _ => 0.0,
    })
}

/// Returns a text; no text for anything else.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_value_text(value: *const Value) -> Text {
    // SAFETY: as said at the top of the header.
    calm(Text::NONE, || match unsafe { node(value) } {
        Node::Text(text) => text.text(),
        _ => Text::NONE,
    })
}

/// Returns how many values a list or a map has; 0 for anything else.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_value_len(value: *const Value) -> usize {
    // SAFETY: as said at the top of the header.
    calm(0, || unsafe { maybe(value) }.map_or(0, Value::len))
}

/// Returns the value at a place of a list or a map, counted from 0; NULL beyond its end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_value_at(value: *const Value, place: usize) -> *const Value {
    calm(std::ptr::null(), || {
        // SAFETY: as said at the top of the header.
        let found = match unsafe { node(value) } {
            Node::List(values) => values.get(place),
            Node::Map(fields) => fields.get(place).map(|(_, value)| value),
            _ => None,
        };
        found.map_or(std::ptr::null(), std::ptr::from_ref)
    })
}

/// Returns the name at a place of a map; no text beyond its end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_value_name(value: *const Value, place: usize) -> Text {
    // SAFETY: as said at the top of the header.
    calm(Text::NONE, || match unsafe { node(value) } {
        Node::Map(fields) => fields.get(place).map_or(Text::NONE, |(name, _)| name.text()),
        _ => Text::NONE,
    })
}

/// Returns the value of this name in a map; NULL if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_value_get(value: *const Value, name: Text) -> *const Value {
    calm(std::ptr::null(), || {
        // SAFETY: as said at the top of the header.
        let (value, name) = unsafe { (node(value), name.read("name")) };
        let (Node::Map(fields), Ok(Some(name))) = (value, name) else { return std::ptr::null() };
        let found = fields.iter().find(|(known, _)| known.bytes() == name.as_bytes());
        found.map_or(std::ptr::null(), |(_, value)| std::ptr::from_ref(value))
    })
}

/// Frees a value that a function has handed out, with all inside it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_value_free(value: *mut Value) {
    // SAFETY: as said at the top of the header.
    unsafe { free(value) }
}
