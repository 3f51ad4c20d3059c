//! Whose a namespace is, and keeping it without a process.

use super::mapped;
use crate::crates::child::{self, Sleeper};
use crate::crates::kernel::since;
use crate::registry::{Context, OrFail, Result};
use cofferdam_ns::probe::PROBES;
use cofferdam_ns::{ErrorKind, Isolation, Namespace, Namespaces, NsKind, Process, unpin};
use cofferdam_sys::Errno;
use cofferdam_sys::plan::Step;
use std::fs;

pub(super) fn relations(_: &mut Context) -> Result {
    let new = Namespaces::USER | Namespaces::PID | Namespaces::UTS;
    let isolation = Isolation { new, ids: Some(mapped()), ..Isolation::default() };
    let sleeper = Sleeper::start(&isolation, None, vec![])?;
    let process = Process::open(sleeper.pid())?;
    let user = process.namespace(NsKind::User)?;
    let uts = process.namespace(NsKind::Uts)?;
    let owner = uts.owner()?.or_fail("the owner of the UTS namespace")?;
    ensure_eq!(owner.identity()?, user.identity()?, "the owner of the UTS namespace");
    let host = Namespace::of_process(0, NsKind::User)?;
    let parent = user.parent()?.or_fail("the parent of the user namespace")?;
    ensure_eq!(parent.identity()?, host.identity()?, "the parent of the user namespace");
    ensure_eq!(user.owner_uid()?, 0, "who made the user namespace");
    let pids = process.namespace(NsKind::Pid)?.parent()?.or_fail("the parent of the PID namespace")?;
    ensure_eq!(pids.identity()?, Namespace::of_process(0, NsKind::Pid)?.identity()?, "its parent");
    // Nothing is above the first ones.
    ensure!(host.parent()?.is_none(), "the host's user namespace has a parent");
    ensure_eq!(uts.parent().err().or_fail("a refusal")?.kind(), ErrorKind::Os(Errno::EINVAL), "a UTS parent");
    let made = super::as_user(|| {
        let isolation = Isolation { new: Namespaces::USER, ..Isolation::default() };
        let sleeper = Sleeper::start(&isolation, None, vec![])?;
        Ok(Process::open(sleeper.pid())?.namespace(NsKind::User)?.owner_uid()?)
    })?;
    ensure_eq!(made, 1000, "who made a user's namespace");
    Ok(())
}

pub(super) fn unique_id(_: &mut Context) -> Result {
    let id = |kind| Namespace::of_process(0, kind)?.unique_id();
    ensure_eq!(id(NsKind::Uts)?.is_some(), since(6, 18)?, "an id, which is there since 6.18");
    ensure_eq!(id(NsKind::Mount)?.is_some(), since(6, 11)?, "a mount namespace's, which is there since 6.11");
    let isolation = Isolation { new: Namespaces::MOUNT, ..Isolation::default() };
    let mut seen = vec![id(NsKind::Mount)?];
    for _ in 0..2 {
        let sleeper = Sleeper::start(&isolation, None, vec![])?;
        seen.push(Process::open(sleeper.pid())?.namespace(NsKind::Mount)?.unique_id()?);
    }
    if since(6, 11)? {
        seen.sort_unstable();
        seen.dedup();
        ensure_eq!(seen.len(), 3, "ids of three namespaces one after the other: {seen:?}");
    }
    Ok(())
}

pub(super) fn probes(_: &mut Context) -> Result {
    for probe in PROBES {
        let version = probe.since.split_once('.').or_fail(probe.name)?;
        let wanted = since(version.0.parse()?, version.1.parse()?)?;
        ensure_eq!((probe.ask)()?, wanted, "{}, which is there since {}", probe.name, probe.since);
    }
    Ok(())
}

