//! Names to numbers, one after another.

use std::cmp::Ordering;

use super::Arch;
use super::tables::Table;

/// Finds the numbers of one architecture's calls.
///
/// Profiles list most calls there are and in the order of names, as the table does. So it looks behind the name
/// that it found last before it searches: names were most of what compiling took.
pub(crate) struct Finder {
    table: &'static Table,
    /// Behind the last one found.
    place: usize,
}

/// How far the next name may be to be looked for step by step.
const NEAR: usize = 12;

impl Finder {
    /// Begins at the first name.
    pub(crate) fn new(arch: Arch) -> Self {
        Self { table: arch.table(), place: 0 }
    }

    /// As [`Arch::number`].
    pub(crate) fn number(&mut self, name: &str) -> Option<u32> {
        for step in 0..NEAR {
            let Some((known, number)) = self.table.call(self.place.saturating_add(step)) else { break };
            match known.cmp(name) {
                Ordering::Less => {}
                Ordering::Equal => {
                    self.place = self.place.saturating_add(step).saturating_add(1);
                    return Some(number);
                }
                // Between two neighbours there is none.
                Ordering::Greater if step > 0 || self.is_behind(name) => return None,
                Ordering::Greater => break,
            }
        }
        match self.table.place(name) {
            Ok(found) => {
                self.place = found.saturating_add(1);
                self.table.call(found).map(|(_, number)| number)
            }
            Err(before) => {
                self.place = before;
                None
            }
        }
    }

    /// Whether a name comes after the last one found.
    fn is_behind(&self, name: &str) -> bool {
        let last = self.place.checked_sub(1).and_then(|place| self.table.call(place));
        last.is_none_or(|(last, _)| last < name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name() -> impl Strategy<Value = String> {
        let table = || Arch::X86.calls().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        prop_oneof![
            8 => prop::sample::select(table()),
            1 => "[a-z_0-9]{0,6}",
            1 => prop::sample::select(table()).prop_map(|name| name + "x"),
        ]
    }

    proptest! {
        #[test]
        fn names_are_found_in_any_order(mut names in prop::collection::vec(name(), 0..60), sorted: bool) {
            if sorted {
                names.sort();
            }
            for arch in Arch::all() {
                let mut finder = Finder::new(arch);
                for name in &names {
                    prop_assert_eq!(finder.number(name), arch.number(name), "{} of {}", name, arch);
                }
            }
        }
    }

    #[test]
    fn every_name_is_found_after_every_other() {
        for (first, _) in Arch::X86_64.calls() {
            for (second, number) in Arch::X86_64.calls() {
                let mut finder = Finder::new(Arch::X86_64);
                assert!(finder.number(first).is_some());
                assert_eq!(finder.number(second), Some(number), "{second} after {first}");
            }
        }
    }
}
