//! Rules in the words that other formats have: an argument is compared once in a rule, in masked bits.

use crate::{Compare, Condition, Error, ErrorKind, Profile, Rule, Width};

impl Profile {
    /// Rules that allow what this profile's rules allow, with at most one comparison of an argument in each, and that one
    /// [`Compare::MaskedEq`] of [`Width::Whole`].
    ///
    /// This is what libseccomp and the OCI specification can say. Where several rules hold, they leave open which one
    /// decides: so a conditional rule must allow, and one that holds always and stands behind those is left out; the
    /// [`default`](Self::default) answers in its place.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] with the rule's number when it has another condition than equality, masked equality, or
    /// several values that an argument must not have.
    pub fn masked_rules(&self) -> Result<Vec<Rule>, Error> {
        let mut found = Vec::new();
        for (number, rule) in self.rules.iter().enumerate() {
            if rule.conditions.is_empty() {
                found.push(rule.clone());
                continue;
            }
            let cannot = || {
                Error::new(
                    ErrorKind::Profile,
                    format!("rule {number}: masked comparisons cannot say its conditions"),
                )
            };
            let alternatives = alternatives(&rule.conditions).ok_or_else(cannot)?;
            if alternatives.iter().any(Vec::is_empty) {
                // Holds always.
                continue;
            }
            if !rule.answer.lets_pass() {
                return Err(cannot());
            }
            found.extend(alternatives.into_iter().map(|conditions| Rule { conditions, ..rule.clone() }));
        }
        Ok(found)
    }
}

/// The conditions of the rules that together hold where all of these do.
fn alternatives(conditions: &[Condition]) -> Option<Vec<Vec<Condition>>> {
    let mut found: Vec<Vec<Condition>> = vec![Vec::new()];
    let mut arguments: Vec<u8> = conditions.iter().map(|condition| condition.argument).collect();
    arguments.sort_unstable();
    arguments.dedup();
    for argument in arguments {
        let of_it: Vec<&Condition> =
            conditions.iter().filter(|condition| condition.argument == argument).collect();
        let compares = masks(&of_it)?;
        let each = |rest: &Vec<Condition>| -> Vec<Vec<Condition>> {
            let with = |compare: &Option<Compare>| {
                let added = compare.map(|compare| Condition { argument, width: Width::Whole, compare });
                rest.iter().copied().chain(added).collect()
            };
            compares.iter().map(with).collect()
        };
        found = found.iter().flat_map(each).collect();
    }
    Some(found)
}

/// The comparisons of which one holds where all of these do; none where every value will do.
fn masks(conditions: &[&Condition]) -> Option<Vec<Option<Compare>>> {
    let width = conditions.first()?.width;
    let (size, bits) = if width == Width::Low { (32, u64::from(u32::MAX)) } else { (64, u64::MAX) };
    let masked = |mask: u64, value: u64| {
        let mask = mask & bits;
        (mask != 0).then_some(Compare::MaskedEq { mask, value: value & mask })
    };
    if let [condition] = conditions {
        match condition.compare {
            Compare::Eq(value) => return Some(vec![masked(bits, value)]),
            Compare::MaskedEq { mask, value } => return Some(vec![masked(mask, value)]),
            _ => {}
        }
    }
    let point = |condition: &&Condition| match condition.compare {
        Compare::Ne(value) if condition.width == width => Some(value & bits),
        _ => None,
    };
    let points = conditions.iter().map(point).collect::<Option<Vec<u64>>>()?;
    let mut found = Vec::new();
    others(&points, 0, 0, size, &mut |mask, value| found.push(masked(mask, value)));
    Some(found)
}

