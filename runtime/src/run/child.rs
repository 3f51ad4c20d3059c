//! The order of the child's steps.
//!
//! Everything that needs privilege comes before the capabilities are given up, everything that names a
//! path of the host before the root is changed. The working directory is entered last, without following
//! magic links: descriptors of the host are still open then, and `/proc/self/fd/N` would lead to one.

use std::ffi::CString;
use std::fs::File;
use std::sync::Arc;

use cofferdam_caps::{CapSet, Ids, Sets};
use cofferdam_mountfs::Prepared;
use cofferdam_ns::{Isolation, Namespaces, NsKind};
use cofferdam_sys::open::{Open, Resolve};
use cofferdam_sys::plan::{Absent, At, Exec, PathIn, Plan, Step, TooManySlots};

use super::confine::Confined;
use super::seccomp::ChildFilter;
use super::{limits, scheduling, terminal};
use crate::container::{Domain, Process};
use crate::state::{State, Status};
use crate::{Container, ContainerId, Error, ErrorKind, Result, hooks};

/// What the walk needs beside the container.
pub(crate) struct Surroundings {
    /// The state as hooks are given it.
    pub(crate) state: State,
    /// What holds the lock of the container's directory, which is its maker's alone.
    pub(crate) lock: Arc<File>,
    /// The socket that the child waits at to be started; without one it goes on at once.
    pub(crate) gate: Option<At>,
    /// Where the master of the container's terminal is sent.
    pub(crate) console: Option<At>,
    /// The descriptors that the program inherits.
    pub(crate) inherit: Vec<u32>,
    /// Whether the container gets a session keyring of its own.
    pub(crate) keyring: bool,
}

/// What is prepared beside the container's own plan, where the config asks for it.
pub(crate) struct Additions<'a> {
    /// The system call filter.
    pub(crate) filter: Option<&'a ChildFilter>,
    /// The label of a security module.
    pub(crate) confined: Option<&'a Confined>,
    /// How the container's processes see the machine.
    pub(crate) domain: &'a Domain,
}

/// The child's whole walk.
pub(crate) fn plan(
    container: &Container,
    isolation: &Isolation,
    root: Prepared,
    additions: &Additions<'_>,
    id: &ContainerId,
    around: &Surroundings,
    warn: &mut dyn FnMut(&str),
) -> Result<Plan> {
    let process = &container.process;
    let mut plan = begin(process, around.inherit.clone())?;
    plan.push("leave the lock to the runtime", Step::CloseCopy(Arc::clone(&around.lock)));
    isolation.lower(&mut plan);
    if joins_user(container) {
        // Joining gives all capabilities there, and leaves the ids of the caller, which own nothing there.
        plan.push("become group 0 of the user namespace", Step::Gid(0));
        plan.push("become user 0 of the user namespace", Step::Uid(0));
    }
    // Behind the id maps, which the parent writes to files that would then belong to root.
    plan.push("be closed to other processes", Step::Dumpable(false));
    plan.push("start a session", Step::NewSession);
    if around.keyring {
        keyring(id, &mut plan)?;
    }
    names(container, &mut plan);
    if isolation.new.contains(Namespaces::NET) {
        cofferdam_netbridge::loopback_up(&mut plan);
    }
    for (path, value) in &container.sysctl {
        let file = CString::new(format!("/proc/sys/{path}")).map_err(start)?;
        let write = Step::Write { dir: At::Cwd, path: file, data: value.clone().into_bytes() };
        plan.push(format!("set the kernel parameter {path}"), write);
    }
    let mut failed = Ok(());
    let add = |plan: &mut Plan, root: &At| {
        if let Some(terminal) = process.terminal {
            terminal::in_root(terminal, process.uid, around.console.as_ref(), root, plan)?;
        }
        make_working_directory(&process.cwd, root, plan)?;
        failed = hooks_before_pivot(container, around, plan);
        Ok(())
    };
    root.lower_with(&mut plan, add).map_err(start)?;
    failed?;
    home(process, &mut plan);
    working_directory(&process.cwd, &mut plan)?;
    if let Some(mask) = process.umask {
        plan.push("set the umask", Step::FileModeMask(mask));
    }
    scheduling::lower(&process.scheduling, &container.domain, &mut plan);
    // While the child still owns its files in /proc, and before a filter could forbid it.
    if let Some(confined) = additions.confined {
        confined.lower(&mut plan)?;
    }
    let gate = around.gate.as_ref();
    let user_namespace = isolation.new.contains(Namespaces::USER) || joins_user(container);
    let set_groups = groups(isolation)? && !joined_denies_groups(container);
    let credentials = |plan: &mut Plan, warn: &mut dyn FnMut(&str)| {
        credentials(process, user_namespace, set_groups, plan, warn)
    };
    match Placed::of(additions.filter, process.no_new_privs, gate.is_some()) {
        // What a filter must allow is nobody's business but the program's, as far as that can be.
        Placed::Last(filter) => {
            credentials(&mut plan, warn)?;
            wait_for_start(gate, container, around, &mut plan)?;
            limits::lower(process, &mut plan, warn)?;
            filter.map_or(Ok(()), |filter| filter.lower(&mut plan, Plan::push_last))?;
        }
        Placed::BeforeCredentials(filter) => {
            wait_for_start(gate, container, around, &mut plan)?;
            plan.push("close what is not needed any more", Step::CloseOthers);
            filter.lower(&mut plan, Plan::push)?;
            credentials(&mut plan, warn)?;
            limits::lower(process, &mut plan, warn)?;
        }
        Placed::BeforeTheWait(filter) => {
            plan.push("close what is not needed any more", Step::CloseOthers);
            if !process.no_new_privs {
                filter.lower(&mut plan, Plan::push)?;
            }
            credentials(&mut plan, warn)?;
            if process.no_new_privs {
                filter.lower(&mut plan, Plan::push)?;
            }
            wait_for_start(gate, container, around, &mut plan)?;
            limits::lower(process, &mut plan, warn)?;
        }
    }
    Ok(plan)
}

