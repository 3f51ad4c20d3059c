//! A set of capabilities: the kernel's own bits, and how they print.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Sub};

use crate::{Cap, Error};

/// A set of capabilities: bit N for capability N, as the kernel has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CapSet(u64);

impl CapSet {
    /// No capability.
    pub const EMPTY: CapSet = CapSet(0);

    /// Every capability that has a name, up to [`Cap::LAST_NAMED`].
    pub const ALL: CapSet = CapSet::up_to(Cap::LAST_NAMED);

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
    /// [`crate::ErrorKind::UnknownName`] with the first name that is no capability.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        names.into_iter().map(str::parse::<Cap>).collect()
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
    /// As it prints, but a nearly full set as what it lacks: `ALL,-CAP_SYS_ADMIN`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.len() < 32 {
            return fmt::Display::fmt(self, f);
        }
        f.write_str("ALL")?;
        self.difference(Self::ALL).iter().try_for_each(|cap| write!(f, ",{cap}"))?;
        Self::ALL.difference(*self).iter().try_for_each(|cap| write!(f, ",-{cap}"))
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
    fn all_is_what_has_a_name() {
        assert_eq!(CapSet::ALL.bits(), 0x1ff_ffff_ffff);
        assert_eq!(CapSet::up_to(Cap::from_number(63).unwrap()).bits(), u64::MAX);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(bits in any::<u64>()) {
            let set = CapSet::from_bits(bits);
            prop_assert_eq!(set.to_string().parse::<CapSet>().unwrap(), set);
            prop_assert_eq!(format!("{set:?}").parse::<CapSet>().unwrap(), set);
            prop_assert_eq!(set.iter().collect::<CapSet>(), set);
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
