//! Reading the values of a message that somebody else wrote.

use super::value::{Value, alignment};

/// How deep arrays, structures and variants may be nested: the specification's own limit is 64.
const DEPTH: u8 = 32;

/// The bytes of a message from their beginning on. Each read gives nothing where the bytes end or are wrong.
#[derive(Debug)]
pub(super) struct Reader<'bytes> {
    bytes: &'bytes [u8],
    at: usize,
    big_endian: bool,
}

impl<'bytes> Reader<'bytes> {
    pub(super) fn new(bytes: &'bytes [u8], big_endian: bool) -> Self {
        Self { bytes, at: 0, big_endian }
    }

    pub(super) fn align(&mut self, to: usize) -> Option<()> {
        let next = self.at.checked_next_multiple_of(to)?;
        (next <= self.bytes.len()).then(|| self.at = next)
    }

    fn take(&mut self, count: usize) -> Option<&'bytes [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.align(N)?;
        let mut bytes: [u8; N] = self.take(N)?.try_into().ok()?;
        if self.big_endian {
            bytes.reverse();
        }
        Some(bytes)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn terminated(&mut self, length: usize) -> Option<&'bytes str> {
        let text = self.take(length)?;
        (self.take(1)? == [0]).then_some(())?;
        std::str::from_utf8(text).ok()
    }

    pub(super) fn text(&mut self) -> Option<&'bytes str> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.terminated(length)
    }

    pub(super) fn signature(&mut self) -> Option<&'bytes str> {
        let length = self.u8()?;
        self.terminated(length.into())
    }

    /// All values of a signature.
    pub(super) fn values(&mut self, signature: &str) -> Option<Vec<Value>> {
        self.fields(signature, DEPTH)
    }

    fn fields(&mut self, mut signature: &str, depth: u8) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        while !signature.is_empty() {
            let one = single(signature)?;
            values.push(self.value(one, depth)?);
            signature = signature.get(one.len()..)?;
        }
        Some(values)
    }

    fn value(&mut self, signature: &str, depth: u8) -> Option<Value> {
        let below = depth.checked_sub(1)?;
        let (first, rest) = signature.split_at_checked(1)?;
        Some(match first {
            "y" => Value::Byte(self.u8()?),
            "b" => match self.u32()? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                _ => return None,
            },
            "n" => Value::I16(self.array().map(i16::from_le_bytes)?),
            "q" => Value::U16(self.array().map(u16::from_le_bytes)?),
            "i" => Value::I32(self.array().map(i32::from_le_bytes)?),
            // h: the number of a descriptor that comes beside the message.
            "u" | "h" => Value::U32(self.u32()?),
            "x" => Value::I64(self.array().map(i64::from_le_bytes)?),
            "t" => Value::U64(self.array().map(u64::from_le_bytes)?),
            "d" => Value::Double(self.array().map(f64::from_le_bytes)?),
            "s" => Value::Text(self.text()?.to_owned()),
            "o" => Value::Path(self.text()?.to_owned()),
            "g" => Value::Signature(self.signature()?.to_owned()),
            "v" => {
                let inner = self.signature()?;
                (single(inner)?.len() == inner.len()).then_some(())?;
                Value::Variant(Box::new(self.value(inner, below)?))
            }
            "a" => {
                let length = usize::try_from(self.u32()?).ok()?;
                self.align(alignment(rest))?;
                let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
                let mut values = Vec::new();
                while self.at < end {
                    let before = self.at;
                    values.push(self.value(rest, below)?);
                    // Every type has at least one byte, so that this ends.
                    (self.at > before).then_some(())?;
                }
                (self.at == end).then_some(())?;
                Value::Array(rest.to_owned(), values)
            }
            "(" => {
                self.align(8)?;
                Value::Struct(self.fields(rest.strip_suffix(')')?, below)?)
            }
            "{" => {
                self.align(8)?;
                let fields = self.fields(rest.strip_suffix('}')?, below)?;
                let [key, value]: [Value; 2] = fields.try_into().ok()?;
                Value::Entry(Box::new((key, value)))
            }
            _ => return None,
        })
    }
}

