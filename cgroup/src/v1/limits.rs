//! From limits, which are named after v2, to the files of v1.

use cofferdam_sys::Errno;

use super::Group;
use crate::limits::{Device, Limits, blkio_weight_of_weight, explain, shares_of_weight};
use crate::{CpuMax, Error, ErrorKind, Result};

/// What is to be written to one file of v1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The controller by its v1 name, which is the hierarchy.
    pub controller: String,
    /// The file.
    pub file: String,
    /// The value.
    pub value: String,
}

/// What is to be written on v1, in the order of writing; memory before swap, and the period before the quota.
///
/// Applying reads first where the kernel wants another order for the values that are there.
///
/// # Errors
/// [`ErrorKind::Unsupported`] with the v2 file of a limit that v1 has not: `memory.high`, `memory.min`,
/// `memory.swap.high`, `memory.zswap.*`, `memory.oom.group`, `cpu.weight.nice`, `cpuset.cpus.exclusive`,
/// `cpuset.cpus.partition`, `io.latency`, `cgroup.max.*` and [`Limits::unified`];
/// [`ErrorKind::Invalid`] for a limit of swap without one of memory, which v1 counts together.
pub fn lower(limits: &Limits) -> Result<Vec<Write>> {
    refuse(limits)?;
    let mut writes = Vec::new();
    let mut push = |controller: &str, file: &str, value: Option<String>| {
        writes.extend(value.map(|value| Write {
            controller: controller.to_owned(),
            file: file.to_owned(),
            value,
        }));
    };
    let plain = |value: u64| value.to_string();
    push("pids", "pids.max", limits.pids_max.map(|max| amount_or(max, "max")));
    push("memory", "memory.soft_limit_in_bytes", limits.memory_low.filter(|low| *low > 0).map(bytes));
    push("memory", LIMIT, limits.memory_max.map(bytes));
    push("memory", BOTH, swap(limits)?.map(bytes));
    let shares = limits.cpu_shares.or(limits.cpu_weight.map(shares_of_weight));
    push("cpu", "cpu.idle", limits.cpu_idle.map(|idle| u8::from(idle).to_string()));
    push("cpu", "cpu.shares", shares.map(plain));
    push("cpu", PERIOD, limits.cpu_max.map(|max| plain(max.period_us)));
    push("cpu", QUOTA, limits.cpu_max.map(quota));
    push("cpu", "cpu.cfs_burst_us", limits.cpu_max_burst_us.map(plain));
    let percent = |part: u16| format!("{}.{:02}", part / 100, part % 100);
    push("cpu", "cpu.uclamp.min", limits.cpu_uclamp_min.map(percent));
    push("cpu", "cpu.uclamp.max", limits.cpu_uclamp_max.map(percent));
    push("cpuset", "cpuset.cpus", limits.cpuset_cpus.clone());
    push("cpuset", "cpuset.mems", limits.cpuset_mems.clone());
    let weight = limits.io_bfq_weight.or(limits.io_weight.map(blkio_weight_of_weight));
    push("blkio", "blkio.bfq.weight", weight.map(plain));
    for (device, weight) in &limits.io_weight_of {
        let value = format!("{device} {}", blkio_weight_of_weight(*weight));
        push("blkio", "blkio.bfq.weight_device", Some(value));
    }
    for max in &limits.io_max {
        for (file, value) in [
            ("blkio.throttle.read_bps_device", max.rbps),
            ("blkio.throttle.write_bps_device", max.wbps),
            ("blkio.throttle.read_iops_device", max.riops),
            ("blkio.throttle.write_iops_device", max.wiops),
        ] {
            push("blkio", file, value.map(|value| throttle(max.device, value)));
        }
    }
    push("blkio", "blkio.prio.class", limits.io_prio_class.map(|class| class.word().to_owned()));
    for huge in &limits.hugetlb {
        push("hugetlb", &format!("hugetlb.{}.limit_in_bytes", huge.size), huge.max.map(bytes));
        push("hugetlb", &format!("hugetlb.{}.rsvd.limit_in_bytes", huge.size), huge.rsvd_max.map(bytes));
    }
    // These came after v2 and have the same files in both.
    let same = Limits {
        rdma_max: limits.rdma_max.clone(),
        misc_max: limits.misc_max.clone(),
        dmem: limits.dmem.clone(),
        ..Limits::default()
    };
    for (file, value) in same.writes().into_iter().chain(limits.legacy.iter().cloned()) {
        let controller = file.split_once('.').map(|(controller, _)| controller.to_owned());
        let controller = controller.filter(|name| *name != "cgroup" && !file.contains(['/', '\0']));
        let controller = controller.ok_or_else(|| {
            let what = format!("`{}` is no interface file of a controller", file.escape_default());
            Error::new(ErrorKind::Invalid, what)
        })?;
        writes.push(Write { controller, file, value });
    }
    Ok(writes)
}

pub(super) const LIMIT: &str = "memory.limit_in_bytes";
pub(super) const BOTH: &str = "memory.memsw.limit_in_bytes";
pub(super) const PERIOD: &str = "cpu.cfs_period_us";
pub(super) const QUOTA: &str = "cpu.cfs_quota_us";

