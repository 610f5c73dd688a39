//! Makes a value of whatever the engine tells: what its JSON would be, without the JSON.

use std::fmt;

use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
    SerializeTupleVariant, Serializer,
};

use crate::text::Owned;
use crate::value::{Node, Value};

/// Why there is no value.
#[derive(Debug)]
pub(crate) struct Unbuildable(String);

impl fmt::Display for Unbuildable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unbuildable {}

impl serde::ser::Error for Unbuildable {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self(why.to_string())
    }
}

type Built<T = Value> = Result<T, Unbuildable>;

/// The value of something.
pub(crate) fn build<T: Serialize + ?Sized>(of: &T) -> Built {
    of.serialize(Builder)
}

#[derive(Debug, Clone, Copy)]
struct Builder;

fn text(text: &str) -> Value {
    Value(Node::Text(Owned::new(text)))
}

/// A list under way; within a variant of an enum, its name.
pub(crate) struct List(Vec<Value>, Option<&'static str>);

/// A map under way; within a variant of an enum, its name.
pub(crate) struct Map {
    fields: Vec<(Owned, Value)>,
    name: Option<Owned>,
    variant: Option<&'static str>,
}

/// What a variant holds is the one field of a map.
fn within(variant: Option<&'static str>, value: Value) -> Value {
    match variant {
        Some(name) => Value(Node::Map(vec![(Owned::new(name), value)])),
        None => value,
    }
}

impl List {
    fn new(length: usize) -> Self {
        Self(Vec::with_capacity(length), None)
    }

    fn add<T: Serialize + ?Sized>(&mut self, value: &T) -> Built<()> {
        self.0.push(build(value)?);
        Ok(())
    }

    fn done(self) -> Value {
        within(self.1, Value(Node::List(self.0)))
    }
}

impl Map {
    fn new(length: usize) -> Self {
        Self { fields: Vec::with_capacity(length), name: None, variant: None }
    }

    fn add<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Built<()> {
        self.fields.push((Owned::new(name), build(value)?));
        Ok(())
    }

    fn done(self) -> Value {
        within(self.variant, Value(Node::Map(self.fields)))
    }
}

impl Serializer for Builder {
    type Ok = Value;
    type Error = Unbuildable;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = List;
    type SerializeMap = Map;
    type SerializeStruct = Map;
    type SerializeStructVariant = Map;

    fn serialize_bool(self, value: bool) -> Built {
        Ok(Value(Node::Bool(value)))
    }
    fn serialize_i8(self, value: i8) -> Built {
        self.serialize_i64(value.into())
    }
    fn serialize_i16(self, value: i16) -> Built {
        self.serialize_i64(value.into())
    }
    fn serialize_i32(self, value: i32) -> Built {
        self.serialize_i64(value.into())
    }
    fn serialize_i64(self, value: i64) -> Built {
        Ok(Value(Node::Int(value)))
    }
    fn serialize_u8(self, value: u8) -> Built {
        self.serialize_i64(value.into())
    }
    fn serialize_u16(self, value: u16) -> Built {
        self.serialize_i64(value.into())
    }
    fn serialize_u32(self, value: u32) -> Built {
        self.serialize_i64(value.into())
    }
    #[allow(clippy::cast_precision_loss, reason = "what is beyond 2^63 has no exact number in C either")]
    fn serialize_u64(self, value: u64) -> Built {
        Ok(Value(i64::try_from(value).map_or(Node::Float(value as f64), Node::Int)))
    }
    fn serialize_f32(self, value: f32) -> Built {
        self.serialize_f64(value.into())
    }
    fn serialize_f64(self, value: f64) -> Built {
        Ok(Value(if value.is_finite() { Node::Float(value) } else { Node::Null }))
    }
    fn serialize_char(self, value: char) -> Built {
        Ok(text(value.encode_utf8(&mut [0; 4])))
    }
    fn serialize_str(self, value: &str) -> Built {
        Ok(text(value))
    }
    fn serialize_bytes(self, value: &[u8]) -> Built {
        Ok(Value(Node::List(value.iter().map(|byte| Value(Node::Int(i64::from(*byte)))).collect())))
    }
    fn serialize_none(self) -> Built {
        Ok(Value(Node::Null))
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Built {
        build(value)
    }
    fn serialize_unit(self) -> Built {
        Ok(Value(Node::Null))
    }
    fn serialize_unit_struct(self, _: &'static str) -> Built {
        Ok(Value(Node::Null))
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Built {
        Ok(text(variant))
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Built {
        build(value)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Built {
        Ok(within(Some(variant), build(value)?))
    }
    fn serialize_seq(self, length: Option<usize>) -> Built<List> {
        Ok(List::new(length.unwrap_or(0)))
    }
    fn serialize_tuple(self, length: usize) -> Built<List> {
        Ok(List::new(length))
    }
    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Built<List> {
        Ok(List::new(length))
    }
    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, length: usize) -> Built<List> {
        Ok(List(Vec::with_capacity(length), Some(variant)))
    }
    fn serialize_map(self, length: Option<usize>) -> Built<Map> {
        Ok(Map::new(length.unwrap_or(0)))
    }
    fn serialize_struct(self, _: &'static str, length: usize) -> Built<Map> {
        Ok(Map::new(length))
    }
    fn serialize_struct_variant(self, _: &'static str, _: u32, variant: &'static str, length: usize) -> Built<Map> {
        Ok(Map { variant: Some(variant), ..Map::new(length) })
    }
}

/// Kinds of lists and maps differ to serde, and not to us: each has a method for the next value, and an end.
macro_rules! compound {
    ($kind:ident for $of:ty, $next:ident($($name:ident: $type:ty)?)) => {
        impl $kind for $of {
            type Ok = Value;
            type Error = Unbuildable;
            fn $next<T: Serialize + ?Sized>(&mut self, $($name: $type,)? value: &T) -> Built<()> {
                self.add($($name,)? value)
            }
            fn end(self) -> Built {
                Ok(self.done())
            }
        }
    };
}

compound!(SerializeSeq for List, serialize_element());
compound!(SerializeTuple for List, serialize_element());
compound!(SerializeTupleStruct for List, serialize_field());
compound!(SerializeTupleVariant for List, serialize_field());
compound!(SerializeStruct for Map, serialize_field(name: &'static str));
compound!(SerializeStructVariant for Map, serialize_field(name: &'static str));

impl SerializeMap for Map {
    type Ok = Value;
    type Error = Unbuildable;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Built<()> {
        match build(key)?.0 {
            Node::Text(name) => self.name = Some(name),
            Node::Int(number) => self.name = Some(Owned::new(&number.to_string())),
            _ => return Err(Unbuildable("a map has a key that is no text".into())),
        }
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Built<()> {
        let name = self.name.take().ok_or_else(|| Unbuildable("a map has a value without a key".into()))?;
        self.fields.push((name, build(value)?));
        Ok(())
    }
    fn end(self) -> Built {
        Ok(self.done())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    enum Kind {
        Plain,
        Number(u64),
        Pair(i8, char),
        Whole { part: Option<f32> },
    }

    #[derive(Serialize)]
    struct Inner {
        more: bool,
    }

    #[derive(Serialize)]
    struct Everything<'a> {
        first: &'a str,
        #[serde(flatten)]
        inner: Inner,
        kinds: Vec<Kind>,
        none: Option<u8>,
        unit: (),
        tuple: (u16, f64),
        map: std::collections::BTreeMap<i32, &'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        left_out: Option<u8>,
        last: f64,
    }

    /// A value as JSON, to be held against that of serde_json.
    fn json(value: &Value) -> String {
        let text = |text: &Owned| format!("{:?}", std::str::from_utf8(text.bytes()).unwrap());
        let join = |parts: Vec<String>| parts.join(",");
        match &value.0 {
            Node::Null => "null".into(),
            Node::Bool(is_true) => is_true.to_string(),
            Node::Int(number) => number.to_string(),
            Node::Float(number) => format!("{number:?}"),
            Node::Text(words) => text(words),
            Node::List(values) => format!("[{}]", join(values.iter().map(json).collect())),
            Node::Map(fields) => {
                let field = |(name, value): &(Owned, Value)| format!("{}:{}", text(name), json(value));
                format!("{{{}}}", join(fields.iter().map(field).collect()))
            }
        }
    }

    #[test]
    fn it_is_what_the_json_would_be() {
        let kinds = vec![Kind::Plain, Kind::Number(7), Kind::Pair(-1, '\u{e4}'), Kind::Whole { part: Some(0.5) }];
        let everything = Everything {
            first: "a \"word\"",
            inner: Inner { more: true },
            kinds,
            none: None,
            unit: (),
            tuple: (3, 1.5),
            map: [(1, "one"), (2, "two")].into(),
            left_out: None,
            last: f64::NAN,
        };
        assert_eq!(json(&build(&everything).unwrap()), serde_json::to_string(&everything).unwrap());
    }

    #[test]
    fn what_has_no_exact_number_is_near_it_and_a_key_is_a_text() {
        assert_eq!(json(&build(&u64::MAX).unwrap()), "1.8446744073709552e19");
        assert!(build(&std::collections::BTreeMap::from([((1, 2), 3)])).is_err());
    }
}
