//! Limits as plain data: one field for each interface file.
//!
//! The same limits apply to cgroup v2 ([`crate::Cgroup::apply`]) and, as far as it has them, to cgroup v1
//! ([`crate::AnyCgroup::apply`]).

mod apply;
mod convert;
mod read;
mod split;
mod types;
mod writes;

pub use convert::{blkio_weight_of_weight, shares_of_weight, weight_of_blkio_weight, weight_of_shares};
pub use types::{CpuMax, Device, DmemLimits, HugetlbLimits, IoMax, Partition, PrioClass, RdmaMax};

pub(crate) use apply::explain;
pub(crate) use read::{huge_page_sizes, keys, named};

/// The limits of a cgroup. `None`, or an empty list, leaves the kernel's value; `u64::MAX` is `max`, no limit.
///
/// A field has the name of its file with `_` for `.`; its documentation names the file, the unit, and the
/// release of Linux that brought it where that is after 5.10.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Processes and threads (`pids.max`).
    pub pids_max: Option<u64>,

    /// Bytes of memory at which the OOM killer comes (`memory.max`).
    pub memory_max: Option<u64>,
    /// Bytes of memory at which processes are slowed down (`memory.high`).
    pub memory_high: Option<u64>,
    /// Bytes of memory that are taken away last (`memory.low`; v1: `memory.soft_limit_in_bytes`).
    pub memory_low: Option<u64>,
    /// Bytes of memory that are never taken away (`memory.min`).
    pub memory_min: Option<u64>,
    /// Bytes of swap alone (`memory.swap.max`).
    pub swap_max: Option<u64>,
    /// Bytes of swap at which processes are slowed down (`memory.swap.high`).
    pub swap_high: Option<u64>,
    /// Bytes in the compressed swap cache (`memory.zswap.max`, Linux 5.19).
    pub zswap_max: Option<u64>,
    /// Whether the compressed swap cache may write back to swap (`memory.zswap.writeback`, Linux 6.8).
    pub zswap_writeback: Option<bool>,
    /// Whether the OOM killer kills all or none (`memory.oom.group`).
    pub oom_group: Option<bool>,

    /// Share of processor time against siblings, 1 to 10000, 100 when not set (`cpu.weight`).
    pub cpu_weight: Option<u64>,
    /// The same as a nice value, -20 to 19 (`cpu.weight.nice`).
    pub cpu_weight_nice: Option<i8>,
    /// The same as `cpu.shares` of v1, 2 to 262144, 1024 when not set.
    ///
    /// On v2 [`Limits::cpu_weight`] is written when it is there, else the weight that [`weight_of_shares`]
    /// makes of this; on v1 it is the other way round. So a caller who has shares loses nothing on v1.
    pub cpu_shares: Option<u64>,
    /// Processor time in a period (`cpu.max`).
    pub cpu_max: Option<CpuMax>,
    /// Microseconds of processor time that may be saved up from one period to later ones
    /// (`cpu.max.burst`, Linux 5.14).
    pub cpu_max_burst_us: Option<u64>,
    /// Whether it runs only when nobody else wants to, as `SCHED_IDLE` (`cpu.idle`, Linux 5.15).
    pub cpu_idle: Option<bool>,
    /// The least processor performance, in hundredths of a percent (`cpu.uclamp.min`).
    pub cpu_uclamp_min: Option<u16>,
    /// The most processor performance, in hundredths of a percent (`cpu.uclamp.max`).
    pub cpu_uclamp_max: Option<u16>,

    /// Processors, as `0-3,8` (`cpuset.cpus`).
    pub cpuset_cpus: Option<String>,
    /// Memory nodes, as `0-1` (`cpuset.mems`).
    pub cpuset_mems: Option<String>,
    /// Processors that may be given to a partition further down (`cpuset.cpus.exclusive`, Linux 6.7).
    pub cpuset_cpus_exclusive: Option<String>,
    /// Whether its processors are its own (`cpuset.cpus.partition`).
    pub cpuset_cpus_partition: Option<Partition>,

    /// Share of disk time against siblings, 1 to 10000, 100 when not set (`io.weight`).
    pub io_weight: Option<u64>,
    /// The same for single disks (`io.weight`).
    pub io_weight_of: Vec<(Device, u64)>,
    /// Share of disk time for the BFQ scheduler, 1 to 1000 (`io.bfq.weight`).
    pub io_bfq_weight: Option<u64>,
    /// Bytes and operations a second (`io.max`).
    pub io_max: Vec<IoMax>,
    /// Microseconds within which its requests are to be served, at the cost of others (`io.latency`).
    pub io_latency: Vec<(Device, u64)>,
    /// How the I/O priority of its processes is changed (`io.prio.class`, Linux 5.14).
    pub io_prio_class: Option<PrioClass>,

    /// Huge pages (`hugetlb.SIZE.max`, `hugetlb.SIZE.rsvd.max`).
    pub hugetlb: Vec<HugetlbLimits>,
    /// Handles and objects of RDMA devices (`rdma.max`).
    pub rdma_max: Vec<RdmaMax>,
    /// Scalar resources by name, as `sev` (`misc.max`, Linux 5.13).
    pub misc_max: Vec<(String, u64)>,
    /// Device memory by region (`dmem.max`, `dmem.low`, `dmem.min`; Linux 6.14).
    pub dmem: Vec<DmemLimits>,

    /// How deep cgroups may be nested below (`cgroup.max.depth`).
    pub max_depth: Option<u64>,
    /// How many cgroups may be below (`cgroup.max.descendants`).
    pub max_descendants: Option<u64>,

    /// Other v2 interface files with their values, which win over the fields above.
    pub unified: Vec<(String, String)>,
    /// Other v1 interface files with their values, as `net_cls.classid`; refused on v2.
    pub legacy: Vec<(String, String)>,
}

#[cfg(test)]
mod tests;
