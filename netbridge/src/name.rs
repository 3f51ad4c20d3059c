//! Names of network interfaces.

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
