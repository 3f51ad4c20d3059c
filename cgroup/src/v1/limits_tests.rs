//! Limits to the files of v1.

use super::*;
use crate::{HugetlbLimits, IoMax, Partition, PrioClass};
use proptest::prelude::*;

fn lines(limits: &Limits) -> Vec<String> {
    lower(limits)
        .unwrap()
        .into_iter()
        .map(|write| format!("{}:{}={}", write.controller, write.file, write.value))
        .collect()
}

#[test]
fn what_v1_has_is_written_under_its_names() {
    let device = Device { major: 8, minor: 0 };
    let limits = Limits {
        pids_max: Some(10),
        memory_max: Some(1000),
        memory_low: Some(500),
        swap_max: Some(24),
        cpu_weight: Some(100),
        cpu_max: Some(CpuMax { quota_us: Some(5000), period_us: 10_000 }),
        cpu_max_burst_us: Some(9),
        cpu_idle: Some(true),
        cpu_uclamp_min: Some(5),
        cpu_uclamp_max: Some(10_000),
        cpuset_cpus: Some("0".into()),
        cpuset_mems: Some("0".into()),
        io_weight: Some(10_000),
        io_weight_of: vec![(device, 1)],
        io_max: vec![IoMax { rbps: Some(1), wiops: Some(u64::MAX), ..IoMax::new(device) }],
        io_prio_class: Some(PrioClass::Idle),
        hugetlb: vec![HugetlbLimits { size: "2MB".into(), max: Some(0), rsvd_max: Some(u64::MAX) }],
        misc_max: vec![("sev".into(), 3)],
        legacy: vec![("net_cls.classid".into(), "0x10001".into())],
        // All of these ask for nothing.
        memory_high: Some(u64::MAX),
        memory_min: Some(0),
        oom_group: Some(false),
        zswap_writeback: Some(true),
        max_depth: Some(u64::MAX),
        ..Limits::default()
    };
    assert_eq!(
        lines(&limits),
        [
            "pids:pids.max=10",
            "memory:memory.soft_limit_in_bytes=500",
            "memory:memory.limit_in_bytes=1000",
            "memory:memory.memsw.limit_in_bytes=1024",
            "cpu:cpu.idle=1",
            "cpu:cpu.shares=1024",
            "cpu:cpu.cfs_period_us=10000",
            "cpu:cpu.cfs_quota_us=5000",
            "cpu:cpu.cfs_burst_us=9",
            "cpu:cpu.uclamp.min=0.05",
            "cpu:cpu.uclamp.max=100.00",
            "cpuset:cpuset.cpus=0",
            "cpuset:cpuset.mems=0",
            "blkio:blkio.bfq.weight=1000",
            "blkio:blkio.bfq.weight_device=8:0 10",
            "blkio:blkio.throttle.read_bps_device=8:0 1",
            "blkio:blkio.throttle.write_iops_device=8:0 0",
            "blkio:blkio.prio.class=idle",
            "hugetlb:hugetlb.2MB.limit_in_bytes=0",
            "hugetlb:hugetlb.2MB.rsvd.limit_in_bytes=-1",
            "misc:misc.max=sev 3",
            "net_cls:net_cls.classid=0x10001",
        ]
    );
}

#[test]
fn what_v1_has_not_is_refused_by_name() {
    let none = Limits::default();
    let device = Device { major: 8, minor: 0 };
    for (file, limits) in [
        ("memory.high", Limits { memory_high: Some(1), ..none.clone() }),
        ("memory.min", Limits { memory_min: Some(1), ..none.clone() }),
        ("memory.swap.high", Limits { swap_high: Some(1), ..none.clone() }),
        ("memory.zswap.max", Limits { zswap_max: Some(1), ..none.clone() }),
        ("memory.oom.group", Limits { oom_group: Some(true), ..none.clone() }),
        ("cpu.weight.nice", Limits { cpu_weight_nice: Some(1), ..none.clone() }),
        ("cpuset.cpus.partition", Limits { cpuset_cpus_partition: Some(Partition::Root), ..none.clone() }),
        ("io.latency", Limits { io_latency: vec![(device, 1)], ..none.clone() }),
        ("cgroup.max.depth", Limits { max_depth: Some(1), ..none.clone() }),
        ("memory.x", Limits { unified: vec![("memory.x".into(), "1".into())], ..none.clone() }),
    ] {
        let error = lower(&limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().starts_with(&format!("{file} cannot be had with cgroup v1; ")), "{error}");
    }
    let bad = Limits { legacy: vec![("memory/../x".into(), "1".into())], ..none.clone() };
    assert_eq!(lower(&bad).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn swap_is_counted_with_memory() {
    let of = |memory_max, swap_max| lines(&Limits { memory_max, swap_max, ..Limits::default() });
    let [limit, both] = ["memory:memory.limit_in_bytes=", "memory:memory.memsw.limit_in_bytes="];
    assert_eq!(of(Some(10), Some(0)), [format!("{limit}10"), format!("{both}10")]);
    assert_eq!(of(Some(10), Some(u64::MAX)), [format!("{limit}10"), format!("{both}-1")]);
    assert_eq!(of(Some(u64::MAX), Some(5)), [format!("{limit}-1"), format!("{both}-1")]);
    assert_eq!(of(Some(10), None), [format!("{limit}10")]);
    let alone = Limits { swap_max: Some(5), ..Limits::default() };
    assert_eq!(lower(&alone).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn shares_are_kept_where_they_are_known() {
    let limits = Limits { cpu_shares: Some(777), cpu_weight: Some(100), ..Limits::default() };
    assert_eq!(lines(&limits), ["cpu:cpu.shares=777"]);
}

proptest! {
    #[test]
    fn every_write_names_its_hierarchy(
        pids in any::<Option<u64>>(), memory in any::<Option<u64>>(), swap in any::<Option<u64>>(),
        weight in any::<Option<u64>>(), legacy in prop::collection::vec(("\\PC{0,12}", "\\PC{0,4}"), 0..3),
    ) {
        let limits = Limits {
            pids_max: pids, memory_max: memory, swap_max: swap, cpu_weight: weight, legacy, ..Limits::default()
        };
        for write in lower(&limits).unwrap_or_default() {
            prop_assert!(write.file.starts_with(&format!("{}.", write.controller)), "{write:?}");
        }
    }
}
