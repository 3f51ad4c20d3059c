//! Why a child did not come to execute its program.

use std::ffi::CString;
use std::fmt;

use crate::clone::Namespaces;
use crate::process::Exit;
use crate::{Errno, errno};

/// Why a child did not come to execute its program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// There is no child: `clone3(2)`, or `clone(2)` where a filter hides the first, was refused.
    Clone {
        /// The namespaces that were asked for.
        namespaces: Namespaces,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The child could not be moved to its cgroup.
    Cgroup(Errno),
    /// What a child without `clone3(2)` does before its first step failed.
    Prelude(Errno),
    /// A step failed.
    Step {
        /// What the step is for.
        about: String,
        /// The step as data.
        step: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// `execve(2)` failed.
    Exec {
        /// The program.
        program: CString,
        /// The kernel's answer; as `execvp(3)`, `EACCES` is preferred over `ENOENT`.
        errno: Errno,
    },
    /// The child ended without a word: something killed it.
    Died(Exit),
    /// The parent's own calls on the child failed.
    Parent(Errno),
}

impl Failure {
    /// The kernel's answer, where there is one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Failure::Clone { errno, .. }
            | Failure::Cgroup(errno)
            | Failure::Prelude(errno)
            | Failure::Step { errno, .. }
            | Failure::Exec { errno, .. }
            | Failure::Parent(errno) => Some(*errno),
            Failure::Died(_) => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Clone { namespaces, errno } if namespaces.is_empty() => {
                write!(f, "clone3: {}", errno::describe(*errno))
            }
            Failure::Clone { namespaces, errno } => {
                write!(f, "clone3 with new {namespaces} namespaces: {}", errno::describe(*errno))
            }
            Failure::Cgroup(errno) => write!(f, "move the child to its cgroup: {}", errno::describe(*errno)),
            Failure::Prelude(errno) => {
                write!(f, "make a time namespace without clone3: {}", errno::describe(*errno))
            }
            Failure::Step { about, step, errno } => {
                write!(f, "{about}: {} [{step}]", errno::describe(*errno))
            }
            Failure::Exec { program, errno } => {
                write!(f, "execute {}: {}", program.to_string_lossy(), errno::describe(*errno))
            }
            Failure::Died(Exit::Signal(signal)) => write!(f, "the child was killed by signal {signal}"),
            Failure::Died(Exit::Code(code)) => write!(f, "the child ended with status {code} before execve"),
            Failure::Parent(errno) => write!(f, "speak with the child: {}", errno::describe(*errno)),
        }
    }
}

impl std::error::Error for Failure {}
