//! The steps that give a child its ids and capabilities.

use cofferdam_sys::cred::{CapSets, Quad};
use cofferdam_sys::plan::{Plan, Step};

use crate::{Cap, CapSet, Credentials, Error, ErrorKind, Securebits, Sets};

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

/// What a child has just before `execve(2)`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Child {
    /// The five sets.
    pub sets: Sets,
    /// The ids.
    pub ids: Ids,
    /// The secure bits; `None` leaves those of the parent. [`Securebits::KEEP_CAPS`] ends with `execve(2)`.
    pub securebits: Option<Securebits>,
    /// Whether `execve(2)` gives no privileges from then on.
    pub no_new_privs: bool,
    /// The bounding set that the child begins with: what it lacks need not be dropped, which without
    /// `CAP_SETPCAP` is refused even then. `None` is every capability, as in a new user namespace.
    pub bounded: Option<CapSet>,
}

impl Child {
    /// Adds the steps that give a child these sets, ids and bits, as they are just before `execve(2)`.
    ///
    /// The order: capabilities survive the change of user, the bounding set shrinks while `CAP_SETPCAP`
    /// is effective, groups, group, user, the three sets, the ambient set, and `no_new_privs` last. Secure
    /// bits come behind the ambient set, which they may close, and keep `CAP_SETPCAP` for as long.
    /// A seccomp filter without `no_new_privs` needs `CAP_SYS_ADMIN` and belongs before these steps; with
    /// it, behind them.
    ///
    /// `last` is [`crate::last_cap()`]: what is above it does not exist and cannot be dropped. The child
    /// must be able to give what is asked for; see [`Sets::beyond`]. What the program will have is then
    /// [`Child::credentials`] after [`Credentials::execve`].
    ///
    /// # Errors
    /// [`ErrorKind::Impossible`] as [`Sets::validate`], or for groups that are not to be set;
    /// [`ErrorKind::NotInKernel`] with the capabilities that are above `last`; [`ErrorKind::OutOfReach`] with those
    /// of the bounding set that [`Child::bounded`] has not.
    pub fn lower(&self, last: Cap, plan: &mut Plan) -> Result<(), Error> {
        let Self { sets, ids, .. } = self;
        self.check(last)?;
        if ids.uid != 0 {
            plan.push("keep capabilities when the user changes", Step::KeepCapabilities(true));
        }
        let begins = CapSet::up_to(last).intersection(self.bounded.unwrap_or(CapSet::from_bits(u64::MAX)));
        for cap in begins.difference(sets.bounding).iter() {
            plan.push(cap.within("drop ", " from the bounding set"), Step::DropBounding(cap.number()));
        }
        if ids.set_groups {
            plan.push("set the supplementary groups", Step::Groups(ids.groups.clone()));
        }
        plan.push(format!("become group {}", ids.gid), Step::Gid(ids.gid));
        plan.push(format!("become user {}", ids.uid), Step::Uid(ids.uid));
        if self.securebits.is_some() {
            let setpcap = CapSet::from(Cap::SETPCAP);
            let three = three(setpcap, sets.permitted.union(setpcap), sets.inheritable);
            plan.push("keep CAP_SETPCAP for the secure bits", Step::Capabilities(three));
        } else {
            self.lower_three(plan);
        }
        plan.push("clear the ambient set", Step::ClearAmbient);
        for cap in sets.ambient.iter() {
            plan.push(format!("raise {cap} in the ambient set"), Step::RaiseAmbient(cap.number()));
        }
        if let Some(bits) = self.securebits {
            plan.push(format!("set the secure bits to {bits}"), Step::SecureBits(bits.bits()));
            self.lower_three(plan);
        }
        if self.no_new_privs {
            plan.push("gain no privileges from now on", Step::NoNewPrivileges);
        }
        Ok(())
    }

    /// The child as [`crate::transition`] sees it, just before `execve(2)`.
    ///
    /// `parent` is the thread that makes it, for what the child leaves as it is.
    pub fn credentials(&self, parent: &Credentials) -> Credentials {
        Credentials {
            uids: Quad::all(self.ids.uid),
            gids: Quad::all(self.ids.gid),
            groups: if self.ids.set_groups { self.ids.groups.clone() } else { parent.groups.clone() },
            sets: self.sets,
            securebits: self.securebits.unwrap_or(parent.securebits),
            no_new_privs: self.no_new_privs || parent.no_new_privs,
        }
    }

