//! Tests of `cofferdam-cgroup`.

use super::child::{self, Sleeper};
use super::kernel::since;
use crate::guest::cgroups::Layout;
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_cgroup::devices::Rule;
use cofferdam_cgroup::{Branch, Cgroup, Controllers, CpuMax, ErrorKind, Hierarchy, Limits};
use cofferdam_ns::Isolation;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

pub(super) const TESTS: &[Test] = &[
    Test::integration(
        "cgroup::layout-is-seen",
        "The layout that is found is the one that was set up",
        layout_is_seen,
    ),
    Test::integration(
        "cgroup::facilities",
        "Each interface file is there from its kernel on, and not before",
        facilities,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::born-inside",
        "A child is in its cgroup from its first instruction",
        born_inside,
    )
    .cgroup("v2"),
    Test::integration("cgroup::pids-limit", "Forks beyond the limit are refused, and counted", pids_limit)
        .cgroup("v2"),
    Test::integration(
        "cgroup::memory-limit",
        "What uses more memory than the limit is killed, and counted",
        memory_limit,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::cpu-limit",
        "What uses more processor time than the limit is held back",
        cpu_limit,
    )
    .cgroup("v2"),
    Test::integration("cgroup::freeze", "A frozen process does nothing until it is thawed", freeze)
        .cgroup("v2"),
    Test::integration("cgroup::kill", "All processes of a subtree are killed, frozen ones too", kill)
        .cgroup("v2"),
    Test::integration(
        "cgroup::kill-outruns-forks",
        "A process that keeps changing its id is killed",
        kill_outruns_forks,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::missing-controller",
        "A limit without its controller is an error, not ignored",
        missing_controller,
    )
    .cgroup("v2"),
    Test::integration("cgroup::device-filter", "Only the devices of the list can be opened", device_filter)
        .cgroup("v2"),
    Test::integration(
        "cgroup::branch-is-removed",
        "Deleting a branch removes the parents that it made",
        branch_is_removed,
    )
    .cgroup("v2"),
];

/// A cgroup of a test; killed and deleted when dropped.
struct Group(Option<Branch>);

impl Group {
    fn new(limits: &Limits) -> Result<Self> {
        let controllers: Controllers = ["cpu", "memory", "pids"].into_iter().collect();
        let group = Self(Some(Branch::create(&root()?, "test/leaf", &controllers)?));
        group.leaf()?.apply(limits)?;
        Ok(group)
    }

    fn leaf(&self) -> Result<&Cgroup> {
        Ok(self.0.as_ref().or_fail("the cgroup")?.leaf())
    }

    /// What a child that was born in it answers.
    fn ask(&self, facts: &[&str]) -> Result<child::Facts> {
        child::ask(&Isolation::default(), Some(self.leaf()?.fd()), vec![], facts)
    }

    fn sleeper(&self) -> Result<Sleeper> {
        Sleeper::start(&Isolation::default(), Some(self.leaf()?.fd()), vec![])
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(branch) = self.0.take() {
            // What stays is found by the leak check.
            let _ = branch.leaf().kill();
            let _ = branch.leaf().wait_empty(Duration::from_secs(5));
            let _ = branch.delete();
        }
    }
}

fn root() -> Result<Cgroup> {
    Ok(Cgroup::root(&Hierarchy::detect()?)?)
}

fn layout_is_seen(ctx: &mut Context) -> Result {
    let found = match Hierarchy::detect()? {
        Hierarchy::Unified(_) => Some(Layout::V2),
        Hierarchy::Hybrid { .. } => Some(Layout::Hybrid),
        Hierarchy::Legacy { .. } => Some(Layout::V1),
        _ => None,
    };
    ensure_eq!(found, Some(ctx.layout()), "the layout");
    Ok(())
}

fn facilities(ctx: &mut Context) -> Result {
    for (name, (major, minor)) in [("cgroup_kill", (5, 14)), ("memory_peak", (5, 19))] {
        ensure_eq!(ctx.has(name)?, since(major, minor)?, "{name}, which is there since {major}.{minor}");
    }
    let group = Group::new(&Limits::default())?;
    let stats = group.leaf()?.stats()?;
    let memory = stats.memory.or_fail("memory statistics")?;
    ensure_eq!(memory.peak.is_some(), since(5, 19)?, "memory.peak in the statistics");
    let pids = stats.pids.or_fail("process statistics")?;
    ensure_eq!(pids.peak.is_some(), since(6, 1)?, "pids.peak in the statistics");
    Ok(())
}

fn born_inside(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    ensure!(!leaf.events()?.populated, "a new cgroup has processes");
    let facts = group.ask(&["file:/proc/self/cgroup"])?;
    ensure_eq!(facts.get("file:/proc/self/cgroup")?, "0::/test/leaf", "the cgroup of the child");
    let sleeper = group.sleeper()?;
    ensure_eq!(leaf.procs()?, [sleeper.pid()], "its processes");
    ensure!(leaf.events()?.populated, "a cgroup with a process is not populated");
    Ok(())
}

fn pids_limit(_: &mut Context) -> Result {
    let group = Group::new(&Limits { pids_max: Some(4), ..Limits::default() })?;
    // The asked process is the first of the four.
    ensure_eq!(group.ask(&["spawn:6"])?.get("spawn:6")?, "3", "processes that it could start");
    let pids = group.leaf()?.stats()?.pids.or_fail("process statistics")?;
    ensure!(pids.refused >= 1, "no fork was refused: {pids:?}");
    ensure!(pids.peak.is_none_or(|peak| peak == 4), "the most processes there were: {pids:?}");
    drop(group);
    let group = Group::new(&Limits::default())?;
    ensure_eq!(group.ask(&["spawn:6"])?.get("spawn:6")?, "6", "processes without the limit");
    Ok(())
}

