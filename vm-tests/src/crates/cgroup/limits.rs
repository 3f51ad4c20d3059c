//! Limits: that they hold, and that they are read back.

use super::Group;
use crate::crates::child::Sleeper;
use crate::crates::kernel::since;
use crate::registry::{Context, OrFail, Result};
use cofferdam_cgroup::{Cgroup, CpuMax, Device, ErrorKind, HugetlbLimits, IoMax, Limits, Partition};
use cofferdam_ns::Isolation;
use cofferdam_sys::process::Exit;
use std::time::{Duration, Instant};

pub(super) fn pids_limit(_: &mut Context) -> Result {
    let group = Group::new(&Limits { pids_max: Some(4), ..Limits::default() })?;
    // The asked process is the first of the four.
    ensure_eq!(group.ask(&["spawn:6"])?.get("spawn:6")?, "3", "processes that it could start");
    let pids = group.leaf()?.stats()?.pids.or_fail("process statistics")?;
    ensure!(pids.refused >= 1, "no fork was refused: {pids:?}");
    ensure!(pids.peak.is_none_or(|peak| peak == 4), "the most processes there were: {pids:?}");
    drop(group);
    let group = Group::new(&Limits::default())?;
    ensure_eq!(group.ask(&["spawn:6"])?.get("spawn:6")?, "6", "processes without the limit");
    Ok(())
}

pub(super) fn memory_limit(_: &mut Context) -> Result {
    let limit =
        Limits { memory_max: Some(16 << 20), swap_max: Some(0), oom_group: Some(true), ..Limits::default() };
    {
        let group = Group::new(&limit)?;
        let error = group.ask(&["allocate:48"]).err().or_fail("the end of a memory hog")?.to_string();
        ensure!(error.contains("Signal(9)"), "the memory hog was not killed: {error}");
        let memory = group.leaf()?.stats()?.memory.or_fail("memory statistics")?;
        ensure!(memory.oom_kill >= 1, "nobody was killed for want of memory: {memory:?}");
        ensure!(memory.peak.is_none_or(|peak| peak <= 16 << 20), "more was used than the limit: {memory:?}");
    }
    let group = Group::new(&Limits::default())?;
    ensure_eq!(group.ask(&["allocate:48"])?.get("allocate:48")?, (48 << 20).to_string(), "without the limit");
    Ok(())
}

pub(super) fn cpu_limit(_: &mut Context) -> Result {
    let cpu_max = Some(CpuMax { quota_us: Some(10_000), period_us: 100_000 });
    let group = Group::new(&Limits { cpu_max, ..Limits::default() })?;
    let started = Instant::now();
    group.ask(&["spin:50"])?;
    let took = started.elapsed();
    let cpu = group.leaf()?.stats()?.cpu.or_fail("processor statistics")?;
    ensure!(cpu.throttled_periods > Some(0), "it was never held back: {cpu:?}");
    ensure!(took > Duration::from_millis(300), "50 ms at a tenth of a processor took {took:?}");
    Ok(())
}

pub(super) fn missing_controller(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let inner = Cgroup::create(group.leaf()?, "inner")?;
    let result = inner.apply(&Limits { pids_max: Some(4), ..Limits::default() });
    inner.delete()?;
    let error = result.err().or_fail("an error for the missing controller")?;
    ensure_eq!(error.kind(), ErrorKind::NoController, "{error}");
    ensure!(error.to_string().contains("subtree_control"), "the error does not say what to do: {error}");
    Ok(())
}

pub(super) fn limits_read_back(_: &mut Context) -> Result {
    let limits = Limits {
        pids_max: Some(77),
        memory_max: Some(64 << 20),
        memory_high: Some(48 << 20),
        memory_low: Some(8 << 20),
        memory_min: Some(4 << 20),
        oom_group: Some(true),
        cpu_weight: Some(250),
        cpu_max: Some(CpuMax { quota_us: Some(50_000), period_us: 200_000 }),
        cpu_max_burst_us: since(5, 14)?.then_some(10_000),
        max_depth: Some(3),
        max_descendants: Some(9),
        ..Limits::default()
    };
    let group = Group::new(&limits)?;
    let found = group.leaf()?.limits()?;
    // What the kernel has of itself is not compared.
    let set = Limits {
        pids_max: found.pids_max,
        memory_max: found.memory_max,
        memory_high: found.memory_high,
        memory_low: found.memory_low,
        memory_min: found.memory_min,
        oom_group: found.oom_group,
        cpu_weight: found.cpu_weight,
        cpu_max: found.cpu_max,
        cpu_max_burst_us: found.cpu_max_burst_us.filter(|burst| *burst > 0),
        max_depth: found.max_depth,
        max_descendants: found.max_descendants,
        ..Limits::default()
    };
    ensure_eq!(set, limits, "the limits");
    ensure_eq!(found.cpu_max_burst_us.is_some(), since(5, 14)?, "cpu.max.burst");
    Ok(())
}

