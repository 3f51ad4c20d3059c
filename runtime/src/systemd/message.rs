//! Messages: a header of fixed and of optional fields, and a body (D-Bus Specification, "Message Protocol").

use super::reader::Reader;
use super::value::{Value, Writer, length};

/// The bytes before the array of optional fields, and its length.
pub(super) const FIXED: usize = 16;

/// Larger ones are refused: answers of a service manager are some hundred bytes.
const LARGEST: usize = 4 << 20;

const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// A call of a method.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    /// The service; none where there is no bus between.
    pub(super) destination: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
    pub(super) body: &'a [Value],
}

impl Call<'_> {
    pub(super) fn bytes(&self, serial: u32) -> Vec<u8> {
        let mut body = Writer::default();
        for value in self.body {
            body.value(value);
        }
        let mut writer = Writer(vec![b'l', 1, 0, 1]);
        writer.u32(length(body.0.len()));
        writer.u32(serial);
        let text = |code: u8, text: &str| (code, Value::Text(text.to_owned()));
        let mut fields = vec![(PATH, Value::Path(self.path.to_owned()))];
        fields.extend([text(INTERFACE, self.interface), text(MEMBER, self.member)]);
        fields.extend(self.destination.map(|destination| text(DESTINATION, destination)));
        if !self.body.is_empty() {
            fields.push((SIGNATURE, Value::Signature(self.body.iter().map(Value::signature).collect())));
        }
        let fields = fields
            .into_iter()
            .map(|(code, value)| Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]));
        writer.value(&Value::Array("(yv)".into(), fields.collect()));
        writer.align(8);
        writer.0.extend(body.0);
        writer.0
    }
}

/// A message that came.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    /// A method's result.
    Answer { to: u32, body: Vec<Value> },
    /// A method's failure: its name, and what there is to say of it.
    Failure { to: u32, name: String, text: String },
    /// A signal.
    Signal { member: String, body: Vec<Value> },
    /// A call, which nobody here answers.
    Other,
}

/// How many bytes there are behind the first [`FIXED`] ones; `None` for what is no message.
pub(super) fn rest(fixed: &[u8; FIXED]) -> Option<usize> {
    let mut reader = Reader::new(fixed, big_endian(fixed)?);
    let [_, _, _, version] = [reader.u8()?, reader.u8()?, reader.u8()?, reader.u8()?];
    let (body, _serial, fields) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let fields = usize::try_from(fields).ok()?.checked_next_multiple_of(8)?;
    let rest = fields.checked_add(usize::try_from(body).ok()?)?;
    (version == 1 && rest <= LARGEST).then_some(rest)
}

fn big_endian(bytes: &[u8]) -> Option<bool> {
    match bytes.first()? {
        b'l' => Some(false),
        b'B' => Some(true),
        _ => None,
    }
}

