//! One cgroup layout for all, without a change to the host: a mount namespace of this thread's own.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::fail;

const CGROUP: &str = "/sys/fs/cgroup";

/// Leaves the host's mount namespace and shows this layout alone: `v2` or `v1`.
///
/// Only the calling thread moves, and what it starts.
///
/// # Errors
/// The host has no such hierarchy, or the calls fail.
pub(super) fn enter(layout: &str) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("leave the mount namespace")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("make all mounts private")?;
    match layout {
        "v2" => unified(),
        "v1" => legacy(),
        other => Err(fail::usage(format!("bench: cgroup layout {other}: runtimes agree on v1 and v2 only"))),
    }
}

/// Whether memory can be limited in the layout that is shown.
pub(super) fn has_memory() -> bool {
    let unified = fs::read_to_string(Path::new(CGROUP).join("cgroup.controllers"));
    match unified {
        Ok(controllers) => controllers.split_whitespace().any(|name| name == "memory"),
        Err(_) => Path::new(CGROUP).join("memory/memory.limit_in_bytes").exists(),
    }
}

fn unified() -> Result<()> {
    if Path::new(CGROUP).join("cgroup.controllers").exists() {
        return Ok(());
    }
    umount2(CGROUP, MntFlags::MNT_DETACH).with_context(|| format!("unmount {CGROUP}"))?;
    mount(Some("cgroup2"), CGROUP, Some("cgroup2"), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("mount cgroup2 on {CGROUP}"))
}

fn legacy() -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("read the mounts")?;
    let of = |kind: &str| -> Vec<String> {
        let lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let fits = |words: &Vec<&str>| words.get(2) == Some(&kind);
        lines.filter(fits).filter_map(|words| words.get(1).map(ToString::to_string)).collect()
    };
    if of("cgroup").is_empty() {
        return Err(fail::usage("bench: --cgroup v1: this host mounts no v1 hierarchy"));
    }
    for path in of("cgroup2") {
        umount2(path.as_str(), MntFlags::MNT_DETACH).with_context(|| format!("unmount {path}"))?;
    }
    Ok(())
}
