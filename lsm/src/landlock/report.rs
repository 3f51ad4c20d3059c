//! What of a ruleset a kernel enforces, and what not.

use std::fmt;

use super::rights::linux_of_abi;
use super::{FsAccess, LogFlags, NetAccess, Scopes};

/// One right that was asked for and that the kernel does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its name in `landlock(7)`, such as `LANDLOCK_ACCESS_FS_TRUNCATE`.
    pub name: String,
    /// The ABI that brings it.
    pub abi: u32,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (ABI {}, Linux {})", self.name, self.abi, linux_of_abi(self.abi).unwrap_or("unknown"))
    }
}

/// What is enforced of a ruleset that was asked for as far as it goes.
///
/// What is missing is *allowed*: whoever asks for best effort decides here whether that is good enough.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "what the kernel does not know is not enforced"]
pub struct Report {
    /// The kernel's ABI; `None` without Landlock, when nothing is enforced.
    pub abi: Option<u32>,
    /// The file rights that are refused but where a rule allows them.
    pub fs: FsAccess,
    /// The port rights that are refused but where a rule allows them.
    pub net: NetAccess,
    /// What may not reach outside.
    pub scopes: Scopes,
    /// The log flags that are passed.
    pub log: LogFlags,
    /// What was asked for and is not enforced.
    pub missing: Vec<Missing>,
}

impl Report {
    /// Whether all that was asked for is enforced.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Whether nothing at all is enforced.
    pub fn is_nothing(&self) -> bool {
        self.fs.is_empty() && self.net.is_empty() && self.scopes.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.abi {
            Some(abi) => write!(f, "Landlock ABI {abi}: ")?,
            None => write!(f, "no Landlock: ")?,
        }
        if self.missing.is_empty() {
            return f.write_str("all that was asked for is enforced");
        }
        f.write_str("not enforced: ")?;
        for (number, missing) in self.missing.iter().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            write!(f, "{comma}{missing}")?;
        }
        Ok(())
    }
}

/// The rights of a set that an ABI does not know, each with the ABI that does.
pub(super) fn missing<T: bitflags::Flags>(
    prefix: &str,
    asked: &T,
    abi: u32,
    of_abi: impl Fn(u32) -> T,
) -> Vec<Missing> {
    let first = |flag: &T| {
        (1..=super::NEWEST_ABI).find(|abi| of_abi(*abi).contains(T::from_bits_retain(flag.bits())))
    };
    let single = |bits: &T::Bits| asked.contains(T::from_bits_retain(*bits));
    let mut missing = Vec::new();
    for flag in T::FLAGS {
        // Names for several rights at once are none of the kernel's.
        let bits = flag.value().bits();
        let alone = T::from_bits_retain(bits).iter().count() == 1;
        if !alone || !single(&bits) || of_abi(abi).contains(T::from_bits_retain(bits)) {
            continue;
        }
        if let Some(abi) = first(flag.value()) {
            missing.push(Missing { name: format!("{prefix}{}", flag.name()), abi });
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_release_that_brings_it() {
        let asked = FsAccess::READ | FsAccess::TRUNCATE | FsAccess::IOCTL_DEV;
        let found = missing("LANDLOCK_ACCESS_FS_", &asked, 3, FsAccess::of_abi);
        let text: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["LANDLOCK_ACCESS_FS_IOCTL_DEV (ABI 5, Linux 6.10)"]);
        assert_eq!(missing("", &asked, 5, FsAccess::of_abi), []);
        assert_eq!(missing("", &FsAccess::all(), 0, FsAccess::of_abi).len(), 17);
    }

    #[test]
    fn the_report_is_one_line() {
        let mut report = Report {
            abi: Some(1),
            fs: FsAccess::READ,
            net: NetAccess::empty(),
            scopes: Scopes::empty(),
            log: LogFlags::empty(),
            missing: vec![],
        };
        assert_eq!(report.to_string(), "Landlock ABI 1: all that was asked for is enforced");
        report.missing = missing("SCOPE_", &Scopes::all(), 1, Scopes::of_abi);
        assert_eq!(
            report.to_string(),
            "Landlock ABI 1: not enforced: SCOPE_ABSTRACT_UNIX_SOCKET (ABI 6, Linux 6.12), SCOPE_SIGNAL (ABI 6, Linux 6.12)"
        );
        assert!(!report.is_complete() && !report.is_nothing());
    }
}
