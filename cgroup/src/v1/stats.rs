//! Statistics of v1, in the structures of v2.

use super::Group;
use crate::file::keyed;
use crate::limits::huge_page_sizes;
use crate::stats::add_blkio;
use crate::{CpuStats, HugetlbStats, MemoryStat, MemoryStats, PidsStats, Result, Stats};

const NANOSECONDS: u64 = 1000;

/// Adds what one hierarchy counts.
pub(crate) fn add(group: &Group, stats: &mut Stats) -> Result<()> {
    for controller in group.controllers().iter() {
        match controller {
            "cpu" => throttling(group, stats.cpu.get_or_insert_default())?,
            "cpuacct" => usage(group, stats.cpu.get_or_insert_default())?,
            "memory" => stats.memory = Some(memory(group)?),
            "pids" => stats.pids = Some(pids(group)?),
            "blkio" => {
                for (file, bytes) in [
                    ("blkio.throttle.io_service_bytes_recursive", true),
                    ("blkio.throttle.io_serviced_recursive", false),
                ] {
                    let text = group.files().read_if_there(file)?.unwrap_or_default();
                    add_blkio(file, &text, bytes, &mut stats.io)?;
                }
            }
            "hugetlb" => hugetlb(group, &mut stats.hugetlb)?,
            _ => {}
        }
    }
    Ok(())
}

fn throttling(group: &Group, cpu: &mut CpuStats) -> Result<()> {
    let text = group.files().read_if_there("cpu.stat")?.unwrap_or_default();
    let value = |key| keyed("cpu.stat", &text, key);
    cpu.periods = value("nr_periods")?;
    cpu.throttled_periods = value("nr_throttled")?;
    cpu.throttled_us = value("throttled_time")?.map(|time| time.div_euclid(NANOSECONDS));
    cpu.bursts = value("nr_bursts")?;
    cpu.burst_us = value("burst_time")?.map(|time| time.div_euclid(NANOSECONDS));
    Ok(())
}

fn usage(group: &Group, cpu: &mut CpuStats) -> Result<()> {
    let time = |file: &str| {
        let value = group.files().number_if_there(file)?.unwrap_or(0);
        Ok::<_, crate::Error>(value.div_euclid(NANOSECONDS))
    };
    cpu.usage_us = time("cpuacct.usage")?;
    cpu.user_us = time("cpuacct.usage_user")?;
    cpu.system_us = time("cpuacct.usage_sys")?;
    Ok(())
}

fn memory(group: &Group) -> Result<MemoryStats> {
    let files = group.files();
    let current = files.number_if_there("memory.usage_in_bytes")?.unwrap_or(0);
    let both = files.number_if_there("memory.memsw.usage_in_bytes")?;
    let control = files.read_if_there("memory.oom_control")?.unwrap_or_default();
    let text = files.read_if_there("memory.stat")?.unwrap_or_default();
    let value = |key| keyed("memory.stat", &text, key).map(Option::unwrap_or_default);
    let kernel = files.number_if_there("memory.kmem.usage_in_bytes")?.unwrap_or(0);
    let stat = MemoryStat {
        anon: value("total_rss")?,
        anon_thp: value("total_rss_huge")?,
        file: value("total_cache")?,
        kernel,
        shmem: value("total_shmem")?,
        file_mapped: value("total_mapped_file")?,
        file_dirty: value("total_dirty")?,
        file_writeback: value("total_writeback")?,
        inactive_anon: value("total_inactive_anon")?,
        active_anon: value("total_active_anon")?,
        inactive_file: value("total_inactive_file")?,
        active_file: value("total_active_file")?,
        unevictable: value("total_unevictable")?,
        pgfault: value("total_pgfault")?,
        pgmajfault: value("total_pgmajfault")?,
        workingset_refault_anon: value("total_workingset_refault_anon")?,
        workingset_refault_file: value("total_workingset_refault_file")?,
        ..MemoryStat::default()
    };
    Ok(MemoryStats {
        current,
        peak: files.number_if_there("memory.max_usage_in_bytes")?,
        swap_current: both.map(|both| both.saturating_sub(current)),
        swap_peak: None,
        zswap_current: None,
        // v1 counts every time that the limit was hit, also when something could be taken away.
        oom: 0,
        oom_kill: keyed("memory.oom_control", &control, "oom_kill")?.unwrap_or(0),
        stat,
    })
}

fn pids(group: &Group) -> Result<PidsStats> {
    let files = group.files();
    let events = files.read_if_there("pids.events")?.unwrap_or_default();
    Ok(PidsStats {
        current: files.number_if_there("pids.current")?.unwrap_or(0),
        peak: files.number_if_there("pids.peak")?,
        refused: keyed("pids.events", &events, "max")?.unwrap_or(0),
    })
}

fn hugetlb(group: &Group, all: &mut Vec<HugetlbStats>) -> Result<()> {
    let files = group.files();
    for size in huge_page_sizes() {
        let value = |what: &str| files.number_if_there(&format!("hugetlb.{size}.{what}"));
        let Some(current) = value("usage_in_bytes")? else { continue };
        all.push(HugetlbStats {
            current,
            rsvd_current: value("rsvd.usage_in_bytes")?,
            peak: value("max_usage_in_bytes")?,
            refused: value("failcnt")?.unwrap_or(0),
            size,
        });
    }
    Ok(())
}