fn refuse(limits: &Limits) -> Result<()> {
    let some = |value: Option<u64>| value.is_some_and(|value| value != u64::MAX);
    let lacking = [
        ("memory.high", some(limits.memory_high)),
        ("memory.min", limits.memory_min.is_some_and(|min| min > 0)),
        ("memory.swap.high", some(limits.swap_high)),
        ("memory.zswap.max", some(limits.zswap_max)),
        ("memory.zswap.writeback", limits.zswap_writeback == Some(false)),
        ("memory.oom.group", limits.oom_group == Some(true)),
        ("cpu.weight.nice", limits.cpu_weight_nice.is_some()),
        ("cpuset.cpus.exclusive", limits.cpuset_cpus_exclusive.is_some()),
        ("cpuset.cpus.partition", limits.cpuset_cpus_partition.is_some()),
        ("io.latency", !limits.io_latency.is_empty()),
        ("cgroup.max.depth", some(limits.max_depth)),
        ("cgroup.max.descendants", some(limits.max_descendants)),
    ];
    let lacking = lacking.iter().find(|(_, asked)| *asked).map(|(file, _)| (*file).to_owned());
    let unified = || limits.unified.first().map(|(file, _)| file.clone());
    lacking.or_else(unified).map_or(Ok(()), |file| Err(unsupported(&file)))
}

/// The error for what only v2 has.
pub(crate) fn unsupported(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{what} cannot be had with cgroup v1"))
        .with_hint("leave it out, or boot with v2 (systemd.unified_cgroup_hierarchy=1)")
}

/// v1 limits memory and swap together.
fn swap(limits: &Limits) -> Result<Option<u64>> {
    match (limits.swap_max, limits.memory_max) {
        (None, _) => Ok(None),
        (Some(u64::MAX), _) | (Some(_), Some(u64::MAX)) => Ok(Some(u64::MAX)),
        (Some(swap), Some(memory)) => Ok(Some(memory.saturating_add(swap))),
        (Some(_), None) => {
            let what = "memory.swap.max needs memory.max with cgroup v1, which limits both together";
            Err(Error::new(ErrorKind::Invalid, what))
        }
    }
}

fn amount_or(value: u64, unlimited: &str) -> String {
    if value == u64::MAX { unlimited.to_owned() } else { value.to_string() }
}

fn bytes(value: u64) -> String {
    amount_or(value, "-1")
}

fn quota(max: CpuMax) -> String {
    bytes(max.quota_us.unwrap_or(u64::MAX))
}

/// The kernel takes 0 for "no limit" here.
fn throttle(device: Device, value: u64) -> String {
    format!("{device} {}", amount_or(value, "0"))
}

/// Applies what [`lower`] made to the groups of their hierarchies.
pub(crate) fn apply<'a>(writes: &[Write], group_of: impl Fn(&str) -> Option<&'a Group>) -> Result<()> {
    let mut writes = writes.iter().peekable();
    while let Some(write) = writes.next() {
        let second = writes.next_if(|next| follows(write, next));
        match (group_of(&write.controller), second) {
            (Some(group), Some(second)) => apply_pair(group, write, second)?,
            (Some(group), None) => apply_one(group, write)?,
            // Without a controller there is no limit.
            (None, _) if matches!(write.value.as_str(), "max" | "-1") => {}
            (None, _) => {
                let what = format!("{}: no hierarchy with the controller {}", write.file, write.controller);
                return Err(Error::new(ErrorKind::NoController, what)
                    .with_hint("name the controller when the cgroup is made"));
            }
        }
    }
    Ok(())
}

/// Whether the kernel checks two values against each other.
fn follows(one: &Write, two: &Write) -> bool {
    matches!((one.file.as_str(), two.file.as_str()), (LIMIT, BOTH) | (PERIOD, QUOTA))
}

/// In the order that the values in force allow: the other one when the first is refused for the second.
fn apply_pair(group: &Group, one: &Write, two: &Write) -> Result<()> {
    match apply_one(group, one) {
        Err(error) if error.errno() == Some(Errno::EINVAL) => {
            apply_one(group, two)?;
            apply_one(group, one)
        }
        Err(error) => Err(error),
        Ok(()) => apply_one(group, two),
    }
}

fn apply_one(group: &Group, write: &Write) -> Result<()> {
    match group.files().write(&write.file, &write.value) {
        // Without swap there is nothing to limit together with it; with a limit asked for, that is an error.
        Err(error) if error.errno() == Some(Errno::ENOENT) && write.value == "-1" => Ok(()),
        Err(error) if error.errno() == Some(Errno::ENOENT) => {
            Err(error.with_kind(ErrorKind::NoController).with_hint(missing(&write.file)))
        }
        other => other.map_err(|error| explain(error, &write.file)),
    }
}

fn missing(file: &str) -> &'static str {
    match file {
        BOTH => "the kernel does not count swap: boot with swapaccount=1",
        "blkio.bfq.weight" | "blkio.bfq.weight_device" => "the kernel has no BFQ scheduler (modprobe bfq)",
        "cpu.cfs_burst_us" => "it is there since Linux 5.14",
        "cpu.idle" => "it is there since Linux 5.15",
        _ => "the kernel is too old for this file, or was built without it",
    }
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
