//! `process.scheduler`, `process.ioPriority`, `process.execCPUAffinity`, `linux.personality`,
//! `linux.memoryPolicy`.

use cofferdam_sys::sched::{self, Attributes, IoClass};
use cofferdam_sys::{numa, personality};

use super::lists;
use crate::container::{Affinity, Domain, Scheduling};
use crate::spec::{
    IoPriorityClass, Linux, LinuxIoPriority, LinuxMemoryPolicy, LinuxPersonalityDomain, MemoryPolicyFlag,
    Process, Scheduler, SchedulerFlag,
};
use crate::{Error, Result};

pub(super) fn lower(process: &Process) -> Result<Scheduling> {
    let affinity = process.exec_cpu_affinity.as_ref().map(|affinity| {
        let processors = |name: &str, list: &Option<String>| {
            let field = format!("process.execCPUAffinity.{name}");
            let list = list.as_deref().filter(|list| !list.is_empty());
            list.map(|list| lists::mask(&field, list)).transpose()
        };
        Ok::<_, Error>(Affinity {
            initial: processors("initial", &affinity.initial)?,
            last: processors("final", &affinity.last)?,
        })
    });
    Ok(Scheduling {
        attributes: process.scheduler.as_ref().map(attributes).transpose()?,
        io: process.io_priority.map(io_priority).transpose()?,
        affinity: affinity.transpose()?.unwrap_or_default(),
    })
}

/// What the kernel would answer with a bare `EINVAL` is refused by the field's name.
fn attributes(scheduler: &Scheduler) -> Result<Attributes> {
    let wrong = |field: &str, why: String| Err(Error::config(&format!("process.scheduler.{field}"), why));
    let name = scheduler.policy.as_str();
    let Some(policy) = sched::policy_by_name(name) else {
        return wrong("policy", format!("Linux has no {name}"));
    };
    let nice = scheduler.nice.unwrap_or(0);
    if !(-20..=19).contains(&nice) {
        return wrong("nice", format!("{nice} is not within -20 and 19"));
    }
    let realtime = matches!(name, "SCHED_FIFO" | "SCHED_RR");
    let priority = scheduler.priority.unwrap_or(0);
    let possible = if realtime { 1..=99 } else { 0..=0 };
    if !possible.contains(&priority) {
        let why = if realtime { "is not within 1 and 99" } else { "is for SCHED_FIFO and SCHED_RR" };
        return wrong("priority", format!("{priority} {why}"));
    }
    let deadline = name == "SCHED_DEADLINE";
    let times =
        [("runtime", scheduler.runtime), ("deadline", scheduler.deadline), ("period", scheduler.period)];
    for (field, time) in times {
        if !deadline && time.is_some_and(|time| time != 0) {
            return wrong(field, "is for SCHED_DEADLINE".to_owned());
        }
    }
    if deadline && scheduler.runtime.unwrap_or(0) == 0 {
        return wrong("runtime", "SCHED_DEADLINE needs it".to_owned());
    }
    Ok(Attributes {
        policy,
        flags: scheduler.flags.iter().map(|flag| scheduler_flag(*flag)).fold(0, |all, flag| all | flag),
        nice,
        priority: priority.unsigned_abs(),
        runtime: scheduler.runtime.unwrap_or(0),
        deadline: scheduler.deadline.unwrap_or(0),
        period: scheduler.period.unwrap_or(0),
        ..Attributes::default()
    })
}

/// `SCHED_FLAG_*`.
fn scheduler_flag(flag: SchedulerFlag) -> u64 {
    match flag {
        SchedulerFlag::ResetOnFork => 0x01,
        SchedulerFlag::Reclaim => 0x02,
        SchedulerFlag::DeadlineOverrun => 0x04,
        SchedulerFlag::KeepPolicy => 0x08,
        SchedulerFlag::KeepParams => 0x10,
        SchedulerFlag::UtilClampMin => 0x20,
        SchedulerFlag::UtilClampMax => 0x40,
    }
}

fn io_priority(priority: LinuxIoPriority) -> Result<(IoClass, u8)> {
    let class = match priority.class {
        IoPriorityClass::Realtime => IoClass::RealTime,
        IoPriorityClass::BestEffort => IoClass::BestEffort,
        IoPriorityClass::Idle => IoClass::Idle,
    };
    let level = u8::try_from(priority.priority).ok().filter(|level| *level <= 7);
    let level = level.ok_or_else(|| {
        let why = format!("{} is not within 0 and 7", priority.priority);
        Error::config("process.ioPriority.priority", why)
    });
    Ok((class, level?))
}

pub(super) fn domain(linux: &Linux) -> Result<Domain> {
    let personality = linux.personality.as_ref().map(|wanted| {
        if !wanted.flags.is_empty() {
            return Err(Error::config("linux.personality.flags", "the specification has none"));
        }
        Ok(match wanted.domain {
            LinuxPersonalityDomain::Linux => personality::LINUX,
            LinuxPersonalityDomain::Linux32 => personality::LINUX32,
        })
    });
    Ok(Domain {
        personality: personality.transpose()?,
        memory_policy: linux.memory_policy.as_ref().map(memory_policy).transpose()?,
    })
}

fn memory_policy(policy: &LinuxMemoryPolicy) -> Result<(i32, Vec<u64>)> {
    const NODES: &str = "linux.memoryPolicy.nodes";
    let mode = numa::mode_by_name(policy.mode.as_str()).map_err(|_| {
        Error::config("linux.memoryPolicy.mode", format!("{} is not known", policy.mode.as_str()))
    })?;
    let flag = |flag: &MemoryPolicyFlag| match flag {
        MemoryPolicyFlag::NumaBalancing => 1 << 13,
        MemoryPolicyFlag::RelativeNodes => 1 << 14,
        MemoryPolicyFlag::StaticNodes => 1 << 15,
    };
    let nodes = policy.nodes.as_deref().filter(|nodes| !nodes.is_empty());
    let nodes = nodes.map(|nodes| lists::mask(NODES, nodes)).transpose()?.unwrap_or_default();
    if matches!(mode, numa::DEFAULT | numa::LOCAL) && !nodes.is_empty() {
        return Err(Error::config(NODES, format!("{} has none", policy.mode.as_str())));
    }
    if !matches!(mode, numa::DEFAULT | numa::LOCAL | numa::PREFERRED) && nodes.is_empty() {
        return Err(Error::config(NODES, format!("{} needs some", policy.mode.as_str())));
    }
    Ok((policy.flags.iter().map(flag).fold(mode, |mode, flag| mode | flag), nodes))
}
