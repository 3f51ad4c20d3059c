//! Freezing, killing, waiting and deleting.

use std::fs::File;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use cofferdam_sys::{Errno, poll};

use crate::file::again;
use crate::{Cgroup, Error, ErrorKind, Events, Result};

pub(crate) const SIGKILL: i32 = 9;

/// How long processes may take to stop or to die before that is an error.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The pause between two looks where the kernel gives no event.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);

impl Cgroup {
    /// Stops every process in it and below, and waits until all have stopped (`cgroup.freeze`, Linux 5.2).
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when a process has not stopped after ten seconds, as one that waits for a
    /// device; the cgroup then stays on its way to being frozen.
    pub fn freeze(&self) -> Result<()> {
        self.files().write("cgroup.freeze", "1")?;
        self.wait_for(PATIENCE, "freeze", |events| events.frozen == Some(true))
    }

    /// Lets its processes run again, and waits until they do.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when it stays frozen, as below a parent that is.
    pub fn thaw(&self) -> Result<()> {
        self.files().write("cgroup.freeze", "0")?;
        self.wait_for(PATIENCE, "thaw", |events| events.frozen == Some(false))
    }

    /// Kills every process in it and below; frozen ones too.
    ///
    /// By `cgroup.kill` (Linux 5.14), which no fork escapes; before that by signals. They die soon after:
    /// see [`Cgroup::wait_empty`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for the root of the hierarchy, which holds every process of the machine;
    /// [`ErrorKind::Busy`] when without `cgroup.kill` processes are left after ten seconds, or are of a PID
    /// namespace that the caller does not see.
    pub fn kill(&self) -> Result<()> {
        self.refuse_root("kill")?;
        match self.files().write("cgroup.kill", "1") {
            Err(error) if error.errno() == Some(Errno::ENOENT) => self.kill_by_signals(),
            other => other,
        }
    }

    /// Waits until no process lives in it or below; `Busy` after `timeout`.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] with the processes that are left.
    pub fn wait_empty(&self, timeout: Duration) -> Result<()> {
        self.wait_for(timeout, "empty", |events| !events.populated)
    }

    /// Removes it and the cgroups below; waits up to ten seconds for processes that are dying.
    ///
    /// Nothing is killed: see [`Cgroup::kill`]. A cgroup that is gone already is success.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for the root of the hierarchy; [`ErrorKind::Busy`] with the processes that
    /// are left.
    pub fn delete(self) -> Result<()> {
        self.refuse_root("delete")?;
        self.remove_all(deadline(PATIENCE))
    }

    /// The root has no `cgroup.events`; what else has none is gone.
    fn refuse_root(&self, aim: &str) -> Result<()> {
        match self.files().reader("cgroup.events") {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Err(_) if self.files().reader("cgroup.controllers").is_ok() => {
                let what = format!("{aim} {}: it is the root of the hierarchy", self.path().display());
                Err(Error::new(ErrorKind::Invalid, what).with_hint("make a cgroup below it"))
            }
            _ => Ok(()),
        }
    }

    fn remove_all(self, end: Instant) -> Result<()> {
        // Only what is below an own namespace's cgroup is unknown to the caller; usually there is nothing.
        for name in self.children()? {
            match self.child(&name) {
                Ok(child) => child.remove_all(end)?,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        self.remove(end.saturating_duration_since(Instant::now()))
    }

    /// Removes it if nothing is in it; one that is gone already is success.
    pub(crate) fn remove_once(&self) -> std::result::Result<(), Errno> {
        match self.files().rmdir() {
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(()),
            other => other,
        }
    }

    /// Removes it alone, waiting for processes that are dying.
    pub(crate) fn remove(self, timeout: Duration) -> Result<()> {
        let end = deadline(timeout);
        loop {
            match self.remove_once() {
                Ok(()) => return Ok(()),
                Err(Errno::EBUSY) if Instant::now() < end => {}
                Err(number) => {
                    return Err(self.files().left(format!("delete {}", self.path().display()), number));
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            // Empty and busy for a moment: the kernel is still letting go of the last process.
            if !self.wait_while_populated(left)? {
                std::thread::sleep(PAUSE.min(left));
            }
        }
    }

    /// The way before Linux 5.14: stop everything so that nothing forks, and signal until all are dead.
    fn kill_by_signals(&self) -> Result<()> {
        // SIGKILL ends a frozen process. The root has no such file, and a delegated one may be closed to
        // us: the signals then race with forks, which the rounds below win.
        let frozen = self.files().write("cgroup.freeze", "1").is_ok();
        let end = deadline(PATIENCE);
        let killed = loop {
            match self.files().signal_all() {
                Ok(true) if Instant::now() < end => {
                    let _ = self.wait_while_populated(PAUSE);
                }
                Ok(true) => {
                    break Err(self.files().left(format!("kill {}", self.path().display()), Errno::EBUSY));
                }
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if frozen && killed.is_ok() {
            let _ = self.files().write("cgroup.freeze", "0");
        }
        killed
    }

    /// Waits for its end to be empty; whether it was populated at first.
    fn wait_while_populated(&self, timeout: Duration) -> Result<bool> {
        let mut watched = match self.files().reader("cgroup.events") {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let end = deadline(timeout);
        let mut was = false;
        while self.look(&mut watched)?.is_some_and(|events| events.populated) && Instant::now() < end {
            was = true;
            self.pause(&watched, end)?;
        }
        Ok(was)
    }

    fn wait_for(&self, timeout: Duration, aim: &str, reached: impl Fn(&Events) -> bool) -> Result<()> {
        let mut watched = self.files().reader("cgroup.events")?;
        let end = deadline(timeout);
        loop {
            // A cgroup that is gone has nothing left to wait for.
            let Some(events) = self.look(&mut watched)? else { return Ok(()) };
            if reached(&events) {
                return Ok(());
            }
            if Instant::now() >= end {
                let what = format!("{aim} {} within {timeout:?}", self.path().display());
                return Err(self.files().left(what, Errno::EBUSY));
            }
            self.pause(&watched, end)?;
        }
    }

    /// Reads the events file again; `None` when the cgroup is gone.
    fn look(&self, watched: &mut File) -> Result<Option<Events>> {
        let read = again(&self.path().join("cgroup.events"), watched);
        match read {
            Ok(text) => Events::parse(&text).map(Some),
            Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn pause(&self, watched: &File, end: Instant) -> Result<()> {
        let left = end.saturating_duration_since(Instant::now());
        poll::changed(watched.as_fd(), left).map(drop).map_err(|number| {
            Error::system(format!("wait for an event of {}", self.path().display()), number)
        })
    }
}

pub(crate) fn deadline(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or(now)
}

#[cfg(test)]
mod tests;