fn memory_limit(_: &mut Context) -> Result {
    let limit =
        Limits { memory_max: Some(16 << 20), swap_max: Some(0), oom_group: Some(true), ..Limits::default() };
    {
        let group = Group::new(&limit)?;
        let error = group.ask(&["allocate:48"]).err().or_fail("the end of a memory hog")?.to_string();
        ensure!(error.contains("Signal(9)"), "the memory hog was not killed: {error}");
        let memory = group.leaf()?.stats()?.memory.or_fail("memory statistics")?;
        ensure!(memory.oom_kill >= 1, "nobody was killed for want of memory: {memory:?}");
        ensure!(memory.peak.is_none_or(|peak| peak <= 16 << 20), "more was used than the limit: {memory:?}");
    }
    let group = Group::new(&Limits::default())?;
    ensure_eq!(group.ask(&["allocate:48"])?.get("allocate:48")?, (48 << 20).to_string(), "without the limit");
    Ok(())
}

fn cpu_limit(_: &mut Context) -> Result {
    let cpu_max = Some(CpuMax { quota_us: Some(10_000), period_us: 100_000 });
    let group = Group::new(&Limits { cpu_max, ..Limits::default() })?;
    let started = Instant::now();
    group.ask(&["spin:50"])?;
    let took = started.elapsed();
    let cpu = group.leaf()?.stats()?.cpu.or_fail("processor statistics")?;
    ensure!(cpu.throttled_periods > Some(0), "it was never held back: {cpu:?}");
    ensure!(took > Duration::from_millis(300), "50 ms at a tenth of a processor took {took:?}");
    Ok(())
}

fn freeze(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    let spinner = child::plan(&["facts", "spin:600000"])?;
    let spawning = Isolation::default().spawn(&spinner, Some(leaf.fd()))?;
    let spinner = spawning.finish()?;
    let used = || -> Result<u64> { Ok(leaf.stats()?.cpu.or_fail("processor statistics")?.usage_us) };
    let in_a_moment = || -> Result<u64> {
        let before = used()?;
        std::thread::sleep(Duration::from_millis(150));
        Ok(used()? - before)
    };
    ensure!(in_a_moment()? > 0, "the spinner does not spin");
    leaf.freeze()?;
    ensure_eq!(leaf.events()?.frozen, Some(true), "whether it is frozen");
    ensure_eq!(in_a_moment()?, 0, "processor time of a frozen process, in microseconds");
    leaf.thaw()?;
    ensure!(in_a_moment()? > 0, "the spinner does not spin any more");
    leaf.kill()?;
    spinner.wait()?;
    Ok(())
}

fn kill(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    let inner = Cgroup::create(leaf, "inner")?;
    let deep = Sleeper::start(&Isolation::default(), Some(inner.fd()), vec![])?;
    let sleepers = [group.sleeper()?, group.sleeper()?, deep];
    leaf.freeze()?;
    ensure!(leaf.events()?.populated, "nobody is there to be killed");
    leaf.kill()?;
    // Somebody has to reap them.
    drop(sleepers);
    leaf.wait_empty(Duration::from_secs(5))?;
    ensure!(!leaf.events()?.populated, "somebody survived");
    inner.delete()?;
    Ok(())
}

fn kill_outruns_forks(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    let plan = child::plan(&["multiply"])?;
    Isolation::default().spawn(&plan, Some(leaf.fd()))?.finish()?.wait()?;
    std::thread::sleep(Duration::from_millis(50));
    ensure!(leaf.events()?.populated, "the chain of processes has ended by itself");
    leaf.kill()?;
    leaf.wait_empty(Duration::from_secs(5))?;
    std::thread::sleep(Duration::from_millis(50));
    ensure!(!leaf.events()?.populated, "the chain of processes goes on");
    Ok(())
}

fn missing_controller(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let inner = Cgroup::create(group.leaf()?, "inner")?;
    let result = inner.apply(&Limits { pids_max: Some(4), ..Limits::default() });
    inner.delete()?;
    let error = result.err().or_fail("an error for the missing controller")?;
    ensure_eq!(error.kind(), ErrorKind::NoController, "{error}");
    ensure!(error.to_string().contains("subtree_control"), "the error does not say what to do: {error}");
    Ok(())
}

fn branch_is_removed(_: &mut Context) -> Result {
    let root = root()?;
    let controllers: Controllers = ["pids"].into_iter().collect();
    let branch = Branch::create(&root, "test/a/b", &controllers)?;
    let enabled = fs::read_to_string("/sys/fs/cgroup/test/a/cgroup.subtree_control")?;
    ensure_eq!(enabled.trim(), "pids", "controllers for the leaf");
    let second =
        Branch::create(&root, "test/a/b", &controllers).err().or_fail("a refusal to make it twice")?;
    ensure_eq!(second.kind(), ErrorKind::AlreadyExists, "{second}");
    branch.delete()?;
    ensure!(!Path::new("/sys/fs/cgroup/test").exists(), "the parents are left");
    Ok(())
}

fn device_filter(_: &mut Context) -> Result {
    let [null, zero] = ["write:/dev/null=x", "write:/dev/zero=x"];
    let group = Group::new(&Limits::default())?;
    let facts = group.ask(&[null, zero])?;
    ensure_eq!([facts.get(null)?, facts.get(zero)?], ["", ""], "without a filter");
    let rules = [Rule::DENY_ALL, Rule::new(true, "c", Some(1), Some(3), "rwm")?];
    group.leaf()?.set_devices(&rules)?;
    let facts = group.ask(&[null, zero])?;
    ensure_eq!([facts.get(null)?, facts.get(zero)?], ["", "!EPERM"], "with a filter for /dev/null");
    Ok(())
}
