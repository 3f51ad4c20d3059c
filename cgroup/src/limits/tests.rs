//! Limits to writes.

use super::*;
use proptest::prelude::*;

fn lines(limits: &Limits) -> Vec<String> {
    limits.writes().into_iter().map(|(file, value)| format!("{file}={value}")).collect()
}

#[test]
fn every_field_is_written_once_and_in_order() {
    let device = Device { major: 8, minor: 0 };
    let limits = Limits {
        pids_max: Some(10),
        memory_max: Some(1 << 20),
        memory_high: Some(5),
        memory_low: Some(4),
        memory_min: Some(3),
        swap_max: Some(0),
        swap_high: Some(1),
        zswap_max: Some(2),
        zswap_writeback: Some(false),
        oom_group: Some(true),
        cpu_weight: Some(100),
        cpu_weight_nice: Some(-3),
        cpu_shares: Some(2),
        cpu_max: Some(CpuMax { quota_us: Some(5000), period_us: 10_000 }),
        cpu_max_burst_us: Some(9),
        cpu_idle: Some(false),
        cpu_uclamp_min: Some(1),
        cpu_uclamp_max: Some(9950),
        cpuset_cpus: Some("0-1".into()),
        cpuset_mems: Some("0".into()),
        cpuset_cpus_exclusive: Some("1".into()),
        cpuset_cpus_partition: Some(Partition::Root),
        io_weight: Some(50),
        io_weight_of: vec![(device, 60)],
        io_bfq_weight: Some(70),
        io_max: vec![IoMax { rbps: Some(1), wiops: Some(u64::MAX), ..IoMax::new(device) }],
        io_latency: vec![(device, 75)],
        io_prio_class: Some(PrioClass::Idle),
        hugetlb: vec![HugetlbLimits { size: "2MB".into(), max: Some(0), rsvd_max: Some(u64::MAX) }],
        rdma_max: vec![RdmaMax { device: "mlx4_0".into(), hca_handle: Some(2), hca_object: None }],
        misc_max: vec![("sev".into(), 3)],
        dmem: vec![DmemLimits { region: "drm/a/vram0".into(), max: Some(4), low: None, min: Some(0) }],
        max_depth: Some(2),
        max_descendants: Some(u64::MAX),
        unified: vec![("pids.max".into(), "6".into()), ("pids.max".into(), "7".into())],
        legacy: vec![],
    };
    assert_eq!(
        lines(&limits),
        [
            "cgroup.max.depth=2",
            "cgroup.max.descendants=max",
            "pids.max=7",
            "memory.min=3",
            "memory.low=4",
            "memory.high=5",
            "memory.max=1048576",
            "memory.swap.high=1",
            "memory.swap.max=0",
            "memory.zswap.max=2",
            "memory.zswap.writeback=0",
            "memory.oom.group=1",
            "cpu.idle=0",
            "cpu.weight=100",
            "cpu.weight.nice=-3",
            "cpu.max=5000 10000",
            "cpu.max.burst=9",
            "cpu.uclamp.min=0.01",
            "cpu.uclamp.max=99.50",
            "cpuset.cpus=0-1",
            "cpuset.mems=0",
            "cpuset.cpus.exclusive=1",
            "cpuset.cpus.partition=root",
            "io.weight=default 50",
            "io.weight=8:0 60",
            "io.bfq.weight=70",
            "io.max=8:0 rbps=1 wiops=max",
            "io.latency=8:0 target=75",
            "io.prio.class=idle",
            "hugetlb.2MB.max=0",
            "hugetlb.2MB.rsvd.max=max",
            "rdma.max=mlx4_0 hca_handle=2",
            "misc.max=sev 3",
            "dmem.min=drm/a/vram0 0",
            "dmem.max=drm/a/vram0 4",
        ]
    );
    assert_eq!(limits.controllers().to_string(), "cpu cpuset dmem hugetlb io memory misc pids rdma");
}

#[test]
fn unified_files_win_over_all_lines_of_a_field() {
    let device = |minor| IoMax { rbps: Some(1), ..IoMax::new(Device { major: 8, minor }) };
    let limits = Limits {
        io_max: vec![device(0), device(16)],
        unified: vec![("io.max".into(), "8:32 rbps=2".into()), ("memory.x".into(), "1".into())],
        ..Limits::default()
    };
    assert_eq!(lines(&limits), ["io.max=8:32 rbps=2", "memory.x=1"]);
}

#[test]
fn no_limit_needs_no_controller() {
    let limits = Limits { pids_max: Some(u64::MAX), swap_max: Some(0), ..Limits::default() };
    assert_eq!(limits.controllers().to_string(), "memory");
    let cpu = CpuMax { quota_us: None, period_us: 100_000 };
    let limits = Limits { cpu_max: Some(cpu), ..Limits::default() };
    assert_eq!(limits.writes(), [("cpu.max".to_owned(), "max 100000".to_owned())]);
    let depth = Limits { max_depth: Some(1), ..Limits::default() };
    assert!(depth.controllers().is_empty());
}

#[test]
fn shares_count_where_there_is_no_weight() {
    let shares = Limits { cpu_shares: Some(1024), ..Limits::default() };
    assert_eq!(lines(&shares), ["cpu.weight=100"]);
    assert_eq!(lines(&Limits { cpu_weight: Some(7), ..shares }), ["cpu.weight=7"]);
}

proptest! {
    #[test]
    fn no_file_is_written_twice_for_one_device(
        unified in prop::collection::vec(("[a-c]\\.[a-b]", "[0-9]{1,2}"), 0..6), pids in any::<Option<u64>>(),
    ) {
        let limits = Limits { pids_max: pids, unified: unified.clone(), ..Limits::default() };
        let writes = limits.writes();
        for (file, value) in &unified {
            let last = unified.iter().rfind(|(other, _)| other == file).unwrap();
            prop_assert_eq!(writes.iter().filter(|(other, _)| other == file).count(), 1);
            prop_assert!(writes.contains(last), "{file}={value}");
        }
    }
}
