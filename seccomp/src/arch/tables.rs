//! The generated tables.

use std::cmp::Ordering;

use super::Arch;

/// A table without a pointer for each name: 1900 of them would be adjusted at every start of a program.
macro_rules! table {
    (by_name: [$(($name:literal, $number:literal),)*], by_number: [$($place:literal),* $(,)?],) => {
        pub(super) static TABLE: super::Table = super::Table {
            names: concat!($($name),*),
            calls: &super::calls([$(($name.len(), $number)),*]),
            by_number: &[$($place),*],
        };
    };
}

mod aarch64;
mod arm;
mod x32;
mod x86;
mod x86_64;

/// The calls of one architecture.
pub(super) struct Table {
    /// All names, one behind the other, in their order.
    names: &'static str,
    /// In the same order.
    calls: &'static [Call],
    /// Places in `calls`, in the order of numbers.
    by_number: &'static [u16],
}

struct Call {
    /// Where its name ends; it begins where the one before ends.
    end: u16,
    number: u32,
}

/// From the lengths of the names to where they end.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses a place that is none")]
#[expect(clippy::cast_possible_truncation, reason = "compared before, by the compiler")]
const fn calls<const N: usize>(list: [(usize, u32); N]) -> [Call; N] {
    let mut calls = [const { Call { end: 0, number: 0 } }; N];
    let (mut place, mut end) = (0, 0);
    while place < N {
        end += list[place].0;
        assert!(end <= u16::MAX as usize, "names of more than 64 KiB");
        calls[place] = Call { end: end as u16, number: list[place].1 };
        place += 1;
    }
    calls
}

impl Table {
    /// The name and the number of the call at a place in the order of names.
    pub(super) fn call(&self, place: usize) -> Option<(&'static str, u32)> {
        let call = self.calls.get(place)?;
        let start = place.checked_sub(1).map_or(Some(0), |before| Some(self.calls.get(before)?.end))?;
        Some((self.names.get(usize::from(start)..usize::from(call.end))?, call.number))
    }

    /// All calls in the order of names.
    pub(super) fn all(&'static self) -> impl Iterator<Item = (&'static str, u32)> {
        (0..self.calls.len()).filter_map(|place| self.call(place))
    }

    pub(super) fn number(&self, name: &str) -> Option<u32> {
        let place = self.place(name).ok()?;
        self.call(place).map(|(_, number)| number)
    }

    /// The place of a name in their order, or where it would be.
    pub(super) fn place(&self, name: &str) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.calls.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.call(middle).map(|(found, _)| found.cmp(name)) {
                Some(Ordering::Less) => low = middle.saturating_add(1),
                Some(Ordering::Equal) => return Ok(middle),
                Some(Ordering::Greater) | None => high = middle,
            }
        }
        Err(low)
    }

    /// The numbers, from the lowest.
    pub(super) fn in_order(&self) -> impl Iterator<Item = u32> {
        let number = |place: &u16| self.calls.get(usize::from(*place)).map(|call| call.number);
        self.by_number.iter().filter_map(number)
    }

    pub(super) fn name(&self, number: u32) -> Option<&'static str> {
        let number_at =
            |place: &u16| self.calls.get(usize::from(*place)).map_or(u32::MAX, |call| call.number);
        let place = self.by_number.binary_search_by_key(&number, number_at).ok()?;
        self.call(usize::from(*self.by_number.get(place)?)).map(|(name, _)| name)
    }
}

/// The table of an architecture.
pub(super) fn of(arch: Arch) -> &'static Table {
    match arch {
        Arch::X86_64 => &x86_64::TABLE,
        Arch::X86 => &x86::TABLE,
        Arch::X32 => &x32::TABLE,
        Arch::Aarch64 => &aarch64::TABLE,
        Arch::Arm => &arm::TABLE,
    }
}
