//! From limits to the files of cgroup v2 and what is written to them.

use super::{Limits, weight_of_shares};
use crate::Controllers;

impl Limits {
    /// What is to be written on v2, in the order of writing. A file with a line for each device is written
    /// once for each.
    ///
    /// ```
    /// use cofferdam_cgroup::Limits;
    ///
    /// let limits = Limits { pids_max: Some(64), memory_max: Some(u64::MAX), ..Limits::default() };
    /// let expected = [("pids.max", "64"), ("memory.max", "max")];
    /// assert_eq!(limits.writes(), expected.map(|(file, value)| (file.to_owned(), value.to_owned())));
    /// ```
    pub fn writes(&self) -> Vec<(String, String)> {
        let mut writes: Vec<(String, String)> = Vec::new();
        let fields = self.core().into_iter().chain(self.memory()).chain(self.cpu()).chain(self.cpuset());
        writes.extend(fields.filter_map(|(file, value)| Some((file.to_owned(), value?))));
        writes.extend(self.io());
        writes.extend(self.others());
        for (number, (file, value)) in self.unified.iter().enumerate() {
            // In place of the fields, and of an earlier entry for the same file.
            if self.unified.iter().skip(number.saturating_add(1)).any(|(later, _)| later == file) {
                continue;
            }
            let place = writes.iter().position(|(other, _)| other == file).unwrap_or(writes.len());
            writes.retain(|(other, _)| other != file);
            writes.insert(place, (file.clone(), value.clone()));
        }
        writes
    }

    /// The controllers that these limits need. `max` needs none: without a controller there is no limit.
    pub fn controllers(&self) -> Controllers {
        let writes = self.writes();
        let legacy = self.legacy.iter().map(|(file, _)| file);
        let needed = writes.iter().filter(|(_, value)| value != "max").map(|(file, _)| file);
        needed
            .chain(legacy)
            .filter_map(|file| file.split_once('.'))
            .map(|(name, _)| name)
            .filter(|name| *name != "cgroup")
            .collect()
    }

    fn core(&self) -> [(&'static str, Option<String>); 3] {
        [
            ("cgroup.max.depth", self.max_depth.map(amount)),
            ("cgroup.max.descendants", self.max_descendants.map(amount)),
            ("pids.max", self.pids_max.map(amount)),
        ]
    }

    fn memory(&self) -> [(&'static str, Option<String>); 9] {
        [
            ("memory.min", self.memory_min.map(amount)),
            ("memory.low", self.memory_low.map(amount)),
            ("memory.high", self.memory_high.map(amount)),
            ("memory.max", self.memory_max.map(amount)),
            ("memory.swap.high", self.swap_high.map(amount)),
            ("memory.swap.max", self.swap_max.map(amount)),
            ("memory.zswap.max", self.zswap_max.map(amount)),
            ("memory.zswap.writeback", self.zswap_writeback.map(flag)),
            ("memory.oom.group", self.oom_group.map(flag)),
        ]
    }

    fn cpu(&self) -> [(&'static str, Option<String>); 7] {
        let weight = self.cpu_weight.or(self.cpu_shares.map(weight_of_shares));
        let max =
            self.cpu_max.map(|max| format!("{} {}", amount(max.quota_us.unwrap_or(u64::MAX)), max.period_us));
        [
            ("cpu.idle", self.cpu_idle.map(flag)),
            ("cpu.weight", weight.map(|weight| weight.to_string())),
            ("cpu.weight.nice", self.cpu_weight_nice.map(|nice| nice.to_string())),
            ("cpu.max", max),
            ("cpu.max.burst", self.cpu_max_burst_us.map(|burst| burst.to_string())),
            ("cpu.uclamp.min", self.cpu_uclamp_min.map(percent)),
            ("cpu.uclamp.max", self.cpu_uclamp_max.map(percent)),
        ]
    }

    fn cpuset(&self) -> [(&'static str, Option<String>); 4] {
        [
            ("cpuset.cpus", self.cpuset_cpus.clone()),
            ("cpuset.mems", self.cpuset_mems.clone()),
            ("cpuset.cpus.exclusive", self.cpuset_cpus_exclusive.clone()),
            ("cpuset.cpus.partition", self.cpuset_cpus_partition.map(|kind| kind.word().to_owned())),
        ]
    }

    fn io(&self) -> Vec<(String, String)> {
        let mut writes = Vec::new();
        let mut push = |file: &str, value: String| writes.push((file.to_owned(), value));
        if let Some(weight) = self.io_weight {
            push("io.weight", format!("default {weight}"));
        }
        for (device, weight) in &self.io_weight_of {
            push("io.weight", format!("{device} {weight}"));
        }
        if let Some(weight) = self.io_bfq_weight {
            push("io.bfq.weight", weight.to_string());
        }
        for max in &self.io_max {
            let keys = [("rbps", max.rbps), ("wbps", max.wbps), ("riops", max.riops), ("wiops", max.wiops)];
            push("io.max", line(&max.device.to_string(), &keys));
        }
        for (device, target) in &self.io_latency {
            push("io.latency", format!("{device} target={target}"));
        }
        if let Some(class) = self.io_prio_class {
            push("io.prio.class", class.word().to_owned());
        }
        writes
    }

    fn others(&self) -> Vec<(String, String)> {
        let mut writes = Vec::new();
        let mut push = |file: String, value: Option<String>| {
            writes.extend(value.map(|value| (file, value)));
        };
        for huge in &self.hugetlb {
            push(format!("hugetlb.{}.max", huge.size), huge.max.map(amount));
            push(format!("hugetlb.{}.rsvd.max", huge.size), huge.rsvd_max.map(amount));
        }
        for rdma in &self.rdma_max {
            let keys = [("hca_handle", rdma.hca_handle), ("hca_object", rdma.hca_object)];
            push("rdma.max".to_owned(), Some(line(&rdma.device, &keys)));
        }
        for (name, max) in &self.misc_max {
            push("misc.max".to_owned(), Some(format!("{name} {}", amount(*max))));
        }
        for region in &self.dmem {
            let value =
                |bytes: Option<u64>| bytes.map(|bytes| format!("{} {}", region.region, amount(bytes)));
            push("dmem.min".to_owned(), value(region.min));
            push("dmem.low".to_owned(), value(region.low));
            push("dmem.max".to_owned(), value(region.max));
        }
        writes
    }
}

/// A number, or `max`.
pub(crate) fn amount(value: u64) -> String {
    if value == u64::MAX { "max".to_owned() } else { value.to_string() }
}

fn flag(value: bool) -> String {
    u8::from(value).to_string()
}

/// Hundredths of a percent as the kernel takes them: `12.34`.
fn percent(hundredths: u16) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A device and what is set of its keys: `8:0 rbps=1000 wiops=max`.
fn line(device: &str, keys: &[(&str, Option<u64>)]) -> String {
    let keys = keys.iter().filter_map(|(key, value)| Some(format!(" {key}={}", amount((*value)?))));
    keys.fold(device.to_owned(), |line, key| line + &key)
}