/// All values that begin with these bits but the points, as the fewest beginnings; `left` bits are not looked at yet.
fn others(points: &[u64], mask: u64, value: u64, left: u32, found: &mut impl FnMut(u64, u64)) {
    if !points.iter().any(|point| point & mask == value) {
        found(mask, value);
    } else if let Some(left) = left.checked_sub(1) {
        let bit = 1u64 << left;
        others(points, mask | bit, value, left, found);
        others(points, mask | bit, value | bit, left, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, Arch};
    use cofferdam_sys::seccomp::CallData;
    use proptest::prelude::*;

    fn profiles() -> (Profile, Profile) {
        let profile = Profile { architectures: vec![Arch::X86_64], ..Profile::hardened() };
        let rules = profile.masked_rules().unwrap();
        (profile.clone(), Profile { rules, ..profile })
    }

    fn allows(profile: &Profile, name: &str, arguments: [u64; 6]) -> bool {
        let number = Arch::X86_64.number(name).unwrap().cast_signed();
        let call = CallData { number, arch: Arch::X86_64.audit(), arguments, ..CallData::default() };
        profile.answer(&call).unwrap() == Answer::Allow
    }

    fn argument() -> impl Strategy<Value = u64> {
        let near = prop::sample::select(vec![
            0u64,
            1,
            2,
            8,
            10,
            16,
            0x80,
            0x5412,
            0x541c,
            0x541d,
            0x5423,
            0x2_0000,
            0x7e02_0000,
        ]);
        let bent = (near, 0u64..3, prop_oneof![Just(0u64), Just(1 << 32), Just(1 << 63), Just(1 << 15)]);
        prop_oneof![
            bent.prop_map(|(value, more, bit)| (value + more) ^ bit),
            any::<u64>(),
            any::<u32>().prop_map(u64::from)
        ]
    }

    proptest! {
        #[test]
        fn they_allow_what_the_hardened_profile_allows(
            name in prop::sample::select(vec![
                "socket", "socketpair", "clone", "unshare", "ioctl", "personality", "mknod", "mknodat", "read", "mount",
            ]),
            first in argument(), second in argument(), third in argument(),
        ) {
            let (profile, masked) = profiles();
            let arguments = [first, second, third, 0, 0, 0];
            prop_assert_eq!(allows(&masked, name, arguments), allows(&profile, name, arguments), "{} {:x?}", name, arguments);
        }
    }

    #[test]
    fn each_refused_request_is_refused_and_its_neighbours_are_not() {
        let (_, masked) = profiles();
        for point in [0x5412u64, 0x541c, 0x541d, 0x5423] {
            for high in [0, 1 << 32, u64::MAX << 32] {
                assert!(!allows(&masked, "ioctl", [0, point | high, 0, 0, 0, 0]), "{point:x} {high:x}");
            }
        }
        for point in [0x5411u64, 0x5413, 0x541b, 0x541e, 0x5422, 0x5424, 0x1_0000_0000 | 0x5401] {
            assert!(allows(&masked, "ioctl", [0, point, 0, 0, 0, 0]), "{point:x}");
        }
    }

    #[test]
    fn an_argument_is_compared_once_in_all_its_bits() {
        let (_, masked) = profiles();
        for rule in &masked.rules {
            let mut arguments: Vec<u8> = rule.conditions.iter().map(|condition| condition.argument).collect();
            arguments.dedup();
            assert_eq!(arguments.len(), rule.conditions.len(), "{rule:?}");
            let said = |condition: &Condition| {
                condition.width == Width::Whole
                    && matches!(condition.compare, Compare::MaskedEq { mask, .. } if mask != 0)
            };
            assert!(rule.conditions.iter().all(said), "{rule:?}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        let below = Condition { argument: 0, width: Width::Low, compare: Compare::Lt(5) };
        let one = Condition { argument: 0, width: Width::Low, compare: Compare::Eq(5) };
        for (answer, conditions) in
            [(Answer::Allow, &[below][..]), (Answer::Allow, &[one, below]), (Answer::Errno(1), &[one])]
        {
            let profile = Profile::new(Answer::Errno(1)).rule_if(answer, &["read"], conditions);
            assert_eq!(profile.masked_rules().unwrap_err().kind(), ErrorKind::Profile, "{conditions:?}");
        }
    }
}
