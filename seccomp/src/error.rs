//! What can go wrong with seccomp, and what to do about it.

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
    /// A name that is no action.
    UnknownName,
    /// A name that is no architecture, or an architecture without a table.
    Architecture,
    /// A name that is no system call.
    UnknownCall,
    /// A profile that makes no sense.
    Profile,
    /// A profile that comes to more instructions than the kernel takes.
    TooLong,
    /// The running kernel does not have what a profile asks for.
    Unsupported,
    /// A call that does not wait for an answer any more: the caller was killed or interrupted.
    Gone,
    /// A cache that others could write to.
    Cache,
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
            ErrorKind::UnknownName => Some("seccomp(2) lists the actions, such as SCMP_ACT_ERRNO"),
            ErrorKind::Architecture => Some("there are tables for X86_64, X86, X32, AARCH64 and ARM"),
            ErrorKind::UnknownCall => {
                Some("syscalls(2) lists the names; `Unknown::Skip` leaves such a name out")
            }
            ErrorKind::TooLong => Some(
                "list fewer architectures, and join rules with conditions on one call where they can be joined",
            ),
            ErrorKind::Unsupported => Some("use a newer kernel, or leave out what it does not have"),
            ErrorKind::Cache => {
                Some("the directory must belong to the caller and be writable for nobody else (0700)")
            }
            ErrorKind::Os(Errno::ENOSYS | Errno::EINVAL) => Some(
                "the kernel needs CONFIG_SECCOMP_FILTER, and a filter around this program may hide the call",
            ),
            ErrorKind::Os(Errno::EPERM | Errno::EACCES) => Some(
                "a filter needs no_new_privs or CAP_SYS_ADMIN, and a filter around this program may forbid the call",
            ),
            ErrorKind::Profile | ErrorKind::Gone | ErrorKind::Os(_) => None,
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
