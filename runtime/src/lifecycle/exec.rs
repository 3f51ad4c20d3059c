//! `exec`: another process in a container that runs.
//!
//! ```text
//! runtime ── clone3 into the container's cgroup ──▶ child: not dumpable, all descriptors closed
//!                                                     setns(pidfd of the first process), all at once
//!         ◀── "another goes on in my place" ──────── clone3(CLONE_PARENT): now in the PID namespace
//!         ── v1 cgroups, limits, release ──────────▶ terminal, credentials, execve
//! ```
//! The first process of the container is recognised by its start time and joined by its pidfd, so that no
//! other can stand in for it. Processes of the container see the newcomer only when it is closed to
//! `ptrace(2)` and `/proc/PID/fd`, and holds no descriptor but the pidfd and its report (CVE-2016-9962,
//! CVE-2024-21626).

mod affinity;
mod plan;
mod process;

use std::path::PathBuf;

use cofferdam_ns::Isolation;
use cofferdam_sys::process::{Exit, pidfd_send_signal};
use cofferdam_sys::signal::Signals;
use cofferdam_sys::spawn::Child;

use super::console::Console;
use super::{Runtime, Warn, look, pid_file, pidfd_socket, preserved, wrong_status};
use crate::bundle::Bundle;
use crate::lower;
use crate::run::{self, Additions, Confined, Control, Relay};
use crate::spec::ContainerState;
use crate::state::{Record, Status};
use crate::{ContainerId, Error, ErrorKind, Result};
use affinity::InitialAffinity;

pub use process::{ExecArgs, ExecProcess};

const SIGKILL: i32 = 9;

/// What `exec` is told beside the process.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ExecOptions {
    /// A socket that is sent the master of the process's terminal.
    pub console_socket: Option<PathBuf>,
    /// A file that gets the process id.
    pub pid_file: Option<PathBuf>,
    /// How many descriptors from number 3 on the process inherits.
    pub preserve_fds: u32,
    /// Goes on with a container that is paused; the process then runs once it is resumed.
    pub ignore_paused: bool,
    /// How many descriptors from number 3 on are passed on as those of `sd_listen_fds(3)`, before those of
    /// `preserve_fds`.
    pub listen_fds: u32,
    /// A socket that is sent a pidfd of the process.
    pub pidfd_socket: Option<PathBuf>,
    /// A cgroup below the container's that it is born in; it must be there.
    pub cgroup: Option<String>,
    /// Returns once the program runs.
    pub detach: bool,
}

impl Runtime {
    /// Runs a process in a container and gives its end, passing signals on to it; 0 at once when detached.
    ///
    /// # Errors
    /// [`ErrorKind::WrongStatus`] for a container that does not run or is paused; the step that failed.
    pub fn exec(
        &self,
        id: &ContainerId,
        process: &ExecProcess,
        options: &ExecOptions,
        warn: Warn<'_>,
    ) -> Result<Exit> {
        // Read before anything of ours is opened, whose number it might be taken for.
        let inherit = preserved::find(options.listen_fds, options.preserve_fds, warn)?;
        let signals = Signals::take().map_err(|number| run::os("take over signals", number))?;
        let joined = self.join(id, process, options, inherit, warn);
        let (child, relay) = joined.map_err(|error| self.ended_meanwhile(id, error))?;
        if options.detach {
            return Ok(Exit::Code(0));
        }
        run::wait(&child, &signals, relay).map_err(|number| run::os("wait for the process", number))
    }

    /// A step fails in many ways in a container that is ended at this moment. What callers look for is said then.
    fn ended_meanwhile(&self, id: &ContainerId, error: Error) -> Error {
        if !matches!(error.kind(), ErrorKind::Start | ErrorKind::State | ErrorKind::System) {
            return error;
        }
        let ends =
            |record: &Record| record.init.as_ref().is_none_or(|init| matches!(init.goes_on(), Ok(false)));
        match self.root.container(id).and_then(|directory| look(&directory)) {
            Ok((record, _)) if ends(&record) => {}
            Err(gone) if gone.kind() == ErrorKind::NotFound => {}
            _ => return error,
        }
        wrong_status(format!("container not running: it ended meanwhile: {error}"))
    }

