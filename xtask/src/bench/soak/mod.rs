//! `cargo xtask soak`: very many containers at once, and very many one after the other.
//!
//! Neither may make the next container slower, hang, or leave anything: before and after, mounts, cgroups,
//! processes, descriptors, namespaces and `/run` are compared.

mod alive;
mod cycles;
mod left;
mod orders;
mod report;

use anyhow::{Context as _, Result};

use super::{bundle::Bundle, peers, view};
use crate::cli::Soak;
use crate::fail;
use crate::lab::build;
use crate::output;
use crate::workspace::Workspace;

use left::Snapshot;
use orders::Orders;
use report::Report;

/// Runs both parts; 1 when a container failed, hung or left something, or the last start was too slow.
///
/// # Errors
/// Not root, a build that fails, a runtime that is none.
pub fn run(workspace: &Workspace, args: &Soak) -> Result<u8> {
    if !nix::unistd::geteuid().is_root() {
        return Err(fail::usage("soak: containers are made as root here: type `sudo cargo xtask soak`"));
    }
    if args.alive == 0 && args.cycles == 0 {
        return Err(fail::usage("soak: --alive 0 --cycles 0: there is nothing to do"));
    }
    let peer = match &args.runtime {
        Some(path) => peers::peer(path.display().to_string(), path)?,
        None => peers::peer(peers::OURS.to_owned(), &build::dist(workspace)?)?,
    };
    let programs = build::guest(workspace)?;
    view::enter(args.cgroup.name()).with_context(|| format!("show cgroup {} alone", args.cgroup.name()))?;
    // What a runtime leaves becomes a child of this program, which sees it and waits for it.
    nix::sys::prctl::set_child_subreaper(true).context("adopt orphans")?;
    let dir = tempfile::tempdir().context("make a folder for the bundle")?;
    let bundle = Bundle::create(dir.path(), &programs.bare)?;
    let orders = Orders::new(&peer, &bundle, &dir.path().join("state"))?;

    let mut report = Report::new(&peer, args.cgroup.name())?;
    if args.alive > 0 {
        let before = Snapshot::take(&orders)?;
        report.alive = Some(alive::run(&orders, &bundle, args.alive)?);
        report.left.extend(before.left_after(&orders, args.alive)?);
    }
    if args.cycles > 0 {
        let before = Snapshot::take(&orders)?;
        report.cycles = Some(cycles::run(&orders, &bundle, args.cycles)?);
        report.left.extend(before.left_after(&orders, args.cycles)?);
    }
    if args.json {
        output::json(&report)?;
    } else {
        output::print(report.to_string())?;
    }
    Ok(u8::from(!report.is_good()))
}