fn joins_user(container: &Container) -> bool {
    container.join_namespaces.iter().any(|(kind, _)| *kind == NsKind::User)
}

/// Where in the walk the system call filter is installed.
enum Placed<'f> {
    /// With `no_new_privs`, or without a filter.
    Last(Option<&'f ChildFilter>),
    /// Without it only `CAP_SYS_ADMIN` may install a filter. What follows comes under it, and the wait for the
    /// start must not: a filter for a program need not allow `accept4(2)`.
    BeforeCredentials(&'f ChildFilter),
    /// The listener is handed on by who makes the container, so before it waits to be started by another.
    BeforeTheWait(&'f ChildFilter),
}

impl<'f> Placed<'f> {
    fn of(filter: Option<&'f ChildFilter>, no_new_privs: bool, waits: bool) -> Self {
        match filter {
            Some(filter) if filter.hands_over() && waits => Placed::BeforeTheWait(filter),
            Some(filter) if !no_new_privs => Placed::BeforeCredentials(filter),
            filter => Placed::Last(filter),
        }
    }
}

/// The wait for `start`, and the hooks behind it, which run with what the rest of the walk gives the program.
fn wait_for_start(
    gate: Option<&At>,
    container: &Container,
    around: &Surroundings,
    plan: &mut Plan,
) -> Result<()> {
    if let Some(gate) = gate {
        plan.push("process.args: look for the program", Step::RequireProgram);
        plan.push("listen for the start", Step::Listen { socket: gate.clone() });
        plan.push("close what is not needed any more", Step::CloseOthers);
        plan.push("tell that the container is created", Step::TellParent);
        plan.push("wait for the start", Step::AcceptStart { listener: gate.clone() });
    }
    let created = State { status: Status::Created, ..around.state.clone() };
    let env = container.process.env.as_slice();
    hooks::lower("startContainer", &container.hooks.start_container, &created, Some(env), c"/", plan)
}

/// What is executed at the end.
fn exec(process: &Process) -> Result<Exec> {
    let program = process.args.first().map_or(&[][..], |program| program.as_bytes());
    let candidates = Exec::search(program, &process.path).ok_or_else(|| start("PATH holds a NUL byte"))?;
    let mut env = process.env.clone();
    env.retain(|entry| entry.as_bytes() != HOME);
    if process.listen_fds > 0 {
        // In the place of what the config may say of the caller's own.
        env.retain(|entry| !LISTEN.iter().any(|name| entry.as_bytes().starts_with(name)));
        env.push(CString::new(format!("LISTEN_FDS={}", process.listen_fds)).map_err(start)?);
    }
    Ok(Exec { candidates, args: process.args.clone(), env })
}

/// What `sd_listen_fds(3)` reads.
const LISTEN: [&[u8]; 2] = [b"LISTEN_FDS=", b"LISTEN_PID="];

/// The plan of a process with nothing in it yet but what it executes and inherits.
pub(crate) fn begin(process: &Process, inherit: Vec<u32>) -> Result<Plan> {
    let mut plan = Plan::new(exec(process)?);
    plan.inherit(inherit);
    if process.listen_fds > 0 {
        plan.tell_own_pid("LISTEN_PID");
    }
    Ok(plan)
}

/// Keys of the caller are not the container's. Who executes a program in a container joins its keyring.
pub(crate) fn keyring(id: &ContainerId, plan: &mut Plan) -> Result<()> {
    let keyring = CString::new(format!("_ses.{id}")).map_err(start)?;
    plan.push("make a session keyring", Step::SessionKeyring(keyring));
    Ok(())
}

/// The parent's hooks, for which the child waits, and the child's own.
fn hooks_before_pivot(container: &Container, around: &Surroundings, plan: &mut Plan) -> Result<()> {
    if wants_parent(container) {
        plan.push("tell that hooks can be run", Step::TellParent);
        plan.push("wait for the parent's hooks", Step::WaitForParent);
    }
    // Where other runtimes have them run, and hooks look for the root.
    let directory = container.rootfs.visible_at.as_ref();
    let directory = directory.map(|path| CString::new(path.as_os_str().as_encoded_bytes()));
    let directory = directory.transpose().map_err(start)?;
    let directory = directory.as_deref().unwrap_or(c"/");
    hooks::lower("createContainer", &container.hooks.create_container, &around.state, None, directory, plan)
}

/// Whether the parent runs hooks while the child waits before its pivot.
pub(super) fn wants_parent(container: &Container) -> bool {
    !container.hooks.prestart.is_empty() || !container.hooks.create_runtime.is_empty()
}

fn names(container: &Container, plan: &mut Plan) {
    if let Some(name) = &container.hostname {
        plan.push("set the host name", Step::HostName(name.clone().into_bytes()));
    }
    if let Some(name) = &container.domainname {
        plan.push("set the domain name", Step::DomainName(name.clone().into_bytes()));
    }
}

/// Images name a working directory that they do not have, and the common runtimes make it: before the root is
/// read-only, as nobody's but root's. What is there is left alone, and a path that leads elsewhere is refused when
/// it is entered.
fn make_working_directory(
    cwd: &CString,
    root: &At,
    plan: &mut Plan,
) -> std::result::Result<(), TooManySlots> {
    let Some(path) = PathIn::new(cwd.as_bytes()).filter(|path| !path.is_root()) else { return Ok(()) };
    let slot = plan.slot()?;
    let make = Step::EnsureDir { root: root.clone(), path, out: slot };
    plan.push("process.cwd: make it where it is missing", make);
    plan.push("close what is not needed any more", Step::Close(slot));
    Ok(())
}

/// A program finds `HOME` in its environment: engines leave that to the runtime, who sees the image's users.
pub(crate) fn home(process: &Process, plan: &mut Plan) {
    if !process.env.iter().any(|entry| entry.as_bytes().starts_with(HOME) && entry.as_bytes() != HOME) {
        plan.push("look for the home of process.user", Step::FindHome { uid: process.uid });
    }
}

/// An entry that says nothing is none.
const HOME: &[u8] = b"HOME=";

pub(crate) fn working_directory(cwd: &CString, plan: &mut Plan) -> Result<()> {
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

/// Without a map for groups setgroups(2) is denied, and where a caller without rights maps its own group; then
/// there is nothing to set.
fn groups(isolation: &Isolation) -> Result<bool> {
    let Some(ids) = &isolation.ids else { return Ok(true) };
    Ok(!ids.gid.is_empty() && !ids.denies_setgroups(isolation.mapping).map_err(start)?)
}

/// The same in a user namespace that is joined, where its path tells a process in it.
fn joined_denies_groups(container: &Container) -> bool {
    let joined = container.join_namespaces.iter().find(|(kind, _)| *kind == NsKind::User);
    let process = joined.and_then(|(_, path)| path.to_str()?.strip_suffix("/ns/user"));
    process.is_some_and(|process| {
        let text = std::fs::read_to_string(format!("{process}/setgroups"));
        text.is_ok_and(|text| text.trim_end() == "deny")
    })
}

/// Capabilities that the kernel or the caller does not have are left out with a warning, as the spec lets
/// a runtime do: the container gets less than its config says, never more.
pub(crate) fn credentials(
    process: &Process,
    user_namespace: bool,
    set_groups: bool,
    plan: &mut Plan,
    warn: &mut dyn FnMut(&str),
) -> Result<()> {
    process.remarks.iter().for_each(|remark| warn(remark));
    let ids = if process.keep_groups {
        Ids { uid: process.uid, gid: process.gid, groups: Vec::new(), set_groups: false }
    } else {
        Ids { uid: process.uid, gid: process.gid, groups: process.groups.clone(), set_groups }
    };
    let last = cofferdam_caps::last_cap().map_err(start)?;
    let mut possible = CapSet::up_to(last);
    // Who enters a user namespace has all of them there.
    if !user_namespace {
        possible = possible - process.caps.beyond(&Sets::current().map_err(start)?);
    }
    if !process.unknown_caps.is_empty() {
        let names = process.unknown_caps.join(", ");
        warn(&format!("process.capabilities: left out, capabilities(7) has no {}", names.escape_debug()));
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
