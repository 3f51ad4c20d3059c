//! What can go wrong with namespaces, and what to do about it.

use std::fmt;

use cofferdam_sys::{Errno, errno};

/// A failure with its step, object, error number and a likely remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    what: String,
}

/// The classes of failure that a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for makes no sense: an id map that overlaps, a name that is none.
    Invalid,
    /// The kernel has it, but this crate does not offer it yet.
    Unsupported,
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
    pub fn hint(&self) -> Option<&'static str> {
        match self.kind {
            ErrorKind::Os(Errno::EPERM | Errno::EACCES) => Some(
                "the host may forbid unprivileged user namespaces: see kernel.unprivileged_userns_clone, \
                 kernel.apparmor_restrict_unprivileged_userns and user.max_user_namespaces, or run as root",
            ),
            ErrorKind::Os(Errno::ENOSPC | Errno::EUSERS) => {
                Some("a limit of namespaces is reached: raise user.max_*_namespaces (namespaces(7))")
            }
            ErrorKind::Os(Errno::ENOSYS) => {
                Some("clone3 is hidden, mostly by the seccomp filter of a container around this one")
            }
            ErrorKind::Os(Errno::EBUSY | Errno::EOPNOTSUPP) => {
                Some("the cgroup takes no processes: it has controllers enabled for its children")
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
