//! One handle on all layouts: the same tests on v1, hybrid and v2, and what v1 has not.

use crate::crates::child;
use crate::crates::kernel::since;
use crate::guest::cgroups::Layout;
use crate::registry::{Context, OrFail, Result};
use cofferdam_cgroup::devices::Rule;
use cofferdam_cgroup::{AnyCgroup, Controllers, CpuMax, ErrorKind, Hierarchy, Limits};
use cofferdam_ns::Isolation;
use cofferdam_sys::spawn::Child;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A cgroup of a test; killed and deleted when dropped.
struct Any(Option<AnyCgroup>);

impl Any {
    fn new(controllers: &[&str], limits: &Limits) -> Result<Self> {
        let controllers: Controllers = controllers.iter().copied().collect();
        let any = Self(Some(AnyCgroup::create(&Hierarchy::detect()?, "any/leaf", &controllers)?));
        any.get()?.apply(limits)?;
        Ok(any)
    }

    fn get(&self) -> Result<&AnyCgroup> {
        self.0.as_ref().or_fail("the cgroup")
    }

    /// What a child answers that waited until it was in all parts.
    fn ask(&self, facts: &[&str]) -> Result<child::Facts> {
        let isolation = Isolation::default();
        let mut plan = child::plan(&[&["facts"], facts].concat())?;
        isolation.lower(&mut plan);
        let cgroup = self.get()?;
        child::ask_after(&isolation, cgroup.birthplace(), plan, |pid| Ok(cgroup.admit(pid)?))
    }

    /// A child that runs on.
    fn start(&self, words: &[&str]) -> Result<Child> {
        let isolation = Isolation::default();
        let mut plan = child::plan(words)?;
        isolation.lower(&mut plan);
        let mut spawning = isolation.spawn(&plan, self.get()?.birthplace())?;
        self.get()?.admit(spawning.pid())?;
        spawning.release()?;
        Ok(spawning.finish()?)
    }

    /// Kills what is in it, and reaps the children.
    fn end(&self, children: &[Child]) -> Result {
        self.get()?.kill()?;
        for child in children {
            child.wait()?;
        }
        self.get()?.wait_empty(Duration::from_secs(5))?;
        Ok(())
    }
}

impl Drop for Any {
    fn drop(&mut self) {
        if let Some(cgroup) = self.0.take() {
            // What stays is found by the leak check.
            let _ = cgroup.kill();
            let _ = cgroup.wait_empty(Duration::from_secs(5));
            let _ = cgroup.delete();
        }
    }
}

/// Every directory of that name in any hierarchy.
fn directories(name: &str) -> Vec<PathBuf> {
    let roots = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    let roots = roots.filter(|path| !path.is_symlink()).chain([PathBuf::from("/sys/fs/cgroup")]);
    roots.map(|root| root.join(name)).filter(|path| path.is_dir()).collect()
}

/// Whether the guest has a controller on v1.
fn on_v1(name: &str) -> Result<bool> {
    Ok(Hierarchy::detect()?.v1_of(name).is_some())
}

pub(super) fn pids(_: &mut Context) -> Result {
    let any = Any::new(&["pids"], &Limits { pids_max: Some(4), ..Limits::default() })?;
    ensure_eq!(any.ask(&["spawn:6"])?.get("spawn:6")?, "3", "processes that it could start");
    let pids = any.get()?.stats()?.pids.or_fail("process statistics")?;
    ensure!(pids.refused >= 1, "no fork was refused: {pids:?}");
    ensure_eq!(any.get()?.limits()?.pids_max, Some(4), "the limit");
    Ok(())
}

