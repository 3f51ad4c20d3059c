//! Reading and changing JSON by path, without a panic.

use serde_json::{Map, Value};

/// Reads a field of an object.
pub trait At {
    /// A copy of the field, or null when there is none.
    fn at(&self, key: &str) -> Value;
}

impl At for Value {
    fn at(&self, key: &str) -> Value {
        self.get(key).cloned().unwrap_or(Value::Null)
    }
}

/// The place of a path such as `/linux/maskedPaths`; objects on the way are made.
pub fn place<'a>(value: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('/').filter(|key| !key.is_empty()).fold(value, |value, key| {
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        match value {
            Value::Object(map) => map.entry(key).or_insert(Value::Null),
            other => other,
        }
    })
}

/// The list at a path; made when there is none.
pub(super) fn list<'a>(value: &'a mut Value, path: &str) -> &'a mut Vec<Value> {
    let place = place(value, path);
    if !place.is_array() {
        *place = Value::Array(Vec::new());
    }
    match place {
        Value::Array(list) => list,
        _ => unreachable!("it was just made a list"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_are_made() {
        let mut value = json!({ "a": 1 });
        *place(&mut value, "/b/c") = json!(2);
        list(&mut value, "/b/d").push(json!(3));
        assert_eq!(value, json!({ "a": 1, "b": { "c": 2, "d": [3] } }));
        assert_eq!(value.at("b").at("c"), 2);
        assert_eq!(value.at("x").at("y"), Value::Null);
    }
}
