//! As much of the protobuf wire format as the messages of the CRI need: numbers, text, messages.

use anyhow::{Context as _, Result, bail};

/// A message that is being written; fields that say nothing new are left out, as the format wants it.
#[derive(Debug, Clone, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// Adds a number, a truth value or the number of an enum.
    pub(super) fn number(mut self, field: u32, value: u64) -> Self {
        if value != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(value);
        }
        self
    }

    /// Adds a text; called again, a repeated field has one more.
    pub(super) fn text(self, field: u32, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    /// Adds a message, an empty one too.
    pub(super) fn message(self, field: u32, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    fn bytes(mut self, field: u32, bytes: &[u8]) -> Self {
        self.varint((u64::from(field) << 3) | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn varint(&mut self, mut value: u64) {
        loop {
            let low = (value & 0x7f) as u8;
            value >>= 7;
            if value == 0 {
                return self.0.push(low);
            }
            self.0.push(low | 0x80);
        }
    }

    /// The bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A message that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields(Vec<(u64, Value)>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Fields {
    /// Reads a message.
    ///
    /// # Errors
    /// It ends early, or has a field of a kind that the CRI does not use.
    pub(super) fn read(mut bytes: &[u8]) -> Result<Self> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let value = match key & 7 {
                0 => Value::Number(varint(&mut bytes)?),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)?).context("a length")?;
                    let (value, rest) = bytes.split_at_checked(length).context("the message ends early")?;
                    bytes = rest;
                    Value::Bytes(value.to_vec())
                }
                kind => bail!("field {} is of kind {kind}", key >> 3),
            };
            fields.push((key >> 3, value));
        }
        Ok(Self(fields))
    }

    /// A number; 0 when it is left out.
    pub(super) fn number(&self, field: u64) -> u64 {
        let number = |value: &Value| if let Value::Number(number) = value { Some(*number) } else { None };
        self.get(field).and_then(number).unwrap_or(0)
    }

    /// A text; empty when it is left out.
    pub(super) fn text(&self, field: u64) -> String {
        String::from_utf8_lossy(self.bytes(field)).into_owned()
    }

    /// A message; an empty one when it is left out.
    ///
    /// # Errors
    /// As [`Fields::read`].
    pub(super) fn message(&self, field: u64) -> Result<Self> {
        Self::read(self.bytes(field)).with_context(|| format!("field {field}"))
    }

    fn bytes(&self, field: u64) -> &[u8] {
        match self.get(field) {
            Some(Value::Bytes(bytes)) => bytes,
            _ => &[],
        }
    }

    /// The last one counts, as the format wants it.
    fn get(&self, field: u64) -> Option<&Value> {
        self.0.iter().rev().find(|(number, _)| *number == field).map(|(_, value)| value)
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().context("the message ends early")?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    bail!("a number is longer than 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the format's own documentation.
    #[test]
    fn a_number_of_two_bytes() {
        assert_eq!(Message::default().number(1, 150).as_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().text(2, "testing").as_bytes(), b"\x12\x07testing");
    }

    #[test]
    fn what_is_written_is_read() {
        let inner = Message::default().number(3, u64::MAX).text(1, "é");
        let outer = Message::default().message(16, &inner).number(2, 0).text(4, "a").text(4, "b");
        let fields = Fields::read(outer.as_bytes()).unwrap();
        let found = fields.message(16).unwrap();
        assert_eq!((found.number(3), found.text(1).as_str()), (u64::MAX, "é"));
        assert_eq!((fields.number(2), fields.text(4).as_str(), fields.text(9).as_str()), (0, "b", ""));
    }

    #[test]
    fn what_ends_early_is_refused() {
        for wrong in [&[0x08][..], &[0x08, 0x80], &[0x12, 5, b'a'], &[0x0d, 0, 0, 0, 0]] {
            assert!(Fields::read(wrong).is_err(), "{wrong:?}");
        }
        assert!(Fields::read(&[[0x08].as_slice(), &[0xff; 11]].concat()).is_err());
    }
}
