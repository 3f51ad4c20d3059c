//! What can go wrong with asking for security modules, and what to do about it.

use std::fmt;

use cofferdam_sys::{Errno, errno};

/// A failure with its step, the kernel's answer where there is one, and a likely remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    what: String,
}

/// The classes of failure that a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// securityfs is not mounted, so the kernel's list cannot be read.
    NoSecurityfs,
    /// The kernel's list holds what nobody expects.
    Invalid,
    /// A system call failed.
    Os(Errno),
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into() }
    }

    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What most likely causes this and how to mend it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        match self.kind {
            ErrorKind::NoSecurityfs => {
                Some("mount -t securityfs none /sys/kernel/security (needs CONFIG_SECURITYFS)")
            }
            ErrorKind::Os(Errno::EPERM | Errno::EACCES) => {
                Some("a container around this program hides the answer: ask on the host")
            }
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let ErrorKind::Os(number) = self.kind {
            write!(f, ": {}", errno::describe(number))?;
        }
        match self.hint() {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
