//! A set of capabilities, named profiles, and arithmetic on them as text.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Sub};
use std::str::FromStr;

use crate::{Cap, Error, ErrorKind};

/// A set of capabilities: bit N for capability N, as the kernel has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CapSet(u64);

impl CapSet {
    /// No capability.
    pub const EMPTY: CapSet = CapSet(0);

    /// Every capability that has a name, up to [`Cap::LAST_NAMED`].
    pub const ALL: CapSet = CapSet::up_to(Cap::LAST_NAMED);

    /// The most that a hardened container gets: nothing that reaches beyond its own user namespace.
    pub const HARDENED: CapSet = CapSet::of(&[
        Cap::CHOWN,
        Cap::DAC_OVERRIDE,
        Cap::FOWNER,
        Cap::FSETID,
        Cap::SETUID,
        Cap::SETGID,
        Cap::SETPCAP,
        Cap::KILL,
        Cap::NET_BIND_SERVICE,
        Cap::SYS_CHROOT,
        Cap::SETFCAP,
    ]);

    /// What the `spec` command of OCI runtimes prints.
    pub const OCI_DEFAULT: CapSet = CapSet::of(&[Cap::AUDIT_WRITE, Cap::KILL, Cap::NET_BIND_SERVICE]);

    /// What Docker gives without `--cap-add`.
    pub const DOCKER_DEFAULT: CapSet =
        CapSet::HARDENED.union(CapSet::of(&[Cap::AUDIT_WRITE, Cap::MKNOD, Cap::NET_RAW]));

    /// The profiles by the names that text may use.
    const PROFILES: [(&str, CapSet); 5] = [
        ("ALL", CapSet::ALL),
        ("NONE", CapSet::EMPTY),
        ("HARDENED", CapSet::HARDENED),
        ("OCI_DEFAULT", CapSet::OCI_DEFAULT),
        ("DOCKER_DEFAULT", CapSet::DOCKER_DEFAULT),
    ];

    /// The set with these members.
    pub const fn of(caps: &[Cap]) -> Self {
        let mut bits = 0;
        let mut left = caps;
        while let [cap, rest @ ..] = left {
            bits |= cap.bit();
            left = rest;
        }
        Self(bits)
    }

    /// Capability 0 to this one, as a kernel has them whose last it is.
    pub const fn up_to(last: Cap) -> Self {
        Self(u64::MAX >> (63 - last.number()))
    }

    /// The set with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Bit N for capability N.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether it has no member.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many members it has.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether a capability is a member.
    pub const fn contains(self, cap: Cap) -> bool {
        self.0 & cap.bit() != 0
    }

    /// Whether every member is one of `other` too.
    pub const fn is_subset(self, other: CapSet) -> bool {
        self.0 & !other.0 == 0
    }

    /// The members of either.
    #[must_use]
    pub const fn union(self, other: CapSet) -> Self {
        Self(self.0 | other.0)
    }

    /// The members of both.
    #[must_use]
    pub const fn intersection(self, other: CapSet) -> Self {
        Self(self.0 & other.0)
    }

    /// The members that `other` does not have.
    #[must_use]
    pub const fn difference(self, other: CapSet) -> Self {
        Self(self.0 & !other.0)
    }

    /// With one more member.
    #[must_use]
    pub const fn with(self, cap: Cap) -> Self {
        Self(self.0 | cap.bit())
    }

    /// Without a member.
    #[must_use]
    pub const fn without(self, cap: Cap) -> Self {
        Self(self.0 & !cap.bit())
    }

    /// The members by number.
    pub fn iter(self) -> impl Iterator<Item = Cap> {
        (0..64).filter_map(Cap::from_number).filter(move |cap| self.contains(*cap))
    }

