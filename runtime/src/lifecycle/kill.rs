//! `kill`: signals for a container.

use std::fmt;
use std::os::fd::AsFd;
use std::str::FromStr;
use std::time::Duration;

use cofferdam_sys::process::{ends_within, pidfd_send_signal};
use cofferdam_sys::signal;
use cofferdam_sys::{Errno, errno};

use super::{Runtime, look, wrong_status};
use crate::run::Control;
use crate::state::{Record, Status};
use crate::{ContainerId, Error, ErrorKind, Result};

/// How long a process may take to die of `SIGKILL`.
const LAST_BREATH: Duration = Duration::from_secs(10);

/// How long it takes mostly.
const SOON: Duration = Duration::from_millis(300);

const SIGKILL: i32 = 9;

/// A signal by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(i32);

impl Signal {
    /// `SIGTERM`.
    pub const TERM: Signal = Signal(15);

    /// Its number.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl FromStr for Signal {
    type Err = Error;

    /// Reads a number, or a name with or without `SIG`, in capitals or not, such as `RTMIN+3`.
    fn from_str(text: &str) -> Result<Self> {
        // 0 is none; it asks whether there is a process.
        let number = if text == "0" { Some(0) } else { signal::by_name(text) };
        number.map(Signal).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            Error::new(ErrorKind::Usage, format!("unknown signal \"{}\"", shown.escape_debug()))
                .with_hint("a signal is a number or a name of signal(7), such as 9, KILL or SIGKILL")
        })
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Runtime {
    /// Sends a signal to the first process of a container, or with `all` to every process.
    ///
    /// `SIGKILL` goes to every process of a container without a PID namespace of its own too, also when the first
    /// has ended: in a namespace the kernel sees to that.
    ///
    /// # Errors
    /// [`ErrorKind::WrongStatus`] with `container not running` for one that has ended.
    pub fn kill(&self, id: &ContainerId, signal: Signal, all: bool) -> Result<()> {
        let directory = self.root.container(id)?;
        let (record, status) = look(&directory)?;
        if all {
            let control = Control::of(&record)?;
            // Also of a container that has ended: without a PID namespace, others may be left.
            if !control.is_none() || record.shares_pids {
                return control.signal_all(signal.number());
            }
            if status == Status::Stopped {
                return Ok(());
            }
            // Without a cgroup only the first process is known.
        }
        let rest = record.shares_pids && signal.0 == SIGKILL && record.cgroup.is_some();
        if rest && status != Status::Creating {
            let control = Control::of(&record)?;
            if !control.is_none() && (status != Status::Stopped || !control.processes()?.is_empty()) {
                return control.signal_all(SIGKILL);
            }
        }
        if status == Status::Stopped {
            return Err(wrong_status("container not running"));
        }
        let pidfd = match &record.init {
            Some(init) => init.open()?,
            None => return Err(wrong_status(format!("cannot kill a container in the {status} state"))),
        };
        let Some(pidfd) = pidfd else { return Err(wrong_status("container not running")) };
        match pidfd_send_signal(pidfd.as_fd(), signal.number()) {
            Ok(()) => Ok(()),
            Err(Errno::ESRCH) => Err(wrong_status("container not running")),
            Err(number) => {
                let what = format!("send signal {signal}: {}", errno::describe(number));
                Err(Error::new(ErrorKind::System, what))
            }
        }
    }
}

/// Kills the first process and waits for its end, which in a PID namespace is the end of all.
pub(super) fn end(record: &Record) -> Result<()> {
    let Some(init) = &record.init else { return Ok(()) };
    let Some(pidfd) = init.open()? else { return Ok(()) };
    let fail = |number: Errno| {
        Error::new(ErrorKind::System, format!("kill process {}: {}", init.pid, errno::describe(number)))
    };
    match pidfd_send_signal(pidfd.as_fd(), SIGKILL) {
        Ok(()) => {}
        Err(Errno::ESRCH) => return Ok(()),
        Err(number) => return Err(fail(number)),
    }
    if ends_within(pidfd.as_fd(), Some(SOON)).map_err(fail)? {
        return Ok(());
    }
    // Somebody may have moved it to a cgroup v1 that is frozen, where it does not die.
    Control::take_out_of_freezer(init.pid);
    if ends_within(pidfd.as_fd(), Some(LAST_BREATH)).map_err(fail)? {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::System,
        format!("process {} has not ended {} s after SIGKILL", init.pid, LAST_BREATH.as_secs()),
    )
    .with_hint(
        "a process of the container waits for a device or a network file system, or has ended and is not waited \
         for by who ran `exec`; try again later",
    ))
}
