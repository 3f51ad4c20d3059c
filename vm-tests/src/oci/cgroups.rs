//! Limits of the container's cgroup, read from the host and from inside.

use crate::bundle::Bundle;
use crate::registry::{Context, OrFail, Result, Test};
use serde_json::json;
use std::fs;
use std::path::Path;

pub(super) const TESTS: &[Test] = &[
    Test::oci("oci::cgroup-limits", "pids, memory, swap and cpu limits are the config's", limits)
        .cgroup("v2"),
    Test::oci("oci::cgroup-inside", "The container sees its own cgroup as the root, read-only", inside)
        .cgroup("v2"),
    Test::oci("oci::cgroup-path", "The cgroup is where the config says, and gone afterwards", path)
        .cgroup("v2"),
    Test::oci("oci::cgroup-unlimited", "Without resources there is no limit", unlimited).cgroup("v2"),
];

/// What the container's limits are while it waits for its input to end.
const FILES: [&str; 5] = ["pids.max", "memory.max", "memory.swap.max", "cpu.max", "cpu.weight"];

/// A real-time kernel may have no `cpu` controller for ordinary groups.
fn has(controller: &str) -> Result<bool> {
    let enabled = fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control")?;
    Ok(enabled.split_whitespace().any(|name| name == controller))
}

/// Runs a container that says when it is up and stays, and gives what `look` sees meanwhile.
fn while_running<T>(bundle: &mut Bundle, look: impl FnOnce() -> Result<T>) -> Result<T> {
    bundle.probe(&["show", "args", "+", "sleep", "2"]).write()?;
    let mut running = bundle.start()?;
    let line = running.first_line()?;
    let seen = look();
    let ended = running.end()?;
    ensure!(line.contains("args"), "the probe did not run; {ended}");
    let ended = ended.success()?;
    bundle.nothing_left(&ended)?;
    seen
}

fn limits(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "limits");
    bundle.set(
        "/linux/resources",
        json!({
            "pids": { "limit": 77 },
            "memory": { "limit": 48 << 20, "swap": 60 << 20 },
            "cpu": { "shares": 2048, "quota": 50_000, "period": 200_000 },
        }),
    );
    let found = while_running(&mut bundle, || {
        let read = |file| fs::read_to_string(Path::new("/sys/fs/cgroup/limits").join(file));
        FILES
            .into_iter()
            .map(|file| Ok(read(file).unwrap_or_default().trim().to_owned()))
            .collect::<Result<Vec<_>>>()
    })?;
    let [pids, memory, swap, cpu, weight] = found.as_slice() else { fail!("found {found:?}") };
    ensure_eq!(pids, "77", "pids.max");
    ensure_eq!(memory, &(48 << 20).to_string(), "memory.max");
    // In OCI swap is memory and swap together; on cgroup v2 it is swap alone.
    if Path::new("/proc/swaps").exists() && !swap.is_empty() {
        ensure_eq!(swap, &(12 << 20).to_string(), "memory.swap.max");
    }
    if has("cpu")? {
        ensure_eq!(cpu, "50000 200000", "cpu.max");
        // Older runtimes map 2048 shares to 79 in a straight line, newer ones to 139 or so along a curve.
        let weight: u32 = weight.parse().or_fail("cpu.weight")?;
        ensure!((60..=220).contains(&weight), "2048 shares became cpu.weight {weight}");
    }
    Ok(())
}

fn inside(ctx: &mut Context) -> Result {
    let words = [
        "show",
        "read",
        "/sys/fs/cgroup/pids.max",
        "+",
        "show",
        "link",
        "/proc/self/ns/cgroup",
        "+",
        "show",
        "stat",
        "/sys/fs/cgroup/case",
        "+",
        "show",
        "write",
        "/sys/fs/cgroup/pids.max",
        "99",
    ];
    let ended = Bundle::hardened(ctx, "inside").probe(&words).run()?.success()?;
    ensure_eq!(ended.value("read")?, json!("64\n"), "pids.max from inside");
    let failed = |step: &str| ended.lines().into_iter().any(|line| line.step == step && !line.ok);
    ensure!(failed("stat"), "a cgroup of the host shows inside; {ended}");
    ensure!(failed("write"), "the container can raise its own limit; {ended}");
    Ok(())
}

fn path(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "deep");
    bundle.set("/linux/cgroupsPath", json!("/outer/inner"));
    let dir = Path::new("/sys/fs/cgroup/outer/inner");
    let processes = while_running(&mut bundle, || {
        fs::read_to_string(dir.join("cgroup.procs")).or_fail("reading the cgroup's processes")
    });
    let gone = !dir.exists();
    // A parent that the runtime made is not its to remove.
    let _ = fs::remove_dir("/sys/fs/cgroup/outer");
    ensure!(!processes?.is_empty(), "the cgroup had no process");
    ensure!(gone, "{} is left", dir.display());
    Ok(())
}

fn unlimited(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "unlimited");
    bundle.peel(crate::bundle::Layer::CgroupLimits);
    let found = while_running(&mut bundle, || {
        let dir = Path::new("/sys/fs/cgroup/unlimited");
        Ok((fs::read_to_string(dir.join("pids.max"))?, fs::read_to_string(dir.join("memory.max"))?))
    })?;
    ensure_eq!(found, ("max\n".to_owned(), "max\n".to_owned()), "pids.max and memory.max");
    Ok(())
}
