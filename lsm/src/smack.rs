//! Smack: the label of a process (`Documentation/admin-guide/LSM/Smack.rst`).

use std::fmt;
use std::str::FromStr;

use crate::Error;
use crate::error::shown;
use crate::label::{Attribute, Label, Module, Wanted};

/// A Smack label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SmackLabel(String);

impl FromStr for SmackLabel {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::invalid(format!("Smack label `{}`: {why}", shown(text)));
        if text.is_empty() || text.len() > 255 {
            return Err(refuse("it is empty or longer than 255 bytes"));
        }
        if text.starts_with('-') {
            return Err(refuse("it begins with `-`, as commands do"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"/\"\\'".contains(&byte)) {
            return Err(refuse("it has a blank, a quote, a slash or what is not ASCII"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SmackLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// To run under this label from now on; it needs `CAP_MAC_ADMIN` or a relabel rule.
///
/// A program whose file has a label of its own in `SMACK64EXEC` gets that at `execve(2)`.
pub fn current(label: &SmackLabel) -> Label {
    Label {
        module: Module::Smack,
        attribute: Attribute::Current,
        value: label.0.clone(),
        wanted: Wanted::Exactly(label.0.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_checked() {
        for text in ["_", "^", "System::Run", "a.b-c"] {
            assert_eq!(text.parse::<SmackLabel>().unwrap().to_string(), text);
        }
        for text in ["", "-a", "a b", "a/b", "a\"", "a'b", "a\\b", "ü", "a\n", &"x".repeat(256)] {
            assert!(text.parse::<SmackLabel>().is_err(), "{text:?}");
        }
        let label = current(&"x".parse().unwrap());
        assert_eq!(label.to_string(), "smack current `x`");
    }
}