pub(super) fn no_limit_is_max(_: &mut Context) -> Result {
    let found = Group::new(&Limits::default())?.leaf()?.limits()?;
    ensure_eq!((found.pids_max, found.memory_max), (Some(u64::MAX), Some(u64::MAX)), "without limits");
    ensure_eq!(found.cpu_max, Some(CpuMax { quota_us: None, period_us: 100_000 }), "without limits");
    ensure_eq!((found.cpu_weight, found.oom_group), (Some(100), Some(false)), "without limits");
    Ok(())
}

/// The second value is refused, and the first is what it was before.
pub(super) fn update_is_all_or_none(_: &mut Context) -> Result {
    let group = Group::new(&Limits { pids_max: Some(10), ..Limits::default() })?;
    let leaf = group.leaf()?;
    let bad = Limits { pids_max: Some(20), cpu_weight: Some(1_000_000), ..Limits::default() };
    let error = leaf.update(&bad).err().or_fail("a refusal of the weight")?;
    ensure_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    ensure!(error.to_string().contains("write `1000000` to"), "{error}");
    ensure_eq!(leaf.limits()?.pids_max, Some(10), "the other limit after a refused update");
    leaf.update(&Limits { cpu_weight: Some(50), ..bad.clone() })?;
    ensure_eq!(leaf.limits()?.pids_max, Some(20), "the other limit after an update");
    leaf.apply(&bad).err().or_fail("a refusal of the weight")?;
    Ok(())
}

pub(super) fn burst_and_idle(_: &mut Context) -> Result {
    for (name, limits, there) in [
        ("burst", Limits { cpu_max_burst_us: Some(0), ..Limits::default() }, since(5, 14)?),
        ("idle", Limits { cpu_idle: Some(true), ..Limits::default() }, since(5, 15)?),
    ] {
        let group = Group::new(&Limits::default())?;
        match group.leaf()?.apply(&limits) {
            Ok(()) => ensure!(there, "{name} is there too early"),
            Err(error) => {
                ensure!(!there, "{name}: {error}");
                ensure_eq!(error.kind(), ErrorKind::NoController, "{error}");
                ensure!(error.to_string().contains("it is there since Linux 5.1"), "{error}");
            }
        }
    }
    Ok(())
}

pub(super) fn oom_group(_: &mut Context) -> Result {
    for together in [false, true] {
        let limits = Limits {
            memory_max: Some(16 << 20),
            swap_max: Some(0),
            oom_group: Some(together),
            ..Limits::default()
        };
        let group = Group::new(&limits)?;
        let sleeper = group.sleeper()?;
        group.ask(&["allocate:48"]).err().or_fail("the end of a memory hog")?;
        let killed = group.leaf()?.stats()?.memory.or_fail("memory statistics")?.oom_kill;
        // The kernel counts the one it chose once more with its group, unless that has given its memory back by then.
        let expected = if together { 2..=3 } else { 1..=1 };
        ensure!(expected.contains(&killed), "{killed} processes killed, with oom_group {together}");
        if together {
            ensure_eq!(sleeper.wait()?, Exit::Signal(nix::libc::SIGKILL), "the end of the other process");
        } else {
            ensure!(group.leaf()?.procs()?.contains(&sleeper.pid()), "the other process is gone");
        }
    }
    Ok(())
}

