//! What a run found, for the eye and for programs.

use std::fmt;

use anyhow::Result;
use serde::Serialize;

use super::super::peers::Peer;
use super::super::statistics::Summary;
use super::alive::Alive;
use super::cycles::Cycles;
use super::left::Left;

/// Everything that was found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The version of this form.
    schema: u32,
    kernel: String,
    cgroup: &'static str,
    runtime: Peer,
    /// Many at once.
    pub(super) alive: Option<Alive>,
    /// Many one after the other.
    pub(super) cycles: Option<Cycles>,
    /// What was left behind.
    pub(super) left: Left,
}

impl Report {
    /// A report of nothing.
    pub(super) fn new(peer: &Peer, cgroup: &'static str) -> Result<Self> {
        Ok(Self {
            schema: 1,
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            cgroup,
            runtime: peer.clone(),
            alive: None,
            cycles: None,
            left: Left::default(),
        })
    }

    /// Nothing is left, and the last was as quick as the first.
    pub(super) fn is_good(&self) -> bool {
        self.left.ours.is_empty() && self.alive.as_ref().is_none_or(Alive::is_good)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, cgroup, runtime, .. } = self;
        writeln!(f, "{} on Linux {kernel}, cgroup {cgroup}", runtime.version)?;
        if let Some(alive) = &self.alive {
            writeln!(
                f,
                "{} containers alive at once, {} of them listed as running",
                alive.count, alive.running
            )?;
            pair(f, "create + start", alive.first, alive.last)?;
            pair(f, "start", alive.start_first, alive.start_last)?;
            writeln!(
                f,
                "  delete --force  median {}, p90 {}",
                ms(alive.delete.median),
                ms(alive.delete.p90)
            )?;
        }
        if let Some(cycles) = &self.cycles {
            writeln!(f, "{} run cycles in a row, none failed", cycles.count)?;
            pair(f, "run", cycles.first, cycles.last)?;
            let all = cycles.all;
            writeln!(
                f,
                "  all: median {}, p90 {}, slowest {}",
                ms(all.median),
                ms(all.p90),
                ms(cycles.most)
            )?;
        }
        for what in &self.left.ours {
            writeln!(f, "LEFT: {what}")?;
        }
        for what in &self.left.others {
            writeln!(f, "new on this machine meanwhile, without an id of this run: {what}")?;
        }
        if self.left.ours.is_empty() {
            writeln!(f, "nothing is left: mounts, cgroups, processes, descriptors, namespaces, /run, state")?;
        }
        Ok(())
    }
}

/// Medians of the first and the last ones.
fn pair(f: &mut fmt::Formatter<'_>, about: &str, first: Summary, last: Summary) -> fmt::Result {
    let hundredths = last.median.saturating_mul(100).checked_div(first.median).unwrap_or_default();
    let ratio = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    let show = |of: Summary| format!("{} (least {})", ms(of.median), ms(of.least));
    writeln!(f, "  {about:15} first {}, last {}: {ratio} x", show(first), show(last))
}

fn ms(micros: u64) -> String {
    format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10)
}
