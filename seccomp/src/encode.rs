//! A profile as bytes, such that two profiles have the same bytes only if they are the same.

use crate::{Compare, Condition, Kernel, Profile, Unknown, Width};

/// What a compiled filter depends on: this crate, the architecture, what the kernel has, and the profile.
pub(crate) fn key(profile: &Profile, kernel: &Kernel) -> Vec<u8> {
    let mut bytes = Vec::new();
    text(&mut bytes, env!("CARGO_PKG_VERSION"));
    text(&mut bytes, std::env::consts::ARCH);
    list(&mut bytes, &kernel.actions, |bytes, action| word(bytes, action.value()));
    word(&mut bytes, kernel.flags.bits());
    list(&mut bytes, &profile.architectures, |bytes, arch| text(bytes, &arch.to_string()));
    word(&mut bytes, profile.default.value());
    word(&mut bytes, profile.bad_arch.value());
    match profile.newer {
        Some(answer) => {
            word(&mut bytes, 1);
            word(&mut bytes, answer.value());
        }
        None => word(&mut bytes, 0),
    }
    word(&mut bytes, profile.flags.bits());
    word(&mut bytes, u32::from(profile.unknown == Unknown::Refuse));
    list(&mut bytes, &profile.rules, |bytes, rule| {
        list(bytes, &rule.names, |bytes, name| text(bytes, name));
        word(bytes, rule.answer.value());
        list(bytes, &rule.conditions, condition);
    });
    bytes
}

fn condition(bytes: &mut Vec<u8>, condition: &Condition) {
    let (operation, mask, value) = match condition.compare {
        Compare::Ne(value) => (0, 0, value),
        Compare::Lt(value) => (1, 0, value),
        Compare::Le(value) => (2, 0, value),
        Compare::Eq(value) => (3, 0, value),
        Compare::Ge(value) => (4, 0, value),
        Compare::Gt(value) => (5, 0, value),
        Compare::MaskedEq { mask, value } => (6, mask, value),
    };
    bytes.extend([condition.argument, u8::from(condition.width == Width::Low), operation]);
    bytes.extend(mask.to_le_bytes());
    bytes.extend(value.to_le_bytes());
}

fn word(bytes: &mut Vec<u8>, word: u32) {
    bytes.extend(word.to_le_bytes());
}

fn length(bytes: &mut Vec<u8>, length: usize) {
    bytes.extend(u64::try_from(length).unwrap_or(u64::MAX).to_le_bytes());
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    length(bytes, text.len());
    bytes.extend(text.as_bytes());
}

fn list<T>(bytes: &mut Vec<u8>, list: &[T], mut one: impl FnMut(&mut Vec<u8>, &T)) {
    length(bytes, list.len());
    for item in list {
        one(bytes, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Answer, Arch, FilterFlags};

    #[test]
    fn each_difference_makes_another_key() {
        let kernel = Kernel { actions: vec![Action::Allow], flags: FilterFlags::empty() };
        let base = || Profile::new(Answer::Errno(1)).rule(Answer::Allow, &["read", "write"]);
        let with = |condition| base().rule_if(Answer::Allow, &["open"], &[condition]);
        let profiles = [
            base(),
            Profile::new(Answer::Errno(1)).rule(Answer::Allow, &["read"]).rule(Answer::Allow, &["write"]),
            Profile::new(Answer::Errno(1)).rule(Answer::Allow, &["readwrite"]),
            base().rule(Answer::Log, &["open"]),
            base().rule(Answer::Allow, &["open"]),
            Profile { architectures: vec![Arch::X86], ..base() },
            Profile { bad_arch: Answer::KillProcess, ..base() },
            Profile { newer: None, ..base() },
            Profile { newer: Some(Answer::Allow), ..base() },
            Profile { default: Answer::Errno(2), ..base() },
            Profile { flags: FilterFlags::LOG, ..base() },
            Profile { unknown: Unknown::Refuse, ..base() },
            with(Condition::whole(0, Compare::Eq(1))),
            with(Condition::low(0, Compare::Eq(1))),
            with(Condition::whole(1, Compare::Eq(1))),
            with(Condition::whole(0, Compare::Ne(1))),
            with(Condition::whole(0, Compare::Eq(2))),
            with(Condition::whole(0, Compare::MaskedEq { mask: 1, value: 1 })),
            with(Condition::whole(0, Compare::MaskedEq { mask: 2, value: 1 })),
        ];
        let mut keys: Vec<Vec<u8>> = profiles.iter().map(|profile| key(profile, &kernel)).collect();
        keys.push(key(&base(), &Kernel { actions: vec![], ..kernel.clone() }));
        keys.push(key(&base(), &Kernel { flags: FilterFlags::LOG, ..kernel.clone() }));
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
        assert_eq!(key(&base(), &kernel), key(&base(), &kernel));
    }
}
