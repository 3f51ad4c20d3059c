//! What of a container's limits systemd can be told, as properties of its scope (systemd.resource-control(5)).
//!
//! The limits themselves are written to the container's own cgroup, all of them. systemd is told so that it does not undo
//! them when it writes a scope's files anew (`systemctl daemon-reload`), and so that its tools show them.

use cofferdam_cgroup::devices::{Access, Kind, Rule};
use cofferdam_cgroup::{CpuMax, Limits};

use super::value::Value;

/// A property of a unit by its name on the bus.
pub(crate) type Property = (String, Value);

/// Which hierarchy systemd writes to: it has other properties for the controllers of v1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// How many processors or memory nodes a mask may have; the kernel has no more.
const BITS: usize = 8192;

/// The properties of limits. `u64::MAX` is "infinity" on both sides.
pub(crate) fn of_limits(limits: &Limits, version: Version) -> Vec<Property> {
    let mut all: Vec<Property> = Vec::new();
    let mut put = |name: &str, value: Option<u64>| {
        all.extend(value.map(|value| (name.to_owned(), Value::U64(value))));
    };
    match version {
        Version::V2 => {
            put("MemoryMax", limits.memory_max);
            put("MemoryHigh", limits.memory_high);
            put("MemoryLow", limits.memory_low);
            put("MemoryMin", limits.memory_min);
            put("MemorySwapMax", limits.swap_max);
            put("CPUWeight", limits.cpu_weight);
            put("IOWeight", limits.io_weight);
        }
        Version::V1 => {
            put("MemoryLimit", limits.memory_max);
            put("CPUShares", limits.cpu_shares);
            put("BlockIOWeight", limits.io_weight.map(cofferdam_cgroup::limits::blkio_weight_of_weight));
        }
    }
    if let Some(max) = limits.cpu_max {
        put("CPUQuotaPerSecUSec", Some(per_second(max)));
        put("CPUQuotaPeriodUSec", Some(max.period_us));
    }
    let mut mask = |name: &str, list: Option<&String>| {
        all.extend(list.and_then(|list| mask(list)).map(|mask| (name.to_owned(), Value::bytes(&mask))));
    };
    if version == Version::V2 {
        mask("AllowedCPUs", limits.cpuset_cpus.as_ref());
        mask("AllowedMemoryNodes", limits.cpuset_mems.as_ref());
    }
    all
}

/// The limit of processes, which is set when only the container's are there.
pub(crate) fn of_tasks(limits: &Limits) -> Option<Property> {
    limits.pids_max.map(|max| ("TasksMax".to_owned(), Value::U64(max)))
}

/// Processor time in a second, rounded up to what systemd counts in: percent. What is exact is in the container's
/// own cgroup, which must not get more than its parent has.
fn per_second(max: CpuMax) -> u64 {
    const PERCENT: u64 = 10_000;
    let whole = |quota: u64| {
        quota.checked_mul(1_000_000)?.checked_div(max.period_us)?.checked_next_multiple_of(PERCENT)
    };
    max.quota_us.and_then(whole).unwrap_or(u64::MAX)
}

/// `0-2,8` as bits, the lowest first. Nothing for what the kernel would not take either; it says so itself.
fn mask(text: &str) -> Option<Vec<u8>> {
    let mut mask = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().ok()?;
        let last: usize = last.trim().parse().ok()?;
        if first > last || last >= BITS {
            return None;
        }
        for bit in first..=last {
            let at = bit / 8;
            if mask.len() <= at {
                mask.resize(at.saturating_add(1), 0);
            }
            *mask.get_mut(at)? |= 1_u8 << (bit % 8);
        }
    }
    Some(mask)
}

/// The device rules. systemd's list only allows; a rule that takes a part back is in force by the container's own filter
/// alone, which all of its uses of devices pass as well.
pub(crate) fn of_devices(rules: &[Rule]) -> Vec<Property> {
    if rules.is_empty() {
        return Vec::new();
    }
    let mut allowed: Vec<Rule> = Vec::new();
    for rule in rules {
        if rule.allow {
            allowed.push(*rule);
        } else if rule.kind.is_none()
            && rule.major.is_none()
            && rule.minor.is_none()
            && rule.access == Access::ALL
        {
            allowed.clear();
        }
    }
    let everything = |rule: &Rule| rule.kind.is_none() && rule.major.is_none() && rule.minor.is_none();
    let (policy, list) = if allowed.iter().any(everything) {
        ("auto", Vec::new())
    } else {
        ("strict", allowed.iter().flat_map(entries).collect())
    };
    vec![
        ("DevicePolicy".to_owned(), Value::Text(policy.to_owned())),
        ("DeviceAllow".to_owned(), Value::Array("(ss)".to_owned(), list)),
    ]
}

