//! Annotations that set properties of the container's scope: `org.systemd.property.TimeoutStopUSec: "uint64 5000000"`.
//!
//! The values are in the text format of `GVariant`, as far as properties of units need it: the basic types, and arrays
//! of them. A name in `Sec` stands for the one in `USec` that systemd has on the bus, in seconds, as with runc and crun.

use std::collections::BTreeMap;

use super::property::Property;
use super::value::Value;
use crate::{Error, Result};

const PREFIX: &str = "org.systemd.property.";

/// What sets the runtime's own properties, without which a container is not held together.
const OURS: [&str; 5] = ["PIDs", "Slice", "Delegate", "Description", "DefaultDependencies"];

/// The properties of a config's annotations.
pub(crate) fn properties(annotations: &BTreeMap<String, String>) -> Result<Vec<Property>> {
    let ours = annotations.iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)));
    ours.map(|(name, text)| {
        let fail =
            |why: &str| Error::config(&format!("annotations[\"{PREFIX}{}\"]", name.escape_default()), why);
        if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(fail("is no name of a property: letters and digits"));
        }
        if OURS.contains(&name) {
            return Err(fail("is the runtime's to set"));
        }
        let value = Text { left: text }.whole().ok_or_else(|| {
            fail(&format!(
                "`{text}` is no value in the text format of GVariant, as 'text', true, uint64 5 or ['a', 'b']"
            ))
        })?;
        match name.strip_suffix("Sec").filter(|name| !name.ends_with('U')) {
            None => Ok((name.to_owned(), value)),
            Some(stem) => {
                let us = microseconds(&value).ok_or_else(|| fail("is no number of seconds"))?;
                Ok((format!("{stem}USec"), Value::U64(us)))
            }
        }
    })
    .collect()
}

fn microseconds(seconds: &Value) -> Option<u64> {
    let whole = match seconds {
        Value::Byte(number) => u64::from(*number),
        Value::I16(number) => u64::try_from(*number).ok()?,
        Value::U16(number) => u64::from(*number),
        Value::I32(number) => u64::try_from(*number).ok()?,
        Value::U32(number) => u64::from(*number),
        Value::I64(number) => u64::try_from(*number).ok()?,
        Value::U64(number) => *number,
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the range, and whole microseconds suffice"
        )]
        Value::Double(number) if (0.0..1e12).contains(number) => return Some((*number * 1e6) as u64),
        _ => return None,
    };
    whole.checked_mul(1_000_000)
}

/// What is left to read.
struct Text<'a> {
    left: &'a str,
}

impl<'a> Text<'a> {
    fn whole(mut self) -> Option<Value> {
        let value = self.value(None)?;
        self.left.trim().is_empty().then_some(value)
    }

    fn skip(&mut self, c: char) -> bool {
        self.left = self.left.trim_start();
        match self.left.strip_prefix(c) {
            Some(rest) => {
                self.left = rest;
                true
            }
            None => false,
        }
    }

    /// The characters up to the first that does not fit.
    fn word(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        self.left = self.left.trim_start();
        let end = self.left.find(|c| !fits(c)).unwrap_or(self.left.len());
        let (word, rest) = self.left.split_at(end);
        self.left = rest;
        word
    }

    /// A value, of this type where one is known from before it.
    fn value(&mut self, of: Option<&str>) -> Option<Value> {
        self.left = self.left.trim_start();
        match self.left.chars().next()? {
            '@' if of.is_none() => {
                self.skip('@');
                let named = self.word(|c| c.is_ascii_lowercase());
                self.value(Some(named))
            }
            '[' => self.array(of),
            quote @ ('\'' | '"') => {
                let text = self.quoted(quote)?;
                match of.unwrap_or("s") {
                    "s" => Some(Value::Text(text)),
                    "o" => Some(Value::Path(text)),
                    "g" => Some(Value::Signature(text)),
                    _ => None,
                }
            }
            'a'..='z' => {
                let word = self.word(|c| c.is_ascii_alphanumeric());
                match (word, of) {
                    ("true", None | Some("b")) => return Some(Value::Bool(true)),
                    ("false", None | Some("b")) => return Some(Value::Bool(false)),
                    _ => {}
                }
                let named = letter(word).filter(|named| of.is_none_or(|of| of == *named))?;
                // One word is enough.
                let left = self.left.trim_start();
                let again = left.starts_with(|c: char| c.is_ascii_lowercase() || "@[".contains(c))
                    && !left.starts_with("true")
                    && !left.starts_with("false");
                if again { None } else { self.value(Some(named)) }
            }
            _ => number(self.word(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)), of),
        }
    }

    fn array(&mut self, of: Option<&str>) -> Option<Value> {
        let mut element = match of {
            // Arrays of arrays are no unit's property that could be meant here.
            Some(of) => Some(of.strip_prefix('a').filter(|element| element.len() == 1)?.to_owned()),
            None => None,
        };
        self.skip('[');
        let mut values = Vec::new();
        while !self.skip(']') {
            if !values.is_empty() && !self.skip(',') {
                return None;
            }
            if self.left.trim_start().starts_with('[') {
                return None;
            }
            let value = self.value(element.as_deref())?;
            let signature = value.signature();
            // The first one has the type of all; what is none of a text is a number without a word before it.
            if element.get_or_insert_with(|| signature.clone()) != &signature || signature.len() != 1 {
                return None;
            }
            values.push(value);
        }
        // An empty array has a type by what is before it alone.
        Some(Value::Array(element?, values))
    }

    fn quoted(&mut self, quote: char) -> Option<String> {
        self.skip(quote);
        let mut text = String::new();
        let mut characters = self.left.chars();
        loop {
            match characters.next()? {
                c if c == quote => break,
                '\\' => text.push(match characters.next()? {
                    'n' => '\n',
                    't' => '\t',
                    c @ ('\\' | '\'' | '"') => c,
                    _ => return None,
                }),
                // A message of D-Bus cannot carry it.
                '\0' => return None,
                c => text.push(c),
            }
        }
        self.left = characters.as_str();
        Some(text)
    }
}

