//! Maps of ids, and whose they become.

use super::mapped;
use crate::crates::child::{self, Sleeper};
use crate::registry::{Context, OrFail, Result};
use cofferdam_ns::{
    ErrorKind, IdMap, IdMaps, IdRange, Isolation, Mapping, Namespaces, Pool, Process, Setgroups, Writer,
};
use cofferdam_sys::Errno;
use cofferdam_sys::plan::Step;
use cofferdam_sys::spawn::{Request, Spawning, spawn};
use std::fs;

pub(super) fn read_back(_: &mut Context) -> Result {
    let uid = vec![IdMap::new(0, 100_000, 1), IdMap::new(1, 200_000, 999), IdMap::new(60_000, 7, 1)];
    // More than the five ranges that fit into the kernel's first structure, and nearly a page of text.
    let gid: Vec<IdMap> = (0..300).map(|n| IdMap::new(n * 2, 100_000 + n * 2, 1)).collect();
    let ids = IdMaps { uid, gid };
    let isolation = Isolation { new: Namespaces::USER, ids: Some(ids.clone()), ..Isolation::default() };
    let sleeper = Sleeper::start(&isolation, None, vec![])?;
    ensure_eq!(IdMaps::of(&Process::open(sleeper.pid())?)?, ids, "the maps that are read back");
    Ok(())
}

pub(super) fn setgroups(_: &mut Context) -> Result {
    for (setgroups, wanted) in
        [(Setgroups::Auto, "allow"), (Setgroups::Allow, "allow"), (Setgroups::Deny, "deny")]
    {
        let mapping = Mapping { setgroups, writer: Writer::Auto };
        let ids = Some(mapped());
        let isolation = Isolation { new: Namespaces::USER, ids, mapping, ..Isolation::default() };
        let asked = "file:/proc/self/setgroups";
        let facts = child::ask(&isolation, None, vec![], &[asked])?;
        ensure_eq!(facts.get(asked)?, wanted, "setgroups, with {setgroups:?}");
    }
    Ok(())
}

pub(super) fn as_user(_: &mut Context) -> Result {
    super::as_user(|| {
        let with = |ids: IdMaps, mapping| Isolation {
            new: Namespaces::USER,
            ids: Some(ids),
            mapping,
            ..Isolation::default()
        };
        let own = with(IdMaps::caller_as_root(), Mapping::default());
        let asked = ["file:/proc/self/setgroups", "file:/proc/self/status"];
        let facts = child::ask(&own, None, vec![], &asked)?;
        ensure_eq!(facts.get(asked[0])?, "deny", "setgroups, as the kernel demands");
        ensure_eq!(facts.status("Uid")?, "0 0 0 0", "user ids inside");

        let refusal = |isolation: &Isolation| -> Result<cofferdam_ns::Error> {
            let mut plan = child::plan(&["facts"])?;
            isolation.lower(&mut plan);
            let spawning = isolation.spawn(&plan, None)?;
            isolation.map_ids(&spawning).err().or_fail("a refusal")
        };
        let direct = Mapping { writer: Writer::Direct, ..Mapping::default() };
        let error = refusal(&with(mapped(), direct))?;
        ensure_eq!(error.kind(), ErrorKind::Os(Errno::EPERM), "other ids, written directly");
        ensure!(error.to_string().contains("newuidmap"), "the error says {error}");
        // The guest has no such program.
        let error = refusal(&with(mapped(), Mapping::default()))?;
        ensure_eq!(error.kind(), ErrorKind::Helper, "other ids, by the helper");
        ensure!(error.to_string().contains("run newuidmap"), "the error says {error}");
        let allow = Mapping { setgroups: Setgroups::Allow, ..Mapping::default() };
        let error = refusal(&with(IdMaps::caller_as_root(), allow))?;
        ensure_eq!(error.kind(), ErrorKind::Invalid, "setgroups allowed without privilege");
        Ok(())
    })
}

/// A child that waits in a user namespace without maps.
fn unmapped(plan: &cofferdam_sys::plan::Plan) -> Result<Spawning<'_>> {
    Ok(spawn(plan, &Request { namespaces: Namespaces::USER, ..Request::default() })?)
}

pub(super) fn of_a_dead_process(_: &mut Context) -> Result {
    const LAST: &str = "/proc/sys/kernel/ns_last_pid";
    let mut plan = child::plan(&["facts"])?;
    plan.push("wait for the parent", Step::WaitForParent);
    // Another process may take the number in between; then there is nothing to see yet.
    for _ in 0..50 {
        let first = unmapped(&plan)?;
        let pid = first.pid();
        let process = Process::open(pid)?;
        drop(first);
        fs::write(LAST, (pid - 1).to_string())?;
        let second = unmapped(&plan)?;
        if second.pid() != pid {
            continue;
        }
        let error = mapped().write(&process, Mapping::default()).err().or_fail("a refusal")?;
        ensure!(
            matches!(error.kind(), ErrorKind::Os(Errno::ESRCH | Errno::ENOENT)),
            "the error for the dead process: {error}"
        );
        ensure_eq!(fs::read_to_string(format!("/proc/{pid}/uid_map"))?, "", "the map of its successor");
        ensure_eq!(process.is_there()?, false, "whether the dead process is there");
        // The living one can be given its map.
        mapped().write(&Process::open(pid)?, Mapping::default())?;
        return Ok(());
    }
    fail!("no process got the number of another in 50 turns")
}

pub(super) fn leases(ctx: &mut Context) -> Result {
    let range = |first| IdRange::new(first, 1000).or_fail("a range");
    let pool = Pool::new(&ctx.scratch().join("pool"), vec![range(100_000)?], vec![range(200_000)?])?;
    let lease = pool.take(1000)?;
    let isolation = Isolation { new: Namespaces::USER, ids: Some(lease.maps()), ..Isolation::default() };
    let sleeper = Sleeper::start(&isolation, None, vec![])?;
    let process = Process::open(sleeper.pid())?;
    ensure_eq!(IdMaps::of(&process)?.outside_gid(7), Some(200_007), "group 7 of the container");
    lease.keep_for(&process)?;
    let error = pool.take(1).err().or_fail("a refusal")?;
    ensure_eq!(error.kind(), ErrorKind::Exhausted, "one id more while the container lives");
    drop(sleeper);
    ensure_eq!(pool.take(1000)?.uid(), range(100_000)?, "the range after its end");
    Ok(())
}
