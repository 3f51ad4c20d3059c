//! `cargo xtask bench`: this runtime and its peers on one bundle, in turn, in one run.
//!
//! A figure is a ratio of medians that were measured beside one another: what disturbs the machine
//! disturbs all of them. The floor is the same container made by bare system calls in one process.

mod bundle;
mod measure;
mod peers;
mod report;
pub mod soak;
mod statistics;
mod view;

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::cli::{Bench, Measure};
use crate::fail;
use crate::lab::build;
use crate::workspace::Workspace;

use report::Report;

/// Measures, prints the table, and gives the exit status.
///
/// # Errors
/// Not root, a build that fails, a runtime that does not run the bundle.
pub fn run(workspace: &Workspace, args: &Bench) -> Result<u8> {
    if !nix::unistd::geteuid().is_root() {
        return Err(fail::usage("bench: containers are made as root here: type `sudo cargo xtask bench`"));
    }
    let ours = build::dist(workspace)?;
    let programs = build::guest(workspace)?;
    let peers = peers::all(&ours, args)?;
    // Runtimes disagree on hybrid layouts; in a mount namespace of our own all see the one that was asked for.
    view::enter(args.cgroup.name()).with_context(|| format!("show cgroup {} alone", args.cgroup.name()))?;
    let dir = tempfile::tempdir().context("make a folder for the bundle")?;
    let report = measure_all(dir.path(), &programs.bare, &peers, args)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report).context("print the report as JSON")?);
    } else {
        print!("{report}");
    }
    Ok(0)
}

fn measure_all(dir: &Path, bare: &Path, peers: &[peers::Peer], args: &Bench) -> Result<Report> {
    let bundle = bundle::Bundle::create(dir, bare)?;
    let mut report = Report::new(peers, args)?;
    let wanted = |measure| args.measures.is_empty() || args.measures.contains(&measure);
    if wanted(Measure::Run) {
        report.add(measure::run(&bundle, bare, peers, args.runs)?);
    }
    if wanted(Measure::Lifecycle) {
        report.add(measure::lifecycle(&bundle, peers, args.runs)?);
    }
    if wanted(Measure::Exec) {
        report.add(measure::exec(&bundle, peers, args.runs)?);
    }
    if wanted(Measure::Memory) {
        report.add(measure::memory(&bundle, peers)?);
    }
    if wanted(Measure::Rss) {
        report.add(measure::rss(&bundle, bare, peers, args.runs)?);
    }
    if wanted(Measure::Size) {
        report.add(measure::size(peers)?);
    }
    Ok(report)
}