impl Message {
    /// Reads a whole message.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes, big_endian(bytes)?);
        let [_, kind, _, _] = [reader.u8()?, reader.u8()?, reader.u8()?, reader.u8()?];
        let (_body, _serial) = (reader.u32()?, reader.u32()?);
        let fields = reader.values("a(yv)")?.pop()?;
        reader.align(8)?;
        let (mut signature, mut member, mut error, mut to) = (String::new(), None, None, None);
        let Value::Array(_, fields) = fields else { return None };
        for field in fields {
            let Value::Struct(pair) = field else { return None };
            let [Value::Byte(code), Value::Variant(value)]: [Value; 2] = pair.try_into().ok()? else {
                return None;
            };
            match (code, *value) {
                (SIGNATURE, Value::Signature(text)) => signature = text,
                (MEMBER, Value::Text(text)) => member = Some(text),
                (ERROR_NAME, Value::Text(text)) => error = Some(text),
                (REPLY_SERIAL, Value::U32(serial)) => to = Some(serial),
                _ => {}
            }
        }
        let mut body = || reader.values(&signature);
        Some(match kind {
            2 => Self::Answer { to: to?, body: body()? },
            3 => {
                // The text is a custom, not a duty.
                let text = match body().unwrap_or_default().into_iter().next() {
                    Some(Value::Text(text)) => text,
                    _ => String::new(),
                };
                Self::Failure { to: to?, name: error?, text }
            }
            4 => Self::Signal { member: member?, body: body()? },
            _ => Self::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `Hello`, as the specification's reference library sends it.
    #[test]
    fn a_call_has_the_bytes_that_others_send() {
        let call = Call {
            destination: Some("org.freedesktop.DBus"),
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
            body: &[],
        };
        let expected = [
            b"l\x01\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x6d\x00\x00\x00".as_slice(),
            b"\x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0",
            b"\x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0",
            b"\x03\x01s\0\x05\0\0\0Hello\0\0\0",
            b"\x06\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0",
        ]
        .concat();
        assert_eq!(call.bytes(1), expected);
        let fixed = expected.first_chunk::<FIXED>().unwrap();
        assert_eq!(rest(fixed), Some(expected.len() - FIXED));
    }

    fn message(kind: u8, fields: Vec<(u8, Value)>, body: &[Value]) -> Vec<u8> {
        let mut writer = Writer(vec![b'l', kind, 0, 1, 0, 0, 0, 0, 9, 0, 0, 0]);
        let fields = fields
            .into_iter()
            .map(|(code, value)| Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]));
        writer.value(&Value::Array("(yv)".into(), fields.collect()));
        writer.align(8);
        let from = writer.0.len();
        for value in body {
            writer.value(value);
        }
        let size = length(writer.0.len() - from);
        writer.set(4, size);
        writer.0
    }

    #[test]
    fn answers_failures_and_signals_are_told_apart() {
        let text = Value::Text("Unit x.scope not loaded.".into());
        let signature = |text: &str| (SIGNATURE, Value::Signature(text.into()));
        let failure = message(
            3,
            vec![
                (ERROR_NAME, Value::Text("org.x.NoSuchUnit".into())),
                (REPLY_SERIAL, Value::U32(7)),
                signature("s"),
            ],
            &[text],
        );
        assert_eq!(
            Message::parse(&failure),
            Some(Message::Failure {
                to: 7,
                name: "org.x.NoSuchUnit".into(),
                text: "Unit x.scope not loaded.".into()
            })
        );
        let body = [Value::U32(1), Value::Path("/job/1".into())];
        let signal = message(4, vec![(MEMBER, Value::Text("JobRemoved".into())), signature("uo")], &body);
        let wanted = Message::Signal { member: "JobRemoved".into(), body: body.to_vec() };
        assert_eq!(Message::parse(&signal), Some(wanted));
        let answer = message(2, vec![(REPLY_SERIAL, Value::U32(7))], &[]);
        assert_eq!(Message::parse(&answer), Some(Message::Answer { to: 7, body: vec![] }));
        // Without the number of the call it is nobody's answer.
        assert_eq!(Message::parse(&message(2, vec![], &[])), None);
    }

    #[test]
    fn what_is_too_large_is_no_message() {
        let fixed = |body: u32| {
            let mut fixed = *b"l\x02\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00";
            fixed[4..8].copy_from_slice(&body.to_le_bytes());
            fixed
        };
        assert_eq!(rest(&fixed(100)), Some(100));
        assert_eq!(rest(&fixed(u32::MAX)), None);
        assert_eq!(rest(b"x\x02\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"), None);
        assert_eq!(rest(b"l\x02\x00\x02\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::parse(&bytes);
            let mut whole = b"l\x03\x00\x01".to_vec();
            whole.extend(&bytes);
            let _ = Message::parse(&whole);
            if let Some(fixed) = whole.first_chunk::<FIXED>() {
                let _ = rest(fixed);
            }
        }

        #[test]
        fn a_message_with_a_byte_changed_does_no_harm(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let body = [Value::U32(1), Value::Path("/job/1".into()), Value::Text("x".into())];
            let fields = vec![(MEMBER, Value::Text("J".into())), (SIGNATURE, Value::Signature("uos".into()))];
            let mut bytes = message(4, fields, &body);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = Message::parse(&bytes);
        }
    }
}
