//! Reading the limits of a v2 cgroup back.

use super::{CpuMax, Device, DmemLimits, HugetlbLimits, IoMax, Limits, Partition, PrioClass, RdmaMax};
use crate::file::number;
use crate::{Cgroup, Error, ErrorKind, Result};

impl Cgroup {
    /// Reads the limits that are in force for it alone; `None` for a file that is not there.
    ///
    /// What a parent's limits add is not in it. `cpu_shares`, `unified` and `legacy` stay empty.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a cgroup that is gone; [`ErrorKind::Invalid`] with the file that holds
    /// what nobody expects.
    pub fn limits(&self) -> Result<Limits> {
        let amount = |file: &str| self.files().number_if_there(file);
        let flag = |file: &str| Ok::<_, Error>(amount(file)?.map(|value| value != 0));
        let text = |file: &str| {
            Ok::<_, Error>(self.files().read_if_there(file)?.map(|text| text.trim_end().to_owned()))
        };
        let parsed = |file: &str| text(file).map(Option::unwrap_or_default);
        let io_weight = parsed("io.weight")?;
        Ok(Limits {
            pids_max: amount("pids.max")?,
            memory_max: amount("memory.max")?,
            memory_high: amount("memory.high")?,
            memory_low: amount("memory.low")?,
            memory_min: amount("memory.min")?,
            swap_max: amount("memory.swap.max")?,
            swap_high: amount("memory.swap.high")?,
            zswap_max: amount("memory.zswap.max")?,
            zswap_writeback: flag("memory.zswap.writeback")?,
            oom_group: flag("memory.oom.group")?,
            cpu_weight: amount("cpu.weight")?,
            cpu_weight_nice: text("cpu.weight.nice")?.map(|text| nice(&text)).transpose()?,
            cpu_shares: None,
            cpu_max: text("cpu.max")?.map(|text| cpu_max(&text)).transpose()?,
            cpu_max_burst_us: amount("cpu.max.burst")?,
            cpu_idle: flag("cpu.idle")?,
            cpu_uclamp_min: text("cpu.uclamp.min")?
                .map(|text| percent("cpu.uclamp.min", &text))
                .transpose()?,
            cpu_uclamp_max: text("cpu.uclamp.max")?
                .map(|text| percent("cpu.uclamp.max", &text))
                .transpose()?,
            cpuset_cpus: text("cpuset.cpus")?,
            cpuset_mems: text("cpuset.mems")?,
            cpuset_cpus_exclusive: text("cpuset.cpus.exclusive")?,
            cpuset_cpus_partition: text("cpuset.cpus.partition")?.and_then(|text| Partition::parse(&text)),
            io_weight: default_of(&io_weight, "io.weight")?,
            io_weight_of: device_lines(&io_weight, "io.weight")?,
            io_bfq_weight: default_of(&parsed("io.bfq.weight")?, "io.bfq.weight")?,
            io_max: parsed("io.max")?.lines().map(io_max).collect::<Result<_>>()?,
            io_latency: parsed("io.latency")?.lines().map(io_latency).collect::<Result<_>>()?,
            io_prio_class: text("io.prio.class")?.and_then(|text| PrioClass::parse(&text)),
            hugetlb: self.hugetlb_limits()?,
            rdma_max: parsed("rdma.max")?.lines().map(rdma_max).collect::<Result<_>>()?,
            misc_max: named("misc.max", &parsed("misc.max")?)?,
            dmem: dmem(&parsed("dmem.max")?, &parsed("dmem.low")?, &parsed("dmem.min")?)?,
            max_depth: amount("cgroup.max.depth")?,
            max_descendants: amount("cgroup.max.descendants")?,
            unified: Vec::new(),
            legacy: Vec::new(),
        })
    }

    fn hugetlb_limits(&self) -> Result<Vec<HugetlbLimits>> {
        let sizes = huge_page_sizes();
        let mut all = Vec::new();
        for size in sizes {
            let max = self.files().number_if_there(&format!("hugetlb.{size}.max"))?;
            let rsvd_max = self.files().number_if_there(&format!("hugetlb.{size}.rsvd.max"))?;
            if max.is_some() || rsvd_max.is_some() {
                all.push(HugetlbLimits { size, max, rsvd_max });
            }
        }
        Ok(all)
    }
}

