//! `start`: the program of a created container.

use std::os::fd::AsFd;

use cofferdam_sys::errno;
use cofferdam_sys::socket::peer_pid;
use cofferdam_sys::spawn;

use super::{Runtime, Warn, kill, look, wrong_status};
use crate::bundle;
use crate::lower;
use crate::run::{self, Confined};
use crate::spec::Spec;
use crate::state::{Locked, Record, State, Status};
use crate::{ContainerId, Error, ErrorKind, Result, hooks};

impl Runtime {
    /// Lets the program of a created container run, and waits until it does.
    ///
    /// # Errors
    /// [`ErrorKind::WrongStatus`] for a container that does not wait; the step that failed between the start
    /// and the program, the container is stopped then.
    pub fn start(&self, id: &ContainerId, warn: Warn<'_>) -> Result<()> {
        let directory = self.root.container(id)?.lock()?;
        let (record, status) = look(&directory)?;
        match status {
            Status::Created => {}
            Status::Stopped => return Err(wrong_status("cannot start a container that has stopped")),
            Status::Running => return Err(wrong_status("cannot start an already running container")),
            other => return Err(wrong_status(format!("cannot start a container in the {other} state"))),
        }
        // Parsed only when something is to be done with it: the hooks, and the words for a failure.
        let config = || bundle::parse(&directory.config()?);
        if let Err(failure) = release(&directory, &record)? {
            let process = config()?.process.as_ref().map(lower::lower_process).transpose()?;
            let error = match process {
                Some(process) => run::child_failure(&process, &failure),
                None => Error::new(ErrorKind::Start, failure.to_string()),
            };
            // It tells of the failure before it ends, and is stopped once it has.
            return Err(stop(&record, error));
        }
        directory.remove_listener()?;
        if record.config_at_start {
            let spec = config()?;
            let hooks = lower::hooks(&spec)?;
            confirm(&record, &spec, warn)?;
            poststart(&record, &hooks.poststart, &State::new(&record, Status::Running))?;
        }
        Ok(())
    }
}

/// The program must run under the label that the config asks for; one that does not is killed.
fn confirm(record: &Record, spec: &Spec, warn: Warn<'_>) -> Result<()> {
    let process = spec.process.as_ref().map(lower::lower_process).transpose()?;
    let label = process.and_then(|process| process.label);
    let confined = label.as_ref().map(Confined::new).transpose()?;
    let pid = record.init.as_ref().map_or(0, |init| init.pid);
    run::confirm(confined.as_ref(), pid, warn).map_err(|error| stop(record, error))
}

/// The hooks behind the start. One that fails stops the container (runtime-spec, runtime, "Lifecycle").
pub(super) fn poststart(record: &Record, list: &[hooks::Hook], state: &State) -> Result<()> {
    hooks::run("poststart", list, state).map_err(|error| stop(record, error))
}

/// Ends what could not be started, and waits until it has ended.
pub(super) fn stop(record: &Record, error: Error) -> Error {
    match kill::end(record) {
        Ok(()) => error,
        Err(failure) => error.with_cleanup(failure),
    }
}

/// Talks with the process that waits, once it is certain that it is the recorded one.
fn release(directory: &Locked<'_>, record: &Record) -> Result<std::result::Result<(), spawn::Failure>> {
    let fail = |why: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Start, format!("speak with the container's process: {why}"))
    };
    let connection = directory.connect().map_err(|error| fail(&error))?;
    let peer = peer_pid(connection.as_fd()).map_err(|number| fail(&errno::describe(number)))?;
    let wanted = record.init.as_ref().map_or(0, |init| init.pid);
    if peer != wanted {
        return Err(fail(&format!("process {peer} listens in place of process {wanted}")));
    }
    Ok(spawn::start(connection.as_fd()))
}
