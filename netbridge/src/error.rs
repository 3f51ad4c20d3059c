//! What can go wrong with interfaces, and what to do about it.

use std::fmt;

use cofferdam_sys::{Errno, errno};

/// A failure with its object, the kernel's answer where there is one, and a likely remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    what: String,
    errno: Option<Errno>,
    cleanup: Option<String>,
}

/// The classes of failure that a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A name that the kernel would not take for an interface.
    InvalidName,
    /// There is no such device.
    NoDevice,
    /// Another device of the namespace has the name.
    NameTaken,
    /// The device is in the namespace already that it should go to.
    SameNamespace,
    /// The kernel refused something; [`Error::errno`] has its answer.
    System,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), errno: None, cleanup: None }
    }

    /// A failed call; the kernel's own words are in `what` where it has some.
    pub(crate) fn system(what: impl fmt::Display, errno: Errno) -> Self {
        let what = format!("{what}: {}", errno::describe(errno));
        Self { kind: ErrorKind::System, what, errno: Some(errno), cleanup: None }
    }

    /// Adds what could not be undone after the failure.
    pub(crate) fn with_cleanup(mut self, failure: &Error) -> Self {
        self.cleanup = Some(failure.to_string());
        self
    }

    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The kernel's answer, where one led to this.
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// What most likely causes this and how to mend it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        match self.kind {
            ErrorKind::InvalidName => {
                Some("1 to 15 bytes without blanks, `/`, `:`, `%` and control characters")
            }
            ErrorKind::NoDevice => Some("`ip link` lists the devices of a network namespace"),
            ErrorKind::NameTaken => {
                Some("choose another name, or one that ends in %d for the first that is free")
            }
            ErrorKind::SameNamespace => None,
            ErrorKind::System => match self.errno? {
                Errno::EPERM => {
                    Some("this takes CAP_NET_ADMIN and CAP_SYS_ADMIN over both network namespaces")
                }
                Errno::EINVAL => {
                    Some("some devices cannot change their namespace: lo, bridges, most tunnels")
                }
                _ => None,
            },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(hint) = self.hint() {
            write!(f, "; {hint}")?;
        }
        if let Some(failure) = &self.cleanup {
            write!(f, "; then cleaning up failed: {failure}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
