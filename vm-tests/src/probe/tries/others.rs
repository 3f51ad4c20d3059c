//! Attempts on processes of the host and what belongs to them.

use super::files::{read, text};
use crate::probe::{Steps, Tried, io, number};
use cofferdam_sys::clone::{self, Namespaces};
use cofferdam_sys::{Errno, attempts};
use nix::sys::signal::{Signal, kill as send};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs::File;
use std::os::fd::AsFd;

/// Kills a process.
pub(super) fn kill(pid: &str) -> Tried {
    send(Pid::from_raw(number(pid)?), Signal::SIGKILL).map(|()| Value::Null)
}

/// Takes a descriptor out of a process and reads from it.
pub(super) fn getfd(steps: &Steps, pid: &str, fd: &str) -> Tried {
    use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
    let raw = |error: rustix::io::Errno| Errno::from_raw(error.raw_os_error());
    let pid = Pid::from_raw(number(pid)?).ok_or(Errno::EINVAL)?;
    let process = steps.step("pidfd_open", pidfd_open(pid, PidfdFlags::empty()).map_err(raw))?;
    let taken = pidfd_getfd(process, number(fd)?, PidfdGetfdFlags::empty()).map_err(raw)?;
    text(File::from(taken))
}

/// Enters the namespaces of a process, the mount namespace last, and reads a file there.
pub(super) fn setns(steps: &Steps, pid: &str, secret: &str) -> Tried {
    let kinds = [
        ("uts", Namespaces::UTS),
        ("ipc", Namespaces::IPC),
        ("net", Namespaces::NET),
        ("mnt", Namespaces::MOUNT),
    ];
    let mut last = Err(Errno::ENOENT);
    for (name, kind) in kinds {
        last = io(File::open(format!("/proc/{pid}/ns/{name}")))
            .and_then(|file| clone::setns(file.as_fd(), kind));
        last = steps.step(name, last);
    }
    last.and_then(|()| read(secret))
}

/// Reads a System V segment.
pub(super) fn shm(key: &str, length: &str) -> Tried {
    let data = attempts::shm_read(number(key)?, number(length)?)?;
    Ok(json!(String::from_utf8_lossy(&data)))
}
