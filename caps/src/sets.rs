//! The five sets of a thread together, and the rules between them.

use cofferdam_sys::{Errno, cred};

use crate::{CapSet, Error, ErrorKind, last_cap};

/// The five capability sets of a thread (`capabilities(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sets {
    /// What the kernel checks.
    pub effective: CapSet,
    /// What may be made effective.
    pub permitted: CapSet,
    /// What a program with inheritable file capabilities keeps across `execve(2)`.
    pub inheritable: CapSet,
    /// What `execve(2)` can give at most.
    pub bounding: CapSet,
    /// What an ordinary program keeps across `execve(2)`.
    pub ambient: CapSet,
}

impl Sets {
    /// The same capabilities effective, permitted and in the bounding set, none inheritable or ambient.
    ///
    /// What a container's root gets; with an empty inheritable set a program with file capabilities
    /// gains nothing from its parent.
    pub const fn rooted(caps: CapSet) -> Self {
        Self {
            effective: caps,
            permitted: caps,
            inheritable: CapSet::EMPTY,
            bounding: caps,
            ambient: CapSet::EMPTY,
        }
    }

    /// The calling thread's.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] where a seccomp filter refuses the questions.
    pub fn current() -> Result<Self, Error> {
        let failed = |call: &str| {
            let what = format!("read the calling thread's capabilities ({call})");
            move |errno: Errno| Error::new(ErrorKind::Os(errno), what)
        };
        let three = cred::capget(0).map_err(failed("capget"))?;
        let mut sets = Self {
            effective: CapSet::from_bits(three.effective),
            permitted: CapSet::from_bits(three.permitted),
            inheritable: CapSet::from_bits(three.inheritable),
            ..Self::default()
        };
        // The kernel keeps the ambient set within these two: what is not in both need not be asked for.
        let possible = sets.permitted & sets.inheritable;
        for cap in CapSet::up_to(last_cap()?).iter() {
            if cred::bounding_has(cap.number()).map_err(failed("prctl PR_CAPBSET_READ"))? {
                sets.bounding = sets.bounding.with(cap);
            }
            if possible.contains(cap)
                && cred::ambient_has(cap.number()).map_err(failed("prctl PR_CAP_AMBIENT_IS_SET"))?
            {
                sets.ambient = sets.ambient.with(cap);
            }
        }
        Ok(sets)
    }

    /// Every capability that any of the sets holds.
    pub const fn all(&self) -> CapSet {
        self.effective.union(self.permitted).union(self.inheritable).union(self.bounding).union(self.ambient)
    }

    /// The sets with only those members that `caps` has too.
    #[must_use]
    pub const fn restricted_to(&self, caps: CapSet) -> Self {
        Self {
            effective: self.effective.intersection(caps),
            permitted: self.permitted.intersection(caps),
            inheritable: self.inheritable.intersection(caps),
            bounding: self.bounding.intersection(caps),
            ambient: self.ambient.intersection(caps),
        }
    }

    /// What is asked for and cannot be given from these sets: nothing outside a bounding set comes back,
    /// and nothing that is not permitted becomes so.
    ///
    /// Of interest for a child in its parent's user namespace; a new one starts with all capabilities.
    #[must_use = "these capabilities will not be there"]
    pub const fn beyond(&self, parent: &Sets) -> CapSet {
        let bounded = self.bounding.union(self.inheritable).difference(parent.bounding);
        let permitted = self.permitted.difference(parent.permitted);
        bounded.union(permitted)
    }

    /// Checks that a thread can be given these sets, if it has all capabilities now.
    ///
    /// One that got its inheritable set first and lost the bounding set later may have an inheritable
    /// capability that is not bounded; such sets are not for [`Sets::lower`], but [`Sets::apply`] takes them.
    ///
    /// # Errors
    /// [`ErrorKind::Impossible`] that names the set, the capabilities in it that break a rule of
    /// `capabilities(7)`, and the set that they miss in.
    pub fn validate(&self) -> Result<(), Error> {
        self.validate_three()?;
        // capset(2) refuses new inheritable capabilities outside the bounding set.
        Self::within(&[("inheritable", self.inheritable, "bounding", self.bounding)])
    }

    /// The rules that hold for every thread at every time.
    pub(crate) fn validate_three(&self) -> Result<(), Error> {
        Self::within(&[
            ("effective", self.effective, "permitted", self.permitted),
            ("ambient", self.ambient, "permitted", self.permitted),
            ("ambient", self.ambient, "inheritable", self.inheritable),
        ])
    }

    fn within(rules: &[(&str, CapSet, &str, CapSet)]) -> Result<(), Error> {
        for &(name, set, within, outer) in rules {
            let stray = set.difference(outer);
            if !stray.is_empty() {
                let what = format!("the {name} set has {stray}, which the {within} set has not");
                let hint = format!("add it to the {within} set or take it out of the {name} set");
                return Err(Error::new(ErrorKind::Impossible, what).with_hint(hint));
            }
        }
        Ok(())
    }

