//! A security context.

use std::fmt;
use std::str::FromStr;

use crate::Error;
use crate::error::shown;

/// `user:role:type`, with `:level` where the policy has levels: what labels a process or a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Context {
    user: String,
    role: String,
    kind: String,
    level: Option<String>,
}

impl Context {
    /// The longest text in bytes: the kernel takes one page at most.
    pub const LONGEST: usize = 4000;

    /// The SELinux user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The role; `object_r` for a file.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// The type, which most rules are about.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The level or range, such as `s0:c1,c2`.
    pub fn level(&self) -> Option<&str> {
        self.level.as_deref()
    }
}

impl FromStr for Context {
    type Err = Error;

    /// Checks the syntax; whether the policy knows it is [`super::check`]'s answer.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |why: String| Error::invalid(format!("SELinux context `{}`: {why}", shown(text)));
        if text.len() > Self::LONGEST {
            return Err(refuse("it is longer than 4000 bytes".to_owned()));
        }
        let mut parts = text.splitn(4, ':');
        let mut word = |name: &str| {
            let word = parts.next().unwrap_or_default();
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if word.is_empty() || !word.bytes().all(plain) {
                return Err(refuse(format!(
                    "the {name} is missing or has other than letters, digits and ._-"
                )));
            }
            Ok(word.to_owned())
        };
        let (user, role, kind) = (word("user")?, word("role")?, word("type")?);
        let level = parts.next().map(str::to_owned);
        if let Some(level) = &level {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".,:_-".contains(&byte);
            if level.is_empty() || !level.bytes().all(plain) || level.split('-').any(str::is_empty) {
                return Err(refuse("the level is not like `s0` or `s0-s15:c0.c1023`".to_owned()));
            }
        }
        Ok(Self { user, role, kind, level })
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.user, self.role, self.kind)?;
        self.level.as_ref().map_or(Ok(()), |level| write!(f, ":{level}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn contexts_are_taken_apart() {
        let plain: Context = "system_u:object_r:tmp_t".parse().unwrap();
        assert_eq!((plain.user(), plain.role(), plain.kind()), ("system_u", "object_r", "tmp_t"));
        assert_eq!(plain.level(), None);
        let levels: Context = "u:r:t:s0-s0:c1,c5.c9".parse().unwrap();
        assert_eq!(levels.level(), Some("s0-s0:c1,c5.c9"));
    }

    #[test]
    fn what_is_none_is_refused_with_the_part() {
        for text in
            ["", "a", "a:b", "a:b:", ":b:c", "a::c", "a:b:c:", "a:b:c:-", "a:b:c d", "a:b:c:s0\n", "a:b:ü"]
        {
            assert!(text.parse::<Context>().is_err(), "{text:?}");
        }
        let error = "a:b".parse::<Context>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "SELinux context `a:b`: the type is missing or has other than letters, digits and ._-"
        );
        assert!(format!("a:b:{}", "c".repeat(4000)).parse::<Context>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_taken_comes_back(text in "[a-z_.:,\\- \\n]{0,24}") {
            if let Ok(context) = text.parse::<Context>() {
                prop_assert_eq!(context.to_string(), text);
            }
        }
    }
}
