//! The name of a profile.

use std::fmt;
use std::str::FromStr;

use crate::Error;
use crate::error::shown;

/// The name of a loaded profile, as far as it can be given to the kernel unambiguously.
///
/// The kernel's interface is a line of text, so a name that its parser would read as something else is refused:
/// blanks at its ends, control characters, and the `//&` that stacks several profiles.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileName(String);

impl ProfileName {
    /// The longest name in bytes: with the command before it, it has to fit into a page.
    pub const LONGEST: usize = 1024;

    /// Checks a name.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] with the reason.
    pub fn new(name: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::invalid(format!("AppArmor profile `{}`: {why}", shown(name)));
        if name.is_empty() {
            return Err(refuse("the name is empty"));
        }
        if name.len() > Self::LONGEST {
            return Err(refuse("the name is longer than 1024 bytes"));
        }
        if name.trim() != name {
            return Err(refuse("the name begins or ends in a blank, which the kernel leaves out"));
        }
        if name.chars().any(char::is_control) {
            return Err(refuse("the name has a control character"));
        }
        if name.contains("//&") {
            return Err(refuse("`//&` joins several profiles; stack them one by one"));
        }
        if name.ends_with(')') {
            return Err(refuse("the name ends in `)`, which reads like the mode of a profile"));
        }
        Ok(Self(name.to_owned()))
    }

    /// What is under no profile at all.
    pub fn unconfined() -> Self {
        Self("unconfined".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProfileName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::new(name)
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_the_field_are_taken() {
        for name in
            ["docker-default", "/usr/bin/man", "lxc-container-default-cgns", "a b", ":ns:x", "snap.a.b", "ü"]
        {
            assert_eq!(ProfileName::new(name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn what_the_kernel_would_read_differently_is_refused() {
        let long = "x".repeat(1025);
        for name in ["", " a", "a ", "a\n", "a\nexec b", "a\0b", "a//&b", "a (enforce)", "\u{85}", &long] {
            assert!(ProfileName::new(name).is_err(), "{name:?}");
        }
        assert_eq!(
            "x\ny".parse::<ProfileName>().unwrap_err().to_string(),
            "AppArmor profile `x\\ny`: the name has a control character"
        );
    }

    proptest! {
        #[test]
        fn a_name_is_one_line_that_comes_back(text in "\\PC{0,20}") {
            if let Ok(name) = ProfileName::new(&text) {
                let read = super::super::Confinement::parse(&format!("{name} (enforce)")).unwrap();
                prop_assert_eq!(read.label(), text.as_str());
                prop_assert_eq!(read.profiles().collect::<Vec<_>>(), [text.as_str()]);
            }
        }
    }
}
