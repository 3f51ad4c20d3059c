//! The steps that give a child its ids and capabilities.

use cofferdam_sys::cred::CapSets;
use cofferdam_sys::plan::{Plan, Step};

use crate::{Cap, CapSet, Error, ErrorKind, Sets};

/// The ids of a child, as its user namespace numbers them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ids {
    /// User id: real, effective and saved.
    pub uid: u32,
    /// Group id: real, effective and saved.
    pub gid: u32,
    /// Supplementary groups; an empty list drops those of the parent.
    pub groups: Vec<u32>,
    /// Whether to set the supplementary groups; not where the user namespace denies `setgroups(2)`.
    pub set_groups: bool,
}

impl Sets {
    /// Adds the steps that give a child these sets and ids, as they are just before `execve(2)`.
    ///
    /// The order: capabilities survive the change of user, the bounding set shrinks while `CAP_SETPCAP`
    /// is effective, groups, group, user, the three sets, the ambient set, and `no_new_privs` last.
    /// A seccomp filter without `no_new_privs` needs `CAP_SYS_ADMIN` and belongs before these steps; with
    /// it, behind them.
    ///
    /// `last` is [`crate::last_cap()`]: what is above it does not exist and cannot be dropped. The child
    /// must be able to give what is asked for; see [`Sets::beyond`].
    ///
    /// # Errors
    /// [`ErrorKind::Impossible`] as [`Sets::validate`], or for groups that are not to be set;
    /// [`ErrorKind::NotInKernel`] with the capabilities that are above `last`.
    pub fn lower(&self, ids: &Ids, no_new_privs: bool, last: Cap, plan: &mut Plan) -> Result<(), Error> {
        self.validate()?;
        let known = CapSet::up_to(last);
        let absent = self.all().difference(known);
        if !absent.is_empty() {
            let what = format!("the running kernel has no {absent}: its last capability is {last}");
            return Err(Error::new(ErrorKind::NotInKernel, what).with_hint("leave it out"));
        }
        if !ids.set_groups && !ids.groups.is_empty() {
            let what = format!("supplementary groups {:?} are asked for and not to be set", ids.groups);
            return Err(Error::new(ErrorKind::Impossible, what)
                .with_hint("map the groups in the user namespace, or ask for none"));
        }

        if ids.uid != 0 {
            plan.push("keep capabilities when the user changes", Step::KeepCapabilities(true));
        }
        for cap in known.difference(self.bounding).iter() {
            plan.push(format!("drop {cap} from the bounding set"), Step::DropBounding(cap.number()));
        }
        if ids.set_groups {
            plan.push("set the supplementary groups", Step::Groups(ids.groups.clone()));
        }
        plan.push(format!("become group {}", ids.gid), Step::Gid(ids.gid));
        plan.push(format!("become user {}", ids.uid), Step::Uid(ids.uid));
        let three = CapSets {
            effective: self.effective.bits(),
            permitted: self.permitted.bits(),
            inheritable: self.inheritable.bits(),
        };
        plan.push(format!("keep only the capabilities {}", self.permitted), Step::Capabilities(three));
        plan.push("clear the ambient set", Step::ClearAmbient);
        for cap in self.ambient.iter() {
            plan.push(format!("raise {cap} in the ambient set"), Step::RaiseAmbient(cap.number()));
        }
        if no_new_privs {
            plan.push("gain no privileges from now on", Step::NoNewPrivileges);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_sys::plan::Exec;

    fn lowered(sets: &Sets, ids: &Ids, no_new_privs: bool, last: Cap) -> Result<String, Error> {
        let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
        sets.lower(ids, no_new_privs, last, &mut plan)?;
        let steps = plan.entries().iter().map(|entry| format!("{:?}", entry.step));
        Ok(steps.filter(|step| !step.starts_with("DropB")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_order_is_the_one_that_works() {
        let kill: CapSet = Cap::KILL.into();
        let sets = Sets { inheritable: kill, ambient: kill, ..Sets::rooted(kill) };
        let ids = Ids { uid: 7, gid: 8, groups: vec![9], set_groups: true };
        assert_eq!(
            lowered(&sets, &ids, true, Cap::LAST_NAMED).unwrap(),
            "KeepCapabilities(true) Groups([9]) Gid(8) Uid(7) \
             Capabilities(CapSets { effective: 32, permitted: 32, inheritable: 32 }) \
             ClearAmbient RaiseAmbient(5) NoNewPrivileges"
        );
        let root = Ids::default();
        assert_eq!(
            lowered(&Sets::default(), &root, false, Cap::LAST_NAMED).unwrap(),
            "Gid(0) Uid(0) Capabilities(CapSets { effective: 0, permitted: 0, inheritable: 0 }) ClearAmbient"
        );
    }

    #[test]
    fn what_is_not_wanted_is_dropped_and_no_more() {
        let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
        let last = Cap::AUDIT_READ;
        Sets::rooted(CapSet::HARDENED).lower(&Ids::default(), true, last, &mut plan).unwrap();
        let dropped: CapSet = plan
            .entries()
            .iter()
            .filter_map(|entry| match entry.step {
                Step::DropBounding(number) => Cap::from_number(number),
                _ => None,
            })
            .collect();
        assert_eq!(dropped, CapSet::up_to(last) - CapSet::HARDENED);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let bpf = Sets::rooted(Cap::BPF.into());
        let error = lowered(&bpf, &Ids::default(), true, Cap::AUDIT_READ).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotInKernel);
        assert!(error.to_string().contains("no CAP_BPF: its last capability is CAP_AUDIT_READ"), "{error}");
        let groups = Ids { groups: vec![1], ..Ids::default() };
        let error = lowered(&Sets::default(), &groups, true, Cap::LAST_NAMED).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Impossible);
    }
}