    /// What `execve(2)` of a program without file capabilities and set-id bits makes of these sets.
    ///
    /// `root` is whether the real and effective user id are 0 in the thread's user namespace, with no
    /// secure bits set. With `no_new_privs` root gains nothing from its bounding set.
    #[must_use]
    pub const fn after_execve(&self, root: bool, no_new_privs: bool) -> Self {
        if !root {
            return Self { effective: self.ambient, permitted: self.ambient, ..*self };
        }
        let mut permitted = self.bounding.union(self.inheritable).union(self.ambient);
        if no_new_privs {
            permitted = permitted.intersection(self.permitted);
        }
        Self { effective: permitted, permitted, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cap;
    use proptest::prelude::*;

    fn set(text: &str) -> CapSet {
        text.parse().unwrap()
    }

    #[test]
    fn impossible_sets_are_named() {
        let mut sets = Sets { permitted: set("KILL"), effective: set("KILL,CHOWN"), ..Sets::default() };
        let error = sets.validate().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Impossible);
        assert_eq!(
            error.to_string(),
            "the effective set has CAP_CHOWN, which the permitted set has not; \
             add it to the permitted set or take it out of the effective set"
        );
        sets.effective = set("KILL");
        sets.validate().unwrap();
        sets.ambient = set("KILL");
        assert!(sets.validate().unwrap_err().to_string().contains("which the inheritable set has not"));
        sets.inheritable = set("KILL");
        assert!(sets.validate().unwrap_err().to_string().contains("which the bounding set has not"));
        sets.bounding = set("KILL");
        sets.validate().unwrap();
    }

    #[test]
    fn what_the_parent_lacks_is_told() {
        let parent = Sets::rooted(set("KILL,CHOWN"));
        assert_eq!(Sets::rooted(set("KILL")).beyond(&parent), CapSet::EMPTY);
        assert_eq!(Sets::rooted(set("KILL,BPF")).beyond(&parent), Cap::BPF.into());
        // Each of the two ways alone.
        let bounded = Sets { bounding: set("BPF"), ..Sets::default() };
        assert_eq!(bounded.beyond(&parent), Cap::BPF.into());
        let permitted = Sets { permitted: set("BPF"), ..Sets::default() };
        assert_eq!(permitted.beyond(&parent), Cap::BPF.into());
    }

    #[test]
    fn current_agrees_with_procfs() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            CapSet::from_bits(u64::from_str_radix(line.trim(), 16).unwrap())
        };
        let expected = Sets {
            effective: field("CapEff:"),
            permitted: field("CapPrm:"),
            inheritable: field("CapInh:"),
            bounding: field("CapBnd:"),
            ambient: field("CapAmb:"),
        };
        assert_eq!(Sets::current().unwrap(), expected);
    }

    fn any_sets() -> impl Strategy<Value = Sets> {
        any::<[u64; 5]>().prop_map(|[e, p, i, b, a]| {
            let set = |bits: u64| CapSet::from_bits(bits) & CapSet::ALL;
            Sets {
                effective: set(e),
                permitted: set(p),
                inheritable: set(i),
                bounding: set(b),
                ambient: set(a),
            }
        })
    }

    proptest! {
        #[test]
        fn possible_sets_stay_possible_across_exec(sets in any_sets(), root: bool, no_new_privs: bool) {
            // Random sets are hardly ever possible: cut them down to what the rules allow.
            let inheritable = sets.inheritable & sets.bounding;
            let sets = Sets {
                inheritable,
                effective: sets.effective & sets.permitted,
                ambient: sets.ambient & sets.permitted & inheritable,
                ..sets
            };
            sets.validate().unwrap();
            let after = sets.after_execve(root, no_new_privs);
            let uids = cofferdam_sys::cred::Quad::all(u32::from(!root));
            let thread = crate::Credentials { uids, sets, no_new_privs, ..crate::Credentials::default() };
            prop_assert_eq!(thread.execve(&crate::Program::PLAIN, crate::Rules::LINUX_5_10).unwrap().sets, after);
            after.validate().unwrap();
            if no_new_privs {
                prop_assert!(after.permitted.is_subset(sets.permitted));
            }
            if !root {
                prop_assert_eq!(after.effective, sets.ambient);
            }
        }

        #[test]
        fn what_is_restricted_asks_for_no_more(sets in any_sets(), bits in any::<u64>()) {
            let limit = CapSet::from_bits(bits);
            prop_assert!(sets.restricted_to(limit).all().is_subset(limit));
            prop_assert!(sets.restricted_to(limit).beyond(&Sets::rooted(limit)).is_empty());
        }
    }
}
