//! `run`: create, start, wait and delete in one.

use std::path::Path;

use cofferdam_sys::process::Exit;
use cofferdam_sys::signal::Signals;

use super::create::{Attempt, CreateOptions, Way, announce};
use super::{Runtime, Warn, delete, start};
use crate::run::{self, Relay};
use crate::state::{Record, State, Status};
use crate::{ContainerId, Error, ErrorKind, Result};

/// What `run` does beyond `create` and `start`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunMode {
    /// Returns once the program runs.
    pub detach: bool,
    /// Keeps the container when it has ended.
    pub keep: bool,
}

impl RunMode {
    /// Waits for the end unless `detach`, and then removes the container unless `keep`.
    pub fn new(detach: bool, keep: bool) -> Self {
        Self { detach, keep }
    }
}

impl Runtime {
    /// Runs a container and gives its end, passing signals on to it; 0 at once when detached.
    ///
    /// # Errors
    /// The step that failed; nothing of the container is left then, or the error says what is.
    pub fn run(
        &self,
        id: &ContainerId,
        bundle: &Path,
        options: &CreateOptions,
        mode: RunMode,
        warn: Warn<'_>,
    ) -> Result<Exit> {
        let way = if mode.detach { Way::Detached } else { Way::Foreground };
        let mut attempt = self.attempt(id, bundle, options, way, warn)?;
        // Taken before the child exists, so that no signal for it is lost.
        let signals = match Signals::take() {
            Ok(signals) => signals,
            Err(number) => return Err(attempt.undo(run::os("take over signals", number), warn)),
        };
        let (child, record) = match launch(&mut attempt, options, warn) {
            Ok(running) => running,
            Err(error) => return Err(attempt.undo(error, warn)),
        };
        let Attempt { bundle, container, plan, directory, control, terminal, outside, .. } = attempt;
        let running = State::new(&record, Status::Running);
        let relay = start::poststart(&record, &container.hooks.poststart, &running)
            .and_then(|()| terminal.as_ref().map(Relay::begin).transpose());
        let relay = match relay {
            Ok(relay) => relay,
            Err(error) => {
                let returned = outside.undo();
                let removed = delete::remove(directory, &record, control, warn);
                let failures = [returned, removed].into_iter().filter_map(Result::err);
                return Err(failures.fold(error, Error::with_cleanup));
            }
        };
        if mode.detach {
            return Ok(Exit::Code(0));
        }
        let directory = directory.unlock()?;
        // The container has its own processor: what is not needed any more is given back beside it.
        drop((bundle, container, plan, outside));
        let exit =
            run::wait(&child, &signals, relay).map_err(|number| run::os("wait for the container", number))?;
        if mode.keep {
            return Ok(exit);
        }
        // Unless another command removed it meanwhile.
        let removed = directory.lock_again().and_then(|directory| match directory {
            Some(directory) => delete::remove(directory, &record, control, warn),
            None => Ok(()),
        });
        match removed {
            Ok(()) => Ok(exit),
            Err(failure) => Err(Error::new(
                ErrorKind::Start,
                format!("the container has ended, but cleaning up failed: {failure}"),
            )),
        }
    }
}

/// From the clone until the program runs.
fn launch(
    attempt: &mut Attempt<'_>,
    options: &CreateOptions,
    warn: Warn<'_>,
) -> Result<(cofferdam_sys::spawn::Child, Record)> {
    let spawning = run::launch(
        &attempt.container,
        &attempt.isolation,
        &attempt.plan,
        &mut attempt.control,
        &mut attempt.outside,
        &attempt.state,
        warn,
    )?;
    // Beside the child's work.
    attempt.directory.save_config(&attempt.bundle.text)?;
    let record = announce(&spawning, attempt, options)?;
    let child =
        spawning.finish().map_err(|failure| run::child_failure(&attempt.container.process, &failure))?;
    match run::confirm(attempt.confined.as_ref(), child.pid(), warn) {
        Ok(()) => Ok((child, record)),
        Err(error) => Err(start::stop(&record, error)),
    }
}
