//! A child that runs its program.

use std::io::{PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use cofferdam_sys::process::{self, Exit};
use cofferdam_sys::{pidfd, spawn};

use super::SIGKILL;
use super::stdio::Ends;
use crate::{Error, Process};

/// A child that runs its program.
///
/// As a descriptor ([`AsFd`]) it is its pidfd, which `poll(2)` and every event loop report as readable once the
/// child has ended: `tokio::io::unix::AsyncFd`, for one, takes it; [`Child::try_wait`] then reaps.
///
/// Dropped, it runs on as a child nobody waits for, unless [`super::Spawn::kill_on_drop`] was set.
#[derive(Debug)]
pub struct Child {
    /// The writing end of its standard input, when that is piped.
    pub stdin: Option<PipeWriter>,
    /// The reading end of its standard output, when that is piped.
    pub stdout: Option<PipeReader>,
    /// The reading end of its standard error, when that is piped.
    pub stderr: Option<PipeReader>,
    running: spawn::Child,
    exit: Option<Exit>,
    kill_on_drop: bool,
}

/// How a child ended and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// What it wrote to its standard output, when that was piped.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error, when that was piped.
    pub stderr: Vec<u8>,
}

impl Child {
    pub(super) fn new(running: spawn::Child, ends: Ends, kill_on_drop: bool) -> Self {
        let Ends { stdin, stdout, stderr } = ends;
        Self { stdin, stdout, stderr, running, exit: None, kill_on_drop }
    }

    /// Its number in the caller's PID namespace; it stays its own until the child is reaped.
    pub fn pid(&self) -> i32 {
        self.running.pid()
    }

    /// It as a process whose namespaces can be opened and joined.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] with `ESRCH` once it was reaped.
    pub fn process(&self) -> Result<Process, Error> {
        let fd = self.as_fd().try_clone_to_owned().map_err(|error| Error::io(&error, "duplicate a pidfd"))?;
        Process::new(self.pid(), fd)
    }

    /// Closes its standard input, waits for its end and reaps it; later calls give the same answer.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] with `ECHILD` when another part of the program has reaped it.
    pub fn wait(&mut self) -> Result<Exit, Error> {
        drop(self.stdin.take());
        if let Some(exit) = self.exit {
            return Ok(exit);
        }
        let exit = self.running.wait().map_err(|number| self.error(number, "wait for"))?;
        self.exit = Some(exit);
        Ok(exit)
    }

    /// Its end, when it has come already; `None` while it runs.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn try_wait(&mut self) -> Result<Option<Exit>, Error> {
        self.wait_timeout(Duration::ZERO)
    }

    /// Waits for its end for so long; `None` when it still runs then.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Option<Exit>, Error> {
        if self.exit.is_some() {
            return Ok(self.exit);
        }
        let ended = pidfd::ended(self.as_fd(), timeout).map_err(|number| self.error(number, "poll for"))?;
        if ended { self.wait().map(Some) } else { Ok(None) }
    }

    /// Reads its output to the end, then waits for it.
    ///
    /// # Errors
    /// As [`Child::wait`]; [`crate::ErrorKind::Os`] when a pipe cannot be read.
    pub fn wait_with_output(mut self) -> Result<Output, Error> {
        drop(self.stdin.take());
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        // Both at once: a child that fills one pipe would wait for us for ever.
        let (stdout, stderr) = std::thread::scope(|scope| {
            let errors = scope.spawn(move || read_all(stderr));
            (read_all(stdout), errors.join().unwrap_or_else(|_| Err(std::io::Error::other("panicked"))))
        });
        let stdout = stdout.map_err(|error| Error::io(&error, "read a child's standard output"))?;
        let stderr = stderr.map_err(|error| Error::io(&error, "read a child's standard error"))?;
        Ok(Output { exit: self.wait()?, stdout, stderr })
    }

    /// Sends it `SIGKILL`; one that has ended already is left in peace.
    ///
    /// A child in a PID namespace of its own takes all processes there with it.
    ///
    /// # Errors
    /// As [`Child::signal`].
    pub fn kill(&self) -> Result<(), Error> {
        self.signal(SIGKILL)
    }

    /// Sends it a signal by its pidfd; nothing happens to one that has ended already.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] with `EINVAL` for a number that is no signal.
    pub fn signal(&self, signal: i32) -> Result<(), Error> {
        match process::pidfd_send_signal(self.as_fd(), signal) {
            Ok(()) | Err(cofferdam_sys::Errno::ESRCH) => Ok(()),
            Err(number) => Err(self.error(number, "send a signal to")),
        }
    }

    fn error(&self, number: cofferdam_sys::Errno, what: &str) -> Error {
        Error::os(number, format!("{what} child {}", self.pid()))
    }
}

fn read_all(pipe: Option<PipeReader>) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut text)?;
    }
    Ok(text)
}

impl AsFd for Child {
    /// The pidfd.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.running.pidfd()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.kill_on_drop && self.exit.is_none() && self.kill().is_ok() {
            // Fails only when another part of the program has reaped it.
            let _ = self.wait();
        }
    }
}
