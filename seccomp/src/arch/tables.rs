//! The generated tables.

use super::Arch;

mod aarch64;
mod arm;
mod x32;
mod x86;
mod x86_64;

/// The calls of one architecture.
pub(super) struct Table {
    /// Names with numbers, in the order of names.
    pub(super) by_name: &'static [(&'static str, u32)],
    /// Places in `by_name`, in the order of numbers.
    by_number: &'static [u16],
}

impl Table {
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        let place = self.by_name.binary_search_by_key(&name, |(name, _)| name).ok()?;
        self.by_name.get(place).map(|(_, number)| *number)
    }

    /// The numbers, from the lowest.
    pub(super) fn in_order(&self) -> impl Iterator<Item = u32> {
        let number = |place: &u16| self.by_name.get(usize::from(*place)).map(|(_, number)| *number);
        self.by_number.iter().filter_map(number)
    }

    pub(super) fn name(&self, number: u32) -> Option<&'static str> {
        let entry = |place: u16| self.by_name.get(usize::from(place));
        let place = self
            .by_number
            .binary_search_by_key(&number, |place| entry(*place).map_or(u32::MAX, |(_, number)| *number))
            .ok()?;
        self.by_number.get(place).and_then(|place| entry(*place)).map(|(name, _)| *name)
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
