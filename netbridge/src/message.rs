//! The messages of `rtnetlink(7)`, made and read by hand: the few that a move needs are less than a crate for
//! all of them would bring (rtnetlink: an executor and about 40 crates), and nothing read here can go out of
//! bounds.

/// Numbers of `linux/rtnetlink.h`, `linux/if_link.h`, `linux/if_addr.h` and `linux/netlink.h`.
pub(crate) mod number {
    pub(crate) const NLMSG_ERROR: u16 = 2;
    pub(crate) const NLMSG_DONE: u16 = 3;
    pub(crate) const RTM_NEWLINK: u16 = 16;
    pub(crate) const RTM_GETLINK: u16 = 18;
    pub(crate) const RTM_NEWADDR: u16 = 20;
    pub(crate) const RTM_GETADDR: u16 = 22;

    pub(crate) const NLM_F_REQUEST: u16 = 1;
    pub(crate) const NLM_F_ACK: u16 = 4;
    pub(crate) const NLM_F_DUMP: u16 = 0x300;
    pub(crate) const NLM_F_REPLACE: u16 = 0x100;
    pub(crate) const NLM_F_CREATE: u16 = 0x400;
    /// The table changed while it was read.
    pub(crate) const NLM_F_DUMP_INTR: u16 = 0x10;
    /// Attributes follow the header of an answer.
    pub(crate) const NLM_F_ACK_TLVS: u16 = 0x200;

    pub(crate) const NLMSGERR_ATTR_MSG: u16 = 1;

    pub(crate) const IFLA_IFNAME: u16 = 3;
    pub(crate) const IFLA_NET_NS_FD: u16 = 28;

    pub(crate) const IFA_ADDRESS: u16 = 1;
    pub(crate) const IFA_LOCAL: u16 = 2;
    pub(crate) const IFA_LABEL: u16 = 3;
    pub(crate) const IFA_BROADCAST: u16 = 4;
    pub(crate) const IFA_CACHEINFO: u16 = 6;
    pub(crate) const IFA_FLAGS: u16 = 8;
    pub(crate) const IFA_RT_PRIORITY: u16 = 9;
    pub(crate) const IFA_PROTO: u16 = 11;
}

/// `struct nlmsghdr`.
const HEADER: usize = 16;

/// Lengths are rounded up to this.
const ALIGN: usize = 4;

/// A message on its way: a header, the fixed part of its kind, attributes.
pub(crate) struct Request {
    kind: u16,
    flags: u16,
    body: Vec<u8>,
}

impl Request {
    /// With the fixed part; `NLM_F_REQUEST` is always set.
    pub(crate) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        Self { kind, flags: flags | number::NLM_F_REQUEST, body: fixed.to_vec() }
    }

    /// Asks for an answer when it is done.
    pub(crate) fn acknowledged(mut self) -> Self {
        self.flags |= number::NLM_F_ACK;
        self
    }

    /// Adds an attribute. One that is too long for its length field, which no caller has, is left out.
    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        if let Ok(length) = u16::try_from(value.len().saturating_add(4)) {
            self.body.extend(length.to_ne_bytes());
            self.body.extend(kind.to_ne_bytes());
            self.body.extend(value);
            self.body.resize(self.body.len().next_multiple_of(ALIGN), 0);
        }
        self
    }

    /// Adds a text as the kernel wants it, with a NUL behind it.
    pub(crate) fn text(self, kind: u16, value: &str) -> Self {
        let with_end: Vec<u8> = value.bytes().chain([0]).collect();
        self.attribute(kind, &with_end)
    }

    /// The whole message. The number comes back in the answers.
    pub(crate) fn bytes(&self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(HEADER.saturating_add(self.body.len())).unwrap_or(u32::MAX);
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend(self.flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        // The port of the kernel.
        bytes.extend([0; 4]);
        bytes.extend(&self.body);
        bytes
    }
}

/// A message that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer<'b> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) body: &'b [u8],
}

/// The messages of a datagram; what is cut off or not well formed ends them.
pub(crate) fn answers(mut rest: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(rest, 0)?).ok()?;
        let whole = rest.get(..length)?;
        let answer = Answer {
            kind: u16_at(whole, 4)?,
            flags: u16_at(whole, 6)?,
            sequence: u32_at(whole, 8)?,
            body: whole.get(HEADER..)?,
        };
        rest = rest.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some(answer)
    })
}

/// The attributes behind a fixed part of this length, each with its kind.
pub(crate) fn attributes(body: &[u8], fixed: usize) -> impl Iterator<Item = (u16, &[u8])> {
    /// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
    const MARKS: u16 = 0xc000;
    let mut rest = body.get(fixed..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let attribute = (u16_at(rest, 2)? & !MARKS, rest.get(4..length)?);
        rest = rest.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some(attribute)
    })
}

/// A text without the NUL behind it.
pub(crate) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

pub(crate) fn u16_at(bytes: &[u8], place: usize) -> Option<u16> {
    bytes.get(place..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk))
}

pub(crate) fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    bytes.get(place..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

pub(crate) fn i32_at(bytes: &[u8], place: usize) -> Option<i32> {
    bytes.get(place..)?.first_chunk().map(|chunk| i32::from_ne_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_is_read_as_it_was_made() {
        let request = Request::new(18, 4, &[9; 16]).attribute(7, &[1, 2, 3]).text(3, "eth0");
        let bytes = request.bytes(5);
        let answer = answers(&bytes).next().unwrap();
        assert_eq!((answer.kind, answer.flags, answer.sequence), (18, 5, 5));
        let read: Vec<_> = attributes(answer.body, 16).collect();
        assert_eq!(read, [(7, &[1, 2, 3][..]), (3, b"eth0\0")]);
        assert_eq!(text(read[1].1), "eth0");
    }

    proptest! {
        #[test]
        fn no_bytes_are_read_out_of_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..200), fixed in 0_usize..40) {
            for answer in answers(&bytes) {
                prop_assert!(answer.body.len() <= bytes.len());
                let _ = attributes(answer.body, fixed).count();
            }
        }
    }
}