/// From Linux 6.12 on these kernels have the controller on v2 alone: then a v1 layout cannot limit memory and
/// says so, and a hybrid one does it in its v2 hierarchy.
pub(super) fn memory(ctx: &mut Context) -> Result {
    let limits = Limits { memory_max: Some(16 << 20), ..Limits::default() };
    let here = on_v1("memory")? || ctx.layout() != Layout::V1;
    let any = match Any::new(&["memory"], &limits) {
        Ok(any) => any,
        Err(error) => {
            ensure!(!here, "{error}");
            ensure!(error.to_string().contains("no mounted hierarchy has the controllers memory"), "{error}");
            ensure!(directories("any").is_empty(), "something is left of it");
            return Ok(());
        }
    };
    ensure!(here, "a limit of memory without its controller");
    let error = any.ask(&["allocate:48"]).err().or_fail("the end of a memory hog")?.to_string();
    ensure!(error.contains("Signal(9)"), "the memory hog was not killed: {error}");
    let memory = any.get()?.stats()?.memory.or_fail("memory statistics")?;
    ensure!(memory.oom_kill >= 1, "nobody was killed for want of memory: {memory:?}");
    ensure_eq!(any.get()?.limits()?.memory_max, Some(16 << 20), "the limit");
    drop(any);
    let any = Any::new(&["memory"], &Limits::default())?;
    ensure_eq!(any.ask(&["allocate:48"])?.get("allocate:48")?, (48 << 20).to_string(), "without the limit");
    Ok(())
}

/// What is below counts too, which on v1 had to be asked for before Linux 5.11.
pub(super) fn memory_of_nested(_: &mut Context) -> Result {
    if !on_v1("memory")? {
        ensure!(since(6, 12)?, "there is no memory controller on v1");
        return Ok(());
    }
    let any = Any::new(&["memory"], &Limits { memory_max: Some(16 << 20), ..Limits::default() })?;
    let inner = Path::new("/sys/fs/cgroup/memory/any/leaf/inner");
    fs::create_dir(inner)?;
    let isolation = Isolation::default();
    let mut plan = child::plan(&["facts", "allocate:48"])?;
    isolation.lower(&mut plan);
    let asked = child::ask_after(&isolation, None, plan, |pid| {
        Ok(fs::write(inner.join("cgroup.procs"), pid.to_string())?)
    });
    ensure!(asked.is_err(), "a cgroup below used more than the limit above it");
    drop(any);
    Ok(())
}

pub(super) fn cpu(_: &mut Context) -> Result {
    let cpu_max = Some(CpuMax { quota_us: Some(10_000), period_us: 100_000 });
    let limits = Limits { cpu_max, cpu_shares: Some(777), ..Limits::default() };
    let any = Any::new(&["cpu", "cpuacct"], &limits)?;
    let started = Instant::now();
    any.ask(&["spin:30"])?;
    let took = started.elapsed();
    let cpu = any.get()?.stats()?.cpu.or_fail("processor statistics")?;
    ensure!(cpu.throttled_periods > Some(0), "it was never held back: {cpu:?}");
    ensure!(cpu.usage_us >= 30_000, "it has used less than it did: {cpu:?}");
    ensure!(took > Duration::from_millis(150), "30 ms at a tenth of a processor took {took:?}");
    let found = any.get()?.limits()?;
    ensure_eq!((found.cpu_max, found.cpu_shares), (cpu_max, Some(777)), "the limits");
    // Both orders of what the kernel checks against each other.
    for (quota, period) in [(500_000, 1_000_000), (1000, 1000), (90_000, 100_000)] {
        let cpu_max = Some(CpuMax { quota_us: Some(quota), period_us: period });
        any.get()?.apply(&Limits { cpu_max, ..Limits::default() })?;
        ensure_eq!(any.get()?.limits()?.cpu_max, cpu_max, "the limit after an update");
    }
    Ok(())
}

pub(super) fn cpuset(_: &mut Context) -> Result {
    if !on_v1("cpuset")? {
        ensure!(since(6, 12)?, "there is no cpuset controller on v1");
        return Ok(());
    }
    // Without inheritance a new cpuset is empty and takes nobody.
    fs::write("/sys/fs/cgroup/cpuset/cgroup.clone_children", "0")?;
    let asked = Any::new(&["cpuset"], &Limits::default()).and_then(|any| any.ask(&["spin:1"]).map(drop));
    let limited = Any::new(&["cpuset"], &Limits { cpuset_cpus: Some("0".into()), ..Limits::default() })
        .and_then(|any| any.ask(&["file:/proc/self/status"])?.status("Cpus_allowed_list"));
    fs::write("/sys/fs/cgroup/cpuset/cgroup.clone_children", "1")?;
    asked?;
    ensure_eq!(limited?, "0", "the processors of a process");
    Ok(())
}

