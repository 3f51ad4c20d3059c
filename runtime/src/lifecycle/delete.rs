//! `delete`: everything that is left of a container.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::PathBuf;

use cofferdam_sys::process::{self, pidfd_open, pidfd_send_signal};
use cofferdam_sys::socket::peer_pid;

use super::{Runtime, Warn, kill, wrong_status};
use crate::bundle::Bundle;
use crate::lower;
use crate::run::{self, Control};
use crate::state::{Directory, Locked, Record, State, Status, VERSION, now};
use crate::systemd::{Manager, Unit};
use crate::{ContainerId, Error, ErrorKind, Result, hooks};

const SIGKILL: i32 = 9;

impl Runtime {
    /// Removes a container: its cgroup with what is left in it, and its state. Then its `poststop` hooks run.
    ///
    /// With `force`, a container that runs is killed, and one that is not there is removed already.
    ///
    /// # Errors
    /// [`ErrorKind::WrongStatus`] with the status for one that runs.
    pub fn delete(&self, id: &ContainerId, force: bool, warn: Warn<'_>) -> Result<()> {
        let directory = match self.root.container(id).and_then(Directory::lock) {
            Err(error) if force && error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let record = match directory.record() {
            Err(error) if force => {
                warn(&error.to_string());
                match unread(&directory) {
                    Ok(record) => {
                        warn(&format!(
                            "container {id}: parents of its cgroup stay, if some were made for it"
                        ));
                        let control = Control::of(&record)?;
                        return remove(directory, &record, control, warn);
                    }
                    // Nothing tells of processes or a cgroup; what there is to remove is the directory.
                    Err(error) => warn(&format!("container {id}: its processes are not known: {error}")),
                }
                None
            }
            other => other?,
        };
        let Some(record) = record else { return directory.remove() };
        let status = Status::of(&directory, Some(&record))?;
        if matches!(status, Status::Running | Status::Paused) && !force {
            return Err(wrong_status(format!("cannot delete container {id} that is not stopped: {status}"))
                .with_hint("end it with `kill`, or use --force"));
        }
        let control = Control::of(&record)?;
        remove(directory, &record, control, warn)
    }

    /// Makes room for a new container where a command that was killed has left one behind half made.
    pub(super) fn sweep(&self, id: &ContainerId) -> Result<()> {
        let Ok(directory) = self.root.container(id) else { return Ok(()) };
        if directory.is_locked() || directory.record()?.is_none_or(|record| record.init.is_some()) {
            return Ok(());
        }
        let directory = directory.lock()?;
        match directory.record()? {
            Some(record) if record.init.is_none() => {
                let control = Control::of(&record)?;
                remove_all(directory, &record, control)
            }
            _ => Ok(()),
        }
    }
}

/// What can be said of a container whose record cannot be read: the config beside it tells where its cgroup is,
/// which holds its processes. Hooks are not run, as they would be told a wrong state.
fn unread(directory: &Directory<'_>) -> Result<Record> {
    let bundle = Bundle::from_slice(PathBuf::new(), &directory.config()?)?;
    let cgroup = lower::cgroup(&bundle, directory.id())?;
    Ok(Record {
        version: VERSION,
        id: directory.id().to_string(),
        oci_version: String::new(),
        bundle: bundle.dir,
        rootfs: PathBuf::new(),
        annotations: BTreeMap::new(),
        created: now(),
        owner: process::effective_uid(),
        init: None,
        cgroup: Some(&cgroup)
            .filter(|cgroup| !cgroup.path.is_empty())
            .map(|cgroup| run::place_of(cgroup).map(|place| (place, 0)))
            .transpose()?,
        rdt: None,
        // Where there is none of that name nothing happens.
        unit: cgroup.scope.map(|scope| Unit { name: scope.unit, manager: Manager::own() }),
        config_at_start: false,
        shares_pids: false,
        poststop: Vec::new(),
    })
}

/// Kills, removes, and runs the hooks that come after the end.
pub(super) fn remove(directory: Locked<'_>, record: &Record, control: Control, warn: Warn<'_>) -> Result<()> {
    remove_all(directory, record, control)?;
    hooks::poststop(&record.poststop, &State::new(record, Status::Stopped), warn);
    Ok(())
}

fn remove_all(directory: Locked<'_>, record: &Record, control: Control) -> Result<()> {
    kill::end(record)?;
    if record.init.is_none() {
        end_unrecorded(&directory);
    }
    control.remove().map_err(|error| {
        Error::new(ErrorKind::System, format!("remove the cgroup of container {}: {error}", record.id))
    })?;
    record.rdt.as_ref().map_or(Ok(()), run::remove_rdt)?;
    directory.remove()
}

/// The process of a container whose maker was killed just before it could write the number down. It waits at
/// the socket, and who listens there is known to the kernel.
fn end_unrecorded(directory: &Directory<'_>) {
    let listening = || directory.connect().ok().and_then(|stream| peer_pid(stream.as_fd()).ok());
    let Some(pid) = listening().filter(|pid| *pid > 0) else { return };
    // Asked again behind the opening, so that the pidfd is of who listens and not of who has the number now.
    if let Ok(pidfd) = pidfd_open(pid)
        && listening() == Some(pid)
    {
        // Gone already is as good.
        let _ = pidfd_send_signal(pidfd.as_fd(), SIGKILL);
    }
}
