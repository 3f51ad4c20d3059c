//! Namespaces that a child joins.

use super::mapped;
use crate::crates::child::{self, Sleeper};
use crate::registry::{Context, OrFail, Result};
use cofferdam_ns::{ErrorKind, IdMaps, Isolation, Namespace, Namespaces, NsKind, Process};
use cofferdam_sys::Errno;
use cofferdam_sys::plan::Step;
use std::fs;

pub(super) fn by_files(_: &mut Context) -> Result {
    let new = Namespaces::UTS | Namespaces::IPC | Namespaces::NET | Namespaces::PID;
    let isolation = Isolation { new, ..Isolation::default() };
    let name = vec![("name the host", Step::HostName(b"first".to_vec()))];
    let first = Sleeper::start(&isolation, None, name)?;
    let kinds = [NsKind::Uts, NsKind::Ipc, NsKind::Network, NsKind::Pid];
    let own = |kind| Namespace::of_process(0, kind)?.identity();
    let before = kinds.map(|kind| own(kind).ok());

    let mut join = vec![];
    for kind in kinds {
        join.push(Namespace::of_process(first.pid(), kind)?);
    }
    let second = Isolation { join, ..Isolation::default() };
    let asked = ["file:/proc/sys/kernel/hostname", "file:/proc/self/status", "link:/proc/self/ns/net"];
    let facts = child::ask(&second, None, vec![], &asked)?;
    ensure_eq!(facts.get(asked[0])?, "first", "the host name that the second child sees");
    ensure!(facts.status("NSpid")?.ends_with(" 2"), "its process ids: {}", facts.status("NSpid")?);
    let network = fs::read_link(format!("/proc/{}/ns/net", first.pid()))?;
    ensure_eq!(facts.get(asked[2])?, network.to_string_lossy(), "its network namespace");
    ensure_eq!(kinds.map(|kind| own(kind).ok()), before, "the parent's own namespaces");
    Ok(())
}

/// A sleeper with namespaces of its own, root inside, and a host name.
fn sleeper(new: Namespaces, ids: Option<IdMaps>) -> Result<Sleeper> {
    let isolation = Isolation { new, ids, ..Isolation::default() };
    let steps = if new.contains(Namespaces::UTS) {
        vec![("name the host", Step::HostName(b"first".to_vec()))]
    } else {
        vec![]
    };
    Sleeper::start(&isolation, None, steps)
}

/// The names and numbers of a process's namespaces, as its own links have them.
fn links(pid: i32, kinds: &[NsKind]) -> Result<Vec<String>> {
    let link = |kind: &NsKind| fs::read_link(format!("/proc/{pid}/ns/{kind}"));
    kinds.iter().map(|kind| Ok(link(kind)?.to_string_lossy().into_owned())).collect()
}

/// What a child of this isolation says of its own namespaces, and its root user's id outside.
fn joined(isolation: &Isolation, kinds: &[NsKind]) -> Result<(Vec<String>, String)> {
    let asked: Vec<String> = kinds.iter().map(|kind| format!("link:/proc/self/ns/{kind}")).collect();
    let mut asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    asked.push("file:/proc/self/uid_map");
    let facts = child::ask(isolation, None, vec![], &asked)?;
    let (map, links) = asked.split_last().or_fail("facts")?;
    let links = links.iter().map(|link| facts.get(link).map(str::to_owned)).collect::<Result<_>>()?;
    Ok((links, facts.get(map)?.split_whitespace().collect::<Vec<_>>().join(" ")))
}

pub(super) fn user_mount_and_time(_: &mut Context) -> Result {
    let new = Namespaces::all().difference(Namespaces::CGROUP);
    let first = sleeper(new, Some(mapped()))?;
    let process = Process::open(first.pid())?;
    let kinds = [NsKind::Time, NsKind::Mount, NsKind::Pid, NsKind::User, NsKind::Uts, NsKind::Network];
    let join = kinds.iter().map(|kind| process.namespace(*kind)).collect::<std::result::Result<_, _>>()?;
    let isolation = Isolation { join, ..Isolation::default() };
    let (found, map) = joined(&isolation, &kinds)?;
    ensure_eq!(found, links(first.pid(), &kinds)?, "the namespaces of the child that joins");
    ensure_eq!(map, "0 100000 65536", "its map of users");
    Ok(())
}

