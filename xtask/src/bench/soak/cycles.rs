//! Very many containers one after the other.

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::super::bundle::Bundle;
use super::super::statistics::{Summary, summary};
use super::alive::{ends, micros};
use super::orders::{Orders, reap};
use crate::lab::progress::Progress;

/// What was found, in microseconds.
#[derive(Debug, Serialize)]
pub(super) struct Cycles {
    /// How many there were.
    pub(super) count: u32,
    /// `run` of each.
    pub(super) all: Summary,
    /// The slowest.
    pub(super) most: u64,
    /// The first ones.
    pub(super) first: Summary,
    /// The last ones.
    pub(super) last: Summary,
}

/// Runs one after the other to the first that fails or hangs.
pub(super) fn run(orders: &Orders, bundle: &Bundle, count: u32) -> Result<Cycles> {
    bundle.set(&["/bin/bare", "true"], None)?;
    let progress = Progress::new();
    let mut times = Vec::new();
    for number in 0..count {
        let took = orders.make("run", number).with_context(|| format!("after {number} cycles"))?;
        times.push(micros(took));
        reap();
        if (number + 1) % 1000 == 0 {
            progress.say(&format!("soak: {} of {count} cycles", number + 1));
        }
    }
    let few = |values: &[u64]| summary(values).context("no container ran");
    let (first, last) = ends(&times);
    Ok(Cycles {
        count,
        all: few(&times)?,
        most: times.iter().copied().max().unwrap_or_default(),
        first: few(first)?,
        last: few(last)?,
    })
}