/// The first complete type of a signature.
fn single(signature: &str) -> Option<&str> {
    let bytes = signature.as_bytes();
    let arrays = bytes.iter().take_while(|byte| **byte == b'a').count();
    let close = match bytes.get(arrays)? {
        b'(' => b')',
        b'{' if arrays > 0 => b'}',
        b'y' | b'b' | b'n' | b'q' | b'i' | b'u' | b'h' | b'x' | b't' | b'd' | b's' | b'o' | b'g' | b'v' => {
            return signature.get(..arrays.checked_add(1)?);
        }
        _ => return None,
    };
    let open = *bytes.get(arrays)?;
    let mut depth = 0_usize;
    for (at, byte) in bytes.iter().enumerate().skip(arrays) {
        if *byte == open {
            depth = depth.checked_add(1)?;
        } else if *byte == close {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                // `()` is no type.
                let inside = at.checked_sub(arrays)?;
                return if inside < 2 { None } else { signature.get(..=at) };
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::value::Writer;
    use super::*;
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<u8>().prop_map(Value::Byte),
            any::<bool>().prop_map(Value::Bool),
            any::<i16>().prop_map(Value::I16),
            any::<u16>().prop_map(Value::U16),
            any::<i32>().prop_map(Value::I32),
            any::<u32>().prop_map(Value::U32),
            any::<i64>().prop_map(Value::I64),
            any::<u64>().prop_map(Value::U64),
            (-1e9..1e9).prop_map(Value::Double),
            "[a-zä]{0,9}".prop_map(Value::Text),
            "/[a-z]{0,9}".prop_map(Value::Path),
            Just(Value::Signature("a{sv}".into())),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                inner.clone().prop_map(|value| Value::Variant(Box::new(value))),
                prop::collection::vec(inner.clone(), 1..4).prop_map(Value::Struct),
                (inner.clone(), 0..4_usize)
                    .prop_map(|(value, count)| Value::Array(value.signature(), vec![value; count])),
                ("[a-z]{0,3}", inner).prop_map(|(key, value)| {
                    let entry = Value::Entry(Box::new((Value::Text(key), value)));
                    Value::Array(entry.signature(), vec![entry])
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(before in 0..8_usize, value in any_value()) {
            let mut writer = Writer(vec![0; before]);
            writer.value(&value);
            let mut reader = Reader::new(&writer.0, false);
            reader.take(before).unwrap();
            prop_assert_eq!(reader.values(&value.signature()), Some(vec![value]));
            prop_assert_eq!(reader.at, writer.0.len());
        }

        #[test]
        fn any_bytes_are_a_value_or_nothing(
            bytes in prop::collection::vec(any::<u8>(), 0..120),
            signature in "[ybnqiuxtdsogva(){}]{0,12}",
            big in any::<bool>(),
        ) {
            let _ = Reader::new(&bytes, big).values(&signature);
        }

        #[test]
        fn cut_short_it_is_nothing(value in any_value(), cut in any::<prop::sample::Index>()) {
            let mut writer = Writer::default();
            writer.value(&value);
            let end = cut.index(writer.0.len());
            prop_assert_eq!(Reader::new(&writer.0[..end], false).values(&value.signature()), None);
        }
    }

    #[test]
    fn a_peer_of_the_other_byte_order_is_understood() {
        let bytes = [0, 0, 0, 1, b'a', 0, 0, 0, 0, 0, 0, 7];
        let values = Reader::new(&bytes, true).values("su");
        assert_eq!(values, Some(vec![Value::Text("a".into()), Value::U32(7)]));
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let bytes = b"\x01v\0".repeat(1000);
        assert_eq!(Reader::new(&bytes, false).values("v"), None);
        let deep = format!("{}y", "a".repeat(200));
        assert_eq!(
            Reader::new(&[0; 4096], false).values(&deep),
            Some(vec![Value::Array(deep[1..].into(), vec![])])
        );
    }
}
