//! Which namespaces a child gets anew, which it joins, and making it.

use std::os::fd::{AsFd, BorrowedFd};

use cofferdam_sys::clone::{self, Namespaces};
use cofferdam_sys::plan::{Plan, Step};
use cofferdam_sys::spawn::{self, Request, Spawning};

use crate::{Error, ErrorKind, IdMaps, Namespace, NsKind};

/// The namespaces of a child.
#[derive(Debug, Default)]
pub struct Isolation {
    /// Those that it gets anew.
    pub new: Namespaces,
    /// Those that it joins: cgroup, IPC, network, PID and UTS.
    pub join: Vec<Namespace>,
    /// The maps of a new user namespace.
    pub ids: Option<IdMaps>,
}

impl Isolation {
    /// Checks that the parts fit together.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a kind that is both new and joined or for maps without a user namespace;
    /// [`ErrorKind::Unsupported`] for joining a user, mount or time namespace.
    pub fn validate(&self) -> Result<(), Error> {
        for namespace in &self.join {
            let kind = namespace.kind();
            if self.new.contains(kind.flag()) {
                let what = format!("the {kind} namespace is to be new and joined at once");
                return Err(Error::new(ErrorKind::Invalid, what));
            }
            if matches!(kind, NsKind::User | NsKind::Mount | NsKind::Time) {
                let what = format!("joining a {kind} namespace is not supported yet");
                return Err(Error::new(ErrorKind::Unsupported, what));
            }
        }
        match &self.ids {
            Some(_) if !self.new.contains(Namespaces::USER) => {
                Err(Error::new(ErrorKind::Invalid, "id maps need a new user namespace"))
            }
            Some(ids) => ids.validate(),
            None => Ok(()),
        }
    }

    /// Adds the child's first steps: wait until its ids are mapped, become root of a new user namespace,
    /// and enter the cgroup namespace.
    ///
    /// The cgroup namespace comes last: its root is the cgroup that the process is in, and `clone3` would
    /// take the parent's.
    pub fn lower(&self, plan: &mut Plan) {
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
    }

    /// Makes the child, born in `cgroup` when one is given.
    ///
    /// Joins are made by a thread of their own, which is the child's parent thread and ends here: the
    /// caller's namespaces never change, and the child joins with the caller's rights, before it enters a
    /// user namespace that has none.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] with the namespace that could not be joined, or the answer of `clone3(2)`.
    pub fn spawn<'plan>(
        &self,
        plan: &'plan Plan,
        cgroup: Option<BorrowedFd<'_>>,
    ) -> Result<Spawning<'plan>, Error> {
        self.validate()?;
        let namespaces = self.new.difference(Namespaces::CGROUP);
        let request = Request { namespaces, cgroup, ..Request::default() };
        if self.join.is_empty() {
            return make(plan, &request);
        }
        std::thread::scope(|scope| {
            let joined = || {
                for namespace in &self.join {
                    clone::setns(namespace.as_fd(), namespace.kind().flag()).map_err(|number| {
                        Error::new(ErrorKind::Os(number), format!("join the {} namespace", namespace.kind()))
                    })?;
                }
                make(plan, &request)
            };
            scope.spawn(joined).join().unwrap_or_else(|_| {
                Err(Error::new(
                    ErrorKind::Os(cofferdam_sys::Errno::EIO),
                    "join namespaces: the thread panicked",
                ))
            })
        })
    }

    /// Writes the id maps of a child that waits; nothing to do without a user namespace.
    ///
    /// # Errors
    /// As [`IdMaps::write`].
    pub fn map_ids(&self, pid: i32) -> Result<(), Error> {
        self.ids.as_ref().map_or(Ok(()), |ids| ids.write(pid))
    }
}

fn make<'plan>(plan: &'plan Plan, request: &Request<'_>) -> Result<Spawning<'plan>, Error> {
    spawn::spawn(plan, request).map_err(|failure| {
        let errno = failure.errno().unwrap_or(cofferdam_sys::Errno::EIO);
        Error::new(ErrorKind::Os(errno), failure.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IdMap;

    #[test]
    fn contradictions_are_refused() {
        let uts = || vec![Namespace::of_process(0, NsKind::Uts).unwrap()];
        let both = Isolation { new: Namespaces::UTS, join: uts(), ids: None };
        assert_eq!(both.validate().unwrap_err().kind(), ErrorKind::Invalid);
        let ids = Some(IdMaps { uid: vec![IdMap::new(0, 0, 1)], gid: vec![] });
        let no_user = Isolation { new: Namespaces::UTS, join: vec![], ids };
        assert_eq!(no_user.validate().unwrap_err().kind(), ErrorKind::Invalid);
        let mount = vec![Namespace::of_process(0, NsKind::Mount).unwrap()];
        let joined = Isolation { new: Namespaces::empty(), join: mount, ids: None };
        assert_eq!(joined.validate().unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn steps_begin_with_the_wait() {
        use cofferdam_sys::plan::Exec;
        let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
        let ids = Some(IdMaps { uid: vec![IdMap::new(0, 9, 1)], gid: vec![IdMap::new(1, 9, 1)] });
        Isolation { new: Namespaces::USER | Namespaces::CGROUP, join: vec![], ids }.lower(&mut plan);
        let about: Vec<_> = plan.entries().iter().map(|entry| &*entry.about).collect();
        let wanted =
            ["wait for the parent", "become user 0 of the user namespace", "make a cgroup namespace"];
        assert_eq!(about, wanted);
    }
}
