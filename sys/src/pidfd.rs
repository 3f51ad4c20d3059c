//! What a pidfd can be asked: whether its process has ended, and its number (`pidfd_open(2)`).

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::call::check_int;
use crate::process::Exit;
use crate::{Errno, Result, process};

/// Waits until the process has ended, `Ok(false)` after `timeout` (`poll(2)`, Linux 5.3); reaps nothing.
///
/// # Errors
/// As `poll(2)`; `EBADF` for a descriptor that is not open.
pub fn ended(pidfd: BorrowedFd<'_>, timeout: Duration) -> Result<bool> {
    let end = Instant::now().checked_add(timeout);
    loop {
        let left = end.map_or(timeout, |end| end.saturating_duration_since(Instant::now()));
        // Rounded up: a wait of 0 in place of 0.9 ms would spin.
        let left = left.saturating_add(Duration::from_nanos(999_999)).as_millis();
        let whole = libc::c_int::try_from(left);
        let mut entry = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry is given and it is valid for writing.
        match check_int(unsafe { libc::poll(&raw mut entry, 1, whole.unwrap_or(libc::c_int::MAX)) }) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            // Longer than one call can wait.
            Ok(0) if whole.is_err() => {}
            Ok(0) => return Ok(false),
            Ok(_) if entry.revents & libc::POLLNVAL != 0 => return Err(Errno::EBADF),
            Ok(_) => return Ok(true),
        }
    }
}

/// Reaps the child when it has ended already; `Ok(None)` while it runs.
///
/// # Errors
/// As [`process::wait`].
pub fn try_wait(pidfd: BorrowedFd<'_>) -> Result<Option<Exit>> {
    if ended(pidfd, Duration::ZERO)? { process::wait(pidfd).map(Some) } else { Ok(None) }
}

/// The process's number in the caller's PID namespace, as `/proc/self/fdinfo` has it.
///
/// # Errors
/// `ESRCH` when it has ended and was waited for, or is in no PID namespace of the caller's; `EBADF` when the
/// descriptor is no pidfd; `ENOENT` without procfs.
pub fn pid(pidfd: BorrowedFd<'_>) -> Result<i32> {
    let text = std::fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", pidfd.as_raw_fd()))
        .map_err(|error| crate::errno::from_io(&error))?;
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:")).ok_or(Errno::EBADF)?;
    match number.trim().parse() {
        Ok(pid) if pid > 0 => Ok(pid),
        _ => Err(Errno::ESRCH),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{pidfd_open, pidfd_send_signal};
    use std::os::fd::AsFd;

    #[test]
    #[expect(clippy::zombie_processes, reason = "waited for by pidfd")]
    fn the_end_of_a_process_is_seen_once() {
        let child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let pidfd = pidfd_open(child.id().cast_signed()).unwrap();
        assert_eq!(pid(pidfd.as_fd()).unwrap(), child.id().cast_signed());
        assert_eq!(ended(pidfd.as_fd(), Duration::from_millis(5)), Ok(false));
        assert_eq!(try_wait(pidfd.as_fd()), Ok(None));
        pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL).unwrap();
        assert_eq!(ended(pidfd.as_fd(), Duration::MAX), Ok(true));
        assert_eq!(try_wait(pidfd.as_fd()), Ok(Some(Exit::Signal(libc::SIGKILL))));
        assert_eq!(try_wait(pidfd.as_fd()), Err(Errno::ECHILD));
        assert_eq!(pid(pidfd.as_fd()), Err(Errno::ESRCH));
    }

    #[test]
    fn another_file_is_no_pidfd() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(pid(null.as_fd()), Err(Errno::EBADF));
    }
}