    /// The set with these names.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownName`] with the first name that is no capability.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        names.into_iter().map(str::parse::<Cap>).collect()
    }

    /// Changes the set as a text says: `+NAME` or `NAME` adds, `-NAME` takes away, from left to right.
    ///
    /// A name is a capability or a profile: `ALL`, `NONE`, `HARDENED`, `OCI_DEFAULT`, `DOCKER_DEFAULT`.
    /// Case does not matter, and blanks around commas are left out.
    ///
    /// ```
    /// use cofferdam_caps::{Cap, CapSet};
    ///
    /// let set = CapSet::HARDENED.adjust("-SETFCAP,+NET_RAW")?;
    /// assert!(set.contains(Cap::NET_RAW) && !set.contains(Cap::SETFCAP));
    /// # Ok::<(), cofferdam_caps::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::UnknownName`] with the item at fault.
    pub fn adjust(self, text: &str) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Ok(self);
        }
        text.split(',').map(str::trim).try_fold(self, |set, item| {
            let (add, name) = match item.strip_prefix('-') {
                Some(name) => (false, name),
                None => (true, item.strip_prefix('+').unwrap_or(item)),
            };
            let operand = Self::by_name(name)?;
            Ok(if add { set.union(operand) } else { set.difference(operand) })
        })
    }

    fn by_name(name: &str) -> Result<Self, Error> {
        let profile = Self::PROFILES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        if let Some((_, set)) = profile {
            return Ok(set);
        }
        name.parse().map(|cap| Self::of(&[cap])).map_err(|_| {
            let what = format!("`{}` is no capability and no profile", name.escape_default());
            Error::new(ErrorKind::UnknownName, what).with_hint(
                "capabilities(7) lists the names; the profiles are ALL, NONE, HARDENED, OCI_DEFAULT and \
                 DOCKER_DEFAULT",
            )
        })
    }
}

impl FromStr for CapSet {
    type Err = Error;

    /// Reads `ALL,-SYS_ADMIN` or `CHOWN,KILL`: [`CapSet::adjust`] on the empty set.
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::EMPTY.adjust(text)
    }
}

impl fmt::Display for CapSet {
    /// The names with commas between, or `NONE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("NONE");
        }
        self.iter().enumerate().try_for_each(|(place, cap)| {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{cap}")
        })
    }
}

impl fmt::Debug for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Cap> for CapSet {
    fn from(cap: Cap) -> Self {
        Self::of(&[cap])
    }
}

impl FromIterator<Cap> for CapSet {
    fn from_iter<T: IntoIterator<Item = Cap>>(caps: T) -> Self {
        caps.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl BitOr for CapSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for CapSet {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.union(other);
    }
}

impl BitAnd for CapSet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        self.intersection(other)
    }
}

impl Sub for CapSet {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.difference(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn profiles_hold_what_they_should() {
        assert_eq!(CapSet::ALL.bits(), 0x1ff_ffff_ffff);
        assert_eq!(CapSet::up_to(Cap::from_number(63).unwrap()).bits(), u64::MAX);
        assert_eq!(CapSet::DOCKER_DEFAULT.len(), 14);
        // `capsh --print` in a container of Docker's.
        assert_eq!(CapSet::DOCKER_DEFAULT.bits(), 0xa804_25fb);
        assert_eq!(CapSet::HARDENED.len(), 11);
        for cap in [Cap::MKNOD, Cap::NET_RAW, Cap::AUDIT_WRITE, Cap::SYS_ADMIN, Cap::SYS_PTRACE] {
            assert!(!CapSet::HARDENED.contains(cap));
        }
        assert_eq!(CapSet::OCI_DEFAULT.to_string(), "CAP_KILL,CAP_NET_BIND_SERVICE,CAP_AUDIT_WRITE");
    }

    #[test]
    fn arithmetic_as_text() {
        let parse = |text: &str| text.parse::<CapSet>().unwrap();
        assert_eq!(parse("ALL,-SYS_ADMIN"), CapSet::ALL.without(Cap::SYS_ADMIN));
        assert_eq!(parse("all , -cap_sys_admin,+sys_admin"), CapSet::ALL);
        assert_eq!(parse("-SYS_ADMIN"), CapSet::EMPTY);
        assert_eq!(parse("SYS_ADMIN,-ALL,KILL"), CapSet::from(Cap::KILL));
        assert_eq!(parse(" "), CapSet::EMPTY);
        for text in ["ALL,,KILL", ",", "ALL -KILL", "--KILL", "-", "KIL"] {
            assert_eq!(text.parse::<CapSet>().unwrap_err().kind(), ErrorKind::UnknownName, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(bits in any::<u64>()) {
            let set = CapSet::from_bits(bits);
            prop_assert_eq!(set.to_string().parse::<CapSet>().unwrap(), set);
            prop_assert_eq!(set.iter().collect::<CapSet>(), set);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+A-Za-z_0-9, ]{0,40}") {
            let _ = text.parse::<CapSet>();
        }

        #[test]
        fn sets_obey_the_laws(a in any::<u64>(), b in any::<u64>()) {
            let (a, b) = (CapSet::from_bits(a), CapSet::from_bits(b));
            prop_assert!((a & b).is_subset(a) && a.is_subset(a | b));
            prop_assert_eq!((a - b) | (a & b), a);
            prop_assert!(((a - b) & b).is_empty());
        }
    }
}