    fn lower_three(&self, plan: &mut Plan) {
        let sets = &self.sets;
        let three = three(sets.effective, sets.permitted, sets.inheritable);
        plan.push(format!("keep only the capabilities {}", sets.permitted), Step::Capabilities(three));
    }

    fn check(&self, last: Cap) -> Result<(), Error> {
        self.sets.validate()?;
        let absent = self.sets.all().difference(CapSet::up_to(last));
        if !absent.is_empty() {
            let what = format!("the running kernel has no {absent}: its last capability is {last}");
            return Err(Error::new(ErrorKind::NotInKernel, what).with_hint("leave it out"));
        }
        let beyond = self.sets.bounding.difference(self.bounded.unwrap_or(self.sets.bounding));
        if !beyond.is_empty() {
            let what = format!("the child's bounding set cannot have {beyond}: it begins without");
            return Err(Error::new(ErrorKind::OutOfReach, what)
                .with_hint("leave it out, or take a new user namespace"));
        }
        if !self.ids.set_groups && !self.ids.groups.is_empty() {
            let what = format!("supplementary groups {:?} are asked for and not to be set", self.ids.groups);
            return Err(Error::new(ErrorKind::Impossible, what)
                .with_hint("map the groups in the user namespace, or ask for none"));
        }
        Ok(())
    }
}

impl Sets {
    /// Adds the steps that give a child these sets and ids: [`Child::lower`] without secure bits.
    ///
    /// # Errors
    /// As [`Child::lower`].
    pub fn lower(&self, ids: &Ids, no_new_privs: bool, last: Cap, plan: &mut Plan) -> Result<(), Error> {
        let child = Child { sets: *self, ids: ids.clone(), no_new_privs, ..Child::default() };
        child.lower(last, plan)
    }
}

fn three(effective: CapSet, permitted: CapSet, inheritable: CapSet) -> CapSets {
    CapSets { effective: effective.bits(), permitted: permitted.bits(), inheritable: inheritable.bits() }
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
    fn secure_bits_are_set_while_that_is_possible() {
        let kill: CapSet = Cap::KILL.into();
        let child = Child {
            sets: Sets { inheritable: kill, ambient: kill, ..Sets::rooted(kill) },
            ids: Ids { uid: 7, ..Ids::default() },
            securebits: Some(Securebits::PURE),
            no_new_privs: true,
            ..Child::default()
        };
        let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
        child.lower(Cap::LAST_NAMED, &mut plan).unwrap();
        let steps: Vec<String> = plan.entries().iter().map(|entry| format!("{:?}", entry.step)).collect();
        let steps: Vec<&str> =
            steps.iter().filter(|step| !step.starts_with("DropB")).map(String::as_str).collect();
        assert_eq!(
            steps,
            [
                "KeepCapabilities(true)",
                "Gid(0)",
                "Uid(7)",
                "Capabilities(CapSets { effective: 256, permitted: 288, inheritable: 32 })",
                "ClearAmbient",
                "RaiseAmbient(5)",
                "SecureBits(239)",
                "Capabilities(CapSets { effective: 32, permitted: 32, inheritable: 32 })",
                "NoNewPrivileges",
            ]
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
    fn what_is_not_there_is_not_dropped() {
        let kill: CapSet = Cap::KILL.into();
        let child =
            Child { sets: Sets::rooted(kill), bounded: Some(kill.with(Cap::BPF)), ..Child::default() };
        let lowered = |child: &Child| {
            let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
            child.lower(Cap::LAST_NAMED, &mut plan)?;
            let dropped = plan.entries().iter().filter(|entry| matches!(entry.step, Step::DropBounding(_)));
            Ok(dropped.map(|entry| format!("{:?}", entry.step)).collect::<Vec<_>>())
        };
        assert_eq!(lowered(&child).unwrap(), ["DropBounding(39)"]);
        let error: Error = lowered(&Child { bounded: Some(Cap::BPF.into()), ..child }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfReach);
        assert!(error.to_string().contains("cannot have CAP_KILL: it begins without"), "{error}");
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
