//! From a lowered container to a child that has walked its plan.
//!
//! ```text
//! open namespaces, root and sources → cgroup and limits → clone3 into it → id maps, v1 cgroups → release
//!   → the child mounts → hooks of the parent → the child pivots and drops its rights
//!   → created: it waits at its socket      or      run: it executes the program
//! ```

mod child;
mod confine;
mod control;
mod limits;
mod outside;
mod rdt;
mod relay;
mod scheduling;
mod seccomp;
mod terminal;

use std::ffi::CStr;
use std::path::Path;

use cofferdam_ns::{Isolation, Namespace};
use cofferdam_sys::plan::Plan;
use cofferdam_sys::process::{self, Exit};
use cofferdam_sys::signal::{Signals, Wakeup, is_forwarded};
use cofferdam_sys::spawn::{Child, Failure, Spawning};
use cofferdam_sys::{Errno, errno, sched};

use crate::container::Process;
use crate::spec::ContainerState;
use crate::state::State;
use crate::{Container, Error, ErrorKind, Result, hooks};
pub(crate) use child::{Additions, Surroundings, begin, credentials, home, keyring, plan, working_directory};
pub(crate) use confine::{Confined, confirm, require_selinux};
pub(crate) use control::{Control, Place, Site, place_of};
pub(crate) use limits::lower as lower_limits;
pub(crate) use outside::Outside;
pub(crate) use rdt::{join as join_rdt, remove as remove_rdt};
pub(crate) use relay::{Relay, own_size};
pub(crate) use scheduling::lower as lower_scheduling;
pub(crate) use seccomp::{Handover, prepare as prepare_filter};
pub(crate) use terminal::in_container as terminal_in_container;

/// From the clone until the child goes on by itself. A child that does not get there is killed and reaped.
pub(crate) fn launch<'plan>(
    container: &Container,
    isolation: &Isolation,
    plan: &'plan Plan,
    control: &mut Control,
    outside: &mut Outside,
    state: &State,
    warn: &mut dyn FnMut(&str),
) -> Result<Spawning<'plan>> {
    let mut spawning = isolation.spawn(plan, control.fd()).map_err(start)?;
    isolation.map_ids(&spawning).map_err(start)?;
    control.admit(spawning.pid())?;
    control.settle()?;
    // Kernel parameters of a device are among the child's first steps.
    outside.attach(container, isolation, spawning.pid())?;
    reset_affinity(spawning.pid());
    prepare_child(&container.process, spawning.pid(), warn)?;
    let failed = |failure: Failure| child_failure(&container.process, &failure);
    spawning.release().map_err(failed)?;
    if child::wants_parent(container) {
        spawning.reached().map_err(failed)?;
        let state = State { pid: spawning.pid(), ..state.clone() };
        hooks::run("prestart", &container.hooks.prestart, &state)?;
        hooks::run("createRuntime", &container.hooks.create_runtime, &state)?;
        spawning.release().map_err(failed)?;
    }
    if let Some(handover) = &mut outside.handover {
        // Before the wait for what comes behind the filter, which the agent may be asked about.
        handover.pass_on(&spawning, &state.id, ContainerState::Creating)?;
    }
    Ok(spawning)
}

/// Lets a process run on every processor that its cgroup allows: who calls the runtime may have bound itself to
/// some, which is no wish for the container. It comes to nothing where the kernel refuses.
pub(crate) fn reset_affinity(pid: i32) {
    let _ = sched::set_affinity(pid, &[u64::MAX; PROCESSORS / 64]);
}

/// As many processors as any kernel is built for (`NR_CPUS` of x86-64).
const PROCESSORS: usize = 8192;

/// What only the parent's rights allow: higher hard limits and the OOM score.
pub(crate) fn prepare_child(process: &Process, pid: i32, warn: &mut dyn FnMut(&str)) -> Result<()> {
    limits::raise(process, pid)?;
    let Some(score) = process.oom_score_adj else { return Ok(()) };
    let path = format!("/proc/{pid}/oom_score_adj");
    match std::fs::write(&path, score.to_string()).map_err(|error| errno::from_io(&error)) {
        Ok(()) => Ok(()),
        Err(Errno::EACCES | Errno::EPERM) => {
            warn(&format!("process.oomScoreAdj: {score} is refused: lowering it needs CAP_SYS_RESOURCE"));
            Ok(())
        }
        Err(number) => Err(os(&format!("write {score} to {path}"), number)),
    }
}

