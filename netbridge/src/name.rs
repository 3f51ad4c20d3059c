//! Names of network interfaces.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind};

/// A name that the kernel takes for a network interface (`netdevice(7)`).
///
/// The kernel's own rule (`dev_valid_name`: at most 15 bytes, no `/`, `:` or blank, not `.` or `..`), and
/// two of this crate: no control character or byte outside ASCII, which hide in a terminal, and no `%`,
/// which the kernel takes for a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName(String);

/// `IFNAMSIZ` without the final NUL.
const LONGEST: usize = 15;

impl InterfaceName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`].
    pub fn new(name: &str) -> Result<Self, Error> {
        let allowed = |byte: u8| byte.is_ascii_graphic() && !b"/:%".contains(&byte);
        let good =
            (1..=LONGEST).contains(&name.len()) && name.bytes().all(allowed) && name != "." && name != "..";
        if good {
            return Ok(Self(name.to_owned()));
        }
        let shown: String = name.chars().take(40).collect();
        let what = format!("`{}` is no name of an interface", shown.escape_default());
        Err(Error::new(ErrorKind::InvalidName, what))
    }

    /// `lo`.
    pub fn loopback() -> Self {
        Self("lo".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InterfaceName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::new(name)
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name for a device that comes into a namespace: this one, or with `%d` at its end the first that is free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewName(Pattern);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Exactly(InterfaceName),
    /// What stands before the number.
    FirstFree(String),
}

impl NewName {
    /// Checks a name or a template.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`].
    pub fn new(name: &str) -> Result<Self, Error> {
        match name.strip_suffix("%d") {
            // The shortest name that could come of it.
            Some(prefix) => {
                InterfaceName::new(&format!("{prefix}0")).map(|_| Self(Pattern::FirstFree(prefix.to_owned())))
            }
            None => InterfaceName::new(name).map(Self::from),
        }
    }

    /// The name, unless the number is open.
    pub fn exact(&self) -> Option<&InterfaceName> {
        match &self.0 {
            Pattern::Exactly(name) => Some(name),
            Pattern::FirstFree(_) => None,
        }
    }

    /// The name that is had beside those that are taken.
    pub(crate) fn choose(&self, taken: &BTreeSet<String>) -> Result<InterfaceName, Error> {
        match &self.0 {
            Pattern::Exactly(name) if taken.contains(name.as_str()) => {
                let what = format!("the network namespace has a device {name} already");
                Err(Error::new(ErrorKind::NameTaken, what))
            }
            Pattern::Exactly(name) => Ok(name.clone()),
            Pattern::FirstFree(prefix) => {
                let mut names = (0..=taken.len()).map(|number| format!("{prefix}{number}"));
                // One more number than names that are taken.
                let free = names.find(|name| !taken.contains(name)).unwrap_or_default();
                InterfaceName::new(&free)
            }
        }
    }
}

impl From<InterfaceName> for NewName {
    fn from(name: InterfaceName) -> Self {
        Self(Pattern::Exactly(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_taken_or_refused() {
        for name in ["lo", "eth0", "wlp0s20f3", "veth-12345678_9", "a", "...", "tap+"] {
            assert_eq!(name.parse::<InterfaceName>().unwrap().to_string(), name);
        }
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "a\tb",
            "a\nb",
            "a\0b",
            "0123456789abcdef",
            "eth0:1",
            "eth%d",
            "\u{e9}",
        ] {
            assert_eq!(InterfaceName::new(name).unwrap_err().kind(), ErrorKind::InvalidName, "{name:?}");
        }
        assert_eq!(
            InterfaceName::new("a\nb").unwrap_err().to_string(),
            "`a\\nb` is no name of an interface; \
             1 to 15 bytes without blanks, `/`, `:`, `%` and control characters"
        );
    }

    #[test]
    fn a_template_gives_the_first_free_name() {
        let taken: BTreeSet<String> = ["lo", "eth0", "eth1", "eth3"].map(str::to_owned).into();
        let choose = |name: &str| NewName::new(name).unwrap().choose(&taken);
        assert_eq!(choose("eth%d").unwrap().as_str(), "eth2");
        assert_eq!(choose("net%d").unwrap().as_str(), "net0");
        assert_eq!(choose("eth9").unwrap().as_str(), "eth9");
        assert_eq!(choose("eth3").unwrap_err().kind(), ErrorKind::NameTaken);
        for name in ["eth%", "%deth", "e%dth%d", "0123456789abcde%d", "a b%d"] {
            assert_eq!(NewName::new(name).unwrap_err().kind(), ErrorKind::InvalidName, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_fits_the_kernels_rule(name in "\\PC{0,18}|[ -~]{0,18}") {
            if let Ok(taken) = InterfaceName::new(&name) {
                prop_assert!(taken.as_str().len() < 16 && !taken.as_str().is_empty());
                prop_assert!(!taken.as_str().contains(|c: char| c.is_whitespace() || "/:\0".contains(c)));
                prop_assert!(taken.as_str() != "." && taken.as_str() != "..");
                prop_assert_eq!(taken.as_str(), name);
            }
        }
    }
}
