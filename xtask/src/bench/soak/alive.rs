//! Very many containers at once.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::super::bundle::Bundle;
use super::super::statistics::{Summary, summary};
use super::orders::{Orders, reap};
use crate::fail;
use crate::lab::progress::Progress;

/// How many of the first and of the last are compared.
const COMPARED: usize = 20;

/// Caches are filled by these, which are not counted.
const WARM: u32 = 5;

/// What was found, in microseconds.
#[derive(Debug, Serialize)]
pub(super) struct Alive {
    /// How many there were.
    pub(super) count: u32,
    /// How many of them the runtime listed as running when all were.
    pub(super) running: usize,
    /// `create` and `start` of the first ones.
    pub(super) first: Summary,
    /// `create` and `start` of the last ones.
    pub(super) last: Summary,
    /// `start` alone.
    pub(super) start_first: Summary,
    /// `start` alone.
    pub(super) start_last: Summary,
    /// `delete --force` of each.
    pub(super) delete: Summary,
}

impl Alive {
    /// The last start may take 1.2 times as long as the first, create and all.
    pub(super) fn is_good(&self) -> bool {
        let most = |first: Summary| first.median.saturating_mul(12) / 10;
        self.last.median <= most(self.first)
            && self.start_last.median <= most(self.start_first)
            && usize::try_from(self.count) == Ok(self.running)
    }
}

/// Makes them all, counts them, removes them all. After a failure those that were made are removed too.
pub(super) fn run(orders: &Orders, bundle: &Bundle, count: u32) -> Result<Alive> {
    bundle.set(&["/bin/bare", "sleep"], None)?;
    let progress = Progress::new();
    for number in 0..WARM {
        begin(orders, number)?;
        orders.on(&["delete", "--force"], number)?;
        reap();
    }
    let mut both = Vec::new();
    let mut start = Vec::new();
    let mut failed = None;
    for number in 0..count {
        match begin(orders, number) {
            Ok((created, started)) => {
                both.push(micros(created.saturating_add(started)));
                start.push(micros(started));
            }
            Err(error) => {
                failed = Some(error.context(format!("with {number} containers alive")));
                break;
            }
        }
        if (number + 1) % 100 == 0 {
            progress.say(&format!("soak: {} of {count} alive", number + 1));
        }
    }
    let running = orders.running();
    let mut delete = Vec::new();
    for number in 0..count {
        match orders.on(&["delete", "--force"], number) {
            Ok(took) => delete.push(micros(took)),
            Err(error) => failed = failed.or(Some(error)),
        }
        reap();
    }
    progress.say(&format!("soak: {count} deleted"));
    if let Some(error) = failed {
        return Err(error);
    }
    let few = |values: &[u64]| summary(values).context("no container was made");
    let (first, last) = ends(&both);
    let (start_first, start_last) = ends(&start);
    Ok(Alive {
        count,
        running: running.map_err(|error| fail::failed(format!("soak: list: {error:#}")))?,
        first: few(first)?,
        last: few(last)?,
        start_first: few(start_first)?,
        start_last: few(start_last)?,
        delete: few(&delete)?,
    })
}

fn begin(orders: &Orders, number: u32) -> Result<(Duration, Duration)> {
    Ok((orders.make("create", number)?, orders.on(&["start"], number)?))
}

/// The first and the last ones.
pub(super) fn ends(values: &[u64]) -> (&[u64], &[u64]) {
    let few = COMPARED.min(values.len());
    let first = values.get(..few).unwrap_or_default();
    (first, values.get(values.len() - few..).unwrap_or_default())
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(median: u64) -> Summary {
        Summary { median, least: median, p90: median }
    }

    #[test]
    fn slower_than_a_fifth_or_not_all_there_is_not_good() {
        let alive = |last, start_last, running| Alive {
            count: 10,
            running,
            first: one(100),
            last: one(last),
            start_first: one(50),
            start_last: one(start_last),
            delete: one(1),
        };
        assert!(alive(120, 60, 10).is_good());
        assert!(!alive(121, 60, 10).is_good());
        assert!(!alive(120, 61, 10).is_good());
        assert!(!alive(120, 60, 9).is_good());
    }

    #[test]
    fn the_ends_of_few_are_all_of_them() {
        let values: Vec<u64> = (0..50).collect();
        assert_eq!(ends(&values), (&values[..20], &values[30..]));
        assert_eq!(ends(&values[..3]), (&values[..3], &values[..3]));
        assert_eq!(ends(&[]), (&[][..], &[][..]));
    }
}