/// More swap and memory, and less, in either order.
pub(super) fn memory_and_swap(_: &mut Context) -> Result {
    let file = Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes");
    if !on_v1("memory")? || !file.exists() {
        let error = Any::new(&["pids"], &Limits { swap_max: Some(0), ..Limits::default() });
        let error = error.err().or_fail("a refusal of a limit of swap that cannot be had")?.to_string();
        ensure!(error.contains("memory"), "{error}");
        return Ok(());
    }
    let any = Any::new(&["memory"], &Limits::default())?;
    for (memory, swap) in [(64, 0), (256, 64), (32, 0), (32, 128), (u64::MAX >> 20, 0)] {
        let bytes = |mebibytes: u64| if mebibytes == u64::MAX >> 20 { u64::MAX } else { mebibytes << 20 };
        let limits =
            Limits { memory_max: Some(bytes(memory)), swap_max: Some(bytes(swap)), ..Limits::default() };
        any.get()?.apply(&limits)?;
        let found = any.get()?.limits()?;
        ensure_eq!(found.memory_max, limits.memory_max, "the limit of memory");
        if memory != u64::MAX >> 20 {
            ensure_eq!(found.swap_max, limits.swap_max, "the limit of swap with {memory} MiB of memory");
        }
    }
    Ok(())
}

pub(super) fn freeze(_: &mut Context) -> Result {
    let any = Any::new(&["cpu", "cpuacct"], &Limits::default())?;
    let cgroup = any.get()?;
    let spinner = any.start(&["facts", "spin:600000"])?;
    let used = || -> Result<u64> { Ok(cgroup.stats()?.cpu.or_fail("processor time")?.usage_us) };
    super::spins(used)?;
    cgroup.freeze()?;
    ensure!(cgroup.frozen()?, "it is not frozen");
    super::stands_still(used)?;
    cgroup.thaw()?;
    ensure!(!cgroup.frozen()?, "it is frozen still");
    super::spins(used)?;
    // Frozen ones are killed too.
    cgroup.freeze()?;
    any.end(&[spinner])
}

pub(super) fn kill_outruns_forks(_: &mut Context) -> Result {
    let any = Any::new(&["pids"], &Limits::default())?;
    let cgroup = any.get()?;
    any.start(&["multiply"])?.wait()?;
    std::thread::sleep(Duration::from_millis(50));
    ensure!(cgroup.populated()?, "the chain of processes has ended by itself");
    cgroup.kill()?;
    cgroup.wait_empty(Duration::from_secs(5))?;
    std::thread::sleep(Duration::from_millis(50));
    ensure!(!cgroup.populated()?, "the chain of processes goes on");
    Ok(())
}

pub(super) fn devices(_: &mut Context) -> Result {
    let facts = ["write:/dev/null=x", "write:/dev/zero=x"];
    let any = Any::new(&["devices"], &Limits::default());
    // Where there is v2, its program does it, and the controller is not needed.
    let any = any.or_else(|_| Any::new(&["pids"], &Limits::default()))?;
    let free = any.ask(&facts)?;
    ensure_eq!((free.get(facts[0])?, free.get(facts[1])?), ("", ""), "without a list");
    let null = Rule::new(true, "c", Some(1), Some(3), "rwm")?;
    any.get()?.set_devices(&[Rule::DENY_ALL, null])?;
    let seen = any.ask(&facts)?;
    ensure_eq!((seen.get(facts[0])?, seen.get(facts[1])?), ("", "!EPERM"), "with a list for /dev/null");
    // An update, with somebody inside.
    let sleeper = any.start(&["sleep", "86400"])?;
    any.get()?.set_devices(&[Rule { allow: true, ..Rule::DENY_ALL }, Rule { allow: false, ..null }])?;
    let seen = any.ask(&facts)?;
    ensure_eq!((seen.get(facts[0])?, seen.get(facts[1])?), ("!EPERM", ""), "with a list against /dev/null");
    any.end(&[sleeper])
}

