//! `linux.cgroupsPath` and `linux.resources`.

use std::path::Component;

use cofferdam_cgroup::devices as rules;
use cofferdam_cgroup::{CpuMax, Limits};

use super::devices;

use crate::container::CgroupPlan;
use crate::spec::{
    Linux, LinuxCpu, LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType, LinuxMemory, LinuxResources,
};
use crate::systemd::ScopeName;
use crate::{ContainerId, Error, Result};

pub(super) fn lower(linux: &Linux, id: &ContainerId) -> Result<CgroupPlan> {
    let named = linux.cgroups_path.as_ref().is_some_and(|path| !path.as_os_str().is_empty());
    let relative = !linux.cgroups_path.as_ref().is_some_and(|path| path.is_absolute());
    let (path, scope) = place(linux, id)?;
    let mut plan =
        CgroupPlan { path, scope, named, relative, limits: Limits::default(), devices: Vec::new() };
    if let Some(resources) = &linux.resources {
        plan.limits = limits(resources)?;
        plan.devices = device_rules(resources, &linux.devices)?;
    }
    Ok(plan)
}

/// `cgroupsPath` below the root of the hierarchy, `cofferdam/ID` when the config names none; and the scope that
/// systemd would make. A config has one of the two, or both: who makes the cgroup is not the config's to say.
fn place(linux: &Linux, id: &ContainerId) -> Result<(String, Option<ScopeName>)> {
    const FIELD: &str = "linux.cgroupsPath";
    let Some(path) = linux.cgroups_path.as_ref().filter(|path| !path.as_os_str().is_empty()) else {
        return Ok((format!("cofferdam/{id}"), Some(ScopeName::usual(id))));
    };
    let text = path.to_str().ok_or_else(|| Error::config(FIELD, "is not UTF-8"))?;
    if text.contains(':') {
        return Ok((String::new(), Some(ScopeName::parse(text)?)));
    }
    if path.components().any(|part| matches!(part, Component::ParentDir)) {
        return Err(Error::config(FIELD, "must not hold `..`"));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() {
        return Err(Error::config(FIELD, "must not be the root of the hierarchy"));
    }
    // A relative path is the runtime's to place (runtime-spec, config-linux, "Cgroups Path").
    let prefix = if path.is_absolute() { "" } else { "cofferdam/" };
    Ok((format!("{prefix}{}", parts.join("/")), ScopeName::plain(text)))
}

pub(super) fn limits(resources: &LinuxResources) -> Result<Limits> {
    let mut limits = Limits::default();
    if let Some(pids) = &resources.pids {
        // 0 and below mean "no limit" (runtime-spec, config-linux, "PIDs").
        limits.pids_max = Some(u64::try_from(pids.limit).ok().filter(|limit| *limit > 0).unwrap_or(u64::MAX));
    }
    if let Some(memory) = &resources.memory {
        memory_limits(memory, &mut limits)?;
    }
    if let Some(cpu) = &resources.cpu {
        cpu_limits(cpu, &mut limits)?;
    }
    devices::legacy(resources.memory.as_ref(), resources.cpu.as_ref(), &mut limits)?;
    if let Some(io) = &resources.block_io {
        devices::block_io(io, &mut limits)?;
    }
    for (number, huge) in resources.hugepage_limits.iter().enumerate() {
        limits.hugetlb.push(devices::huge_pages(number, huge)?);
    }
    for (name, rdma) in &resources.rdma {
        limits.rdma_max.push(devices::rdma(name, rdma)?);
    }
    if let Some(network) = &resources.network {
        devices::network(network, &mut limits)?;
    }
    for (name, value) in &resources.unified {
        let field = format!("linux.resources.unified[\"{}\"]", name.escape_default());
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if !plain || !name.contains('.') || name.starts_with("cgroup.") {
            return Err(Error::config(&field, "is no interface file of a controller"));
        }
        limits.unified.push((name.clone(), value.clone()));
    }
    limits.unified.sort();
    Ok(limits)
}

fn memory_limits(memory: &LinuxMemory, limits: &mut Limits) -> Result<()> {
    // -1 is "no limit" everywhere in this section.
    let bytes = |value: i64| u64::try_from(value).unwrap_or(u64::MAX);
    limits.memory_max = memory.limit.map(bytes);
    limits.memory_low = memory.reservation.map(bytes);
    if let Some(both) = memory.swap {
        limits.swap_max = Some(swap(both, memory.limit)?);
    }
    Ok(())
}

/// The config's `swap` is memory and swap together, as cgroup v1 has it; v2 limits swap alone.
fn swap(both: i64, memory: Option<i64>) -> Result<u64> {
    const FIELD: &str = "linux.resources.memory.swap";
    if both < 0 {
        return Ok(u64::MAX);
    }
    let memory = memory.filter(|limit| *limit >= 0);
    let memory = memory.ok_or_else(|| Error::config(FIELD, "needs memory.limit: it is the sum of both"))?;
    let swap = both.checked_sub(memory).and_then(|swap| u64::try_from(swap).ok());
    swap.ok_or_else(|| Error::config(FIELD, "is below memory.limit: it is the sum of both"))
}

fn cpu_limits(cpu: &LinuxCpu, limits: &mut Limits) -> Result<()> {
    // Both: the weight for v2, and for v1 the very shares.
    limits.cpu_shares = cpu.shares.filter(|shares| *shares != 0);
    limits.cpu_weight = limits.cpu_shares.map(cofferdam_cgroup::weight_of_shares);
    if cpu.quota.is_some() || cpu.period.is_some() {
        let quota_us = cpu.quota.and_then(|quota| u64::try_from(quota).ok()).filter(|quota| *quota > 0);
        limits.cpu_max =
            Some(CpuMax { quota_us, period_us: cpu.period.filter(|period| *period > 0).unwrap_or(100_000) });
    }
    limits.cpu_max_burst_us = cpu.burst;
    limits.cpu_idle = match cpu.idle {
        None => None,
        Some(0) => Some(false),
        Some(1) => Some(true),
        Some(_) => return Err(Error::config("linux.resources.cpu.idle", "must be 0 or 1")),
    };
    let list = |list: &Option<String>| list.clone().filter(|list| !list.is_empty());
    limits.cpuset_cpus = list(&cpu.cpus);
    limits.cpuset_mems = list(&cpu.mems);
    Ok(())
}

/// The config's rules and, behind them, the devices that every container has (runtime-spec, config-linux,
/// "Default Devices"), its pseudo-terminals included. Nodes that the config asks for can be made, and used as far as
/// its own rules say. No rules in the config mean no filter.
fn device_rules(resources: &LinuxResources, nodes: &[LinuxDevice]) -> Result<Vec<rules::Rule>> {
    let mut rules: Vec<rules::Rule> =
        resources.devices.iter().enumerate().map(device_rule).collect::<Result<_>>()?;
    if !rules.is_empty() {
        rules.extend(nodes.iter().filter_map(may_be_made));
        rules.extend(DEFAULT_DEVICES.map(|(major, minor)| rules::Rule {
            allow: true,
            kind: Some(rules::Kind::Char),
            major: Some(major),
            minor,
            access: rules::Access::ALL,
        }));
        let number = |value: i64| u32::try_from(value).ok();
        // What is no device, or no number, is for who makes the nodes to say.
        rules.extend(nodes.iter().filter_map(|node| {
            let (major, minor) = (Some(number(node.major)?), Some(number(node.minor)?));
            rules::Rule::new(true, node.typ.as_str(), major, minor, "m").ok()
        }));
    }
    Ok(rules)
}

/// The rule for the node of a device; a FIFO needs none.
fn may_be_made(node: &LinuxDevice) -> Option<rules::Rule> {
    let (major, minor) = (u32::try_from(node.major).ok()?, u32::try_from(node.minor).ok()?);
    rules::Rule::new(true, node.typ.as_str(), Some(major), Some(minor), "m").ok()
}

/// null, zero, full, random, urandom, tty, ptmx, and every slave of a devpts.
const DEFAULT_DEVICES: [(u32, Option<u32>); 8] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(2)),
    (136, None),
];

fn device_rule((number, rule): (usize, &LinuxDeviceCgroup)) -> Result<rules::Rule> {
    let field = format!("linux.resources.devices[{number}]");
    let number_of = |value: Option<i64>| match value {
        None | Some(-1) => Ok(None),
        Some(value) => u32::try_from(value)
            .map(Some)
            .map_err(|_| Error::config(&field, format!("{value} is no device number"))),
    };
    let (major, minor) = (number_of(rule.major)?, number_of(rule.minor)?);
    let kind = rule.typ.map_or("a", LinuxDeviceType::as_str);
    // `a`, which v1 has for all kinds of devices, is also written for all kinds of access where all are denied.
    let access = rule.access.as_deref().filter(|access| rule.allow || !access.contains('a')).unwrap_or("rwm");
    rules::Rule::new(rule.allow, kind, major, minor, access).map_err(|error| Error::config(&field, error))
}
