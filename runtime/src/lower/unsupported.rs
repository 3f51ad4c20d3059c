//! What the spec has and this build does not enforce yet: refused by name, never left out in silence.

use crate::spec::{Linux, LinuxBlockIo, LinuxResources, Process, Spec};
use crate::{Error, Result};

/// Refuses the first field that is set and not enforced.
pub(super) fn refuse(spec: &Spec) -> Result<()> {
    let mut fields: Vec<(&str, bool)> = Vec::new();
    fields.push(("vm", spec.vm.is_some()));
    if let Some(process) = &spec.process {
        in_process(process, &mut fields);
    }
    if let Some(linux) = &spec.linux {
        in_linux(linux, &mut fields);
        if let Some(resources) = &linux.resources {
            in_resources(resources, &mut fields);
        }
    }
    first(fields)
}

/// The same for a process alone.
pub(super) fn refuse_process(process: &Process) -> Result<()> {
    let mut fields = Vec::new();
    in_process(process, &mut fields);
    first(fields)
}

/// The same for resources alone.
pub(super) fn refuse_resources(resources: &LinuxResources) -> Result<()> {
    let mut fields = Vec::new();
    in_resources(resources, &mut fields);
    first(fields)
}

fn first(fields: Vec<(&str, bool)>) -> Result<()> {
    match fields.into_iter().find(|(_, set)| *set) {
        Some((field, _)) => Err(Error::unsupported(field)),
        None => Ok(()),
    }
}

fn set(text: Option<&String>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

fn in_process(process: &Process, fields: &mut Vec<(&str, bool)>) {
    fields.extend([
        ("process.selinuxLabel", set(process.selinux_label.as_ref())),
        ("process.ioPriority", process.io_priority.is_some()),
        ("process.scheduler", process.scheduler.is_some()),
        ("process.execCPUAffinity", process.exec_cpu_affinity.is_some()),
    ]);
}

fn in_linux(linux: &Linux, fields: &mut Vec<(&str, bool)>) {
    fields.extend([
        ("linux.mountLabel", set(linux.mount_label.as_ref())),
        ("linux.intelRdt", linux.intel_rdt.is_some()),
        ("linux.memoryPolicy", linux.memory_policy.is_some()),
        ("linux.personality", linux.personality.is_some()),
        ("linux.timeOffsets", !linux.time_offsets.is_empty()),
        ("linux.netDevices", !linux.net_devices.is_empty()),
    ]);
}

/// Engines write the object for every container, with nothing in it but a weight of 0.
fn limits_io(io: &LinuxBlockIo) -> bool {
    let weight = |weight: Option<u16>| weight.is_some_and(|weight| weight != 0);
    let throttles = [
        &io.throttle_read_bps_device,
        &io.throttle_write_bps_device,
        &io.throttle_read_iops_device,
        &io.throttle_write_iops_device,
    ];
    weight(io.weight)
        || weight(io.leaf_weight)
        || !io.weight_device.is_empty()
        || throttles.iter().any(|devices| !devices.is_empty())
}

fn in_resources(resources: &LinuxResources, fields: &mut Vec<(&str, bool)>) {
    fields.extend([
        ("linux.resources.blockIO", resources.block_io.as_ref().is_some_and(limits_io)),
        ("linux.resources.hugepageLimits", !resources.hugepage_limits.is_empty()),
        ("linux.resources.network", resources.network.is_some()),
        ("linux.resources.rdma", !resources.rdma.is_empty()),
    ]);
}