pub(super) fn inexpressible_devices(_: &mut Context) -> Result {
    let any = Any::new(&["devices"], &Limits::default())?;
    let rules = [Rule::new(true, "c", Some(1), None, "rw")?, Rule::new(false, "c", Some(1), Some(5), "w")?];
    let list = || fs::read_to_string("/sys/fs/cgroup/devices/any/leaf/devices.list");
    let before = list()?;
    let error = any.get()?.set_devices(&rules).err().or_fail("a refusal")?;
    ensure_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    ensure_eq!(list()?, before, "the list after a refusal");
    Ok(())
}

/// What v1 has not is named, and nothing is written.
pub(super) fn what_v1_has_not(_: &mut Context) -> Result {
    let any = Any::new(&["pids"], &Limits::default())?;
    let cgroup = any.get()?;
    for (file, limits) in [
        ("memory.high", Limits { memory_high: Some(1 << 20), ..Limits::default() }),
        ("memory.oom.group", Limits { oom_group: Some(true), ..Limits::default() }),
        ("cgroup.max.depth", Limits { max_depth: Some(1), ..Limits::default() }),
        ("pids.x", Limits { unified: vec![("pids.x".into(), "1".into())], ..Limits::default() }),
    ] {
        let limits = Limits { pids_max: Some(3), ..limits };
        let error = cgroup.apply(&limits).err().or_fail("a refusal")?;
        ensure_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        ensure!(error.to_string().starts_with(&format!("{file} cannot be had with cgroup v1")), "{error}");
    }
    ensure_eq!(cgroup.limits()?.pids_max, Some(u64::MAX), "a limit beside a refused one");
    let error = cgroup.require_v2("pressure").err().or_fail("a refusal")?;
    ensure!(error.to_string().starts_with("pressure cannot be had with cgroup v1; "), "{error}");
    Ok(())
}

/// A name that is taken in one hierarchy: nothing is made in the others.
pub(super) fn half_made(_: &mut Context) -> Result {
    let controllers: Controllers = ["freezer", "pids", "cpu"].into_iter().collect();
    let layout = Hierarchy::detect()?;
    let taken = layout.v1_of("pids").or_fail("the pids hierarchy")?.mount.point.join("any");
    fs::create_dir_all(taken.join("leaf"))?;
    let error = AnyCgroup::create(&layout, "any/leaf", &controllers).err();
    let left = directories("any");
    fs::remove_dir(taken.join("leaf"))?;
    fs::remove_dir(&taken)?;
    let error = error.or_fail("a refusal")?;
    ensure_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    ensure_eq!(left, [taken], "what is left");
    Ok(())
}

pub(super) fn opened_again(_: &mut Context) -> Result {
    let any = Any::new(&["pids"], &Limits { pids_max: Some(9), ..Limits::default() })?;
    let sleeper = any.start(&["sleep", "86400"])?;
    let layout = Hierarchy::detect()?;
    let again = AnyCgroup::open(&layout, "/any/leaf")?;
    ensure_eq!(again.procs()?, [sleeper.pid()], "its processes");
    ensure_eq!(again.limits()?.pids_max, Some(9), "its limit");
    again.kill()?;
    sleeper.wait()?;
    again.wait_empty(Duration::from_secs(5))?;
    again.delete()?;
    let error = AnyCgroup::open(&layout, "any/leaf").err().or_fail("that it is gone")?;
    ensure_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    Ok(())
}

pub(super) fn nothing_is_left(_: &mut Context) -> Result {
    let any = Any::new(&["pids", "cpu"], &Limits::default())?;
    let parts = directories("any/leaf");
    ensure!(!parts.is_empty(), "it is nowhere");
    for part in &parts {
        fs::create_dir_all(part.join("a/b"))?;
    }
    let sleeper = any.start(&["sleep", "86400"])?;
    let pid = sleeper.pid().to_string();
    for part in &parts {
        ensure_eq!(fs::read_to_string(part.join("cgroup.procs"))?.trim(), pid, "{}", part.display());
    }
    any.end(&[sleeper])?;
    drop(any);
    ensure!(directories("any").is_empty(), "left: {:?}", directories("any"));
    Ok(())
}
