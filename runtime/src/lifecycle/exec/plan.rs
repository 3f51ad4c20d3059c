//! The walk of a process that joins a container.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use cofferdam_ns::{Namespaces, NsKind};
use cofferdam_sys::plan::{At, Plan, Step};

use crate::container::Process;
use crate::lifecycle::Warn;
use crate::run::Additions;
use crate::{ContainerId, Error, ErrorKind, Result, run};

/// The process whose namespaces are joined.
pub(super) struct Target {
    pidfd: At,
    /// The kinds in which it is not with the caller.
    kinds: Namespaces,
    /// Whether its user namespace has a user and a group 0.
    root: (bool, bool),
    /// Whether `setgroups(2)` is allowed there.
    set_groups: bool,
}

impl Target {
    /// Looks at the namespaces of a process. The pidfd is what is joined: were the process to end and its
    /// number to be given away meanwhile, joining fails.
    pub(super) fn of(pid: i32, pidfd: OwnedFd) -> Self {
        let mut kinds = Namespaces::empty();
        for kind in NsKind::ALL {
            let own = identity(&format!("/proc/self/ns/{kind}"));
            // A kernel without this kind has neither file.
            if own.is_some() && identity(&format!("/proc/{pid}/ns/{kind}")) != own {
                kinds |= kind.flag();
            }
        }
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let has_root = |name: &str| {
            read(name).lines().any(|line| line.split_whitespace().next().is_some_and(|inside| inside == "0"))
        };
        Self {
            pidfd: At::from(pidfd),
            kinds,
            root: (has_root("uid_map"), has_root("gid_map")),
            set_groups: read("setgroups").trim_end() != "deny",
        }
    }

    fn joins_user(&self) -> bool {
        self.kinds.contains(Namespaces::USER)
    }
}

/// Device and inode of a namespace's file.
fn identity(path: &str) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// The whole walk.
pub(super) fn plan(
    process: &Process,
    target: &Target,
    additions: &Additions<'_>,
    id: &ContainerId,
    console: Option<&At>,
    inherit: Vec<u32>,
    warn: Warn<'_>,
) -> Result<Plan> {
    let mut plan = run::begin(process, inherit)?;
    plan.push("be closed to the container's processes", Step::Dumpable(false));
    plan.push("close what is not needed in the container", Step::CloseOthers);
    let join = Step::JoinNamespace { fd: target.pidfd.clone(), kinds: target.kinds };
    plan.push("join the container's namespaces", join);
    plan.push("go on in the container's PID namespace", Step::Fork(Namespaces::empty()));
    plan.push("wait for the parent", Step::WaitForParent);
    plan.push("close the pidfd", Step::CloseOthers);
    if let Some(processors) = &process.scheduling.affinity.last {
        plan.push("process.execCPUAffinity.final: set it", Step::Processors(processors.clone()));
    }
    if target.joins_user() {
        if target.root.1 {
            plan.push("become group 0 of the user namespace", Step::Gid(0));
        }
        if target.root.0 {
            plan.push("become user 0 of the user namespace", Step::Uid(0));
        }
    }
    plan.push("start a session", Step::NewSession);
    run::keyring(id, &mut plan)?;
    if let Some(terminal) = process.terminal {
        run::terminal_in_container(terminal, process.uid, console, &mut plan).map_err(start)?;
    }
    run::home(process, &mut plan);
    run::working_directory(&process.cwd, &mut plan)?;
    if let Some(mask) = process.umask {
        plan.push("set the umask", Step::FileModeMask(mask));
    }
    run::lower_scheduling(&process.scheduling, additions.domain, &mut plan);
    if let Some(confined) = additions.confined {
        confined.lower(&mut plan)?;
    }
    let filter = additions.filter;
    // As for the container's first process: without no_new_privs it takes a capability.
    if let Some(filter) = filter.filter(|_| !process.no_new_privs) {
        plan.push("close what is not needed any more", Step::CloseOthers);
        filter.lower(&mut plan, Plan::push)?;
    }
    run::credentials(process, target.joins_user(), target.set_groups, &mut plan, warn)?;
    run::lower_limits(process, &mut plan, warn)?;
    if let Some(filter) = filter.filter(|_| process.no_new_privs) {
        filter.lower(&mut plan, Plan::push_last)?;
    }
    Ok(plan)
}

fn start(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Start, error.to_string())
}
