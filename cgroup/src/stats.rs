//! What a cgroup has used, and whether it is populated or frozen.

use crate::file::{keyed, number};
use crate::{Cgroup, Error, ErrorKind, Result};

/// The state in `cgroup.events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Events {
    /// Whether a process lives in it or below.
    pub populated: bool,
    /// Whether all of its processes are stopped; `None` before Linux 5.2.
    pub frozen: Option<bool>,
}

impl Events {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let populated = keyed("cgroup.events", text, "populated")?
            .ok_or_else(|| Error::new(ErrorKind::Invalid, "cgroup.events has no field `populated`"))?;
        let frozen = keyed("cgroup.events", text, "frozen")?;
        Ok(Self { populated: populated != 0, frozen: frozen.map(|frozen| frozen != 0) })
    }
}

/// What a cgroup and those below it have used; `None` for a controller that it does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Processor time, which every v2 cgroup counts.
    pub cpu: Option<CpuStats>,
    /// Memory.
    pub memory: Option<MemoryStats>,
    /// Processes.
    pub pids: Option<PidsStats>,
}

/// `cpu.stat`; times in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuStats {
    /// Time in all.
    pub usage_us: u64,
    /// Time in user mode.
    pub user_us: u64,
    /// Time in the kernel.
    pub system_us: u64,
    /// Periods of `cpu.max` that have passed; `None` without the controller, as all that follow.
    pub periods: Option<u64>,
    /// Periods in which it was held back.
    pub throttled_periods: Option<u64>,
    /// Time for which it was held back.
    pub throttled_us: Option<u64>,
}

/// `memory.current` and its like, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryStats {
    /// In use.
    pub current: u64,
    /// The most that was in use; `None` before Linux 5.19.
    pub peak: Option<u64>,
    /// Swap in use; `None` on a kernel that does not count it.
    pub swap_current: Option<u64>,
    /// How often the limit was hit with nothing to reclaim.
    pub oom: u64,
    /// How many processes the OOM killer has killed.
    pub oom_kill: u64,
}

/// `pids.current` and its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PidsStats {
    /// Processes and threads.
    pub current: u64,
    /// The most there were; `None` before Linux 6.1.
    pub peak: Option<u64>,
    /// Forks that the limit has refused.
    pub refused: u64,
}

impl Cgroup {
    /// Reads `cgroup.events`. The root has no such file.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for the root or a cgroup that is gone.
    pub fn events(&self) -> Result<Events> {
        Events::parse(&self.files().read("cgroup.events")?)
    }

    /// Reads what it has used.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] with `ENODEV` for a cgroup that is gone; [`ErrorKind::Invalid`] with the
    /// field that is no number.
    pub fn stats(&self) -> Result<Stats> {
        Ok(Stats { cpu: self.cpu()?, memory: self.memory()?, pids: self.pids()? })
    }

    fn cpu(&self) -> Result<Option<CpuStats>> {
        let Some(text) = self.files().read_if_there("cpu.stat")? else { return Ok(None) };
        let value = |key| keyed("cpu.stat", &text, key);
        Ok(Some(CpuStats {
            usage_us: value("usage_usec")?.unwrap_or(0),
            user_us: value("user_usec")?.unwrap_or(0),
            system_us: value("system_usec")?.unwrap_or(0),
            periods: value("nr_periods")?,
            throttled_periods: value("nr_throttled")?,
            throttled_us: value("throttled_usec")?,
        }))
    }

    fn memory(&self) -> Result<Option<MemoryStats>> {
        let Some(current) = self.single("memory.current")? else { return Ok(None) };
        let events = self.files().read_if_there("memory.events")?.unwrap_or_default();
        let event = |key| keyed("memory.events", &events, key);
        Ok(Some(MemoryStats {
            current,
            peak: self.single("memory.peak")?,
            swap_current: self.single("memory.swap.current")?,
            oom: event("oom")?.unwrap_or(0),
            oom_kill: event("oom_kill")?.unwrap_or(0),
        }))
    }

    fn pids(&self) -> Result<Option<PidsStats>> {
        let Some(current) = self.single("pids.current")? else { return Ok(None) };
        let events = self.files().read_if_there("pids.events")?.unwrap_or_default();
        let refused = keyed("pids.events", &events, "max")?.unwrap_or(0);
        Ok(Some(PidsStats { current, peak: self.single("pids.peak")?, refused }))
    }

    fn single(&self, name: &str) -> Result<Option<u64>> {
        self.files().read_if_there(name)?.map(|text| number(name, &text)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read() {
        let events = Events::parse("populated 1\nfrozen 0\n").unwrap();
        assert_eq!(events, Events { populated: true, frozen: Some(false) });
        assert_eq!(Events::parse("populated 0\n").unwrap().frozen, None);
        for text in ["", "frozen 1\n", "populated x\n"] {
            assert_eq!(Events::parse(text).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
