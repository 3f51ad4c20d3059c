//! What can go wrong with namespaces, and what to do about it.

use std::fmt;

use cofferdam_sys::spawn::Failure;
use cofferdam_sys::{Errno, errno};

/// A failure with its step, object, error number and a likely remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    what: String,
    hint: Hint,
}

/// Where the remedy comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hint {
    /// From the kind of error.
    General,
    /// This one.
    Given(&'static str),
    /// The error number means something else here.
    None,
}

/// The classes of failure that a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for makes no sense: an id map that overlaps, a name that is none.
    Invalid,
    /// The kernel has it, but this crate does not offer it.
    Unsupported,
    /// A system call failed, here or as a step of the child.
    Os(Errno),
    /// The program of a child could not be executed.
    Exec(Errno),
    /// The child was killed before it came to its program.
    Died,
    /// `newuidmap(1)` or `newgidmap(1)` refused, or is not there.
    Helper,
    /// Every id range of a pool is taken.
    Exhausted,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), hint: Hint::General }
    }

    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, what)
    }

    pub(crate) fn os(number: Errno, what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Os(number), what)
    }

    pub(crate) fn io(error: &std::io::Error, what: impl Into<String>) -> Self {
        Self::os(errno::from_io(error), what)
    }

    pub(crate) fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Hint::Given(hint);
        self
    }

    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What most likely causes this and how to mend it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self.hint {
            Hint::General => general_hint(self.kind),
            Hint::Given(hint) => Some(hint),
            Hint::None => None,
        }
    }
}

/// What an error number means wherever namespaces are made or entered.
fn general_hint(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Os(Errno::EPERM | Errno::EACCES) => Some(
            "the host may forbid unprivileged user namespaces: see kernel.unprivileged_userns_clone, \
             kernel.apparmor_restrict_unprivileged_userns and user.max_user_namespaces; in a chroot nobody may \
             make one; or run as root",
        ),
        ErrorKind::Os(Errno::ENOSPC | Errno::EUSERS) => {
            Some("a limit of namespaces is reached: raise user.max_*_namespaces (namespaces(7))")
        }
        ErrorKind::Os(Errno::ENOSYS) => {
            Some("the call is hidden, mostly by the seccomp filter of a container around this one")
        }
        ErrorKind::Os(Errno::EBUSY | Errno::EOPNOTSUPP) => {
            Some("the cgroup takes no processes: it has controllers enabled for its children")
        }
        ErrorKind::Os(Errno::EMFILE) => Some("raise RLIMIT_NOFILE (ulimit -n)"),
        ErrorKind::Exec(Errno::ENOENT) => {
            Some("the program, its interpreter or its loader is not there (PATH is that of the child)")
        }
        ErrorKind::Exec(Errno::EACCES) => {
            Some("it must be an executable file for the child's user, on a mount without noexec")
        }
        ErrorKind::Died => {
            Some("look for the OOM killer in the kernel's log and in memory.events of its cgroup")
        }
        _ => None,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let ErrorKind::Os(number) | ErrorKind::Exec(number) = self.kind {
            write!(f, ": {}", errno::describe(number))?;
        }
        match self.hint() {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<Failure> for Error {
    /// The child's report: the step that failed and the kernel's answer.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Clone { namespaces, errno } if namespaces.is_empty() => {
                Self::os(errno, "make a process (clone3)")
            }
            Failure::Clone { namespaces, errno } => {
                Self::os(errno, format!("make a process with new {namespaces} namespaces (clone3)"))
            }
            Failure::Step { about, step, errno } => {
                let mut error = Self::os(errno, format!("{about} [{step}]"));
                // Steps of other crates, and writes, have other reasons for the same numbers.
                if !["Fork", "Unshare", "JoinNamespace"].iter().any(|call| step.starts_with(call)) {
                    error.hint = Hint::None;
                }
                if step.starts_with("TimeOffsets") && errno == Errno::ERANGE {
                    return error.with_hint("a clock would be below zero or more than 146 years ahead");
                }
                error
            }
            Failure::Exec { program, errno } => {
                Self::new(ErrorKind::Exec(errno), format!("execute {}", program.to_string_lossy()))
            }
            Failure::Died(_) => Self::new(ErrorKind::Died, failure.to_string()),
            other => match other.errno() {
                // The number is in the text already, and would come twice.
                Some(number) => {
                    let text = other.to_string();
                    let end = errno::describe(number);
                    let what = text.strip_suffix(&end).and_then(|text| text.strip_suffix(": "));
                    Self::os(number, what.unwrap_or(&text))
                }
                None => Self::new(ErrorKind::Died, other.to_string()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_sys::clone::Namespaces;

    #[test]
    fn a_failure_is_told_once_with_its_remedy() {
        let namespaces = Namespaces::USER | Namespaces::PID;
        let step = |step: &str| {
            let (about, step) = ("write".to_owned(), step.to_owned());
            Error::from(Failure::Step { about, step, errno: Errno::EACCES })
        };
        assert_eq!(step("Write { .. }").hint(), None);
        assert!(step("Unshare(USER)").hint().is_some());
        let error = Error::from(Failure::Clone { namespaces, errno: Errno::ENOSPC });
        assert_eq!(
            error.to_string(),
            "make a process with new pid, user namespaces (clone3): ENOSPC (No space left on device); \
             a limit of namespaces is reached: raise user.max_*_namespaces (namespaces(7))"
        );
        let error = Error::from(Failure::Parent(Errno::EMFILE));
        assert_eq!(
            error.to_string(),
            "speak with the child: EMFILE (Too many open files); raise RLIMIT_NOFILE (ulimit -n)"
        );
        let exec = Failure::Exec { program: c"/no".into(), errno: Errno::ENOENT };
        assert_eq!(Error::from(exec).kind(), ErrorKind::Exec(Errno::ENOENT));
    }
}
