//! Which namespaces a child gets anew, which it joins, and making it.

mod check;
mod order;

use std::os::fd::{AsFd, BorrowedFd};

use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::plan::{Plan, Step};
use cofferdam_sys::spawn::{self, Request, Spawning};

use crate::{Error, IdMaps, Mapping, Namespace, NamespaceLimits, Process, TimeOffsets};

/// The namespaces of a child.
///
/// ```text
/// join nothing:       clone3(new) ─▶ wait ─▶ ids ─▶ …
/// join and new:       clone3() ─▶ setns ─▶ fork(new) ─▶ wait ─▶ ids ─▶ …
/// join a PID ns:      clone3() ─▶ setns ─▶ fork() ─▶ wait ─▶ …
/// clocks:             clone3(new but PID) ─▶ unshare(TIME) ─▶ clocks ─▶ fork(PID) ─▶ wait ─▶ ids ─▶ …
/// ```
/// Each fork is made by the child and gives a child of the caller's; the one before it ends.
#[derive(Debug, Default)]
pub struct Isolation {
    /// Those that it gets anew.
    pub new: Namespaces,
    /// Those that it joins, by their files.
    ///
    /// The order does not matter: those that a joined user namespace owns are entered after it, the others before
    /// it, with the caller's rights.
    pub join: Vec<Namespace>,
    /// A process whose namespaces of these kinds it joins, in one call (`setns(2)` with a pidfd, Linux 5.8).
    ///
    /// The kernel refuses a user namespace that the caller is in already: see [`Process::foreign_namespaces`].
    pub join_process: Option<(Process, Namespaces)>,
    /// The maps of a new user namespace.
    pub ids: Option<IdMaps>,
    /// How they are written.
    pub mapping: Mapping,
    /// The clocks of a new time namespace.
    pub clocks: Option<TimeOffsets>,
    /// How many namespaces may be made inside a new user namespace.
    pub limits: NamespaceLimits,
    /// The signal that its end raises before `execve(2)`, see [`Request::exit_signal`].
    pub exit_signal: Option<i32>,
}

impl Isolation {
    /// Adds the child's first steps: join, set the clocks, wait until its ids are mapped, become root of a new
    /// user namespace, enter the cgroup namespace, limit what can be made inside.
    ///
    /// In a *joined* user namespace its ids stay what they are; a later step sets them.
    ///
    /// The cgroup namespace comes late: its root is the cgroup that the process is in, and `clone3` would take
    /// the parent's.
    pub fn lower(&self, plan: &mut Plan) {
        self.lower_joins(plan);
        if let Some(clocks) = &self.clocks {
            clocks.lower(plan);
            let pid = self.new.intersection(Namespaces::PID);
            plan.push("go on in the time namespace", Step::Fork(pid));
        }
        plan.push("wait for the parent", Step::WaitForParent);
        if let Some(ids) = &self.ids {
            // Before this the child's ids are the overflow ids, which own nothing.
            if ids.outside_gid(0).is_some() {
                plan.push("become group 0 of the user namespace", Step::Gid(0));
            }
            if ids.outside_uid(0).is_some() {
                plan.push("become user 0 of the user namespace", Step::Uid(0));
            }
        }
        if self.new.contains(Namespaces::CGROUP) {
            plan.push("make a cgroup namespace", Step::Unshare(Namespaces::CGROUP));
        }
        self.limits.lower(plan);
    }

    fn lower_joins(&self, plan: &mut Plan) {
        if !self.joins() {
            return;
        }
        for entry in order::steps(&self.join, self.join_process.as_ref()) {
            plan.push(entry.0, entry.1);
        }
        let born = self.born();
        if self.joined().contains(Namespaces::PID) || !born.is_empty() {
            plan.push("go on in the joined namespaces", Step::Fork(born));
        }
    }

    /// Makes the child, born in `cgroup` when one is given.
    ///
    /// The caller's namespaces never change: the child joins by itself, with the caller's rights.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] with the namespace that could not be joined, or the answer of `clone3(2)`.
    pub fn spawn<'plan>(
        &self,
        plan: &'plan Plan,
        cgroup: Option<BorrowedFd<'_>>,
    ) -> Result<Spawning<'plan>, Error> {
        self.validate()?;
        let namespaces = if self.joins() { Namespaces::empty() } else { self.born() };
        let request = Request { namespaces, cgroup, exit_signal: self.exit_signal };
        Ok(spawn::spawn(plan, &request)?)
    }

    /// Writes the id maps of a child that waits; nothing to do without a new user namespace.
    ///
    /// # Errors
    /// As [`IdMaps::write`].
    pub fn map_ids(&self, child: &Spawning<'_>) -> Result<(), Error> {
        let Some(ids) = &self.ids else { return Ok(()) };
        let gone = || Error::invalid("map ids: the child has ended");
        let pidfd = child.pidfd().ok_or_else(gone)?.as_fd().try_clone_to_owned();
        let pidfd = pidfd.map_err(|error| Error::io(&error, "duplicate a pidfd"))?;
        ids.write(&Process::new(child.pid(), pidfd)?, self.mapping)
    }

    fn joins(&self) -> bool {
        !self.joined().is_empty()
    }

    /// The kinds that are joined in either way.
    fn joined(&self) -> Namespaces {
        let files = self.join.iter().fold(Namespaces::empty(), |all, one| all | one.kind().flag());
        files | self.join_process.as_ref().map_or(Namespaces::empty(), |(_, kinds)| *kinds)
    }

    /// The namespaces that a clone makes, rather than a later step.
    fn born(&self) -> Namespaces {
        let later = if self.clocks.is_some() {
            // A process that is in its PID namespace as number 1 cannot fork a sibling into the time namespace.
            Namespaces::CGROUP | Namespaces::TIME | Namespaces::PID
        } else {
            Namespaces::CGROUP
        };
        self.new.difference(later)
    }
}

#[cfg(test)]
mod tests;
