//! The life of a cgroup: birth, freezing, killing, removing.

use super::{Group, root};
use crate::crates::child::{self, Sleeper};
use crate::registry::{Context, OrFail, Result};
use cofferdam_cgroup::{Branch, Cgroup, Controllers, ErrorKind, Limits};
use cofferdam_ns::Isolation;
use std::fs;
use std::path::Path;
use std::time::Duration;

pub(super) fn born_inside(_: &mut Context) -> Result {
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

pub(super) fn freeze(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    let spinner = child::plan(&["facts", "spin:600000"])?;
    let spawning = Isolation::default().spawn(&spinner, Some(leaf.fd()))?;
    let spinner = spawning.finish()?;
    let used = || -> Result<u64> { Ok(leaf.stats()?.cpu.or_fail("processor statistics")?.usage_us) };
    super::spins(used)?;
    leaf.freeze()?;
    ensure_eq!(leaf.events()?.frozen, Some(true), "whether it is frozen");
    // The kernel says so when the process is on its way to sleep, a moment before it sleeps.
    let stat = format!("/proc/{}/stat", spinner.pid());
    while std::fs::read_to_string(&stat)?.contains(") R ") {
        std::thread::yield_now();
    }
    super::stands_still(used)?;
    leaf.thaw()?;
    super::spins(used)?;
    leaf.kill()?;
    spinner.wait()?;
    Ok(())
}

pub(super) fn kill(_: &mut Context) -> Result {
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

pub(super) fn kill_outruns_forks(_: &mut Context) -> Result {
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

pub(super) fn branch_is_removed(_: &mut Context) -> Result {
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

/// Deleting a cgroup waits for its processes; one that has none is deleted at once, with what is below.
pub(super) fn busy_names_processes(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    let sleeper = group.sleeper()?;
    let error = leaf.wait_empty(Duration::from_millis(20)).err().or_fail("the end of a wait")?;
    ensure_eq!(error.kind(), ErrorKind::Busy, "{error}");
    ensure!(error.to_string().ends_with(&format!("it has processes: {}", sleeper.pid())), "{error}");
    drop(sleeper);
    leaf.wait_empty(Duration::from_secs(5))?;
    Ok(())
}

pub(super) fn nested_deletion(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let inner = Cgroup::create(group.leaf()?, "a")?;
    Cgroup::create(&Cgroup::create(&inner, "b")?, "c")?;
    let seen = group.leaf()?.descendants()?;
    ensure_eq!(seen.alive, 3, "cgroups below");
    inner.delete()?;
    ensure_eq!(group.leaf()?.descendants()?.alive, 0, "cgroups below after the deletion");
    Ok(())
}

pub(super) fn root_is_safe(_: &mut Context) -> Result {
    let error = root()?.delete().err().or_fail("a refusal to delete the root")?;
    ensure_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    Ok(())
}
