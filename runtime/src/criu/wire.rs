//! The little of the protocol buffers' encoding that criu's messages need (proto2, "Encoding").
//!
//! A message is a row of fields, each a key (its number and how its value is written) and the value: a number of
//! seven bits a byte, the lowest first, or a length and as many bytes (text, or a message within).
//!
//! By hand: some forty fields are written and a dozen read, which is 120 lines here. prost brings five crates and a
//! compiler of `.proto` files or derive macros; quick-protobuf and micropb bring generated code for all of criu's
//! messages. None of them is in the tree already. The reader is held against arbitrary bytes below.

/// How the value of a field is written.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// A message that grows field by field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A number. Negative ones are extended to 64 bits, as the encoding wants it.
    pub(super) fn int(&mut self, field: u32, value: i32) {
        self.number(field, i64::from(value).cast_unsigned());
    }

    /// `true`; a field that is not there is `false`.
    pub(super) fn flag(&mut self, field: u32, value: bool) {
        if value {
            self.number(field, 1);
        }
    }

    fn number(&mut self, field: u32, value: u64) {
        self.key(field, VARINT);
        self.varint(value);
    }

    /// Text, which here may be any bytes, as paths are.
    pub(super) fn text(&mut self, field: u32, value: &[u8]) {
        self.key(field, BYTES);
        self.varint(u64::try_from(value.len()).unwrap_or(u64::MAX));
        self.bytes.extend_from_slice(value);
    }

    /// A message within the message.
    pub(super) fn message(&mut self, field: u32, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.text(field, &inner.bytes);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn key(&mut self, field: u32, kind: u64) {
        self.varint(u64::from(field) << 3 | kind);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
            value >>= 7;
        }
        self.bytes.push(u8::try_from(value).unwrap_or(0));
    }
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Value<'_> {
    /// A number of 32 bits with a sign; what does not fit is cut off, as every reader does.
    pub(super) fn int(self) -> Option<i32> {
        match self {
            Value::Number(value) => i32::try_from(value & 0xffff_ffff)
                .ok()
                .or_else(|| u32::try_from(value & 0xffff_ffff).ok().map(u32::cast_signed)),
            Value::Bytes(_) => None,
        }
    }

    pub(super) fn flag(self) -> Option<bool> {
        match self {
            Value::Number(value) => Some(value != 0),
            Value::Bytes(_) => None,
        }
    }

    pub(super) fn text(self) -> Option<String> {
        match self {
            Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Value::Number(_) => None,
        }
    }
}

/// The fields of a message; `Err` at the first byte that makes no sense, and then no more.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// The bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Garbage;

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), Garbage> {
        let key = self.varint()?;
        let value = match key & 7 {
            VARINT => Value::Number(self.varint()?),
            BYTES => {
                let length = self.varint()?;
                Value::Bytes(self.take(usize::try_from(length).map_err(|_| Garbage)?)?)
            }
            FIXED64 => Value::Bytes(self.take(8)?),
            FIXED32 => Value::Bytes(self.take(4)?),
            _ => return Err(Garbage),
        };
        Ok((key >> 3, value))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Garbage> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Garbage)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Garbage> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?.first().copied().ok_or(Garbage)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Garbage)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(u64, Value<'a>), Garbage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        let mut message = Writer::default();
        // The examples of "Encoding".
        message.int(1, 150);
        message.text(2, b"testing");
        message.int(3, -2);
        message.flag(4, false);
        message.message(5, |inner| inner.int(1, 150));
        let wanted: &[u8] = &[
            0x08, 0x96, 0x01, 0x12, 0x07, b't', b'e', b's', b't', b'i', b'n', b'g', 0x18, 0xfe, 0xff, 0xff,
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x2a, 0x03, 0x08, 0x96, 0x01,
        ];
        assert_eq!(message.bytes(), wanted);
        let read: Vec<_> = Reader::new(message.bytes()).collect::<Result<_, _>>().unwrap();
        assert_eq!(read[0], (1, Value::Number(150)));
        assert_eq!(read[1].1.text().unwrap(), "testing");
        assert_eq!(read[2].1.int(), Some(-2));
        assert_eq!(read[3], (5, Value::Bytes(&[0x08, 0x96, 0x01])));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(field in 1u32..0x1fff_ffff, number: i32, text: Vec<u8>) {
            let mut message = Writer::default();
            message.int(field, number);
            message.text(field, &text);
            let read: Vec<_> = Reader::new(message.bytes()).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read[0].1.int(), Some(number));
            prop_assert_eq!(read[1], (u64::from(field), Value::Bytes(&text)));
        }

        #[test]
        fn any_bytes_come_to_an_end(bytes: Vec<u8>) {
            let fields = Reader::new(&bytes).count();
            prop_assert!(fields <= bytes.len());
        }
    }
}
