//! Values of D-Bus, and how they are written into a message (D-Bus Specification, "Type System", "Marshaling").

/// A value with its type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// `y`
    Byte(u8),
    /// `b`
    Bool(bool),
    /// `n`
    I16(i16),
    /// `q`
    U16(u16),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `d`
    Double(f64),
    /// `s`
    Text(String),
    /// `o`
    Path(String),
    /// `g`
    Signature(String),
    /// `a` with the signature of its elements, which tells the type of an empty one.
    Array(String, Vec<Value>),
    /// `(…)`
    Struct(Vec<Value>),
    /// `{..}`, an element of an array only.
    Entry(Box<(Value, Value)>),
    /// `v`
    Variant(Box<Value>),
}

impl Value {
    /// An array of texts.
    #[cfg(test)]
    pub(crate) fn texts(texts: &[&str]) -> Self {
        Self::Array("s".into(), texts.iter().map(|text| Self::Text((*text).to_owned())).collect())
    }

    /// An array of bytes.
    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        Self::Array("y".into(), bytes.iter().copied().map(Self::Byte).collect())
    }

    /// Its type in the words of the specification.
    pub(crate) fn signature(&self) -> String {
        match self {
            Self::Byte(_) => "y".into(),
            Self::Bool(_) => "b".into(),
            Self::I16(_) => "n".into(),
            Self::U16(_) => "q".into(),
            Self::I32(_) => "i".into(),
            Self::U32(_) => "u".into(),
            Self::I64(_) => "x".into(),
            Self::U64(_) => "t".into(),
            Self::Double(_) => "d".into(),
            Self::Text(_) => "s".into(),
            Self::Path(_) => "o".into(),
            Self::Signature(_) => "g".into(),
            Self::Array(element, _) => format!("a{element}"),
            Self::Struct(fields) => format!("({})", fields.iter().map(Self::signature).collect::<String>()),
            Self::Entry(pair) => format!("{{{}{}}}", pair.0.signature(), pair.1.signature()),
            Self::Variant(_) => "v".into(),
        }
    }
}

/// To how many bytes a type is aligned, by the first letter of its signature.
pub(super) fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'n' | b'q') => 2,
        Some(b'b' | b'i' | b'u' | b's' | b'o' | b'a') => 4,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 1,
    }
}

/// The bytes of a message from their beginning on, which alignment counts from. Little-endian.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn align(&mut self, to: usize) {
        let whole = self.0.len().next_multiple_of(to.max(1));
        self.0.resize(whole, 0);
    }

    /// A number in the place of a length that is not known yet is written over by [`Writer::set`].
    pub(super) fn u32(&mut self, number: u32) -> usize {
        self.align(4);
        let at = self.0.len();
        self.0.extend(number.to_le_bytes());
        at
    }

    pub(super) fn set(&mut self, at: usize, number: u32) {
        if let Some(place) = self.0.get_mut(at..at.saturating_add(4)) {
            place.copy_from_slice(&number.to_le_bytes());
        }
    }

    fn text(&mut self, text: &str) {
        self.u32(length(text.len()));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    pub(super) fn signature(&mut self, text: &str) {
        // Ours are all short, and a peer refuses what does not fit.
        self.0.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    pub(super) fn value(&mut self, value: &Value) {
        self.align(alignment(&value.signature()));
        match value {
            Value::Byte(byte) => self.0.push(*byte),
            Value::Bool(yes) => drop(self.u32(u32::from(*yes))),
            Value::I16(number) => self.0.extend(number.to_le_bytes()),
            Value::U16(number) => self.0.extend(number.to_le_bytes()),
            Value::I32(number) => self.0.extend(number.to_le_bytes()),
            Value::U32(number) => self.0.extend(number.to_le_bytes()),
            Value::I64(number) => self.0.extend(number.to_le_bytes()),
            Value::U64(number) => self.0.extend(number.to_le_bytes()),
            Value::Double(number) => self.0.extend(number.to_le_bytes()),
            Value::Text(text) | Value::Path(text) => self.text(text),
            Value::Signature(text) => self.signature(text),
            Value::Array(element, values) => {
                let at = self.u32(0);
                // The padding before the first element does not count.
                self.align(alignment(element));
                let first = self.0.len();
                for value in values {
                    self.value(value);
                }
                self.set(at, length(self.0.len().saturating_sub(first)));
            }
            Value::Struct(fields) => {
                for field in fields {
                    self.value(field);
                }
            }
            Value::Entry(pair) => {
                self.value(&pair.0);
                self.value(&pair.1);
            }
            Value::Variant(inner) => {
                self.signature(&inner.signature());
                self.value(inner);
            }
        }
    }
}

/// What does not fit is longer than any message may be, and refused by whom it is sent to.
pub(super) fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Value) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.value(value);
        writer.0
    }

    /// Examples of the specification, and what `busctl` writes.
    #[test]
    fn values_are_written_as_the_specification_says() {
        assert_eq!(written(&Value::Text("foo".into())), b"\x03\0\0\0foo\0");
        assert_eq!(written(&Value::Bool(true)), [1, 0, 0, 0]);
        let variant = Value::Variant(Box::new(Value::U64(5)));
        assert_eq!(written(&variant), [1, b't', 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
        let array = Value::Array("t".into(), vec![Value::U64(5)]);
        assert_eq!(written(&array), [8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
        // The padding is there without elements, too.
        assert_eq!(written(&Value::Array("(sv)".into(), Vec::new())), [0; 8]);
        let pair = Value::Struct(vec![Value::Byte(1), Value::U16(2), Value::Text("a".into())]);
        assert_eq!(written(&pair), [1, 0, 2, 0, 1, 0, 0, 0, b'a', 0]);
        assert_eq!(pair.signature(), "(yqs)");
        assert_eq!(Value::texts(&[]).signature(), "as");
    }
}
