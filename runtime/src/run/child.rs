//! The order of the child's steps.
//!
//! Everything that needs privilege comes before the capabilities are given up, everything that names a
//! path of the host before the root is changed. The working directory is entered last, without following
//! magic links: descriptors of the host are still open then, and `/proc/self/fd/N` would lead to one.

use std::ffi::CString;

use cofferdam_caps::{CapSet, Ids, Sets};
use cofferdam_mountfs::Prepared;
use cofferdam_ns::{Isolation, Namespaces};
use cofferdam_sys::open::{Open, Resolve};
use cofferdam_sys::plan::{Absent, At, Exec, Plan, Step};

use super::confine::Confined;
use super::seccomp::ChildFilter;
use crate::{Container, ContainerId, Error, ErrorKind, Result};

/// What is prepared beside the container's own plan, where the config asks for it.
pub(super) struct Additions<'a> {
    /// The system call filter.
    pub(super) filter: Option<&'a ChildFilter>,
    /// The label of a security module.
    pub(super) confined: Option<&'a Confined<'a>>,
}

/// The child's whole walk.
pub(super) fn plan(
    container: &Container,
    isolation: &Isolation,
    root: Prepared,
    additions: &Additions<'_>,
    id: &ContainerId,
    warn: &mut dyn FnMut(&str),
) -> Result<Plan> {
    let process = &container.process;
    let program = process.args.first().map_or(&[][..], |program| program.as_bytes());
    let candidates = Exec::search(program, &process.path).ok_or_else(|| start("PATH holds a NUL byte"))?;
    let exec = Exec { candidates, args: process.args.clone(), env: process.env.clone() };

    let mut plan = Plan::new(exec);
    isolation.lower(&mut plan);
    plan.push("start a session", Step::NewSession);
    let keyring = CString::new(format!("_ses.{id}")).map_err(start)?;
    plan.push("make a session keyring", Step::SessionKeyring(keyring));
    names(container, &mut plan);
    if isolation.new.contains(Namespaces::NET) {
        cofferdam_netbridge::loopback_up(&mut plan);
    }
    for (path, value) in &container.sysctl {
        let file = CString::new(format!("/proc/sys/{path}")).map_err(start)?;
        let write = Step::Write { dir: At::Cwd, path: file, data: value.clone().into_bytes() };
        plan.push(format!("set the kernel parameter {path}"), write);
    }
    root.lower(&mut plan).map_err(start)?;
    working_directory(&process.cwd, &mut plan)?;
    if let Some(mask) = process.umask {
        plan.push("set the umask", Step::FileModeMask(mask));
    }
    // While the child still owns its files in /proc, and before a filter could forbid it.
    if let Some(confined) = additions.confined {
        confined.lower(&mut plan)?;
    }
    // Without no_new_privs only CAP_SYS_ADMIN may set a filter: before it is given up, and what follows comes
    // under the filter. With it, the filter is the very last thing.
    let filter = additions.filter;
    if let Some(filter) = filter.filter(|_| !process.no_new_privs) {
        filter.lower(&mut plan, Plan::push)?;
    }
    credentials(container, isolation, &mut plan, warn)?;
    // Last: a low limit of descriptors would break the walk itself.
    for (resource, limit) in &process.rlimits {
        let limit = Step::ResourceLimit { resource: *resource, limit: *limit };
        plan.push("process.rlimits: set a resource limit", limit);
    }
    if let Some(filter) = filter.filter(|_| process.no_new_privs) {
        filter.lower(&mut plan, Plan::push_last)?;
    }
    Ok(plan)
}

fn names(container: &Container, plan: &mut Plan) {
    if let Some(name) = &container.hostname {
        plan.push("set the host name", Step::HostName(name.clone().into_bytes()));
    }
    if let Some(name) = &container.domainname {
        plan.push("set the domain name", Step::DomainName(name.clone().into_bytes()));
    }
}

fn working_directory(cwd: &CString, plan: &mut Plan) -> Result<()> {
    let slot = plan.slot().map_err(start)?;
    let open = Step::OpenIn {
        dir: At::Cwd,
        path: cwd.clone(),
        flags: Open::PATH | Open::DIRECTORY,
        resolve: Resolve::IN_ROOT | Resolve::NO_MAGICLINKS,
        absent: Absent::Fail,
        out: slot,
    };
    plan.push("process.cwd: open it", open);
    plan.push("process.cwd: enter it", Step::ChangeDirectoryTo(slot.into()));
    plan.push("close what is not needed any more", Step::Close(slot));
    Ok(())
}

/// Capabilities that the kernel or the caller does not have are left out with a warning, as the spec lets
/// a runtime do: the container gets less than its config says, never more.
fn credentials(
    container: &Container,
    isolation: &Isolation,
    plan: &mut Plan,
    warn: &mut dyn FnMut(&str),
) -> Result<()> {
    let process = &container.process;
    let ids = Ids {
        uid: process.uid,
        gid: process.gid,
        groups: process.groups.clone(),
        // Without a map for groups setgroups(2) is denied, and there is nothing to set.
        set_groups: isolation.ids.as_ref().is_none_or(|ids| !ids.gid.is_empty()),
    };
    let last = cofferdam_caps::last_cap().map_err(start)?;
    let mut possible = CapSet::up_to(last);
    // A new user namespace begins with all of them.
    if !isolation.new.contains(Namespaces::USER) {
        possible = possible - process.caps.beyond(&Sets::current().map_err(start)?);
    }
    let left_out = process.caps.all() - possible;
    if !left_out.is_empty() {
        warn(&format!("process.capabilities: left out, the kernel or the caller has no {left_out}"));
    }
    let sets = process.caps.restricted_to(possible);
    sets.lower(&ids, process.no_new_privs, last, plan).map_err(start)
}

fn start(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Start, error.to_string())
}
