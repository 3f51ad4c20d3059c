//! What a container may use, and what it does use.

use anyhow::{Context as _, Result, ensure};

use super::{Ask, Engine, SLEEPER, Started};

const MIB: u64 = 1 << 20;
/// The limit of memory on v2 and on v1, of the cgroup that the container sees as its own or from its path.
const MEMORY: &str = "cd /sys/fs/cgroup; cat memory.max 2>/dev/null || cat memory/memory.limit_in_bytes";
const PROCESSES: &str = "cd /sys/fs/cgroup; cat pids.max 2>/dev/null || cat pids/pids.max";

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

pub(super) fn limits(engine: &dyn Engine) -> Result<()> {
    let ask = Ask { memory: Some(64 * MIB), processes: Some(77), ..Ask::new("limits", SLEEPER) };
    let container = Started::new(engine, &ask)?;
    let memory = container.sh(MEMORY)?;
    ensure!(memory == (64 * MIB).to_string(), "64 MiB asked for, limited to {memory} bytes");
    let processes = container.sh(PROCESSES)?;
    ensure!(processes == "77", "77 processes asked for, limited to {processes}");
    Ok(())
}

pub(super) fn update(engine: &dyn Engine) -> Result<()> {
    let ask = Ask { memory: Some(64 * MIB), ..Ask::new("update", SLEEPER) };
    let container = Started::new(engine, &ask)?;
    engine.limit_memory("update", 96 * MIB)?;
    let memory = container.sh(MEMORY)?;
    ensure!(memory == (96 * MIB).to_string(), "96 MiB asked for, limited to {memory} bytes");
    engine.limit_memory("update", 48 * MIB)?;
    let memory = container.sh(MEMORY)?;
    ensure!(memory == (48 * MIB).to_string(), "48 MiB asked for, limited to {memory} bytes");
    Ok(())
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