/// The sizes of huge pages that the kernel has, as `hugetlb` files name them, in the order of their names.
pub(crate) fn huge_page_sizes() -> Vec<String> {
    let Ok(list) = std::fs::read_dir("/sys/kernel/mm/hugepages") else { return Vec::new() };
    let names = list.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut sizes: Vec<String> = names.filter_map(|name| huge_page_size(&name)).collect();
    sizes.sort();
    sizes
}

/// `2MB` of `hugepages-2048kB`.
fn huge_page_size(name: &str) -> Option<String> {
    let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    Some(match kib {
        kib if kib >= 1 << 20 => format!("{}GB", kib >> 20),
        kib if kib >= 1 << 10 => format!("{}MB", kib >> 10),
        kib => format!("{kib}KB"),
    })
}

fn invalid(file: &str, line: &str) -> Error {
    let shown: String = line.chars().take(60).collect();
    Error::new(ErrorKind::Invalid, format!("{file}: `{}` is not understood", shown.escape_default()))
}

fn nice(text: &str) -> Result<i8> {
    text.parse().map_err(|_| invalid("cpu.weight.nice", text))
}

fn cpu_max(text: &str) -> Result<CpuMax> {
    let (quota, period) = text.split_once(' ').ok_or_else(|| invalid("cpu.max", text))?;
    let quota = number("cpu.max", quota)?;
    Ok(CpuMax { quota_us: (quota != u64::MAX).then_some(quota), period_us: number("cpu.max", period)? })
}

/// `12.34` or `max`, in hundredths.
fn percent(file: &str, text: &str) -> Result<u16> {
    if text == "max" {
        return Ok(10_000);
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let value = (part.len() <= 2).then(|| {
        let whole: u16 = whole.parse().ok()?;
        let part: u16 = format!("{part:0<2}").parse().ok()?;
        whole.checked_mul(100)?.checked_add(part)
    });
    value.flatten().ok_or_else(|| invalid(file, text))
}

/// The value of the line `default N`, or the only one.
fn default_of(text: &str, file: &str) -> Result<Option<u64>> {
    let mut lines = text.lines();
    let value =
        lines.find_map(|line| line.strip_prefix("default ").or((!line.contains(' ')).then_some(line)));
    value.filter(|value| !value.is_empty()).map(|value| number(file, value)).transpose()
}

fn device_lines(text: &str, file: &str) -> Result<Vec<(Device, u64)>> {
    let lines = text.lines().filter_map(|line| line.split_once(' ')).filter(|(key, _)| *key != "default");
    lines.map(|(key, value)| Ok((key.parse()?, number(file, value)?))).collect()
}

/// The device of a line and its `key=value` pairs.
pub(crate) fn keys<'a>(file: &str, line: &'a str) -> Result<(&'a str, Vec<(&'a str, &'a str)>)> {
    let mut words = line.split_ascii_whitespace();
    let device = words.next().ok_or_else(|| invalid(file, line))?;
    let pairs = words.map(|word| word.split_once('=').ok_or_else(|| invalid(file, line)));
    Ok((device, pairs.collect::<Result<_>>()?))
}

fn io_max(line: &str) -> Result<IoMax> {
    let (device, pairs) = keys("io.max", line)?;
    let mut max = IoMax::new(device.parse()?);
    for (key, value) in pairs {
        let value = Some(number("io.max", value)?);
        match key {
            "rbps" => max.rbps = value,
            "wbps" => max.wbps = value,
            "riops" => max.riops = value,
            "wiops" => max.wiops = value,
            _ => {}
        }
    }
    Ok(max)
}

fn io_latency(line: &str) -> Result<(Device, u64)> {
    let (device, pairs) = keys("io.latency", line)?;
    let target = pairs.iter().find(|(key, _)| *key == "target").ok_or_else(|| invalid("io.latency", line))?;
    Ok((device.parse()?, number("io.latency", target.1)?))
}