pub(super) fn cpuset(_: &mut Context) -> Result {
    let limits = Limits { cpuset_cpus: Some("0".into()), cpuset_mems: Some("0".into()), ..Limits::default() };
    let group = Group::with(&["cpuset"], &limits)?;
    let state = group.leaf()?.cpuset()?.or_fail("the cpuset")?;
    ensure_eq!((state.cpus.as_str(), state.mems.as_str()), ("0", "0"), "what is effective");
    ensure_eq!(state.partition, Some(Partition::Member), "what it is");
    ensure_eq!(state.exclusive.is_some(), since(6, 7)?, "cpuset.cpus.exclusive.effective");
    let facts = group.ask(&["file:/proc/self/status"])?;
    ensure_eq!(facts.status("Cpus_allowed_list")?, "0", "the processors of a process");
    for cpus in ["9999", "x", "3-1"] {
        let bad = Limits { cpuset_cpus: Some(cpus.into()), ..Limits::default() };
        let error = group.leaf()?.apply(&bad).err().or_fail("a refusal of the processors")?;
        ensure_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    Ok(())
}

pub(super) fn hugetlb(_: &mut Context) -> Result {
    let limit = HugetlbLimits { size: "2MB".into(), max: Some(4 << 20), rsvd_max: Some(2 << 20) };
    let group = Group::with(&["hugetlb"], &Limits { hugetlb: vec![limit.clone()], ..Limits::default() })?;
    ensure!(group.leaf()?.limits()?.hugetlb.contains(&limit), "the limit is not read back");
    let stats = group.leaf()?.stats()?.hugetlb;
    let found = stats.iter().find(|stats| stats.size == "2MB").or_fail("statistics of 2MB")?;
    ensure_eq!((found.current, found.refused), (0, 0), "huge pages in use, and refused");
    Ok(())
}

pub(super) fn wrong_device(_: &mut Context) -> Result {
    let group = Group::with(&["io"], &Limits::default())?;
    let max = IoMax { rbps: Some(1 << 20), ..IoMax::new(Device { major: 250, minor: 250 }) };
    let limits = Limits { io_max: vec![max], ..Limits::default() };
    let error = group.leaf()?.apply(&limits).err().or_fail("a refusal of the device")?;
    ensure_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    ensure!(error.to_string().contains("250:250") && error.to_string().contains("no such device"), "{error}");
    ensure!(group.leaf()?.limits()?.io_max.is_empty(), "a limit of a disk that is not there");
    Ok(())
}

pub(super) fn cgroups_below_are_limited(_: &mut Context) -> Result {
    let group = Group::new(&Limits { max_descendants: Some(1), ..Limits::default() })?;
    let leaf = group.leaf()?;
    let first = Cgroup::create(leaf, "a")?;
    let error = Cgroup::create(leaf, "b").err().or_fail("a refusal of the second")?;
    ensure!(error.to_string().contains("cgroup.max.descendants"), "{error}");
    first.delete()?;
    leaf.apply(&Limits { max_descendants: Some(u64::MAX), max_depth: Some(0), ..Limits::default() })?;
    let error = Cgroup::create(leaf, "b").err().or_fail("a refusal of any")?;
    ensure!(error.to_string().contains("cgroup.max.depth"), "{error}");
    Ok(())
}

pub(super) fn files_of_v1_are_refused(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let limits = Limits { legacy: vec![("pids.max".into(), "3".into())], ..Limits::default() };
    let error = group.leaf()?.apply(&limits).err().or_fail("a refusal")?;
    ensure_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    for file in ["cgroup.procs", "../pids.max", "nodot"] {
        let limits = Limits { unified: vec![(file.into(), "0".into())], ..Limits::default() };
        let error = group.leaf()?.apply(&limits).err().or_fail("a refusal")?;
        ensure_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    ensure_eq!(group.leaf()?.limits()?.pids_max, Some(u64::MAX), "after the refusals");
    Ok(())
}

/// "No internal processes": the error says so.
pub(super) fn subtree_control(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    let sleeper = Sleeper::start(&Isolation::default(), Some(leaf.fd()), vec![])?;
    let wanted = ["memory"].into_iter().collect();
    let error = leaf.enable(&wanted).err().or_fail("a refusal beside processes")?;
    ensure_eq!(error.kind(), ErrorKind::Busy, "{error}");
    ensure!(error.to_string().contains("move them to a child of it first"), "{error}");
    drop(sleeper);
    leaf.wait_empty(Duration::from_secs(5))?;
    leaf.enable(&wanted)?;
    ensure_eq!(leaf.enabled()?.to_string(), "memory", "what its children have");
    let other = Group::outside()?;
    let error = leaf.add(other.pid()).err().or_fail("a refusal of processes beside controllers")?;
    ensure_eq!(error.kind(), ErrorKind::Busy, "{error}");
    ensure!(error.to_string().contains("no internal processes"), "{error}");
    Ok(())
}