pub(super) fn pin(ctx: &mut Context) -> Result {
    let path = ctx.scratch().join("uts");
    let isolation = Isolation { new: Namespaces::UTS, ..Isolation::default() };
    let name = vec![("name the host", Step::HostName(b"pinned".to_vec()))];
    let sleeper = Sleeper::start(&isolation, None, name)?;
    let namespace = Process::open(sleeper.pid())?.namespace(NsKind::Uts)?;
    let identity = namespace.identity()?;
    namespace.pin(&path)?;
    drop((namespace, sleeper));

    let found = Namespace::open(&path, NsKind::Uts)?;
    ensure_eq!(found.identity()?, identity, "the namespace behind the pin");
    let wrong = Namespace::open(&path, NsKind::Ipc).err().or_fail("a refusal")?;
    ensure!(wrong.to_string().contains("of kind uts, not ipc"), "the error says {wrong}");
    let join = Isolation { join: vec![found], ..Isolation::default() };
    let asked = "file:/proc/sys/kernel/hostname";
    ensure_eq!(child::ask(&join, None, vec![], &[asked])?.get(asked)?, "pinned", "the host name inside");
    unpin(&path)?;
    ensure!(!path.exists(), "the file of the pin is left");
    Ok(())
}

pub(super) fn pin_mount(ctx: &mut Context) -> Result {
    let path = ctx.scratch().join("mnt");
    let own = Namespace::of_process(0, NsKind::Mount)?;
    let isolation = Isolation { new: Namespaces::MOUNT, ..Isolation::default() };
    let mut pinned = 0;
    // Where each CPU numbers for itself, a younger one may have the lower number, and the kernel takes it for
    // the older one.
    for _ in 0..10 {
        let sleeper = Sleeper::start(&isolation, None, vec![])?;
        let namespace = Process::open(sleeper.pid())?.namespace(NsKind::Mount)?;
        let link = fs::read_link(format!("/proc/{}/ns/mnt", sleeper.pid()))?;
        let younger = namespace.unique_id()?.is_none_or(|id| Some(id) > own.unique_id().ok().flatten());
        if !younger {
            ensure!(since(6, 18)?, "a younger mount namespace has the lower id");
            let error = namespace.pin(&path).err().or_fail("a refusal")?;
            ensure_eq!(error.kind(), ErrorKind::Os(Errno::EINVAL), "pinning one with a lower id");
            continue;
        }
        namespace.pin(&path)?;
        drop((namespace, sleeper));
        let join = Isolation { join: vec![Namespace::open(&path, NsKind::Mount)?], ..Isolation::default() };
        let asked = "link:/proc/self/ns/mnt";
        let facts = child::ask(&join, None, vec![], &[asked]);
        unpin(&path)?;
        ensure_eq!(facts?.get(asked)?, link.to_string_lossy(), "the mount namespace of the child that joins");
        pinned += 1;
        if pinned == 2 {
            break;
        }
    }
    ensure!(pinned > 0 || since(6, 18)?, "none of ten mount namespaces could be pinned");
    // The own one would hold itself for ever.
    let error = own.pin(&path).err().or_fail("a refusal")?;
    ensure_eq!(error.kind(), ErrorKind::Os(Errno::EINVAL), "pinning one's own mount namespace");
    ensure!(!path.exists(), "the file of a pin that failed is left");
    Ok(())
}

pub(super) fn pin_refused(ctx: &mut Context) -> Result {
    let path = ctx.scratch().join("file");
    fs::write(&path, "kept")?;
    let uts = Namespace::of_process(0, NsKind::Uts)?;
    let error = uts.pin(&path).err().or_fail("a refusal")?;
    ensure_eq!(error.kind(), ErrorKind::Os(Errno::EEXIST), "a file in the way");
    ensure_eq!(unpin(&path).err().or_fail("a refusal")?.kind(), ErrorKind::Invalid, "a file");
    let link = ctx.scratch().join("link");
    std::os::unix::fs::symlink("/proc/self/ns/uts", &link)?;
    ensure_eq!(unpin(&link).err().or_fail("a refusal")?.kind(), ErrorKind::Invalid, "a link to a namespace");
    ensure_eq!(fs::read_to_string(&path)?, "kept", "the file");
    let unprivileged = super::as_user(|| Ok(uts.pin(&std::env::temp_dir().join("uts")).err()))?;
    ensure!(unprivileged.is_some(), "an unprivileged user pins a namespace");
    Ok(())
}