pub(super) fn by_pidfd(_: &mut Context) -> Result {
    let first = sleeper(Namespaces::all(), Some(mapped()))?;
    let process = Process::open(first.pid())?;
    let foreign = process.foreign_namespaces()?;
    ensure_eq!(foreign, Namespaces::all(), "the namespaces that are not the caller's");
    let isolation = Isolation { join_process: Some((process, foreign)), ..Isolation::default() };
    let (found, _) = joined(&isolation, &NsKind::ALL)?;
    ensure_eq!(found, links(first.pid(), &NsKind::ALL)?, "the namespaces of the child that joins");
    Ok(())
}

pub(super) fn outer_first(_: &mut Context) -> Result {
    // As an engine does it: the network is the host root's, the user namespace the container's.
    let network = sleeper(Namespaces::NET, None)?;
    let container = sleeper(Namespaces::USER | Namespaces::UTS, Some(mapped()))?;
    let user = Process::open(container.pid())?;
    let join = vec![
        user.namespace(NsKind::User)?,
        user.namespace(NsKind::Uts)?,
        Process::open(network.pid())?.namespace(NsKind::Network)?,
    ];
    let isolation = Isolation { join, ..Isolation::default() };
    let kinds = [NsKind::Network, NsKind::User, NsKind::Uts];
    let (found, _) = joined(&isolation, &kinds)?;
    let mut wanted = links(network.pid(), &[NsKind::Network])?;
    wanted.extend(links(container.pid(), &[NsKind::User, NsKind::Uts])?);
    ensure_eq!(found, wanted, "the namespaces of the child that joins both");
    Ok(())
}

pub(super) fn then_new(_: &mut Context) -> Result {
    let network = sleeper(Namespaces::NET, None)?;
    let isolation = Isolation {
        new: Namespaces::USER | Namespaces::PID | Namespaces::TIME | Namespaces::CGROUP,
        join: vec![Process::open(network.pid())?.namespace(NsKind::Network)?],
        ids: Some(mapped()),
        ..Isolation::default()
    };
    let (found, map) = joined(&isolation, &[NsKind::Network])?;
    ensure_eq!(found, links(network.pid(), &[NsKind::Network])?, "the network namespace");
    ensure_eq!(map, "0 100000 65536", "its map of users");
    let asked = ["file:/proc/self/status", "link:/proc/self/ns/time", "link:/proc/self/ns/cgroup"];
    let facts = child::ask(&isolation, None, vec![], &asked)?;
    ensure!(facts.status("NSpid")?.ends_with(" 1"), "its process ids: {}", facts.status("NSpid")?);
    ensure_eq!(facts.status("Uid")?, "0 0 0 0", "user ids inside");
    for (kind, link) in [(NsKind::Time, asked[1]), (NsKind::Cgroup, asked[2])] {
        let own = fs::read_link(format!("/proc/self/ns/{kind}"))?;
        ensure!(facts.get(link)? != own.to_string_lossy(), "its {kind} namespace is the host's");
    }
    Ok(())
}

pub(super) fn as_user(_: &mut Context) -> Result {
    let kinds = [NsKind::User, NsKind::Mount, NsKind::Pid, NsKind::Uts, NsKind::Time, NsKind::Network];
    super::as_user(|| {
        let new = Namespaces::all().difference(Namespaces::CGROUP);
        let first = sleeper(new, Some(IdMaps::caller_as_root()))?;
        let process = Process::open(first.pid())?;
        let foreign = process.foreign_namespaces()?;
        let by_pidfd = Isolation { join_process: Some((process.clone(), foreign)), ..Isolation::default() };
        let join =
            kinds.iter().map(|kind| process.namespace(*kind)).collect::<std::result::Result<_, _>>()?;
        let by_files = Isolation { join, ..Isolation::default() };
        for isolation in [by_pidfd, by_files] {
            let (found, map) = joined(&isolation, &kinds)?;
            ensure_eq!(found, links(first.pid(), &kinds)?, "the namespaces of the child that joins");
            ensure_eq!(map, "0 1000 1", "its map of users");
        }
        Ok(())
    })
}

pub(super) fn own_user_namespace(_: &mut Context) -> Result {
    let join = vec![Namespace::of_process(0, NsKind::User)?];
    let isolation = Isolation { join, ..Isolation::default() };
    let plan = child::plan(&["facts"])?;
    let mut whole = plan.clone();
    isolation.lower(&mut whole);
    let mut spawning = isolation.spawn(&whole, None)?;
    spawning.release()?;
    let error: cofferdam_ns::Error = spawning.finish().err().or_fail("a refusal")?.into();
    ensure_eq!(error.kind(), ErrorKind::Os(Errno::EINVAL), "the kind of error");
    ensure!(error.to_string().starts_with("join the user namespace"), "the error says {error}");
    Ok(())
}
