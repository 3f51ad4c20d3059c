//! From a JSON value to a field, with the field's place known when it is wrong.
//!
//! `serde`'s derive makes a state machine for each type and each reader of it; with paths kept beside them that
//! is 8 KiB of code a struct. A value that is there as a whole takes one call a field.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::place::{Fault, Place};
use super::tree::Tree;

/// A type of the specification.
pub trait Json: Sized {
    /// Takes the value that stands at a place.
    ///
    /// # Errors
    /// The place and what is wrong with it.
    fn read(value: Value, at: &Place<'_>) -> Result<Self, Fault>;

    /// The value that [`Json::read`] takes.
    fn write(&self) -> Value;

    /// Whether a field with this value is left out when it is written.
    fn is_left_out(&self) -> bool {
        false
    }
}

/// Reads a text that is one JSON value.
///
/// # Errors
/// The place and what is wrong with it; `syntax` for a text that is no JSON, or has a name twice in one object,
/// of which two readers could take another one each.
pub fn from_slice<T: Json>(text: &[u8]) -> Result<T, Fault> {
    let syntax = |error: &serde_json::Error| Fault::new("syntax", error);
    let mut json = serde_json::Deserializer::from_slice(text);
    let Tree(value) = Tree::deserialize(&mut json).map_err(|error| syntax(&error))?;
    json.end().map_err(|error| syntax(&error))?;
    T::read(value, &Place::ROOT)
}

/// An object whose fields are taken out one after the other. What is left is unknown and ignored, as the
/// specification has it ("Extensibility").
pub(super) struct Fields<'at> {
    map: Map<String, Value>,
    at: &'at Place<'at>,
}

impl<'at> Fields<'at> {
    pub(super) fn of(value: Value, at: &'at Place<'at>) -> Result<Self, Fault> {
        match value {
            Value::Object(map) => Ok(Self { map, at }),
            other => Err(at.unlike(&other, "an object")),
        }
    }

    /// `null` is as good as nothing.
    fn value(&mut self, name: &str) -> Option<Value> {
        self.map.get_mut(name).map(Value::take).filter(|value| !value.is_null())
    }

    /// A field that may be missing.
    pub(super) fn take<T: Json + Default>(&mut self, name: &str) -> Result<T, Fault> {
        match self.value(name) {
            Some(value) => T::read(value, &self.at.field(name)),
            None => Ok(T::default()),
        }
    }

    /// A field that must be there.
    pub(super) fn require<T: Json>(&mut self, name: &str) -> Result<T, Fault> {
        match self.value(name) {
            Some(value) => T::read(value, &self.at.field(name)),
            None => Err(Fault::new(&self.at.field(name).to_string(), &"is missing")),
        }
    }
}

/// Adds a field to an object that is written.
pub(super) fn put<T: Json>(map: &mut Map<String, Value>, name: &str, field: &T) {
    if !field.is_left_out() {
        map.insert(name.to_owned(), field.write());
    }
}

impl Json for Value {
    fn read(value: Value, _: &Place<'_>) -> Result<Self, Fault> {
        Ok(value)
    }

    fn write(&self) -> Value {
        self.clone()
    }
}

impl Json for bool {
    fn read(value: Value, at: &Place<'_>) -> Result<Self, Fault> {
        value.as_bool().ok_or_else(|| at.unlike(&value, "true or false"))
    }

    fn write(&self) -> Value {
        (*self).into()
    }
}

macro_rules! numbers {
    ($($kind:ty, $as:ident, $wanted:literal;)*) => {$(
        impl Json for $kind {
            fn read(value: Value, at: &Place<'_>) -> Result<Self, Fault> {
                let number = value.$as().and_then(|number| Self::try_from(number).ok());
                number.ok_or_else(|| at.unlike(&value, $wanted))
            }

            fn write(&self) -> Value {
                (*self).into()
            }
        }
    )*};
}

numbers! {
    u16, as_u64, "a whole number from 0 to 65535";
    u32, as_u64, "a whole number from 0 to 4294967295";
    u64, as_u64, "a whole number from 0 to 18446744073709551615";
    i32, as_i64, "a whole number from -2147483648 to 2147483647";
    i64, as_i64, "a whole number from -9223372036854775808 to 9223372036854775807";
}

impl Json for String {
    fn read(value: Value, at: &Place<'_>) -> Result<Self, Fault> {
        match value {
            Value::String(text) => Ok(text),
            other => Err(at.unlike(&other, "a string")),
        }
    }

    fn write(&self) -> Value {
        self.as_str().into()
    }
}

impl Json for PathBuf {
    fn read(value: Value, at: &Place<'_>) -> Result<Self, Fault> {
        String::read(value, at).map(PathBuf::from)
    }

    /// What is not UTF-8 was not read from JSON.
    fn write(&self) -> Value {
        self.to_string_lossy().into()
    }
}

impl<T: Json> Json for Option<T> {
    fn read(value: Value, at: &Place<'_>) -> Result<Self, Fault> {
        if value.is_null() { Ok(None) } else { T::read(value, at).map(Some) }
    }

    fn write(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::write)
    }

    fn is_left_out(&self) -> bool {
        self.is_none()
    }
}

impl<T: Json> Json for Vec<T> {
    fn read(value: Value, at: &Place<'_>) -> Result<Self, Fault> {
        let list = match value {
            Value::Array(list) => list,
            other => return Err(at.unlike(&other, "a list")),
        };
        let mut found = Vec::with_capacity(list.len());
        for (number, value) in list.into_iter().enumerate() {
            found.push(T::read(value, &at.item(number))?);
        }
        Ok(found)
    }

    fn write(&self) -> Value {
        Value::Array(self.iter().map(T::write).collect())
    }

    fn is_left_out(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Json> Json for BTreeMap<String, T> {
    fn read(value: Value, at: &Place<'_>) -> Result<Self, Fault> {
        let map = match value {
            Value::Object(map) => map,
            other => return Err(at.unlike(&other, "an object")),
        };
        let mut found = BTreeMap::new();
        for (name, value) in map {
            let value = T::read(value, &at.entry(&name))?;
            found.insert(name, value);
        }
        Ok(found)
    }

    fn write(&self) -> Value {
        Value::Object(self.iter().map(|(name, value)| (name.clone(), value.write())).collect())
    }

    fn is_left_out(&self) -> bool {
        self.is_empty()
    }
}
