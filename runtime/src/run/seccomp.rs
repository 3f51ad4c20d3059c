//! The container's system call filter, and the agent that answers calls in its stead.
//!
//! ```text
//! child                        runtime                        agent
//! installs the filter
//! sends the listener ────────▶ adds the container's state ──▶ has the listener
//! goes on to execve            waits for execve               answers, execve too
//! ```
//! When nobody listens at `listenerPath` nothing is started.
//!
//! The filter is compiled at each start, without [`cofferdam_seccomp::Cache`]. By the least of many runs of the
//! release build the hardened profile compiles in 38 µs and comes from a cache in 32 (`seccomp/examples/cost.rs`);
//! the profile that podman gives by default, for three architectures, in 93 and 28 µs. At most 65 µs of a `run` of
//! some milliseconds is little against a directory of files that decide what a container may do, and that would have to
//! be guarded and kept from growing.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use cofferdam_seccomp::Filter;
use cofferdam_sys::plan::{At, Plan, Step};
use cofferdam_sys::send;
use cofferdam_sys::spawn::Spawning;

use super::{os, start};
use crate::container::{Agent, Seccomp};
use crate::spec::{ContainerProcessState, ContainerState, Json, SECCOMP_FD_NAME, State};
use crate::{Error, ErrorKind, Result};

/// The child's half.
pub(crate) struct ChildFilter {
    filter: Filter,
    /// Where the listener is sent.
    listener: Option<At>,
}

/// The runtime's half, when there is an agent.
pub(crate) struct Handover {
    from_child: UnixStream,
    to_agent: UnixStream,
    agent: Agent,
}

/// Compiles the filter, asks the kernel whether it has all that it needs, and connects to the agent.
pub(crate) fn prepare(seccomp: Option<&Seccomp>) -> Result<(Option<ChildFilter>, Option<Handover>)> {
    let Some(seccomp) = seccomp else { return Ok((None, None)) };
    let failed = |error: cofferdam_seccomp::Error| Error::config("linux.seccomp", error);
    let filter = Filter::compile(&seccomp.profile).map_err(failed)?;
    filter.check_kernel().map_err(failed)?;
    let Some(agent) = &seccomp.agent else { return Ok((Some(ChildFilter { filter, listener: None }), None)) };

    let to_agent = UnixStream::connect(&agent.socket).map_err(|error| {
        let path = agent.socket.display();
        Error::new(
            ErrorKind::Start,
            format!("linux.seccomp.listenerPath: failed to connect with seccomp agent {path}: {error}"),
        )
        .with_hint("the seccomp agent must listen there before the container is started")
    })?;
    let (from_child, of_child) =
        UnixStream::pair().map_err(|error| start(format!("make a pair of sockets: {error}")))?;
    let listener = Some(At::from(OwnedFd::from(of_child)));
    let handover = Handover { from_child, to_agent, agent: agent.clone() };
    Ok((Some(ChildFilter { filter, listener }), Some(handover)))
}

impl ChildFilter {
    /// Whether somebody has to take its listener.
    pub(crate) fn hands_over(&self) -> bool {
        self.listener.is_some()
    }

    /// Adds the steps with `push`: [`Plan::push`] or [`Plan::push_last`].
    pub(crate) fn lower(&self, plan: &mut Plan, push: fn(&mut Plan, &'static str, Step)) -> Result<()> {
        const INSTALL: &str = "linux.seccomp: install the system call filter";
        let Some(socket) = &self.listener else {
            push(plan, INSTALL, self.filter.step(None));
            return Ok(());
        };
        let slot = plan.slot().map_err(start)?;
        push(plan, INSTALL, self.filter.step(Some(slot)));
        let send = Step::SendDescriptor { socket: socket.clone(), descriptor: slot.into(), payload: vec![0] };
        push(plan, "linux.seccomp: send the listener to the runtime", send);
        Ok(())
    }
}

impl Handover {
    /// Waits for the child's listener and gives it to the agent with the container's state.
    ///
    /// A child that ends before is no failure here: it reports its own.
    pub(crate) fn pass_on(
        &mut self,
        spawning: &Spawning<'_>,
        id: &str,
        status: ContainerState,
    ) -> Result<()> {
        let step = "linux.seccomp: receive the listener from the container";
        let Some(pidfd) = spawning.pidfd() else { return Ok(()) };
        let socket = self.from_child.as_fd();
        if !send::wait_for_message(socket, pidfd).map_err(|number| os(step, number))? {
            return Ok(());
        }
        let (_, listener) = send::receive_descriptor(socket, &mut [0]).map_err(|number| os(step, number))?;
        let listener = listener.ok_or_else(|| start(format!("{step}: none came")))?;
        let state = self.state(spawning.pid(), id, status);
        let agent = self.agent.socket.display();
        send::send_descriptor(self.to_agent.as_fd(), listener.as_fd(), state.as_bytes()).map_err(|number| {
            os(&format!("linux.seccomp.listenerPath: send the listener to {agent}"), number)
        })
    }

    /// The container process state of the runtime specification.
    fn state(&self, pid: i32, id: &str, status: ContainerState) -> String {
        let state = State { id: id.to_owned(), pid: Some(pid), status, ..self.agent.state.clone() };
        let process = ContainerProcessState {
            version: state.version.clone(),
            fds: vec![SECCOMP_FD_NAME.to_owned()],
            pid,
            metadata: Some(self.agent.metadata.clone()).filter(|text| !text.is_empty()),
            state,
        };
        process.write().to_string()
    }
}
