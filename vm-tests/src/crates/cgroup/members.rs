//! Moving processes and threads, positions, delegation.

use super::{Group, own_cgroup};
use crate::crates::child;
use crate::registry::{Context, OrFail, Result};
use cofferdam_cgroup::{Cgroup, ErrorKind, Limits, Positions, Type};
use cofferdam_ns::{Isolation, Namespaces};
use cofferdam_sys::plan::Step;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(super) fn processes_are_moved(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    let sleeper = Group::outside()?;
    ensure!(leaf.procs()?.is_empty(), "a new cgroup has processes");
    leaf.add(sleeper.pid())?;
    ensure_eq!(leaf.procs()?, [sleeper.pid()], "after the move");
    ensure_eq!(leaf.threads()?, [sleeper.pid()], "its threads");
    let position = Positions::of(sleeper.pid())?;
    ensure_eq!(position.v2().or_fail("its position")?.path, Path::new("/test/leaf"), "where it is");
    let error = leaf.add(i32::MAX).err().or_fail("a refusal of a process that is not there")?;
    ensure!(error.to_string().contains("ESRCH"), "{error}");
    Ok(())
}

pub(super) fn threads_are_moved(_: &mut Context) -> Result {
    let group = Group::with(&[], &Limits::default())?;
    let leaf = group.leaf()?;
    let sleeper = group.sleeper()?;
    let inner = Cgroup::create(leaf, "inner")?;
    ensure_eq!(inner.cgroup_type()?, Type::Domain, "a new cgroup");
    inner.make_threaded()?;
    ensure_eq!((inner.cgroup_type()?, leaf.cgroup_type()?), (Type::Threaded, Type::DomainThreaded), "types");
    inner.add_thread(sleeper.pid())?;
    ensure_eq!(inner.threads()?, [sleeper.pid()], "its threads");
    let error = inner.procs().err().or_fail("no processes of a threaded cgroup")?;
    ensure!(error.to_string().contains("EOPNOTSUPP"), "{error}");
    let stranger = Group::outside()?;
    let error = inner.add_thread(stranger.pid()).err().or_fail("a refusal of a thread from elsewhere")?;
    ensure!(error.to_string().contains("EOPNOTSUPP"), "{error}");
    leaf.add(sleeper.pid())?;
    drop(sleeper);
    inner.delete()?;
    Ok(())
}

/// A process that has ended and was not waited for is still in its cgroup, which can be removed.
pub(super) fn removed_position(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let inner = Cgroup::create(group.leaf()?, "inner")?;
    let plan = child::plan(&["sleep", "0"])?;
    let child = Isolation::default().spawn(&plan, Some(inner.fd()))?.finish()?;
    inner.wait_empty(std::time::Duration::from_secs(5))?;
    inner.delete()?;
    let position = Positions::of(child.pid())?;
    let position = position.v2().or_fail("the position of a zombie")?.clone();
    child.wait()?;
    ensure!(position.deleted, "it is not said that {position:?} is gone");
    ensure_eq!(position.path, Path::new("/test/leaf/inner"), "where it was");
    Ok(())
}

pub(super) fn position_in_a_namespace(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let isolation = Isolation { new: Namespaces::CGROUP, ..Isolation::default() };
    let fact = "file:/proc/self/cgroup";
    let facts = child::ask(&isolation, Some(group.leaf()?.fd()), vec![], &[fact])?;
    let inside = Positions::parse(facts.get(fact)?.as_bytes());
    ensure_eq!(inside.v2().or_fail("a position")?.path, Path::new("/"), "seen from inside");
    ensure_eq!(own_cgroup()?, "/case", "seen from outside, of the test itself");
    Ok(())
}

const USER: u32 = 1000;

/// The user owns the files of the kernel's list and no other, can use them, and can change no limit.
pub(super) fn delegated_to_a_user(_: &mut Context) -> Result {
    let group = Group::new(&Limits { pids_max: Some(20), ..Limits::default() })?;
    let leaf = group.leaf()?;
    leaf.delegate(USER, USER)?;
    let dir = Path::new("/sys/fs/cgroup/test/leaf");
    ensure_eq!(fs::metadata(dir)?.uid(), USER, "the owner of the directory");
    let mut owned = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.metadata()?.uid() == USER {
            owned.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    let listed = fs::read_to_string("/sys/kernel/cgroup/delegate")?;
    let there = |name: &&str| dir.join(name).exists();
    let wanted: BTreeSet<String> = listed.lines().filter(there).map(str::to_owned).collect();
    ensure_eq!(owned, wanted, "the files of the user");
    // What this crate knows without the kernel's list.
    let known =
        ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group", "memory.reclaim"];
    ensure!(owned.iter().all(|name| known.contains(&name.as_str())), "the list is longer: {owned:?}");

    let facts =
        ["write:/sys/fs/cgroup/test/leaf/cgroup.procs=0", "write:/sys/fs/cgroup/test/leaf/pids.max=max"];
    let become_user = vec![("change the user", Step::Uid(USER))];
    let seen = child::ask(&Isolation::default(), Some(leaf.fd()), become_user, &facts)?;
    ensure_eq!((seen.get(facts[0])?, seen.get(facts[1])?), ("", "!EACCES"), "what the user can write");
    Ok(())
}

pub(super) fn delegation_is_seen(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    let as_user = || -> Result<_> {
        nix::unistd::seteuid(USER.into())?;
        let found = leaf.delegation();
        nix::unistd::seteuid(0.into())?;
        Ok(found?)
    };
    ensure!(leaf.delegation()?.is_whole(), "root may not use a cgroup");
    let before = as_user()?;
    ensure!(!before.create && !before.migrate && !before.enable, "a user may use it: {before:?}");
    leaf.delegate(USER, USER)?;
    let after = as_user()?;
    ensure!(after.is_whole(), "a user may not use what was given: {after:?}");
    ensure_eq!(after.controllers.to_string(), "cpu memory pids", "what can be passed on");
    let error = leaf.delegate(u32::MAX - 1, 0);
    ensure!(error.is_ok(), "any id is one in the initial user namespace: {error:?}");
    Ok(())
}

/// The user owns the directory and may change its group, but not the files: the group is put back.
pub(super) fn refused_delegation(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    let dir = Path::new("/sys/fs/cgroup/test/leaf");
    nix::unistd::chown(dir, Some(USER.into()), Some(0.into()))?;
    nix::unistd::setgroups(&[USER.into()])?;
    nix::unistd::seteuid(USER.into())?;
    let error = leaf.delegate(USER, USER);
    nix::unistd::seteuid(0.into())?;
    let error = error.err().or_fail("a refusal to give what is not one's own")?;
    ensure_eq!(error.kind(), ErrorKind::System, "{error}");
    let text = error.to_string();
    ensure!(text.starts_with("give /sys/fs/cgroup/test/leaf/cgroup.procs to 1000:1000"), "{error}");
    ensure!(text.contains("CAP_CHOWN") && !text.contains("cleaning up"), "{error}");
    let owner = fs::metadata(dir)?;
    ensure_eq!((owner.uid(), owner.gid()), (USER, 0), "the owner of the directory after a refusal");
    Ok(())
}