/// The words that tell the type of what follows.
fn letter(word: &str) -> Option<&'static str> {
    const WORDS: [(&str, &str); 12] = [
        ("boolean", "b"),
        ("byte", "y"),
        ("int16", "n"),
        ("uint16", "q"),
        ("int32", "i"),
        ("uint32", "u"),
        ("int64", "x"),
        ("uint64", "t"),
        ("double", "d"),
        ("string", "s"),
        ("objectpath", "o"),
        ("signature", "g"),
    ];
    WORDS.iter().find(|(known, _)| *known == word).map(|(_, letter)| *letter)
}

fn number(text: &str, of: Option<&str>) -> Option<Value> {
    let plain = text.strip_prefix('+').unwrap_or(text);
    let (digits, radix) = plain.strip_prefix("0x").map_or((plain, 10), |digits| (digits, 16));
    let whole = |digits: &str| i128::from_str_radix(digits, radix).ok();
    Some(match of {
        None if plain.contains('.') => Value::Double(plain.parse().ok()?),
        None | Some("i") => Value::I32(whole(digits)?.try_into().ok()?),
        Some("y") => Value::Byte(whole(digits)?.try_into().ok()?),
        Some("n") => Value::I16(whole(digits)?.try_into().ok()?),
        Some("q") => Value::U16(whole(digits)?.try_into().ok()?),
        Some("u") => Value::U32(whole(digits)?.try_into().ok()?),
        Some("x") => Value::I64(whole(digits)?.try_into().ok()?),
        Some("t") => Value::U64(whole(digits)?.try_into().ok()?),
        Some("d") => Value::Double(plain.parse().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(name: &str, value: &str) -> Result<Property> {
        let annotations = BTreeMap::from([(format!("{PREFIX}{name}"), value.to_owned())]);
        properties(&annotations).map(|mut found| found.remove(0))
    }

    #[test]
    fn values_have_types() {
        let texts = Value::texts(&["a", "b c"]);
        for (text, value) in [
            ("true", Value::Bool(true)),
            ("'inactive-or-failed'", Value::Text("inactive-or-failed".into())),
            ("\"it's \\\"x\\\"\"", Value::Text("it's \"x\"".into())),
            ("uint64 123456789", Value::U64(123_456_789)),
            ("-5", Value::I32(-5)),
            ("@t 7", Value::U64(7)),
            ("1.5", Value::Double(1.5)),
            ("byte 0x10", Value::Byte(16)),
            ("boolean true", Value::Bool(true)),
            ("objectpath '/a'", Value::Path("/a".into())),
            ("['a', \"b c\"]", texts.clone()),
            ("@as []", Value::texts(&[])),
            ("[uint32 1, uint32 2]", Value::Array("u".into(), vec![Value::U32(1), Value::U32(2)])),
            ("@au [1, 2]", Value::Array("u".into(), vec![Value::U32(1), Value::U32(2)])),
        ] {
            assert_eq!(of("Name", text).unwrap(), ("Name".to_owned(), value), "{text}");
        }
    }

    #[test]
    fn seconds_become_what_systemd_has() {
        assert_eq!(
            of("TimeoutStopSec", "uint64 90").unwrap(),
            ("TimeoutStopUSec".into(), Value::U64(90_000_000))
        );
        assert_eq!(of("TimeoutStopSec", "0.5").unwrap(), ("TimeoutStopUSec".into(), Value::U64(500_000)));
        assert_eq!(of("TimeoutStopUSec", "uint64 90").unwrap(), ("TimeoutStopUSec".into(), Value::U64(90)));
        assert!(of("TimeoutStopSec", "-1").is_err() && of("TimeoutStopSec", "'x'").is_err());
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_key() {
        for (name, value) in [
            ("Name", ""),
            ("Name", "x"),
            ("Name", "'a"),
            ("Name", "[]"),
            ("Name", "['a', 1]"),
            ("Name", "true false"),
            ("Name", "uint32 -1"),
            ("Name", "byte 256"),
            ("Name", "@as ['a' 'b']"),
            ("Name", "[['a']]"),
            ("Name", "[@as ['a']]"),
            ("Name", &"[".repeat(100_000)),
            ("Name", &"boolean ".repeat(100_000)),
            ("Na", "true"),
            ("A.B", "true"),
            ("PIDs", "@au [1]"),
            ("Delegate", "false"),
        ] {
            let error = of(name, value).unwrap_err().to_string();
            assert!(
                error.starts_with("config.json: annotations[\"org.systemd.property."),
                "{name} {value}: {error}"
            );
        }
        assert!(properties(&BTreeMap::from([("org.other".to_owned(), "x".to_owned())])).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_a_value_or_none(text in "[a-z@0-9\\[\\]'\"\\\\,. ü-]{0,24}") {
            let _ = Text { left: &text }.whole();
        }
    }
}
