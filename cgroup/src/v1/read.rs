//! Reading the limits of v1 back, under the names of v2.

use super::Group;
use crate::file::number;
use crate::limits::{Device, IoMax, Limits};
use crate::{CpuMax, Error, ErrorKind, HugetlbLimits, Result};

/// The kernel prints "no limit" of memory as the largest multiple of a page; pages have at most 64 KiB.
const NO_LIMIT: u64 = 0x7fff_ffff_ffff_0000;

/// Adds the limits of one hierarchy.
pub(crate) fn add(group: &Group, limits: &mut Limits) -> Result<()> {
    let files = group.files();
    for controller in group.controllers().iter() {
        match controller {
            "pids" => limits.pids_max = files.number_if_there("pids.max")?,
            "memory" => memory(group, limits)?,
            "cpu" => cpu(group, limits)?,
            "cpuset" => {
                let text =
                    |file| Ok::<_, Error>(files.read_if_there(file)?.map(|text| text.trim().to_owned()));
                limits.cpuset_cpus = text("cpuset.cpus")?;
                limits.cpuset_mems = text("cpuset.mems")?;
            }
            "blkio" => blkio(group, limits)?,
            "hugetlb" => hugetlb(group, limits)?,
            "misc" => {
                let text = files.read_if_there("misc.max")?.unwrap_or_default();
                limits.misc_max = crate::limits::named("misc.max", &text)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn memory(group: &Group, limits: &mut Limits) -> Result<()> {
    let bytes = |file: &str| Ok::<_, Error>(group.files().number_if_there(file)?.map(unlimited));
    limits.memory_max = bytes("memory.limit_in_bytes")?;
    limits.memory_low = bytes("memory.soft_limit_in_bytes")?;
    limits.swap_max = match (bytes("memory.memsw.limit_in_bytes")?, limits.memory_max) {
        (Some(u64::MAX), _) => Some(u64::MAX),
        (Some(both), Some(memory)) => Some(both.saturating_sub(memory)),
        _ => None,
    };
    Ok(())
}

fn unlimited(value: u64) -> u64 {
    if value >= NO_LIMIT { u64::MAX } else { value }
}

fn cpu(group: &Group, limits: &mut Limits) -> Result<()> {
    let files = group.files();
    limits.cpu_shares = files.number_if_there("cpu.shares")?;
    limits.cpu_idle = files.number_if_there("cpu.idle")?.map(|idle| idle != 0);
    limits.cpu_max_burst_us = files.number_if_there("cpu.cfs_burst_us")?;
    if let Some(period_us) = files.number_if_there("cpu.cfs_period_us")? {
        let quota = files.read("cpu.cfs_quota_us")?;
        let quota_us = match quota.trim() {
            "-1" => None,
            digits => Some(number("cpu.cfs_quota_us", digits)?),
        };
        limits.cpu_max = Some(CpuMax { quota_us, period_us });
    }
    Ok(())
}

fn blkio(group: &Group, limits: &mut Limits) -> Result<()> {
    if let Some(text) = group.files().read_if_there("blkio.bfq.weight")? {
        limits.io_bfq_weight = Some(number("blkio.bfq.weight", &text)?);
    }
    let mut all: Vec<IoMax> = Vec::new();
    for (file, place) in [
        ("blkio.throttle.read_bps_device", (|max| &mut max.rbps) as fn(&mut IoMax) -> &mut Option<u64>),
        ("blkio.throttle.write_bps_device", |max| &mut max.wbps),
        ("blkio.throttle.read_iops_device", |max| &mut max.riops),
        ("blkio.throttle.write_iops_device", |max| &mut max.wiops),
    ] {
        let text = group.files().read_if_there(file)?.unwrap_or_default();
        for (device, value) in throttle(file, &text)? {
            if let Some(max) = all.iter_mut().find(|max| max.device == device) {
                *place(max) = Some(value);
            } else {
                let mut max = IoMax::new(device);
                *place(&mut max) = Some(value);
                all.push(max);
            }
        }
    }
    limits.io_max = all;
    Ok(())
}

/// Lines of a device and a number.
fn throttle(file: &str, text: &str) -> Result<Vec<(Device, u64)>> {
    let line = |line: &str| {
        let (device, value) = line.split_once(' ').ok_or_else(|| {
            let shown: String = line.chars().take(60).collect();
            let what = format!("{file}: `{}` is not understood", shown.escape_default());
            Error::new(ErrorKind::Invalid, what)
        })?;
        Ok((device.parse()?, number(file, value)?))
    };
    text.lines().map(line).collect()
}

fn hugetlb(group: &Group, limits: &mut Limits) -> Result<()> {
    for size in crate::limits::huge_page_sizes() {
        let bytes = |file: String| Ok::<_, Error>(group.files().number_if_there(&file)?.map(unlimited));
        let max = bytes(format!("hugetlb.{size}.limit_in_bytes"))?;
        let rsvd_max = bytes(format!("hugetlb.{size}.rsvd.limit_in_bytes"))?;
        if max.is_some() || rsvd_max.is_some() {
            limits.hugetlb.push(HugetlbLimits { size, max, rsvd_max });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_limit_is_known() {
        assert_eq!(unlimited(9_223_372_036_854_771_712), u64::MAX);
        assert_eq!(unlimited(9_223_372_036_854_710_272), u64::MAX);
        assert_eq!(unlimited(1 << 40), 1 << 40);
    }

    #[test]
    fn throttles_are_read() {
        let device = Device { major: 8, minor: 0 };
        assert_eq!(throttle("f", "8:0 1024\n").unwrap(), [(device, 1024)]);
        assert_eq!(throttle("f", "8:0\n").unwrap_err().kind(), ErrorKind::Invalid);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = throttle("f", &text);
        }
    }
}
