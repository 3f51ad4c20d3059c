//! The processes and threads of a v2 cgroup: listing and moving them, and threaded cgroups.

use std::fmt;

use cofferdam_sys::Errno;

use crate::{Cgroup, Error, ErrorKind, Result};

/// What a cgroup is, as `cgroup.type` says (`cgroups(7)`, "Thread mode").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Type {
    /// `domain`: a usual one, of whole processes.
    Domain,
    /// `domain threaded`: the root of a threaded subtree; its processes' threads may live below it.
    DomainThreaded,
    /// `domain invalid`: below a threaded one and not threaded itself; it takes no processes.
    DomainInvalid,
    /// `threaded`: of single threads.
    Threaded,
}

impl Type {
    fn parse(text: &str) -> Result<Self> {
        match text.trim_end() {
            "domain" => Ok(Type::Domain),
            "domain threaded" => Ok(Type::DomainThreaded),
            "domain invalid" => Ok(Type::DomainInvalid),
            "threaded" => Ok(Type::Threaded),
            other => {
                let shown: String = other.chars().take(40).collect();
                let what = format!("cgroup.type: `{}` is no type", shown.escape_default());
                Err(Error::new(ErrorKind::Invalid, what))
            }
        }
    }
}

impl fmt::Display for Type {
    /// The words of `cgroup.type`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Domain => "domain",
            Type::DomainThreaded => "domain threaded",
            Type::DomainInvalid => "domain invalid",
            Type::Threaded => "threaded",
        })
    }
}

impl Cgroup {
    /// The processes in it, as the caller's PID namespace numbers them; 0 for one that it does not see.
    ///
    /// # Errors
    /// [`ErrorKind::System`] with `EOPNOTSUPP` for a threaded cgroup.
    pub fn procs(&self) -> Result<Vec<i32>> {
        self.files().ids("cgroup.procs")
    }

    /// The threads in it, numbered as in [`Cgroup::procs`].
    ///
    /// # Errors
    /// As reading `cgroup.threads`.
    pub fn threads(&self) -> Result<Vec<i32>> {
        self.files().ids("cgroup.threads")
    }

    /// Moves a process with all its threads into it; pid 0 is the caller.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when it passes controllers on to children; [`ErrorKind::System`] with `ESRCH`
    /// when there is no such process.
    pub fn add(&self, pid: i32) -> Result<()> {
        self.admit("cgroup.procs", pid)
    }

    /// Moves one thread into it, within its threaded subtree; tid 0 is the caller.
    ///
    /// # Errors
    /// [`ErrorKind::System`] with `EOPNOTSUPP` when it or the thread's cgroup is not threaded, or they have
    /// not the same threaded root; otherwise as [`Cgroup::add`].
    pub fn add_thread(&self, tid: i32) -> Result<()> {
        self.admit("cgroup.threads", tid)
    }

    fn admit(&self, file: &str, id: i32) -> Result<()> {
        self.files().write(file, &id.to_string()).map_err(|error| match error.errno() {
            Some(Errno::EBUSY) => error.with_hint(
                "it has controllers enabled for its children, so it takes no processes itself (\"no internal \
                 processes\", cgroups(7)): use a child",
            ),
            Some(Errno::EACCES) => error.with_hint(
                "the caller needs the right to write cgroup.procs here and in the common ancestor of this \
                 cgroup and the process's own",
            ),
            Some(Errno::ENOENT) => error.with_hint(
                "with nsdelegate, a process cannot be moved across the border of a cgroup namespace",
            ),
            _ => error,
        })
    }

    /// What it is: of processes, of threads, or neither. The root has no type and is a [`Type::Domain`].
    ///
    /// # Errors
    /// As reading `cgroup.type`; [`ErrorKind::Invalid`] for a word that is no type.
    pub fn cgroup_type(&self) -> Result<Type> {
        self.files().read_if_there("cgroup.type")?.map_or(Ok(Type::Domain), |text| Type::parse(&text))
    }

    /// Makes it threaded, which cannot be undone: its parent becomes the root of a threaded subtree, whose
    /// threads [`Cgroup::add_thread`] moves.
    ///
    /// # Errors
    /// [`ErrorKind::System`] with `EOPNOTSUPP` where that is not possible, as with controllers that know no
    /// threads (memory, io, hugetlb) enabled in the parent, or with processes in it.
    pub fn make_threaded(&self) -> Result<()> {
        self.files().write("cgroup.type", "threaded").map_err(|error| match error.errno() {
            Some(Errno::EOPNOTSUPP) => error.with_hint(
                "its parent has controllers enabled that know no threads, or it has processes (cgroups(7), \
                 \"Creating a threaded subtree\")",
            ),
            _ => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_and_printed() {
        for word in ["domain", "domain threaded", "domain invalid", "threaded"] {
            assert_eq!(Type::parse(&format!("{word}\n")).unwrap().to_string(), word);
        }
        assert_eq!(Type::parse("thread\n").unwrap_err().kind(), ErrorKind::Invalid);
    }
}
