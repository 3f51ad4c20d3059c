//! What a process may use, and where.

use super::super::child;
use super::super::kernel::since;
use crate::registry::{Context, OrFail, Result};
use cofferdam_ns::Isolation;
use cofferdam_sys::plan::Step;
use cofferdam_sys::rlimit::{self, Rlimit};
use cofferdam_sys::sched::{self, Attributes, IoClass};
use cofferdam_sys::{Errno, numa, personality as persona};

fn ask(steps: Vec<(&str, Step)>, facts: &[&str]) -> Result<child::Facts> {
    child::ask(&Isolation::default(), None, steps, facts)
}

pub(super) fn resource_limits(_: &mut Context) -> Result {
    let resource = rlimit::by_name("RLIMIT_NOFILE").or_fail("RLIMIT_NOFILE")?;
    let limit = Rlimit { soft: 17, hard: 19 };
    let facts = ask(vec![("limit", Step::ResourceLimit { resource, limit })], &["file:/proc/self/limits"])?;
    let limits = facts.get("file:/proc/self/limits")?;
    let line = limits.lines().find(|line| line.starts_with("Max open files")).or_fail(limits)?;
    ensure_eq!(
        line.split_whitespace().skip(3).take(2).collect::<Vec<_>>(),
        ["17", "19"],
        "the limits of {line}"
    );
    let own = rlimit::get(0, resource)?;
    ensure!(own != limit, "the parent has the limits too");
    let bad = Rlimit { soft: 2, hard: 1 };
    ensure_eq!(rlimit::set(0, resource, bad), Err(Errno::EINVAL), "a soft limit above the hard one");
    ensure_eq!(rlimit::get(i32::MAX, resource), Err(Errno::ESRCH), "the limits of nobody");
    Ok(())
}

pub(super) fn scheduling(_: &mut Context) -> Result {
    let batch = Attributes {
        policy: sched::policy_by_name("SCHED_BATCH").or_fail("SCHED_BATCH")?,
        nice: 7,
        ..Attributes::default()
    };
    let steps = vec![
        ("be scheduled", Step::Scheduler(batch)),
        ("stay on a processor", Step::Processors(vec![1])),
        ("be patient", Step::IoPriority { class: IoClass::Idle, level: 0 }),
    ];
    let asked = ["file:/proc/self/stat", "file:/proc/self/status"];
    let facts = ask(steps, &asked)?;
    let stat = facts.get("file:/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().or_fail("fields")?.split_whitespace().collect();
    ensure_eq!(fields.get(16), Some(&"7"), "the nice value");
    ensure_eq!(fields.get(38), Some(&"3"), "the policy");
    ensure_eq!(facts.status("Cpus_allowed_list")?, "0", "the processors");

    let on_thread = std::thread::spawn(move || {
        sched::set(0, &batch)?;
        sched::set_io_priority(0, IoClass::BestEffort, 6)?;
        sched::set_affinity(0, &[1])?;
        Ok((sched::get(0)?, sched::io_priority(0)?, sched::affinity(0)?))
    });
    let found: std::result::Result<_, Errno> = on_thread.join().or_else(|_| fail!("the thread panicked"))?;
    let (attributes, io, mask) = found?;
    ensure_eq!((attributes.policy, attributes.nice), (batch.policy, batch.nice), "of a thread");
    ensure_eq!((io, mask.first()), ((2, 6), Some(&1)), "the I/O priority and the processors of a thread");
    ensure_eq!(sched::get(0)?.nice, 0, "the nice value of its sibling");
    // No guest has a core with several threads; before Linux 5.14 no kernel knows the request.
    let core = sched::own_core();
    let allowed: &[Errno] = if since(5, 14)? { &[Errno::ENODEV, Errno::EINVAL] } else { &[Errno::EINVAL] };
    ensure!(core.is_err_and(|errno| allowed.contains(&errno)), "a core of its own: {core:?}");
    Ok(())
}

pub(super) fn memory_nodes(_: &mut Context) -> Result {
    let bind = Step::MemoryPolicy { mode: numa::BIND, nodes: vec![1] };
    let facts = ask(vec![("bind memory", bind)], &["file:/proc/self/numa_maps"])?;
    let maps = facts.get("file:/proc/self/numa_maps")?;
    ensure!(maps.lines().all(|line| line.contains(" bind:0")), "the memory of the child: {maps}");
    ensure_eq!(numa::get()?.0, numa::DEFAULT, "the policy of its parent");
    ensure_eq!(numa::set(numa::BIND, &[1 << 63]), Err(Errno::EINVAL), "a node that is not there");
    let many = std::thread::spawn(|| numa::set(numa::PREFERRED_MANY, &[1]).and_then(|()| numa::get()));
    let many = many.join().or_else(|_| fail!("the thread panicked"))?;
    if since(5, 15)? {
        ensure_eq!(many?.0, numa::PREFERRED_MANY, "the mode of a thread");
    } else {
        ensure_eq!(many.err(), Some(Errno::EINVAL), "a mode of Linux 5.15");
    }
    Ok(())
}

pub(super) fn personality(_: &mut Context) -> Result {
    let steps = vec![("say 32 bits", Step::Personality(persona::LINUX32))];
    let facts = ask(steps, &["file:/proc/self/personality"])?;
    ensure_eq!(facts.get("file:/proc/self/personality")?, "00000008", "of the child");
    ensure_eq!(persona::get()?, persona::LINUX, "of its parent");
    Ok(())
}
