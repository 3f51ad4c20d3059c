//! Why a child did not come to execute its program.

use std::ffi::CString;
use std::fmt::{self, Write as _};

use crate::clone::Namespaces;
use crate::plan::Plan;
use crate::process::Exit;
use crate::record::{Detail, EXECVE, PRELUDE, Record};
use crate::{Errno, errno, signal};

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
    /// A program that a step ran did not end well.
    Program {
        /// What the step is for.
        about: String,
        /// How it ended; `None` when its time was over.
        exit: Option<Exit>,
        /// The beginning of what it wrote.
        output: String,
    },
    /// The child ended without a word: something killed it.
    Died(Exit),
    /// The parent's own calls on the child failed.
    Parent(Errno),
}

impl Failure {
    /// A record in words. The plan, where it is at hand, says more than the text of a record has room for.
    pub(super) fn of(record: &Record, plan: Option<&Plan>) -> Self {
        let errno = Errno::from_raw(record.errno);
        let text = record.text();
        match record.number {
            EXECVE => {
                let exec = plan.map(Plan::exec);
                let name = exec.and_then(|exec| exec.args.first().or(exec.candidates.first())).cloned();
                let program = name.or_else(|| CString::new(text).ok()).unwrap_or_default();
                return Failure::Exec { program, errno };
            }
            PRELUDE => return Failure::Prelude(errno),
            _ => {}
        }
        let number = usize::try_from(record.number).ok();
        let entry = plan.and_then(|plan| number.and_then(|number| plan.all().nth(number)));
        let (first, output) = text.split_once('\n').unwrap_or((&text, ""));
        let about = entry.map_or(first, |entry| &entry.about).to_owned();
        let output = output.trim_end().to_owned();
        match Detail::decode(record.detail) {
            Detail::None => {
                let step = entry.map_or_else(String::new, |entry| format!("{:?}", entry.step));
                Failure::Step { about, step, errno }
            }
            Detail::Ended(exit) => Failure::Program { about, exit: Some(exit), output },
            Detail::TimedOut => Failure::Program { about, exit: None, output },
        }
    }

    /// The kernel's answer, where there is one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Failure::Clone { errno, .. }
            | Failure::Cgroup(errno)
            | Failure::Prelude(errno)
            | Failure::Step { errno, .. }
            | Failure::Exec { errno, .. }
            | Failure::Parent(errno) => Some(*errno),
            Failure::Program { .. } | Failure::Died(_) => None,
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
            Failure::Step { about, step, errno } if step.is_empty() => {
                write!(f, "{about}: {}", errno::describe(*errno))
            }
            Failure::Step { about, step, errno } => {
                write!(f, "{about}: {} [{step}]", errno::describe(*errno))
            }
            Failure::Exec { program, errno } => {
                write!(f, "execute {}: {}", program.to_string_lossy(), errno::describe(*errno))
            }
            Failure::Program { about, exit, output } => {
                match exit {
                    Some(Exit::Code(code)) => write!(f, "{about}: exit status {code}")?,
                    Some(Exit::Signal(signal)) => {
                        write!(f, "{about}: killed by signal {}", signal::describe(*signal))?;
                    }
                    None => write!(f, "{about}: its time was over, it was killed")?,
                }
                if output.is_empty() {
                    return Ok(());
                }
                f.write_str(", it wrote: ")?;
                // One line, and otherwise what was written, which callers search.
                output.chars().try_for_each(|c| {
                    if c.is_control() { write!(f, "{}", c.escape_default()) } else { f.write_char(c) }
                })
            }
            Failure::Died(Exit::Signal(signal)) => {
                write!(f, "the child was killed by signal {}", signal::describe(*signal))
            }
            Failure::Died(Exit::Code(code)) => write!(f, "the child ended with status {code} before execve"),
            Failure::Parent(errno) => write!(f, "speak with the child: {}", errno::describe(*errno)),
        }
    }
}

impl std::error::Error for Failure {}
