//! What a container may use, and what it does use.

use anyhow::{Context as _, Result, ensure};

use super::{Ask, Engine, SLEEPER, Started};

const MIB: u64 = 1 << 20;
pub(super) fn stats(engine: &dyn Engine) -> Result<()> {
    let script = "head -c 20000000 /dev/zero > /dev/shm/data; exec sleep 1000";
    let container = Started::new(engine, &Ask::new("stats", &["sh", "-c", script]))?;
    super::until("20 MB in use", || {
        Ok(container.sh("stat -c %s /dev/shm/data 2>/dev/null || echo 0")? == "20000000")
    })?;
    let used = engine.memory("stats")?;
    ensure!((20_000_000..100_000_000).contains(&used), "20 MB are in use, the engine says {used} bytes");
    Ok(())
}

/// The file of a limit, by its controller: on v2 and on v1.
const MEMORY: [&str; 3] = ["memory", "memory.max", "memory.limit_in_bytes"];
const PROCESSES: [&str; 3] = ["pids", "pids.max", "pids.max"];

/// A sleeper that is found by its name from outside.
fn named(name: &str) -> Vec<&str> {
    [SLEEPER, &[name]].concat()
}

pub(super) fn memory(engine: &dyn Engine) -> Result<()> {
    let ask = Ask { memory: Some(64 * MIB), ..Ask::new("limits", &named("limits")) };
    let container = Started::new(engine, &ask)?;
    limited(&container, &MEMORY, 64 * MIB)
}

pub(super) fn processes(engine: &dyn Engine) -> Result<()> {
    let ask = Ask { processes: Some(77), ..Ask::new("processes", &named("processes")) };
    let container = Started::new(engine, &ask)?;
    limited(&container, &PROCESSES, 77)
}

pub(super) fn update(engine: &dyn Engine) -> Result<()> {
    let ask = Ask { memory: Some(64 * MIB), ..Ask::new("update", &named("update")) };
    let container = Started::new(engine, &ask)?;
    for mib in [96, 48] {
        engine.limit_memory("update", mib * MIB)?;
        limited(&container, &MEMORY, mib * MIB)?;
    }
    Ok(())
}

/// The limit must be in force, and a container that sees cgroups must find it where it looks.
fn limited(container: &Started<'_>, file: &[&str; 3], limit: u64) -> Result<()> {
    let [controller, v2, v1] = file;
    let found = outside(container.name, file)?;
    ensure!(found == limit.to_string(), "{limit} asked for, limited to {found}");
    let script =
        format!("cd /sys/fs/cgroup && cat {v2} 2>/dev/null || cat {controller}/{v1} 2>/dev/null || :");
    let inside = container.sh(&script)?;
    ensure!(inside.is_empty() || inside == found, "limited to {found}, and the container reads {inside}");
    Ok(())
}

/// A limit of the container whose first process has this last argument, as the machine outside sees it.
fn outside(name: &str, [controller, v2, v1]: &[&str; 3]) -> Result<String> {
    let end = format!("\0{name}\0");
    for entry in std::fs::read_dir("/proc").context("list processes")? {
        let path = entry.context("list processes")?.path();
        let read = |file: &str| std::fs::read_to_string(path.join(file)).unwrap_or_default();
        let command = read("cmdline");
        if !command.starts_with("sh\0-c\0") || !command.ends_with(&end) {
            continue;
        }
        let membership = read("cgroup");
        // A hybrid layout has the controllers on v1.
        let on_v1 = membership.lines().find_map(|line| {
            let (names, path) = line.split_once(':')?.1.split_once(':')?;
            let fits = names.split(',').any(|name| name == *controller);
            fits.then(|| format!("/sys/fs/cgroup/{names}{path}/{v1}"))
        });
        let on_v2 = || {
            Some(format!(
                "/sys/fs/cgroup{}/{v2}",
                membership.lines().find_map(|line| line.strip_prefix("0::"))?
            ))
        };
        let file = on_v1.or_else(on_v2).context("the process is in no cgroup")?;
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {file}"))?;
        return Ok(text.trim().to_owned());
    }
    anyhow::bail!("no process of {name} is seen from outside")
}

pub(super) fn oom(engine: &dyn Engine) -> Result<()> {
    let script = "exec tail /dev/zero";
    let ask = Ask { memory: Some(32 * MIB), ..Ask::new("oom", &["sh", "-c", script]) };
    let container = Started::new(engine, &ask)?;
    let (code, oom) = container.exited()?;
    ensure!(code == 137, "exit {code}, expected 137");
    ensure!(oom.context("the engine does not say why a container ended")?, "not reported as out of memory");
    Ok(())
}
