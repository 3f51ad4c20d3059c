//! Architectures and their system calls by name and by number.

mod finder;
mod tables;

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind};
pub(crate) use finder::Finder;
use tables::Table;

/// One way to make system calls: numbers and registers of their own.
///
/// The names are those of libseccomp without `SCMP_ARCH_`. Tables are of Linux 7.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Arch {
    /// 64-bit programs on x86-64.
    X86_64,
    /// 32-bit programs on x86, which a 64-bit program can be at any moment (`int 0x80`).
    X86,
    /// The x32 ABI: x86-64 with bit 30 set in the number and 32-bit pointers.
    X32,
    /// 64-bit programs on ARM.
    Aarch64,
    /// 32-bit programs on ARM, with the EABI.
    Arm,
}

/// Bit 30 of a number, which makes a call of x86-64 one of x32 (`__X32_SYSCALL_BIT`).
pub const X32_BIT: u32 = 0x4000_0000;

/// From here on numbers of 32-bit ARM are private ones that never get newer (`__ARM_NR_BASE`).
const ARM_PRIVATE: u32 = 0x000f_0000;

/// The architectures with the kernel's value and the name.
const NAMES: [(Arch, u32, &str); 5] = [
    (Arch::X86_64, 0xc000_003e, "X86_64"),
    (Arch::X86, 0x4000_0003, "X86"),
    (Arch::X32, 0xc000_003e, "X32"),
    (Arch::Aarch64, 0xc000_00b7, "AARCH64"),
    (Arch::Arm, 0x4000_0028, "ARM"),
];

impl Arch {
    /// Every architecture.
    pub fn all() -> impl Iterator<Item = Arch> {
        NAMES.into_iter().map(|(arch, ..)| arch)
    }

    /// The one that this program was built for; `None` when there is no table for it.
    pub const fn native() -> Option<Arch> {
        if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
            Some(Arch::X86_64)
        } else if cfg!(target_arch = "x86_64") {
            Some(Arch::X32)
        } else if cfg!(target_arch = "x86") {
            Some(Arch::X86)
        } else if cfg!(target_arch = "aarch64") {
            Some(Arch::Aarch64)
        } else if cfg!(target_arch = "arm") {
            Some(Arch::Arm)
        } else {
            None
        }
    }

    /// Whether the machine that this program was built for may have such calls: a filter need not list others.
    pub fn is_possible(self) -> bool {
        match Arch::native() {
            Some(Arch::X86_64 | Arch::X32 | Arch::X86) => {
                matches!(self, Arch::X86_64 | Arch::X86 | Arch::X32)
            }
            Some(Arch::Aarch64 | Arch::Arm) => matches!(self, Arch::Aarch64 | Arch::Arm),
            None => false,
        }
    }

    /// What a filter sees: `AUDIT_ARCH_*` of `linux/audit.h`. x86-64 and x32 have the same.
    pub fn audit(self) -> u32 {
        NAMES.into_iter().find(|(arch, ..)| *arch == self).map_or(0, |(_, audit, _)| audit)
    }

    /// The number of a call, with bit 30 for x32; `None` when this architecture has no such call.
    pub fn number(self, name: &str) -> Option<u32> {
        self.table().number(name)
    }

    /// The name of a call by its number.
    pub fn name(self, number: u32) -> Option<&'static str> {
        self.table().name(number)
    }

    /// All calls with their numbers, in the order of names.
    pub fn calls(self) -> impl Iterator<Item = (&'static str, u32)> {
        self.table().all()
    }

    /// The numbers of all calls, from the lowest.
    pub(crate) fn in_order(self) -> impl Iterator<Item = u32> {
        self.table().in_order()
    }

    /// Whether arguments are 32 bits wide.
    pub(crate) fn has_short_arguments(self) -> bool {
        matches!(self, Arch::X86 | Arch::Arm)
    }

    /// The numbers that have calls now or will have some day: where to look for newer ones.
    pub(crate) fn numbers(self) -> std::ops::Range<u32> {
        match self {
            Arch::X32 => X32_BIT..u32::MAX,
            Arch::X86_64 => 0..X32_BIT,
            Arch::Arm => 0..ARM_PRIVATE,
            _ => 0..u32::MAX,
        }
    }

    fn table(self) -> &'static Table {
        tables::of(self)
    }
}

/// Names that no architecture has a call for.
pub(crate) fn unknown<N: AsRef<str>>(names: impl Iterator<Item = N>) -> impl Iterator<Item = N> {
    let mut finders: Vec<Finder> = Arch::all().map(Finder::new).collect();
    names.filter(move |name| !finders.iter_mut().any(|finder| finder.number(name.as_ref()).is_some()))
}

impl fmt::Display for Arch {
    /// The name: `X86_64`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.into_iter().find(|(arch, ..)| arch == self).map_or("", |(.., name)| name))
    }
}

impl FromStr for Arch {
    type Err = Error;

    /// Reads the name, also with `SCMP_ARCH_` before it; `NATIVE` is [`Arch::native`].
    fn from_str(text: &str) -> Result<Self, Error> {
        let name = text.strip_prefix("SCMP_ARCH_").unwrap_or(text);
        let found = match name {
            "NATIVE" => Arch::native(),
            _ => NAMES.into_iter().find(|(.., known)| *known == name).map(|(arch, ..)| arch),
        };
        found.ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            Error::new(
                ErrorKind::Architecture,
                format!("`{}` is no known architecture", shown.escape_default()),
            )
        })
    }
}

#[cfg(test)]
mod tests;
