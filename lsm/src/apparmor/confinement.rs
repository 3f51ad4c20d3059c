//! What the kernel says a process is confined by.

use std::fmt;

use crate::Error;
use crate::error::shown;

/// The content of `/proc/PID/attr/apparmor/current`, taken apart: `NAME (MODE)`, or `unconfined`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    label: String,
    mode: Option<Mode>,
}

/// What becomes of what a profile does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// It is refused.
    Enforce,
    /// It is allowed and logged.
    Complain,
    /// The process is killed.
    Kill,
    /// The profile confines nothing.
    Unconfined,
    /// It is put to a program of the system (Linux 6.7).
    User,
    /// Several profiles are stacked, in different modes.
    Mixed,
}

const MODES: [(&str, Mode); 6] = [
    ("enforce", Mode::Enforce),
    ("complain", Mode::Complain),
    ("kill", Mode::Kill),
    ("unconfined", Mode::Unconfined),
    ("user", Mode::User),
    ("mixed", Mode::Mixed),
];

impl Mode {
    /// The mode of that name.
    pub fn parse(name: &str) -> Option<Self> {
        MODES.iter().find(|(known, _)| *known == name).map(|(_, mode)| *mode)
    }

    /// Its name, as the kernel prints it.
    pub fn name(self) -> &'static str {
        MODES.iter().find(|(_, known)| *known == self).map_or("unknown", |(name, _)| name)
    }
}

impl Confinement {
    /// Takes the text apart; a newline at its end is none of it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for an empty text or an unknown mode.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim_end_matches(['\n', '\0']);
        if text.is_empty() {
            return Err(Error::invalid("AppArmor label: the kernel printed none"));
        }
        let Some((label, mode)) = text.strip_suffix(')').and_then(|text| text.rsplit_once(" (")) else {
            return Ok(Self { label: text.to_owned(), mode: None });
        };
        let mode = Mode::parse(mode).ok_or_else(|| {
            Error::invalid(format!("AppArmor label `{}`: the mode is unknown", shown(text)))
        })?;
        Ok(Self { label: label.to_owned(), mode: Some(mode) })
    }

    /// The whole label: one profile's name, or several joined by `//&`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The names of the profiles, one or several when they are stacked.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        self.label.split("//&")
    }

    /// The mode; `None` for a process that is unconfined.
    pub fn mode(&self) -> Option<Mode> {
        self.mode
    }

    /// Whether what is not allowed is refused, by every profile that is stacked.
    pub fn enforces(&self) -> bool {
        matches!(self.mode, Some(Mode::Enforce | Mode::Kill))
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mode {
            Some(mode) => write!(f, "{} ({})", self.label, mode.name()),
            None => f.write_str(&self.label),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_are_taken_apart() {
        let one = Confinement::parse("docker-default (enforce)\n").unwrap();
        assert_eq!((one.label(), one.mode(), one.enforces()), ("docker-default", Some(Mode::Enforce), true));
        let two = Confinement::parse("a b//&unconfined (mixed)").unwrap();
        assert_eq!(two.profiles().collect::<Vec<_>>(), ["a b", "unconfined"]);
        assert!(!two.enforces());
        let none = Confinement::parse("unconfined\n").unwrap();
        assert_eq!((none.label(), none.mode(), none.enforces()), ("unconfined", None, false));
        assert!(!Confinement::parse("x (complain)").unwrap().enforces());
    }

    #[test]
    fn nothing_and_unknown_modes_are_refused() {
        assert!(Confinement::parse("\n").is_err());
        let error = Confinement::parse("x (sleeping)").unwrap_err();
        assert_eq!(error.to_string(), "AppArmor label `x (sleeping)`: the mode is unknown");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            if let Ok(read) = Confinement::parse(&text) {
                prop_assert_eq!(read.to_string(), text.trim_end_matches(['\n', '\0']));
            }
        }
    }
}
