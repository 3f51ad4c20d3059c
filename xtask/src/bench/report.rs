//! What a run of the bench found, for the eye and for programs.

use std::fmt;

use anyhow::Result;
use serde::Serialize;

use super::peers::{OURS, Peer};
use super::statistics::Summary;
use crate::cli::Bench;

/// Everything that was measured in one run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The version of this form.
    schema: u32,
    /// The command that makes this report again.
    command: String,
    /// `uname -r` of the machine.
    kernel: String,
    /// How many cores it has.
    cores: usize,
    /// The cgroup layout that all saw.
    cgroup: &'static str,
    peers: Vec<Peer>,
    rows: Vec<Row>,
}

/// One measure over all runtimes.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    about: String,
    /// What the values count.
    pub unit: Unit,
    /// The same made by bare system calls in one process.
    pub floor: Option<Summary>,
    values: Vec<(String, Value)>,
}

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unit {
    /// Time.
    Microseconds,
    /// Memory or disk.
    Kibibytes,
}

/// What one runtime gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Value {
    /// Numbers.
    Measured(Summary),
    /// Nothing, and why.
    Absent(String),
}

impl Value {
    /// A value that needs no series.
    pub(super) fn one(value: u64) -> Self {
        Self::Measured(Summary { median: value, least: value, p90: value })
    }

    fn median(&self) -> Option<u64> {
        match self {
            Self::Measured(summary) => Some(summary.median),
            Self::Absent(_) => None,
        }
    }
}

impl Row {
    /// A row without values.
    pub(super) fn new(about: &str, unit: Unit) -> Self {
        Self { about: about.to_owned(), unit, floor: None, values: Vec::new() }
    }

    /// Adds a runtime's value.
    pub(super) fn push(&mut self, peer: &Peer, value: Value) {
        self.values.push((peer.name.clone(), value));
    }

    fn ours(&self) -> Option<u64> {
        self.values.iter().find(|(name, _)| name == OURS).and_then(|(_, value)| value.median())
    }
}

impl Report {
    /// A report without rows.
    ///
    /// # Errors
    /// The kernel's release cannot be read.
    pub(super) fn new(peers: &[Peer], args: &Bench) -> Result<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        Ok(Self {
            schema: 1,
            command: format!("cargo xtask {}", words.join(" ")),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            cgroup: args.cgroup.name(),
            peers: peers.to_vec(),
            rows: Vec::new(),
        })
    }

    /// Adds a measure.
    pub(super) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} on Linux {}, {} cores, cgroup {}",
            self.command, self.kernel, self.cores, self.cgroup
        )?;
        for peer in &self.peers {
            writeln!(f, "  {:10} {} ({})", peer.name, peer.version, peer.path.display())?;
        }
        for row in &self.rows {
            write!(f, "\n{row}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.about)?;
        let ours = self.ours();
        let line = |f: &mut fmt::Formatter<'_>, name: &str, summary: &Summary| {
            write!(f, "  {name:10} {:>10}", self.unit.show(summary.median))?;
            if summary.least != summary.median || summary.p90 != summary.median {
                write!(
                    f,
                    "  least {:>10}  p90 {:>10}",
                    self.unit.show(summary.least),
                    self.unit.show(summary.p90)
                )?;
            }
            match ours.filter(|_| name != OURS) {
                Some(ours) => writeln!(f, "  ours is {} of it", ratio(ours, summary.median)),
                None => writeln!(f),
            }
        };
        for (name, value) in &self.values {
            match value {
                Value::Measured(summary) => line(f, name, summary)?,
                Value::Absent(why) => writeln!(f, "  {name:10} not measured: {why}")?,
            }
        }
        self.floor.as_ref().map_or(Ok(()), |floor| line(f, "floor", floor))
    }
}

impl Unit {
    fn show(self, value: u64) -> String {
        match self {
            Self::Microseconds => format!("{}.{:02} ms", value / 1000, value % 1000 / 10),
            Self::Kibibytes => format!("{value} KiB"),
        }
    }
}

/// A ratio with two decimals, in whole numbers.
fn ratio(ours: u64, theirs: u64) -> String {
    let Some(hundredths) = ours.saturating_mul(100).checked_div(theirs) else { return "-".to_owned() };
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn peer(name: &str) -> Peer {
        Peer { name: name.to_owned(), path: PathBuf::from("/x"), version: String::new() }
    }

    #[test]
    fn a_row_has_ratios_of_ours_and_says_why_one_is_absent() {
        let mut row = Row::new("run", Unit::Microseconds);
        row.push(&peer(OURS), Value::Measured(Summary { median: 2505, least: 2000, p90: 3000 }));
        row.push(&peer("crun"), Value::one(5000));
        row.push(&peer("other"), Value::Absent("no such command".into()));
        row.floor = Some(Summary { median: 2000, least: 2000, p90: 2000 });
        let text = row.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "  cofferdam     2.50 ms  least    2.00 ms  p90    3.00 ms");
        assert_eq!(lines[2], "  crun          5.00 ms  ours is 0.50 of it");
        assert_eq!(lines[3], "  other      not measured: no such command");
        assert_eq!(lines[4], "  floor         2.00 ms  ours is 1.25 of it");
    }

    #[test]
    fn a_ratio_of_nothing_is_none() {
        assert_eq!(ratio(1, 0), "-");
        assert_eq!(ratio(u64::MAX, 1).len(), 21);
    }
}