    /// Up to the program.
    fn join(
        &self,
        id: &ContainerId,
        process: &ExecProcess,
        options: &ExecOptions,
        inherit: Vec<u32>,
        warn: Warn<'_>,
    ) -> Result<(Child, Option<Relay>)> {
        let directory = self.root.container(id)?;
        let (record, status) = look(&directory)?;
        match status {
            Status::Created | Status::Running => {}
            Status::Paused if options.ignore_paused => {}
            Status::Paused => {
                return Err(wrong_status(
                    "cannot exec in a paused container (use --ignore-paused to override)",
                ));
            }
            Status::Stopped | Status::Creating => {
                return Err(wrong_status(format!(
                    "cannot exec in a {status} container: container not running"
                )));
            }
        }
        let stopped = || wrong_status("cannot exec in a stopped container: container not running");
        let init = record.init.as_ref().ok_or_else(stopped)?;
        let pidfd = init.open()?.ok_or_else(stopped)?;

        let bundle = Bundle::from_slice(record.bundle.clone(), &directory.config()?)?;
        let mut process = lower::lower_process(&process.resolve(&bundle.spec)?)?;
        let domain = lower::domain(&bundle.spec)?;
        process.listen_fds = options.listen_fds;
        let pidfd_socket = options.pidfd_socket.as_deref().map(pidfd_socket::connect).transpose()?;
        let seccomp = lower::lower_seccomp(&bundle)?;
        let (filter, mut handover) = run::prepare_filter(seccomp.as_ref())?;
        let confined = process.label.as_ref().map(Confined::new).transpose()?;
        let additions = Additions { filter: filter.as_ref(), confined: confined.as_ref(), domain: &domain };
        let socket = options.console_socket.as_deref();
        let console = Console::of(process.terminal.as_mut(), socket, !options.detach)?;
        let target = plan::Target::of(init.pid, pidfd);
        let plan = plan::plan(&process, &target, &additions, id, console.child.as_ref(), inherit, warn)?;
        let control = match &options.cgroup {
            Some(below) => Control::below(&record, below)?,
            None => Control::of(&record)?,
        };

        let failed = |failure| run::child_failure(&process, &failure);
        let initial = InitialAffinity::take(&process.scheduling.affinity)?;
        let spawned = Isolation::default()
            .spawn(&plan, control.fd())
            .map_err(|error| Error::new(ErrorKind::Start, error.to_string()));
        drop(initial);
        let mut spawning = spawned?;
        control.admit(spawning.pid())?;
        let affinity = &process.scheduling.affinity;
        if affinity.initial.is_none() && affinity.last.is_none() {
            run::reset_affinity(spawning.pid());
        }
        record.rdt.as_ref().map_or(Ok(()), |rdt| run::join_rdt(rdt, spawning.pid()))?;
        run::prepare_child(&process, spawning.pid(), warn)?;
        spawning.release().map_err(failed)?;
        let pid = spawning.pid();
        if let Some(handover) = &mut handover {
            handover.pass_on(&spawning, id.as_str(), ContainerState::Running)?;
        }
        let child = spawning.finish().map_err(failed)?;
        let relay = run::confirm(confined.as_ref(), pid, warn)
            .and_then(|()| console.own.as_ref().map(Relay::begin).transpose());
        let relay = relay.inspect_err(|_| {
            // Ours to wait for; both fail only when it has ended.
            let _ = pidfd_send_signal(child.pidfd(), SIGKILL);
            let _ = child.wait();
        })?;
        if let Some(socket) = &pidfd_socket {
            pidfd_socket::send(socket, child.pidfd())?;
        }
        if let Some(path) = &options.pid_file {
            pid_file::write(path, pid)?;
        }
        Ok((child, relay))
    }
}
