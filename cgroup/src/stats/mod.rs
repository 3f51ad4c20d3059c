//! What a cgroup has used, as plain data.

mod cpu;
mod devices;
mod memory;

pub use cpu::CpuStats;
pub use devices::{DmemStats, HugetlbStats, IoStats, MiscStats, RdmaStats};
pub use memory::{MemoryStat, MemoryStats};

pub(crate) use devices::add_blkio;

use crate::file::keyed;
use crate::{Cgroup, Events, Result};

/// What a cgroup and those below it have used; `None` or nothing for a controller that it does not have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Processor time, which every v2 cgroup counts.
    pub cpu: Option<CpuStats>,
    /// Memory.
    pub memory: Option<MemoryStats>,
    /// Disks.
    pub io: Vec<IoStats>,
    /// Processes.
    pub pids: Option<PidsStats>,
    /// Huge pages, each size.
    pub hugetlb: Vec<HugetlbStats>,
    /// RDMA devices.
    pub rdma: Vec<RdmaStats>,
    /// Scalar resources.
    pub misc: Vec<MiscStats>,
    /// Device memory.
    pub dmem: Vec<DmemStats>,
}

/// `pids.current` and its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PidsStats {
    /// Processes and threads.
    pub current: u64,
    /// The most there were; `None` before Linux 6.1.
    pub peak: Option<u64>,
    /// Forks that a limit here or above has refused, in it and below.
    pub refused: u64,
}

/// `cgroup.stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descendants {
    /// Cgroups below.
    pub alive: u64,
    /// Cgroups below that were removed and that the kernel still holds.
    pub dying: u64,
}

impl Cgroup {
    /// Reads `cgroup.events`. The root has no such file.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for the root or a cgroup that is gone.
    pub fn events(&self) -> Result<Events> {
        Events::parse(&self.files().read("cgroup.events")?)
    }

    /// How many cgroups are below it (`cgroup.stat`).
    ///
    /// # Errors
    /// As reading the file.
    pub fn descendants(&self) -> Result<Descendants> {
        let text = self.files().read("cgroup.stat")?;
        let value = |key| keyed("cgroup.stat", &text, key).map(Option::unwrap_or_default);
        Ok(Descendants { alive: value("nr_descendants")?, dying: value("nr_dying_descendants")? })
    }

    /// Reads what it has used.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) with `ENODEV` for a cgroup that is gone;
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with the field that is no number.
    pub fn stats(&self) -> Result<Stats> {
        let files = self.files();
        Ok(Stats {
            cpu: cpu::read(files)?,
            memory: memory::read(files)?,
            io: devices::io(files)?,
            pids: self.pids()?,
            hugetlb: devices::hugetlb(files)?,
            rdma: devices::rdma(files)?,
            misc: devices::misc(files)?,
            dmem: devices::dmem(files)?,
        })
    }

    fn pids(&self) -> Result<Option<PidsStats>> {
        let Some(current) = self.files().number_if_there("pids.current")? else { return Ok(None) };
        let events = self.files().read_if_there("pids.events")?.unwrap_or_default();
        let refused = keyed("pids.events", &events, "max")?.unwrap_or(0);
        Ok(Some(PidsStats { current, peak: self.files().number_if_there("pids.peak")?, refused }))
    }
}
