//! File capabilities: what a program brings to `execve(2)`.
//!
//! [`FileCaps`] is the attribute `security.capability` as data: its bytes here, its text form in `text`, and
//! reading, writing and removing it in `store`.

mod store;
mod text;

use crate::{CapSet, Error, ErrorKind};

/// The capabilities of a file, version 2 or 3 (`capabilities(7)`).
///
/// A file that has them, even empty ones, clears the ambient set of who executes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FileCaps {
    /// What becomes permitted, as far as the bounding set has it.
    pub permitted: CapSet,
    /// What becomes permitted, as far as the thread's inheritable set has it.
    pub inheritable: CapSet,
    /// Whether all that becomes permitted is effective at once; then `execve(2)` fails with `EPERM` unless the
    /// program gets the whole of `permitted`.
    pub effective: bool,
    /// Version 3 (Linux 4.14): the user id, in the caller's user namespace, that is root of the namespace in
    /// which the file has them. `None` is version 2, which counts everywhere below the file system's namespace.
    pub rootid: Option<u32>,
}

/// The upper byte of the first word.
const REVISION_MASK: u32 = 0xff00_0000;
const REVISION_1: u32 = 0x0100_0000;
const REVISION_2: u32 = 0x0200_0000;
const REVISION_3: u32 = 0x0300_0000;
const FLAG_EFFECTIVE: u32 = 1;

impl FileCaps {
    /// Permitted and effective: what `cap_net_raw=ep` says, for a program that knows nothing of capabilities.
    pub const fn effective(caps: CapSet) -> Self {
        Self { permitted: caps, inheritable: CapSet::EMPTY, effective: true, rootid: None }
    }

    /// Reads the attribute's bytes: `struct vfs_cap_data` of revision 1 or 2, `vfs_ns_cap_data` of revision 3.
    ///
    /// ```
    /// use cofferdam_caps::{Cap, FileCaps};
    ///
    /// let ping = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    /// assert_eq!(FileCaps::parse(&ping)?, FileCaps::effective(Cap::NET_RAW.into()));
    /// # Ok::<(), cofferdam_caps::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] with the field: an unknown revision or flag, or a length that is not the
    /// revision's, each of which the kernel refuses or may come to refuse.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let (words, rest) = bytes.as_chunks::<4>();
        let word = |place: usize| words.get(place).map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let magic = words.first().map(|bytes| u32::from_le_bytes(*bytes));
        let magic =
            magic.ok_or_else(|| malformed(&format!("has {} bytes, and no revision in them", bytes.len())))?;
        let length = match magic & REVISION_MASK {
            REVISION_1 => 12,
            REVISION_2 => 20,
            REVISION_3 => 24,
            other => return Err(malformed(&format!("has revision {}; 1, 2 and 3 are known", other >> 24))),
        };
        if bytes.len() != length || !rest.is_empty() {
            let revision = magic >> 24;
            return Err(malformed(&format!("has {} bytes; revision {revision} has {length}", bytes.len())));
        }
        let flags = magic & !REVISION_MASK;
        if flags & !FLAG_EFFECTIVE != 0 {
            return Err(malformed(&format!("has the flags {flags:#x}; only {FLAG_EFFECTIVE:#x} is known")));
        }
        let wide = magic & REVISION_MASK != REVISION_1;
        let set = |low: u32, high: u32| {
            let high = if wide { u64::from(high) << 32 } else { 0 };
            CapSet::from_bits(u64::from(low) | high)
        };
        Ok(Self {
            permitted: set(word(1), word(3)),
            inheritable: set(word(2), word(4)),
            effective: flags == FLAG_EFFECTIVE,
            rootid: (magic & REVISION_MASK == REVISION_3).then(|| word(5)),
        })
    }

    /// The attribute's bytes: 20 of revision 2, or 24 of revision 3 with a root id.
    pub fn to_bytes(&self) -> Vec<u8> {
        let revision = if self.rootid.is_some() { REVISION_3 } else { REVISION_2 };
        let [permitted, inheritable] = [halves(self.permitted), halves(self.inheritable)];
        let words =
            [revision | u32::from(self.effective), permitted.0, inheritable.0, permitted.1, inheritable.1];
        words.into_iter().chain(self.rootid).flat_map(u32::to_le_bytes).collect()
    }
}

/// The lower and the upper word of a set.
fn halves(set: CapSet) -> (u32, u32) {
    let word = |bits: u64| u32::try_from(bits & 0xffff_ffff).unwrap_or(0);
    (word(set.bits()), word(set.bits() >> 32))
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::Malformed, format!("the attribute security.capability {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cap;
    use proptest::prelude::*;

    pub(super) fn hex(text: &str) -> Vec<u8> {
        let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    #[test]
    fn bytes_are_those_of_libcap() {
        let ping = hex("0100000200200000000000000000000000000000");
        assert_eq!(FileCaps::parse(&ping).unwrap(), FileCaps::effective(Cap::NET_RAW.into()));
        let two = hex("0000000201000000000000008000000000000000");
        let caps = FileCaps { permitted: CapSet::of(&[Cap::CHOWN, Cap::BPF]), ..FileCaps::default() };
        assert_eq!((FileCaps::parse(&two).unwrap(), caps.to_bytes()), (caps, two));
        // `setcap -n 1000 cap_net_raw=ep`.
        let owned = hex("0100000300200000000000000000000000000000e8030000");
        let caps = FileCaps { rootid: Some(1000), ..FileCaps::effective(Cap::NET_RAW.into()) };
        assert_eq!((FileCaps::parse(&owned).unwrap(), caps.to_bytes()), (caps, owned));
        // Revision 1, of Linux 2.6.24, has one word a set.
        let old = FileCaps::parse(&hex("010000010020000000000000")).unwrap();
        assert_eq!(old, FileCaps::effective(Cap::NET_RAW.into()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |bytes: &[u8]| FileCaps::parse(bytes).unwrap_err().to_string();
        assert_eq!(error(&[]), "the attribute security.capability has 0 bytes, and no revision in them");
        assert_eq!(error(&[0; 20]), "the attribute security.capability has revision 0; 1, 2 and 3 are known");
        let mut bytes = FileCaps::default().to_bytes();
        assert!(error(&bytes[..19]).contains("has 19 bytes; revision 2 has 20"));
        assert!(error(&[bytes.clone(), vec![0; 4]].concat()).contains("has 24 bytes; revision 2 has 20"));
        bytes[0] = 2;
        assert!(error(&bytes).contains("has the flags 0x2; only 0x1 is known"));
    }

    pub(super) fn any_file_caps() -> impl Strategy<Value = FileCaps> {
        (any::<u64>(), any::<u64>(), any::<bool>(), any::<Option<u32>>()).prop_map(
            |(permitted, inheritable, effective, rootid)| FileCaps {
                permitted: CapSet::from_bits(permitted),
                inheritable: CapSet::from_bits(inheritable),
                effective,
                rootid,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_built_is_parsed_back(caps in any_file_caps()) {
            prop_assert_eq!(FileCaps::parse(&caps.to_bytes()).unwrap(), caps);
        }

        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(caps) = FileCaps::parse(&bytes) {
                prop_assert!(bytes.len() == 12 || caps.to_bytes() == bytes);
            }
        }
    }
}
