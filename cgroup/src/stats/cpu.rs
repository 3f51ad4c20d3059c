//! `cpu.stat`.

use crate::Result;
use crate::file::{In, keyed};

/// `cpu.stat`; times in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuStats {
    /// Time in all.
    pub usage_us: u64,
    /// Time in user mode.
    pub user_us: u64,
    /// Time in the kernel.
    pub system_us: u64,
    /// Time in user mode at a low priority (Linux 6.9).
    pub nice_us: Option<u64>,
    /// Periods of `cpu.max` that have passed; `None` without the controller, as all that follow.
    pub periods: Option<u64>,
    /// Periods in which it was held back.
    pub throttled_periods: Option<u64>,
    /// Time for which it was held back, of all processors together.
    pub throttled_us: Option<u64>,
    /// Periods in which it used what it had saved up (Linux 5.14).
    pub bursts: Option<u64>,
    /// Time that it used beyond its quota in such periods (Linux 5.14).
    pub burst_us: Option<u64>,
}

pub(super) fn read(files: In<'_>) -> Result<Option<CpuStats>> {
    files.read_if_there("cpu.stat")?.map(|text| parse(&text)).transpose()
}

fn parse(text: &str) -> Result<CpuStats> {
    let value = |key| keyed("cpu.stat", text, key);
    Ok(CpuStats {
        usage_us: value("usage_usec")?.unwrap_or(0),
        user_us: value("user_usec")?.unwrap_or(0),
        system_us: value("system_usec")?.unwrap_or(0),
        nice_us: value("nice_usec")?,
        periods: value("nr_periods")?,
        throttled_periods: value("nr_throttled")?,
        throttled_us: value("throttled_usec")?,
        bursts: value("nr_bursts")?,
        burst_us: value("burst_usec")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn processor_time_is_read() {
        let text = "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnice_usec 1\ncore_sched.force_idle_usec 0\n\
                    nr_periods 5\nnr_throttled 4\nthrottled_usec 3\nnr_bursts 2\nburst_usec 1\n";
        let stats = parse(text).unwrap();
        assert_eq!((stats.usage_us, stats.user_us, stats.system_us, stats.nice_us), (30, 20, 10, Some(1)));
        assert_eq!((stats.periods, stats.throttled_periods, stats.throttled_us), (Some(5), Some(4), Some(3)));
        assert_eq!((stats.bursts, stats.burst_us), (Some(2), Some(1)));
        let error = parse("usage_usec -1\n").unwrap_err().to_string();
        assert!(error.starts_with("cpu.stat, usage_usec: `-1`"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "([a-z_]{0,12} ?[0-9x]{0,22}\n?){0,4}") {
            let _ = parse(&text);
        }
    }
}
