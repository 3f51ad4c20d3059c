//! What can go wrong with control groups, and what to do about it.

use std::fmt;

use cofferdam_sys::{Errno, errno};

/// A failure with its step, its object, the kernel's answer where there is one, and a likely remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    what: String,
    errno: Option<Errno>,
    hint: Option<String>,
    cleanup: Option<String>,
}

/// The classes of failure that a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A name, a value or a rule makes no sense, or a file of the kernel holds what nobody expects.
    Invalid,
    /// A cgroup of that name is there already.
    AlreadyExists,
    /// There is no such cgroup.
    NotFound,
    /// A controller that a limit needs is not available where it is needed.
    NoController,
    /// Processes are still in the way.
    Busy,
    /// This machine has no v2 hierarchy, or the kernel lacks what was asked for.
    Unsupported,
    /// A system call failed otherwise; [`Error::errno`] has the answer.
    System,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), errno: None, hint: None, cleanup: None }
    }

    /// A failed call: the kind follows from the errno where it is one of those with a kind.
    pub(crate) fn system(what: impl Into<String>, errno: Errno) -> Self {
        let kind = match errno {
            Errno::EEXIST => ErrorKind::AlreadyExists,
            Errno::ENOENT | Errno::ENODEV => ErrorKind::NotFound,
            Errno::EBUSY => ErrorKind::Busy,
            Errno::ENOSYS => ErrorKind::Unsupported,
            _ => ErrorKind::System,
        };
        let hint = hint_for(errno).map(str::to_owned);
        Self { kind, what: what.into(), errno: Some(errno), hint, cleanup: None }
    }

    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
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

    /// The kernel's answer, when a system call failed.
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// What most likely causes this and how to mend it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// The likely cause where only the errno is known.
fn hint_for(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::EACCES | Errno::EPERM => {
            "the caller may not change this cgroup: run as root, or have it delegated (chown the directory, \
             cgroup.procs and cgroup.subtree_control)"
        }
        Errno::EROFS => "the cgroup file system is mounted read-only, as in a container without --privileged",
        Errno::EAGAIN => "a limit of cgroups is reached: see cgroup.max.depth and cgroup.max.descendants",
        Errno::EMFILE | Errno::ENFILE => "raise the limit of open files (ulimit -n)",
        Errno::EOPNOTSUPP => "the cgroup is threaded, or its type is `domain invalid` (see cgroup.type)",
        Errno::ENOSYS => "the kernel is older than 5.10, or a seccomp filter hides the call",
        _ => return None,
    })
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(number) = self.errno {
            write!(f, ": {}", errno::describe(number))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        match &self.cleanup {
            Some(cleanup) => write!(f, "; then cleaning up failed: {cleanup}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
