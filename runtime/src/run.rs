//! Acting on a lowered container: the foreground `run` from cgroup to clean-up.
//!
//! ```text
//! open namespaces, root and sources → cgroup and limits → clone3 into it → id maps, v1 cgroups
//!   → release → the child walks its plan → execve → wait, passing signals on → remove the cgroup
//! ```

mod child;
mod confine;
mod control;
mod seccomp;

use std::path::Path;

use cofferdam_mountfs::Host;
use cofferdam_ns::{Isolation, Namespace};
use cofferdam_sys::process::{self, Exit};
use cofferdam_sys::signal::{Signals, Wakeup, is_forwarded};
use cofferdam_sys::spawn::{Child, Failure, Spawning};
use cofferdam_sys::{Errno, errno, rlimit};

use crate::{Container, ContainerId, Error, ErrorKind, Result};
use confine::Confined;
use control::Control;

/// Runs a container in the foreground and gives its end.
///
/// `warn` is called for what the host refused and the spec lets pass.
///
/// # Errors
/// The step that failed; nothing of the container is left then, or the error says what is.
pub fn run(container: &Container, id: &ContainerId, warn: &mut dyn FnMut(&str)) -> Result<Exit> {
    let isolation = isolation(container)?;
    let root = container.rootfs.prepare(&Host::probe().map_err(start)?).map_err(start)?;
    let (filter, mut handover) = seccomp::prepare(container)?;
    let confined = container.process.label.as_ref().map(Confined::new).transpose()?;
    let additions = child::Additions { filter: filter.as_ref(), confined: confined.as_ref() };
    let plan = child::plan(container, &isolation, root, &additions, id, warn)?;
    // Taken before the child exists, so that no signal for it is lost.
    let signals = Signals::take().map_err(|number| os("take over signals", number))?;

    let control = Control::create(&container.cgroup, id)?;
    let outcome = launch(container, &isolation, &plan, &control, id, handover.as_mut(), warn)
        .and_then(|child| confine::confirm(confined.as_ref(), child, warn))
        .and_then(|child| wait(&child, &signals).map_err(|number| os("wait for the container", number)));
    match (outcome, control.remove()) {
        (outcome, Ok(())) => outcome,
        (Ok(_), Err(failure)) => Err(Error::new(
            ErrorKind::Start,
            format!("the container has ended, but cleaning up failed: {failure}"),
        )),
        (Err(error), Err(failure)) => Err(error.with_cleanup(failure)),
    }
}

/// From clone to execve. A child that does not get there is killed and reaped.
fn launch(
    container: &Container,
    isolation: &Isolation,
    plan: &cofferdam_sys::plan::Plan,
    control: &Control,
    id: &ContainerId,
    handover: Option<&mut seccomp::Handover>,
    warn: &mut dyn FnMut(&str),
) -> Result<Child> {
    let mut spawning = isolation.spawn(plan, control.fd()).map_err(start)?;
    isolation.map_ids(&spawning).map_err(start)?;
    control.admit(spawning.pid())?;
    prepare_child(container, &spawning, warn)?;
    spawning.release().map_err(|failure| child_failure(container, &failure))?;
    if let Some(handover) = handover {
        // Before the wait for execve, which the agent may be asked about.
        handover.pass_on(&spawning, id)?;
    }
    spawning.finish().map_err(|failure| child_failure(container, &failure))
}

/// What only the parent's rights allow: higher hard limits and the OOM score.
fn prepare_child(container: &Container, spawning: &Spawning<'_>, warn: &mut dyn FnMut(&str)) -> Result<()> {
    let pid = spawning.pid();
    for (resource, wanted) in &container.process.rlimits {
        let now = rlimit::get(pid, *resource).map_err(|number| os("read a resource limit", number))?;
        if wanted.hard > now.hard {
            let raised = rlimit::Rlimit { soft: now.soft, hard: wanted.hard };
            match rlimit::set(pid, *resource, raised) {
                Ok(()) => {}
                Err(Errno::EPERM) => warn(&format!(
                    "process.rlimits: resource {resource} stays at a hard limit of {}: raising it needs CAP_SYS_RESOURCE",
                    now.hard
                )),
                Err(number) => return Err(os("raise a resource limit", number)),
            }
        }
    }
    let Some(score) = container.process.oom_score_adj else { return Ok(()) };
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

/// Waits for the container's first process, passing signals on to it.
fn wait(child: &Child, signals: &Signals) -> cofferdam_sys::Result<Exit> {
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

fn isolation(container: &Container) -> Result<Isolation> {
    let open =
        |(kind, path): &(_, std::path::PathBuf)| Namespace::open(Path::new(path), *kind).map_err(start);
    let isolation = Isolation {
        new: container.new_namespaces,
        join: container.join_namespaces.iter().map(open).collect::<Result<_>>()?,
        ids: container.ids.clone(),
        ..Isolation::default()
    };
    isolation.validate().map_err(start)?;
    Ok(isolation)
}

fn child_failure(container: &Container, failure: &Failure) -> Error {
    match failure {
        Failure::Exec { errno: Errno::ENOENT | Errno::ENOTDIR, .. } => {
            let path = String::from_utf8_lossy(&container.process.path).into_owned();
            Error::new(ErrorKind::ProgramNotFound, failure.to_string()).with_hint(format!(
                "process.args[0], its interpreter or its loader is not in the root file system (PATH={path})"
            ))
        }
        Failure::Exec { .. } => Error::new(ErrorKind::ProgramNotExecutable, failure.to_string()).with_hint(
            "process.args[0] must be an executable file for process.user, on a mount without noexec",
        ),
        Failure::Step { about, errno, .. } => {
            let label = container.process.label.as_ref().filter(|label| label.about() == *about);
            match label.and_then(|label| label.explain(*errno)) {
                Some(hint) => start(failure).with_hint(hint),
                None => start(failure),
            }
        }
        _ => start(failure),
    }
}

fn start(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Start, error.to_string())
}

fn os(step: &str, number: Errno) -> Error {
    Error::new(ErrorKind::Start, format!("{step}: {}", errno::describe(number)))
}
