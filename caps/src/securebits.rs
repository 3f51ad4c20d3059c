//! The secure bits of a thread: what user id 0 means to it.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind};

bitflags::bitflags! {
    /// The secure bits of a thread, `SECBIT_*` of `capabilities(7)`; bits of a newer kernel are kept.
    ///
    /// Each has a lock beside it, which keeps it as it is for good, across `execve(2)` too.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Securebits: u32 {
        /// `SECBIT_NOROOT`: `execve(2)` gives user id 0 no capabilities.
        const NOROOT = 1;
        /// `SECBIT_NOROOT_LOCKED`.
        const NOROOT_LOCKED = 1 << 1;
        /// `SECBIT_NO_SETUID_FIXUP`: capabilities do not follow changes of the user id from and to 0.
        const NO_SETUID_FIXUP = 1 << 2;
        /// `SECBIT_NO_SETUID_FIXUP_LOCKED`.
        const NO_SETUID_FIXUP_LOCKED = 1 << 3;
        /// `SECBIT_KEEP_CAPS`: permitted capabilities survive the loss of user id 0; cleared by `execve(2)`.
        const KEEP_CAPS = 1 << 4;
        /// `SECBIT_KEEP_CAPS_LOCKED`.
        const KEEP_CAPS_LOCKED = 1 << 5;
        /// `SECBIT_NO_CAP_AMBIENT_RAISE`: nothing is added to the ambient set.
        const NO_CAP_AMBIENT_RAISE = 1 << 6;
        /// `SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED`.
        const NO_CAP_AMBIENT_RAISE_LOCKED = 1 << 7;
        /// `SECBIT_EXEC_RESTRICT_FILE` (Linux 6.14): interpreters run only what the kernel would execute.
        const EXEC_RESTRICT_FILE = 1 << 8;
        /// `SECBIT_EXEC_RESTRICT_FILE_LOCKED`.
        const EXEC_RESTRICT_FILE_LOCKED = 1 << 9;
        /// `SECBIT_EXEC_DENY_INTERACTIVE` (Linux 6.14): interpreters take no code that is typed in.
        const EXEC_DENY_INTERACTIVE = 1 << 10;
        /// `SECBIT_EXEC_DENY_INTERACTIVE_LOCKED`.
        const EXEC_DENY_INTERACTIVE_LOCKED = 1 << 11;
        const _ = !0;
    }
}

impl Securebits {
    /// The bits that every kernel since 4.3 has.
    pub const SINCE_4_3: Self = Self::from_bits_retain(0xff);

    /// The bits that the kernel has since 6.14; a thread changes them on itself without privilege.
    pub const EXEC: Self = Self::from_bits_retain(0xf00);

    /// All locks, of bits that have names.
    pub const LOCKS: Self = Self::from_bits_retain(0xaaa);

    /// User id 0 means nothing any more, for good: what `capabilities(7)` calls an environment of pure capabilities.
    pub const PURE: Self = Self::NOROOT
        .union(Self::NOROOT_LOCKED)
        .union(Self::NO_SETUID_FIXUP)
        .union(Self::NO_SETUID_FIXUP_LOCKED)
        .union(Self::KEEP_CAPS_LOCKED)
        .union(Self::NO_CAP_AMBIENT_RAISE)
        .union(Self::NO_CAP_AMBIENT_RAISE_LOCKED);

    /// The bits that these locks keep as they are.
    pub(crate) const fn kept(self) -> Self {
        Self::from_bits_retain(self.intersection(Self::LOCKS).bits() >> 1)
    }
}

impl fmt::Display for Securebits {
    /// `NOROOT | NOROOT_LOCKED`, unknown bits as one hexadecimal number; `0` for none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() { f.write_str("0") } else { bitflags::parser::to_writer(self, f) }
    }
}

impl FromStr for Securebits {
    type Err = Error;

    /// Reads what [`Display`](fmt::Display) prints.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.trim() == "0" {
            return Ok(Self::empty());
        }
        bitflags::parser::from_str(text).map_err(|error| {
            let names: Vec<&str> = Self::all().iter_names().map(|(name, _)| name).collect();
            Error::new(ErrorKind::UnknownName, format!("`{}`: {error}", text.escape_default()))
                .with_hint(format!("the secure bits are {}", names.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_are_the_kernels() {
        // From include/uapi/linux/securebits.h.
        assert_eq!(Securebits::NOROOT.bits(), 1);
        assert_eq!(Securebits::NO_CAP_AMBIENT_RAISE_LOCKED.bits(), 0x80);
        assert_eq!(Securebits::EXEC_DENY_INTERACTIVE_LOCKED.bits(), 0x800);
        assert_eq!(Securebits::PURE.bits(), 0xef);
        assert_eq!(Securebits::PURE.kept().bits(), 0x55);
    }

    #[test]
    fn text_names_what_it_knows() {
        let bits = Securebits::NOROOT | Securebits::from_bits_retain(1 << 20);
        assert_eq!(bits.to_string(), "NOROOT | 0x100000");
        assert_eq!(Securebits::empty().to_string(), "0");
        let error = "NOROOT | NORUUT".parse::<Securebits>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownName);
        assert!(error.to_string().contains("NO_SETUID_FIXUP"), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(bits in any::<u32>()) {
            let bits = Securebits::from_bits_retain(bits);
            prop_assert_eq!(bits.to_string().parse::<Securebits>().unwrap(), bits);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = text.parse::<Securebits>();
        }
    }
}