/// Waits for the container's first process, passing signals on to it, and the caller's terminal where it has
/// one.
pub(crate) fn wait(child: &Child, signals: &Signals, relay: Option<Relay>) -> cofferdam_sys::Result<Exit> {
    if let Some(relay) = relay {
        return relay.wait(child, signals);
    }
    loop {
        match signals.next(child.pidfd())? {
            Wakeup::Ended => return child.wait(),
            Wakeup::Signal(signal) if is_forwarded(signal) => {
                match process::pidfd_send_signal(child.pidfd(), signal) {
                    Ok(()) | Err(Errno::ESRCH) => {}
                    Err(number) => return Err(number),
                }
            }
            Wakeup::Signal(_) => {}
        }
    }
}

pub(crate) fn isolation(container: &Container) -> Result<Isolation> {
    let open =
        |(kind, path): &(_, std::path::PathBuf)| Namespace::open(Path::new(path), *kind).map_err(start);
    let isolation = Isolation {
        new: container.new_namespaces,
        join: container.join_namespaces.iter().map(open).collect::<Result<_>>()?,
        ids: container.ids.clone(),
        clocks: container.clocks,
        ..Isolation::default()
    };
    isolation.validate().map_err(start)?;
    Ok(isolation)
}

/// Why a scheduling policy may be refused.
const REALTIME: &str =
    "it takes CAP_SYS_NICE on the host, and on cgroup v1 linux.resources.cpu.realtimeRuntime";

/// Why the deadline policy may be refused.
const NOT_ALL: &str = "it takes CAP_SYS_NICE on the host, and all processors: \
     process scheduler can't be used together with AllowedCPUs (linux.resources.cpu.cpus)";

/// `SCHED_DEADLINE` of `sched(7)`.
const DEADLINE: u32 = 6;

/// A failure of the child in words; that the program is missing is told in those that engines look for.
pub(crate) fn child_failure(process: &Process, failure: &Failure) -> Error {
    match failure {
        Failure::Exec { program, errno } => exec_failure(program, *errno, &process.path),
        Failure::Step { about, errno, .. } => {
            let label = process.label.as_ref().filter(|label| label.about() == *about);
            let scheduler = about.starts_with("process.scheduler") && *errno == Errno::EPERM;
            let deadline = process.scheduling.attributes.as_ref().is_some_and(|a| a.policy == DEADLINE);
            let scheduler = scheduler.then_some(if deadline { NOT_ALL } else { REALTIME });
            match label.and_then(|label| label.explain(*errno)).or(scheduler) {
                Some(hint) => start(failure).with_hint(hint),
                None => start(failure),
            }
        }
        Failure::Program { .. } => Error::new(ErrorKind::Hook, failure.to_string()),
        _ => start(failure),
    }
}

/// Engines choose between 126 and 127 by words in small letters, which are there beside the errno.
fn exec_failure(program: &CStr, number: Errno, path: &[u8]) -> Error {
    let name = program.to_string_lossy();
    let absent = matches!(number, Errno::ENOENT | Errno::ENOTDIR);
    let words = match number {
        _ if absent && !name.contains('/') => "executable file not found in $PATH: ",
        _ if absent => "no such file or directory: ",
        Errno::EACCES => "permission denied: ",
        _ => "",
    };
    let what = format!("exec {name}: {words}{}", errno::describe(number));
    if absent {
        let path = String::from_utf8_lossy(path);
        return Error::new(ErrorKind::ProgramNotFound, what).with_hint(format!(
            "process.args[0], its interpreter or its loader is not in the root file system (PATH={path})"
        ));
    }
    Error::new(ErrorKind::ProgramNotExecutable, what)
        .with_hint("process.args[0] must be an executable file for process.user, on a mount without noexec")
}

fn start(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Start, error.to_string())
}

pub(crate) fn os(step: &str, number: Errno) -> Error {
    Error::new(ErrorKind::Start, format!("{step}: {}", errno::describe(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_find_their_words() {
        for (program, errno, words) in [
            (c"/no/such", Errno::ENOENT, "no such file or directory"),
            (c"none", Errno::ENOENT, "executable file not found in $PATH"),
            (c"/etc/plain", Errno::EACCES, "permission denied"),
        ] {
            let error = exec_failure(program, errno, b"/bin");
            let text = error.to_string();
            assert!(text.contains(words) && text.contains(program.to_str().unwrap()), "{text}");
        }
    }
}
