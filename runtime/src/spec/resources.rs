//! `linux.resources`.

use std::collections::BTreeMap;

use super::{LinuxDeviceType, shape};

shape::objects! {
    /// The limits of a control group.
    #[derive(Eq, Default)]
    pub struct LinuxResources {
        /// Which devices may be used; the last rule that fits wins.
        pub devices: Vec<LinuxDeviceCgroup> = "devices",
        /// Memory.
        pub memory: Option<LinuxMemory> = "memory",
        /// Processors.
        pub cpu: Option<LinuxCpu> = "cpu",
        /// Processes.
        pub pids: Option<LinuxPids> = "pids",
        /// Block devices.
        pub block_io: Option<LinuxBlockIo> = "blockIO",
        /// Huge pages, each size once.
        pub hugepage_limits: Vec<LinuxHugepageLimit> = "hugepageLimits",
        /// Marks of network packets, cgroup v1 only.
        pub network: Option<LinuxNetwork> = "network",
        /// RDMA devices, by their names.
        pub rdma: BTreeMap<String, LinuxRdma> = "rdma",
        /// Files of cgroup v2 and what is written to them.
        pub unified: BTreeMap<String, String> = "unified",
    }

    /// A rule about devices.
    #[derive(Eq, Default)]
    pub struct LinuxDeviceCgroup {
        /// Whether it allows or forbids.
        pub allow: bool = "allow",
        /// The kind of the devices.
        pub typ: Option<LinuxDeviceType> = "type",
        /// The major number; all without one.
        pub major: Option<i64> = "major",
        /// The minor number; all without one.
        pub minor: Option<i64> = "minor",
        /// What may be done: `r`, `w` and `m` for making nodes.
        pub access: Option<String> = "access",
    }

    /// Limits of memory, in bytes; -1 is no limit.
    #[derive(Copy, Eq, Default)]
    pub struct LinuxMemory {
        /// Memory.
        pub limit: Option<i64> = "limit",
        /// What is left when memory is reclaimed.
        pub reservation: Option<i64> = "reservation",
        /// Memory and swap together.
        pub swap: Option<i64> = "swap",
        /// Memory of the kernel, cgroup v1 only.
        pub kernel: Option<i64> = "kernel",
        /// Memory of TCP buffers, cgroup v1 only.
        pub kernel_tcp: Option<i64> = "kernelTCP",
        /// How readily memory is swapped, 0 to 100, cgroup v1 only.
        pub swappiness: Option<u64> = "swappiness",
        /// Whether processes wait for memory in place of being killed, cgroup v1 only.
        pub disable_oom_killer: Option<bool> = "disableOOMKiller",
        /// Whether groups below count, cgroup v1 only.
        pub use_hierarchy: Option<bool> = "useHierarchy",
        /// Whether a limit below the use is refused in an update.
        pub check_before_update: Option<bool> = "checkBeforeUpdate",
    }

    /// Limits of processors; times are in microseconds.
    #[derive(Eq, Default)]
    pub struct LinuxCpu {
        /// The share beside others, 2 to 262144.
        pub shares: Option<u64> = "shares",
        /// Time in a period.
        pub quota: Option<i64> = "quota",
        /// Time beyond the quota that can be saved up.
        pub burst: Option<u64> = "burst",
        /// The period.
        pub period: Option<u64> = "period",
        /// Realtime in a period, cgroup v1 only.
        pub realtime_runtime: Option<i64> = "realtimeRuntime",
        /// The period for realtime, cgroup v1 only.
        pub realtime_period: Option<u64> = "realtimePeriod",
        /// The processors, as a list such as `0-3,7`.
        pub cpus: Option<String> = "cpus",
        /// The memory nodes, as such a list.
        pub mems: Option<String> = "mems",
        /// 1 to run only when nothing else does.
        pub idle: Option<i64> = "idle",
    }

    /// How many processes there may be.
    #[derive(Copy, Eq, Default)]
    pub struct LinuxPids {
        /// The number; 0 and below are no limit.
        pub limit: i64 = "limit",
    }

    /// Limits of block devices.
    #[derive(Eq, Default)]
    pub struct LinuxBlockIo {
        /// The share beside others, 10 to 1000.
        pub weight: Option<u16> = "weight",
        /// The share beside groups below, cgroup v1 only.
        pub leaf_weight: Option<u16> = "leafWeight",
        /// Shares of single devices.
        pub weight_device: Vec<LinuxWeightDevice> = "weightDevice",
        /// Bytes read a second.
        pub throttle_read_bps_device: Vec<LinuxThrottleDevice> = "throttleReadBpsDevice",
        /// Bytes written a second.
        pub throttle_write_bps_device: Vec<LinuxThrottleDevice> = "throttleWriteBpsDevice",
        /// Reads a second.
        pub throttle_read_iops_device: Vec<LinuxThrottleDevice> = "throttleReadIOPSDevice",
        /// Writes a second.
        pub throttle_write_iops_device: Vec<LinuxThrottleDevice> = "throttleWriteIOPSDevice",
    }

    /// The share of one block device.
    #[derive(Copy, Eq, Default)]
    pub struct LinuxWeightDevice {
        /// The major number.
        pub major: i64 = "major",
        /// The minor number.
        pub minor: i64 = "minor",
        /// The share beside others.
        pub weight: Option<u16> = "weight",
        /// The share beside groups below, cgroup v1 only.
        pub leaf_weight: Option<u16> = "leafWeight",
    }

    /// The limit of one block device.
    #[derive(Copy, Eq, Default)]
    pub struct LinuxThrottleDevice {
        /// The major number.
        pub major: i64 = "major",
        /// The minor number.
        pub minor: i64 = "minor",
        /// How much a second.
        pub rate: u64 = "rate",
    }

    /// The limit of huge pages of one size.
    #[derive(Eq, Default)]
    pub struct LinuxHugepageLimit {
        /// The size, such as `2MB`.
        pub page_size: String = "pageSize",
        /// The limit in bytes.
        pub limit: i64 = "limit",
    }

    /// Marks of network packets.
    #[derive(Eq, Default)]
    pub struct LinuxNetwork {
        /// The class.
        pub class_id: Option<u32> = "classID",
        /// The priorities on single interfaces.
        pub priorities: Vec<LinuxInterfacePriority> = "priorities",
    }

    /// The priority on one network interface.
    #[derive(Eq, Default)]
    pub struct LinuxInterfacePriority {
        /// The interface.
        pub name: String = "name",
        /// The priority.
        pub priority: u32 = "priority",
    }

    /// The limits of one RDMA device.
    #[derive(Copy, Eq, Default)]
    pub struct LinuxRdma {
        /// Handles.
        pub hca_handles: Option<u32> = "hcaHandles",
        /// Objects.
        pub hca_objects: Option<u32> = "hcaObjects",
    }
}
