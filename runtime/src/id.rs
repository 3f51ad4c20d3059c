//! A container's id: a name that is safe as a path component.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind};

/// The longest id, so that it fits every place where it becomes a file name with a suffix.
const LONGEST: usize = 200;

/// The id of a container: ASCII letters, digits and `_ + . -`, beginning with a letter, digit or `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerId(String);

impl ContainerId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ContainerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = |why: &str| {
            let shown: String = text.chars().take(40).flat_map(char::escape_default).collect();
            Err(Error::new(ErrorKind::Usage, format!("container id `{shown}`: {why}")))
        };
        if text.is_empty() {
            return invalid("is empty");
        }
        if text.len() > LONGEST {
            return invalid(&format!("has {} bytes, {LONGEST} are allowed", text.len()));
        }
        if text.starts_with(['.', '-', '+']) {
            return invalid("must begin with a letter, a digit or `_`");
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+.-".contains(c);
        if let Some(other) = text.chars().find(|c| !allowed(*c)) {
            let why = format!(
                "invalid character `{}` in the ID: letters, digits and `_ + . -` are allowed",
                other.escape_default()
            );
            return invalid(&why);
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_no_file_name() {
        for bad in ["", ".", "..", "a/b", "/", "-x", "a b", "ä", "a\0", "a\n"] {
            assert_eq!(bad.parse::<ContainerId>().unwrap_err().kind(), ErrorKind::Usage, "{bad:?}");
        }
        assert!("x".repeat(300).parse::<ContainerId>().unwrap_err().to_string().contains("300 bytes"));
        assert_eq!("web-1.a_b+c".parse::<ContainerId>().unwrap().as_str(), "web-1.a_b+c");
    }

    proptest! {
        #[test]
        fn what_is_taken_stays_one_component(text: String) {
            if let Ok(id) = text.parse::<ContainerId>() {
                let path = std::path::Path::new("/x").join(id.as_str());
                prop_assert_eq!(path.parent(), Some(std::path::Path::new("/x")));
            }
        }
    }
}
