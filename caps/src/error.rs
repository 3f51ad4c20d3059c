//! What can go wrong with capabilities, and what to do about it.

use std::fmt;

use cofferdam_sys::{Errno, errno};

/// A failure with its object, the kernel's answer where there is one, and a likely remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    what: String,
    hint: Option<String>,
}

/// The classes of failure that a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A name that is no capability, no profile and no secure bit.
    UnknownName,
    /// Text or bytes that are not in their format.
    Malformed,
    /// Sets that no thread can have, or ids that do not fit together.
    Impossible,
    /// What the calling thread cannot reach from the sets that it has.
    OutOfReach,
    /// The running kernel does not have a capability or a secure bit.
    NotInKernel,
    /// A system call failed.
    Os(Errno),
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), hint: None }
    }

    pub(crate) fn os(errno: Errno, what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Os(errno), what)
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the place of the failure in front.
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The kernel's answer, where a system call failed.
    pub fn errno(&self) -> Option<Errno> {
        match self.kind {
            ErrorKind::Os(errno) => Some(errno),
            _ => None,
        }
    }

    /// What most likely causes this and how to mend it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let ErrorKind::Os(number) = self.kind {
            write!(f, ": {}", errno::describe(number))?;
        }
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
