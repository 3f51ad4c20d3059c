//! Events, pressure, and what is measured.

use super::Group;
use crate::crates::child;
use crate::crates::kernel::since;
use crate::registry::{Context, OrFail, Result};
use cofferdam_cgroup::{ErrorKind, Limits, Resource, Threshold, pressure};
use cofferdam_ns::Isolation;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(5);

pub(super) fn populated(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let mut watch = group.leaf()?.watch()?;
    ensure_eq!(watch.wait(Duration::from_millis(10))?, None, "nothing has happened");
    let sleeper = group.sleeper()?;
    let event = watch.wait(SOON)?.or_fail("the first process")?;
    ensure!(event.populated, "a process came and it is {event:?}");
    drop(sleeper);
    let event = watch.wait(SOON)?.or_fail("the end of the last process")?;
    ensure!(!event.populated, "the process went and it is {event:?}");
    Ok(())
}

pub(super) fn out_of_memory(_: &mut Context) -> Result {
    let limits = Limits { memory_max: Some(16 << 20), swap_max: Some(0), ..Limits::default() };
    let group = Group::new(&limits)?;
    let leaf = group.leaf()?;
    let (mut all, mut local) = (leaf.watch_memory()?, leaf.watch_memory_local()?);
    ensure_eq!(all.now()?.oom_kill, 0, "before");
    group.ask(&["allocate:48"]).err().or_fail("the end of a memory hog")?;
    for (name, watch) in [("all", &mut all), ("local", &mut local)] {
        let event = watch.wait(SOON)?.or_fail(name)?;
        ensure!(event.oom_kill >= 1 && event.max >= 1, "{name}: {event:?}");
        ensure_eq!(event.oom_group_kill.is_some(), since(5, 17)?, "oom_group_kill");
    }
    Ok(())
}

pub(super) fn refused_forks(_: &mut Context) -> Result {
    let group = Group::new(&Limits { pids_max: Some(2), ..Limits::default() })?;
    let mut watch = group.leaf()?.watch_pids()?;
    group.ask(&["spawn:3"])?;
    ensure!(watch.wait(SOON)?.or_fail("a refused fork")?.max >= 1, "no fork was refused");
    Ok(())
}

pub(super) fn gone(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let inner = cofferdam_cgroup::Cgroup::create(group.leaf()?, "inner")?;
    let mut watch = inner.watch()?;
    inner.delete()?;
    let error = watch.wait(SOON).err().or_fail("an error of a cgroup that is gone")?;
    ensure_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    Ok(())
}

/// On a kernel that measures no pressure the error says what would bring it.
pub(super) fn pressure_is_read(ctx: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    for resource in [Resource::Cpu, Resource::Memory, Resource::Io] {
        let (of_cgroup, of_machine) = (group.leaf()?.pressure(resource), pressure::of_machine(resource));
        if ctx.has("psi")? {
            let some = of_cgroup?.some.or_fail("the line `some`")?;
            ensure!(some.avg10 >= 0.0 && some.avg10 <= 100.0, "{resource}: {some:?}");
            let machine = of_machine?;
            ensure!(machine.some.is_some(), "{resource}: {machine:?}");
            ensure!(resource == Resource::Cpu || machine.full.is_some(), "{resource}: {machine:?}");
        } else {
            for error in [of_cgroup.err(), of_machine.err()] {
                let error = error.or_fail("an error without PSI")?;
                ensure_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
                ensure!(error.to_string().contains("psi=1"), "{error}");
            }
        }
    }
    Ok(())
}

pub(super) fn pressure_trigger(ctx: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    let threshold = Threshold { full: false, stall_us: 50_000, window_us: 500_000 };
    let bad = Threshold { window_us: 100_000, ..threshold };
    let error = leaf.pressure_trigger(Resource::Cpu, bad).err().or_fail("a refusal of the window")?;
    ensure_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let trigger = match leaf.pressure_trigger(Resource::Cpu, threshold) {
        Ok(trigger) => trigger,
        Err(error) => {
            ensure!(!ctx.has("psi")?, "{error}");
            ensure_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            return Ok(());
        }
    };
    ensure!(!trigger.wait(Duration::from_millis(20))?, "an idle cgroup is under pressure");
    let spin = child::plan(&["facts", "spin:600000"])?;
    let processors = std::thread::available_parallelism()?.get();
    let mut spinners = Vec::new();
    for _ in 0..=processors {
        spinners.push(Isolation::default().spawn(&spin, Some(leaf.fd()))?.finish()?);
    }
    let started = Instant::now();
    let fired = trigger.wait(SOON)?;
    leaf.kill()?;
    for spinner in spinners {
        spinner.wait()?;
    }
    ensure!(fired, "no event in {:?} with more processes than processors", started.elapsed());
    Ok(())
}

pub(super) fn pressure_switch(ctx: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    if since(6, 1)? && ctx.has("psi")? {
        ensure!(leaf.pressure_enabled()?, "it is off in a new cgroup");
        leaf.enable_pressure(false)?;
        ensure!(!leaf.pressure_enabled()?, "it was not switched off");
        let error = leaf.pressure(Resource::Cpu).err().or_fail("no pressure where it is off")?;
        ensure_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    } else {
        let error = leaf.enable_pressure(false).err().or_fail("an error without the file")?;
        ensure_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        ensure!(error.to_string().contains("Linux 6.1"), "{error}");
    }
    Ok(())
}

pub(super) fn reclaim(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    match group.leaf()?.reclaim(1 << 20, None) {
        // An empty cgroup has nothing to give.
        Ok(found) => ensure!(since(5, 19)? && !found, "1 MiB was taken from an empty cgroup, or too early"),
        Err(error) => {
            ensure!(!since(5, 19)?, "{error}");
            ensure_eq!(error.kind(), ErrorKind::NoController, "{error}");
        }
    }
    Ok(())
}

pub(super) fn own_peak(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    group.ask(&["allocate:8"])?;
    let mut peak = match leaf.memory_peak() {
        Ok(peak) => peak,
        Err(error) => {
            ensure!(!since(6, 12)?, "{error}");
            let kind = if since(5, 19)? { ErrorKind::Unsupported } else { ErrorKind::NoController };
            ensure_eq!(error.kind(), kind, "{error}");
            return Ok(());
        }
    };
    ensure!(since(6, 12)?, "a peak of one's own is there too early");
    let all = leaf.stats()?.memory.or_fail("statistics")?.peak.or_fail("the peak of all times")?;
    let now = peak.bytes()?;
    ensure!(all >= 8 << 20 && now < all, "the peak was not reset: {now} of {all}");
    group.ask(&["allocate:16"])?;
    ensure!(peak.bytes()? >= 16 << 20, "the peak does not rise: {}", peak.bytes()?);
    Ok(())
}

pub(super) fn statistics(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let sleeper = group.sleeper()?;
    group.ask(&["spin:20", "allocate:4"])?;
    let stats = group.leaf()?.stats()?;
    let cpu = stats.cpu.or_fail("processor time")?;
    ensure!(cpu.usage_us >= 20_000 && cpu.user_us + cpu.system_us > 0, "{cpu:?}");
    ensure_eq!(cpu.bursts.is_some(), since(5, 14)?, "bursts");
    let memory = stats.memory.or_fail("memory")?;
    ensure!(memory.current > 0 && memory.stat.pgfault > 1000, "{memory:?}");
    ensure_eq!(stats.pids.or_fail("processes")?.current, 1, "the sleeper alone");
    drop(sleeper);
    Ok(())
}
