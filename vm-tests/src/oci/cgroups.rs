//! Limits of the container's cgroup, read from the host and from inside, in every layout.

use crate::bundle::Bundle;
use crate::guest::cgroups::{Layout, root_of};
use crate::registry::{Context, OrFail, Result, Test};
use serde_json::json;
use std::fs;
use std::path::Path;

pub(super) const TESTS: &[Test] = &[
    Test::oci("oci::cgroup-limits", "pids, memory, swap and cpu limits are the config's", limits),
    Test::oci("oci::cgroup-inside", "The container sees its own cgroup as the root, read-only", inside)
        .facilities(&["cgroup:pids"]),
    Test::oci("oci::cgroup-path", "The cgroup is where the config says, and gone afterwards", path)
        .facilities(&["cgroup:pids"]),
    Test::oci("oci::cgroup-unlimited", "Without resources there is no limit", unlimited),
];

/// Whether the guest has this controller.
fn has(controller: &str) -> bool {
    root_of(controller).is_some()
}

/// Runs a container that says when it is up and stays, gives what `look` sees meanwhile, and kills it.
fn while_running<T>(bundle: &mut Bundle, look: impl FnOnce(&Bundle) -> Result<T>) -> Result<T> {
    bundle.probe(&["show", "args", "+", "sleep", "100"]).write()?;
    let mut running = bundle.start()?;
    let line = running.first_line()?;
    let seen = look(bundle);
    let killed = bundle.order(&["kill", bundle.id(), "KILL"])?;
    let ended = running.end()?;
    ensure!(line.contains("args"), "the probe did not run; {ended}");
    killed.success()?;
    ensure_eq!(ended.status, 137, "the status of what was killed; {ended}");
    bundle.nothing_left(&ended)?;
    seen
}

fn limits(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "limits");
    bundle.limits(json!({
        "pids": { "limit": 77 },
        "memory": { "limit": 48 << 20, "swap": 60 << 20 },
        "cpu": { "shares": 2048, "quota": 50_000, "period": 200_000 },
    }));
    while_running(&mut bundle, |bundle| {
        if has("pids") {
            ensure_eq!(bundle.limit("pids.max")?, "77", "pids.max");
        }
        if has("memory") {
            ensure_eq!(bundle.limit("memory.max")?, (48 << 20).to_string(), "memory.max");
            // In OCI swap is memory and swap together, as in v1; a kernel may count none.
            if let Some(swap) = bundle.limit("memory.swap.max").ok().filter(|_| counts_swap()) {
                ensure_eq!(swap, (12 << 20).to_string(), "memory.swap.max");
            }
        }
        if has("cpu") {
            ensure_eq!(bundle.limit("cpu.max")?, "50000 200000", "cpu.max");
            // Older runtimes map 2048 shares to 79 in a straight line, newer ones to 139 or so along a curve.
            let weight: u32 = bundle.limit("cpu.weight")?.parse().or_fail("cpu.weight")?;
            ensure!((60..=220).contains(&weight), "2048 shares became cpu.weight {weight}");
        }
        Ok(())
    })
}

fn counts_swap() -> bool {
    Path::new("/proc/swaps").exists()
}

fn inside(ctx: &mut Context) -> Result {
    let root = root_of("pids").or_fail("a hierarchy with pids")?;
    let (file, own) = (root.join("pids.max"), root.join("inside"));
    let (file, own) = (file.to_string_lossy(), own.to_string_lossy());
    // By its name on the host the cgroup is not there.
    let words = [
        &["show", "read", &file, "+", "show", "link", "/proc/self/ns/cgroup", "+"][..],
        &["show", "stat", &own, "+", "show", "write", &file, "99"],
    ];
    let ended = Bundle::hardened(ctx, "inside").probe(&words.concat()).run()?.success()?;
    ensure_eq!(ended.value("read")?, json!("64\n"), "pids.max from inside");
    let failed = |step: &str| ended.lines().into_iter().any(|line| line.step == step && !line.ok);
    ensure!(failed("stat"), "a cgroup of the host shows inside; {ended}");
    ensure!(failed("write"), "the container can raise its own limit; {ended}");
    Ok(())
}

fn path(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "deep");
    bundle.set("/linux/cgroupsPath", json!("/outer/inner"));
    let root = root_of("pids").or_fail("a hierarchy with pids")?;
    let dir = root.join("outer/inner");
    let processes = while_running(&mut bundle, |_| {
        fs::read_to_string(dir.join("cgroup.procs")).or_fail("reading the cgroup's processes")
    });
    let left = named("inner");
    // A parent that the runtime made is not its to remove.
    for outer in named("outer") {
        let _ = fs::remove_dir(outer);
    }
    ensure!(!processes?.is_empty(), "the cgroup had no process");
    ensure!(left.is_empty(), "{left:?} are left");
    Ok(())
}

/// The cgroups of that name, in all hierarchies.
fn named(name: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    crate::guest::cgroups::walk(Path::new("/sys/fs/cgroup"), &mut found);
    found.retain(|path| path.file_name().is_some_and(|found| found == name));
    found
}

fn unlimited(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "unlimited");
    bundle.peel(crate::bundle::Layer::CgroupLimits);
    while_running(&mut bundle, |bundle| {
        // On v1 there need be no cgroup where nothing is limited.
        for (controller, file) in [("pids", "pids.max"), ("memory", "memory.max")] {
            let made = root_of(controller).is_some_and(|root| root.join(bundle.id()).exists());
            ensure!(made || ctx.layout() != Layout::V2, "there is no cgroup");
            if made {
                ensure_eq!(bundle.limit(file)?, "max", "{file}");
            }
        }
        Ok(())
    })
}