fn rdma_max(line: &str) -> Result<RdmaMax> {
    let (device, pairs) = keys("rdma.max", line)?;
    let get = |name: &str| {
        let value = pairs.iter().find(|(key, _)| *key == name);
        value.map(|(_, value)| number("rdma.max", value)).transpose()
    };
    Ok(RdmaMax { device: device.to_owned(), hca_handle: get("hca_handle")?, hca_object: get("hca_object")? })
}

/// Lines of a name and a number.
pub(crate) fn named(file: &str, text: &str) -> Result<Vec<(String, u64)>> {
    let line = |line: &str| {
        let (name, value) = line.rsplit_once(' ').ok_or_else(|| invalid(file, line))?;
        Ok((name.trim_end().to_owned(), number(file, value)?))
    };
    text.lines().filter(|text| !text.trim().is_empty()).map(line).collect()
}

fn dmem(max: &str, low: &str, min: &str) -> Result<Vec<DmemLimits>> {
    let (low, min) = (named("dmem.low", low)?, named("dmem.min", min)?);
    let of = |list: &[(String, u64)], region: &str| {
        list.iter().find(|(name, _)| name == region).map(|(_, value)| *value)
    };
    let all = named("dmem.max", max)?.into_iter().map(|(region, max)| DmemLimits {
        low: of(&low, &region),
        min: of(&min, &region),
        max: Some(max),
        region,
    });
    Ok(all.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_of_devices_are_read() {
        let device = Device { major: 8, minor: 16 };
        let expected = IoMax { rbps: Some(2_097_152), wiops: Some(u64::MAX), ..IoMax::new(device) };
        assert_eq!(io_max("8:16 rbps=2097152 wiops=max").unwrap(), expected);
        assert_eq!(io_latency("8:16 target=75000").unwrap(), (device, 75_000));
        let weights = "default 100\n8:16 200\n";
        assert_eq!(default_of(weights, "io.weight").unwrap(), Some(100));
        assert_eq!(device_lines(weights, "io.weight").unwrap(), [(device, 200)]);
        assert_eq!(default_of("77", "io.bfq.weight").unwrap(), Some(77));
        let rdma = rdma_max("mlx4_0 hca_handle=2 hca_object=max").unwrap();
        assert_eq!((rdma.hca_handle, rdma.hca_object), (Some(2), Some(u64::MAX)));
        assert_eq!(named("misc.max", "sev max\nsev_es 10\n").unwrap()[1], ("sev_es".to_owned(), 10));
        for line in ["", "8:16 rbps", "8 rbps=1", "8:16 rbps=x"] {
            assert_eq!(io_max(line).unwrap_err().kind(), ErrorKind::Invalid, "{line:?}");
        }
    }

    #[test]
    fn percents_are_hundredths() {
        assert_eq!(percent("f", "max").unwrap(), 10_000);
        assert_eq!(percent("f", "0.00").unwrap(), 0);
        assert_eq!(percent("f", "12.34").unwrap(), 1234);
        assert_eq!(percent("f", "50.5").unwrap(), 5050);
        for text in ["", "1.234", "x", "-1.00", "700.00", "1.-1"] {
            assert!(percent("f", text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_of_huge_pages_have_the_files_names() {
        assert_eq!(huge_page_size("hugepages-64kB").as_deref(), Some("64KB"));
        assert_eq!(huge_page_size("hugepages-2048kB").as_deref(), Some("2MB"));
        assert_eq!(huge_page_size("hugepages-1048576kB").as_deref(), Some("1GB"));
        assert_eq!(huge_page_size("hugepages-xkB"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ -~\n]{0,60}") {
            let _ = (io_max(&text), io_latency(&text), rdma_max(&text), named("f", &text));
            let _ = (percent("f", &text), cpu_max(&text), nice(&text), default_of(&text, "f"));
            let _ = (device_lines(&text, "f"), dmem(&text, &text, &text), huge_page_size(&text));
        }
    }
}
