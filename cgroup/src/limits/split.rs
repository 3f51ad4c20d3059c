//! Limits by the hierarchy that has their controllers.

use super::Limits;

impl Limits {
    /// Those of the controllers that `on_v1` names, by their v2 names, and the others.
    ///
    /// The limits of the cgroup tree itself (`cgroup.max.*`) count as v1's when anything is on v1: what is
    /// below could be made in any hierarchy, and v2 limits only its own.
    pub(crate) fn split(&self, on_v1: impl Fn(&str) -> bool) -> (Limits, Limits) {
        let (mut v1, mut v2) = (self.clone(), self.clone());
        let mut any = false;
        for controller in ["pids", "memory", "cpu", "cpuset", "io", "hugetlb", "rdma", "misc", "dmem"] {
            let there = on_v1(controller);
            any |= there;
            if there { &mut v2 } else { &mut v1 }.clear(controller);
        }
        if any { &mut v2 } else { &mut v1 }.clear("cgroup");
        let theirs = |file: &str| on_v1(file.split_once('.').map_or(file, |(controller, _)| controller));
        v1.unified.retain(|(file, _)| theirs(file));
        v2.unified.retain(|(file, _)| !theirs(file));
        v1.legacy.retain(|(file, _)| theirs(file));
        v2.legacy.retain(|(file, _)| !theirs(file));
        (v1, v2)
    }

    /// Takes the limits of a controller out.
    fn clear(&mut self, controller: &str) {
        let none = Limits::default();
        match controller {
            "pids" => self.pids_max = None,
            "memory" => {
                (self.memory_max, self.memory_high, self.memory_low, self.memory_min) =
                    (None, None, None, None);
                (self.swap_max, self.swap_high, self.zswap_max) = (None, None, None);
                (self.zswap_writeback, self.oom_group) = (None, None);
            }
            "cpu" => {
                (self.cpu_weight, self.cpu_weight_nice, self.cpu_shares) = (None, None, None);
                (self.cpu_max, self.cpu_max_burst_us, self.cpu_idle) = (None, None, None);
                (self.cpu_uclamp_min, self.cpu_uclamp_max) = (None, None);
            }
            "cpuset" => {
                (self.cpuset_cpus, self.cpuset_mems, self.cpuset_cpus_exclusive) = (None, None, None);
                self.cpuset_cpus_partition = None;
            }
            "io" => {
                (self.io_weight, self.io_bfq_weight, self.io_prio_class) = (None, None, None);
                (self.io_weight_of, self.io_max, self.io_latency) =
                    (none.io_weight_of, none.io_max, none.io_latency);
            }
            "hugetlb" => self.hugetlb = none.hugetlb,
            "rdma" => self.rdma_max = none.rdma_max,
            "misc" => self.misc_max = none.misc_max,
            "dmem" => self.dmem = none.dmem,
            "cgroup" => (self.max_depth, self.max_descendants) = (None, None),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CpuMax, Device, HugetlbLimits, IoMax};
    use proptest::prelude::*;

    fn full() -> Limits {
        Limits {
            pids_max: Some(1),
            memory_max: Some(2),
            swap_max: Some(3),
            oom_group: Some(true),
            cpu_weight: Some(4),
            cpu_max: Some(CpuMax { quota_us: None, period_us: 1000 }),
            cpuset_cpus: Some("0".into()),
            io_weight: Some(5),
            io_max: vec![IoMax { rbps: Some(1), ..IoMax::new(Device { major: 8, minor: 0 }) }],
            hugetlb: vec![HugetlbLimits { size: "2MB".into(), max: Some(1), rsvd_max: None }],
            misc_max: vec![("sev".into(), 1)],
            max_depth: Some(1),
            unified: vec![("memory.x".into(), "1".into()), ("pids.x".into(), "1".into())],
            ..Limits::default()
        }
    }

    #[test]
    fn all_on_one_side_leaves_nothing_on_the_other() {
        let all = full();
        assert_eq!(all.split(|_| true), (all.clone(), Limits::default()));
        assert_eq!(all.split(|_| false), (Limits::default(), all.clone()));
    }

    proptest! {
        #[test]
        fn every_write_is_on_one_side(on_v1 in prop::collection::btree_set("pids|memory|cpu|cpuset|io|hugetlb|misc", 0..7)) {
            let all = full();
            let (v1, v2) = all.split(|controller| on_v1.contains(controller));
            let sides: Vec<_> = v1.writes().into_iter().chain(v2.writes()).collect();
            prop_assert_eq!(sides.len(), all.writes().len());
            for (file, _) in v1.writes() {
                let controller = file.split_once('.').unwrap().0;
                prop_assert!(controller == "cgroup" || on_v1.contains(controller), "{file}");
            }
        }
    }
}
