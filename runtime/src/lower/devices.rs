//! `linux.resources`: block devices, huge pages, RDMA devices, and what only cgroup v1 has.

use cofferdam_cgroup::Limits;
use cofferdam_cgroup::limits::{Device, HugetlbLimits, IoMax, RdmaMax, weight_of_blkio_weight};

use crate::spec::{
    LinuxBlockIo, LinuxCpu, LinuxHugepageLimit, LinuxMemory, LinuxNetwork, LinuxRdma, LinuxThrottleDevice,
};
use crate::{Error, Result};

pub(super) fn block_io(io: &LinuxBlockIo, limits: &mut Limits) -> Result<()> {
    const FIELD: &str = "linux.resources.blockIO";
    let weight = |field: &str, weight: u16| {
        let within = (10..=1000).contains(&weight).then(|| weight_of_blkio_weight(weight.into()));
        within.ok_or_else(|| {
            Error::config(&format!("{FIELD}.{field}"), format!("{weight} is not within 10 and 1000"))
        })
    };
    // 0 is no weight, as engines write it.
    if let Some(wanted) = io.weight.filter(|weight| *weight != 0) {
        limits.io_weight = Some(weight("weight", wanted)?);
    }
    if io.leaf_weight.is_some_and(|weight| weight != 0) {
        return Err(Error::unsupported(&format!("{FIELD}.leafWeight (removed from Linux in 5.0)")));
    }
    for (number, entry) in io.weight_device.iter().enumerate() {
        let field = format!("weightDevice[{number}]");
        let device = device(&format!("{FIELD}.{field}"), entry.major, entry.minor)?;
        if let Some(wanted) = entry.weight.filter(|weight| *weight != 0) {
            limits.io_weight_of.push((device, weight(&field, wanted)?));
        }
    }
    let mut throttle = |field: &str, list: &[LinuxThrottleDevice], set: fn(&mut IoMax, u64)| {
        for (number, entry) in list.iter().enumerate() {
            let device = device(&format!("{FIELD}.{field}[{number}]"), entry.major, entry.minor)?;
            // 0 lifts a limit (cgroup v1, "throttle").
            let rate = if entry.rate == 0 { u64::MAX } else { entry.rate };
            if let Some(max) = limits.io_max.iter_mut().find(|max| max.device == device) {
                set(max, rate);
            } else {
                let mut max = IoMax::new(device);
                set(&mut max, rate);
                limits.io_max.push(max);
            }
        }
        Ok(())
    };
    throttle("throttleReadBpsDevice", &io.throttle_read_bps_device, |max, rate| max.rbps = Some(rate))?;
    throttle("throttleWriteBpsDevice", &io.throttle_write_bps_device, |max, rate| max.wbps = Some(rate))?;
    throttle("throttleReadIOPSDevice", &io.throttle_read_iops_device, |max, rate| max.riops = Some(rate))?;
    throttle("throttleWriteIOPSDevice", &io.throttle_write_iops_device, |max, rate| max.wiops = Some(rate))
}

fn device(field: &str, major: i64, minor: i64) -> Result<Device> {
    let number = |value: i64| {
        u32::try_from(value)
            .map_err(|_| Error::config(field, format!("{major}:{minor} is no number of a device")))
    };
    Ok(Device { major: number(major)?, minor: number(minor)? })
}

pub(super) fn huge_pages(number: usize, huge: &LinuxHugepageLimit) -> Result<HugetlbLimits> {
    let size = &huge.page_size;
    let plain = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !plain {
        let field = format!("linux.resources.hugepageLimits[{number}].pageSize");
        let why = format!("`{}` is no size such as 2MB", size.escape_default());
        return Err(Error::config(&field, why));
    }
    let max = u64::try_from(huge.limit).unwrap_or(u64::MAX);
    Ok(HugetlbLimits { size: size.clone(), max: Some(max), rsvd_max: None })
}

pub(super) fn rdma(name: &str, rdma: &LinuxRdma) -> Result<RdmaMax> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        let field = format!("linux.resources.rdma[\"{}\"]", name.escape_default());
        return Err(Error::config(&field, "is no name of a device"));
    }
    Ok(RdmaMax {
        device: name.to_owned(),
        hca_handle: rdma.hca_handles.map(u64::from),
        hca_object: rdma.hca_objects.map(u64::from),
    })
}

/// Marks of packets, which only cgroup v1 has.
pub(super) fn network(network: &LinuxNetwork, limits: &mut Limits) -> Result<()> {
    if let Some(class) = network.class_id.filter(|class| *class != 0) {
        limits.legacy.push(("net_cls.classid".to_owned(), class.to_string()));
    }
    for (number, entry) in network.priorities.iter().enumerate() {
        if entry.name.is_empty() || !entry.name.bytes().all(|byte| byte.is_ascii_graphic()) {
            let field = format!("linux.resources.network.priorities[{number}].name");
            return Err(Error::config(&field, "is no name of an interface"));
        }
        limits.legacy.push(("net_prio.ifpriomap".to_owned(), format!("{} {}", entry.name, entry.priority)));
    }
    Ok(())
}

/// Limits of memory and processors that only cgroup v1 has.
pub(super) fn legacy(
    memory: Option<&LinuxMemory>,
    cpu: Option<&LinuxCpu>,
    limits: &mut Limits,
) -> Result<()> {
    let mut push = |file: &str, value: Option<String>| {
        limits.legacy.extend(value.map(|value| (file.to_owned(), value)));
    };
    if let Some(memory) = memory {
        if let Some(swappiness) = memory.swappiness.filter(|swappiness| *swappiness > 100) {
            let why = format!("{swappiness} is not within 0 and 100");
            return Err(Error::config("linux.resources.memory.swappiness", why));
        }
        let bytes = |limit: Option<i64>| limit.filter(|limit| *limit > 0).map(|limit| limit.to_string());
        push("memory.kmem.limit_in_bytes", bytes(memory.kernel));
        push("memory.kmem.tcp.limit_in_bytes", bytes(memory.kernel_tcp));
        push("memory.swappiness", memory.swappiness.map(|swappiness| swappiness.to_string()));
        let waits = memory.disable_oom_killer == Some(true);
        push("memory.oom_control", waits.then(|| "1".to_owned()));
    }
    if let Some(cpu) = cpu {
        // The period first, as the other must fit into it.
        let period = cpu.realtime_period.filter(|us| *us != 0);
        push("cpu.rt_period_us", period.map(|us| us.to_string()));
        push("cpu.rt_runtime_us", cpu.realtime_runtime.filter(|us| *us != 0).map(|us| us.to_string()));
    }
    Ok(())
}
