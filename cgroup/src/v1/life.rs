//! Freezing, killing and deleting on v1, which gives no events: what is waited for is looked at again.

use std::thread::sleep;
use std::time::{Duration, Instant};

use cofferdam_sys::Errno;

use super::Group;
use crate::life::{PATIENCE, PAUSE, deadline};
use crate::{Error, ErrorKind, Result};

impl Group {
    /// Stops every process in it and below, and waits until all have stopped; for a cgroup of `freezer`.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when a process has not stopped after ten seconds; it is thawed again then.
    pub(crate) fn freeze(&self) -> Result<()> {
        let end = deadline(PATIENCE);
        loop {
            // Once more each time: what was forked meanwhile is not stopped by the earlier write.
            self.files().write("freezer.state", "FROZEN")?;
            if self.state()? == "FROZEN" {
                return Ok(());
            }
            if Instant::now() >= end {
                let what = format!("freeze {} within {PATIENCE:?}", self.path().display());
                let error = self.files().left(what, Errno::EBUSY);
                return Err(match self.files().write("freezer.state", "THAWED") {
                    Ok(()) => error,
                    Err(cleanup) => error.with_cleanup(&cleanup),
                });
            }
            sleep(PAUSE);
        }
    }

    /// Lets its processes run again; for a cgroup of `freezer`.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when it stays frozen, as below a parent that is.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.files().write("freezer.state", "THAWED")?;
        if self.state()? == "THAWED" {
            return Ok(());
        }
        let what = format!("thaw {}", self.path().display());
        Err(Error::system(what, Errno::EBUSY).with_hint("a cgroup above it is frozen"))
    }

    /// `THAWED`, `FREEZING` or `FROZEN`.
    fn state(&self) -> Result<String> {
        Ok(self.files().read("freezer.state")?.trim_end().to_owned())
    }

    /// Whether all of its processes are stopped; for a cgroup of `freezer`.
    pub(crate) fn frozen(&self) -> Result<bool> {
        Ok(self.state()? == "FROZEN")
    }

    /// Kills every process in it and below: `self` is of `freezer` when `freezes`.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when processes are left after ten seconds, or are of a PID namespace that the
    /// caller does not see.
    pub(crate) fn kill(&self, freezes: bool) -> Result<()> {
        let end = deadline(PATIENCE);
        loop {
            // Stopped processes do not fork; a killed one dies when it is thawed.
            let frozen = freezes && self.freeze().is_ok();
            let found = self.files().signal_all();
            if frozen {
                self.files().write("freezer.state", "THAWED")?;
            }
            match found? {
                false => return Ok(()),
                true if Instant::now() >= end => {
                    return Err(self.files().left(format!("kill {}", self.path().display()), Errno::EBUSY));
                }
                true => sleep(PAUSE),
            }
        }
    }

    /// Whether a process lives in it or below.
    pub(crate) fn populated(&self) -> Result<bool> {
        if !self.procs()?.is_empty() {
            return Ok(true);
        }
        for name in self.children()? {
            match self.child(&name).and_then(|child| child.populated()) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Waits until no process lives in it or below.
    pub(crate) fn wait_empty(&self, timeout: Duration) -> Result<()> {
        let end = deadline(timeout);
        loop {
            match self.populated() {
                Ok(false) => return Ok(()),
                Ok(true) if Instant::now() >= end => {
                    let what = format!("empty {} within {timeout:?}", self.path().display());
                    return Err(self.files().left(what, Errno::EBUSY));
                }
                Ok(true) => sleep(PAUSE.min(end.saturating_duration_since(Instant::now()))),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes it and those below, waiting up to ten seconds for processes that are dying.
    pub(crate) fn delete(self) -> Result<()> {
        self.remove_all(deadline(PATIENCE))
    }

    fn remove_all(self, end: Instant) -> Result<()> {
        match self.remove_once() {
            // Usually there is nothing below.
            Err(Errno::EBUSY | Errno::ENOTEMPTY) => {}
            other => return self.removed(other),
        }
        for name in self.children()? {
            match self.child(&name) {
                Ok(child) => child.remove_all(end)?,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        self.remove(end.saturating_duration_since(Instant::now()))
    }

    /// Removes it alone, waiting for processes that are dying.
    pub(super) fn remove(self, timeout: Duration) -> Result<()> {
        let end = deadline(timeout);
        loop {
            match self.remove_once() {
                Err(Errno::EBUSY | Errno::ENOTEMPTY) if Instant::now() < end => {
                    sleep(PAUSE.min(end.saturating_duration_since(Instant::now())));
                }
                other => return self.removed(other),
            }
        }
    }

    /// Removes it if nothing is in it; one that is gone already is success.
    pub(crate) fn remove_once(&self) -> std::result::Result<(), Errno> {
        match self.files().rmdir() {
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(()),
            other => other,
        }
    }

    fn removed(&self, result: std::result::Result<(), Errno>) -> Result<()> {
        let what = || format!("delete {}", self.path().display());
        result.map_err(|number| self.files().left(what(), number))
    }
}