fn entries(rule: &Rule) -> Vec<Value> {
    let kinds = match rule.kind {
        Some(kind) => vec![kind],
        None => vec![Kind::Block, Kind::Char],
    };
    let letters = [(Access::READ, 'r'), (Access::WRITE, 'w'), (Access::MKNOD, 'm')];
    let access: String = letters
        .iter()
        .filter(|(bit, _)| rule.access.bits() & bit.bits() != 0)
        .map(|(_, letter)| *letter)
        .collect();
    let entry = |kind: Kind| {
        let kind = match kind {
            Kind::Block => "block",
            Kind::Char => "char",
        };
        let node = match (rule.major, rule.minor) {
            (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
            (Some(major), None) => format!("{kind}-{major}"),
            (None, _) => format!("{kind}-*"),
        };
        Value::Struct(vec![Value::Text(node), Value::Text(access.clone())])
    };
    kinds.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(properties: &[Property]) -> Vec<String> {
        properties.iter().map(|(name, value)| format!("{name} {} {value:?}", value.signature())).collect()
    }

    #[test]
    fn limits_have_the_names_of_their_hierarchy() {
        let limits = Limits {
            memory_max: Some(64 << 20),
            memory_low: Some(1),
            swap_max: Some(u64::MAX),
            cpu_weight: Some(50),
            cpu_shares: Some(512),
            cpu_max: Some(CpuMax { quota_us: Some(50_000), period_us: 200_000 }),
            cpuset_cpus: Some("0-1,8".into()),
            io_weight: Some(100),
            pids_max: Some(7),
            ..Limits::default()
        };
        assert_eq!(
            shown(&of_limits(&limits, Version::V2)),
            [
                "MemoryMax t U64(67108864)",
                "MemoryLow t U64(1)",
                "MemorySwapMax t U64(18446744073709551615)",
                "CPUWeight t U64(50)",
                "IOWeight t U64(100)",
                "CPUQuotaPerSecUSec t U64(250000)",
                "CPUQuotaPeriodUSec t U64(200000)",
                "AllowedCPUs ay Array(\"y\", [Byte(3), Byte(1)])",
            ]
        );
        let v1 = shown(&of_limits(&limits, Version::V1));
        assert_eq!(v1[..2], ["MemoryLimit t U64(67108864)", "CPUShares t U64(512)"]);
        assert_eq!(of_tasks(&limits), Some(("TasksMax".into(), Value::U64(7))));
        assert!(of_limits(&Limits::default(), Version::V2).is_empty());
    }

    #[test]
    fn the_quota_is_never_less_than_the_containers_own() {
        let of = |quota_us, period_us| per_second(CpuMax { quota_us, period_us });
        assert_eq!(of(Some(33_333), 100_000), 340_000);
        assert_eq!(of(Some(1), 1_000_000), 10_000);
        assert_eq!(of(None, 100_000), u64::MAX);
        assert_eq!(of(Some(1), 0), u64::MAX);
    }

    #[test]
    fn masks_are_bits() {
        assert_eq!(mask("0-2,8"), Some(vec![7, 1]));
        assert_eq!(mask("3\n"), Some(vec![8]));
        for bad in ["", "x", "2-1", "0-99999999999", "8192", "1,,2"] {
            assert_eq!(mask(bad), None, "{bad}");
        }
    }

    #[test]
    fn device_rules_become_a_list() {
        let rule = |allow, kind, major, minor, access| Rule::new(allow, kind, major, minor, access).unwrap();
        let rules = [
            rule(true, "a", None, None, "rwm"),
            Rule::DENY_ALL,
            rule(true, "c", Some(1), Some(3), "rw"),
            rule(true, "c", Some(136), None, "rwm"),
            rule(true, "c", None, None, "m"),
            rule(false, "c", Some(1), Some(3), "w"),
        ];
        let pair = |node: &str, access: &str| {
            Value::Struct(vec![Value::Text(node.into()), Value::Text(access.into())])
        };
        let list = [pair("/dev/char/1:3", "rw"), pair("char-136", "rwm"), pair("char-*", "m")];
        let properties = of_devices(&rules);
        assert_eq!(properties[0].1, Value::Text("strict".into()));
        assert_eq!(properties[1].1, Value::Array("(ss)".into(), list.to_vec()));
        assert_eq!(of_devices(&rules[..1])[0].1, Value::Text("auto".into()));
        assert!(of_devices(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn any_list_is_a_mask_or_none(list in "[0-9,\\-]{0,12}") {
            let _ = mask(&list);
        }
    }
}
