//! Waiting for a change of a kernel file (`poll(2)`).

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::call::check_int;
use crate::{Errno, Result};

/// What a wait for `POLLPRI` ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// The file has something to say.
    Raised,
    /// `POLLERR`, alone or beside `POLLPRI`: every file of kernfs says so when it changes, and a PSI trigger
    /// only when its cgroup is gone.
    Error,
    /// Nothing until the end of the wait.
    TimedOut,
}

/// Waits for `POLLPRI`, which files such as `cgroup.events` and PSI triggers raise when they change.
///
/// `Ok(false)` after `timeout`. A change counts from the last read of the file's start through this
/// descriptor, so: read, and wait when what was read is not what is wanted.
///
/// # Errors
/// As `poll(2)`; `EBADF` for a descriptor that is not open.
pub fn changed(fd: BorrowedFd<'_>, timeout: Duration) -> Result<bool> {
    Ok(priority(fd, timeout)? != Priority::TimedOut)
}

/// As [`changed`], telling an error of the file apart.
///
/// # Errors
/// As `poll(2)`; `EBADF` for a descriptor that is not open.
pub fn priority(fd: BorrowedFd<'_>, timeout: Duration) -> Result<Priority> {
    let end = Instant::now().checked_add(timeout);
    loop {
        let left = end.map_or(timeout, |end| end.saturating_duration_since(Instant::now()));
        // Rounded up: a wait of 0 in place of 0.9 ms would spin.
        let left = left.saturating_add(Duration::from_nanos(999_999)).as_millis();
        let left = libc::c_int::try_from(left).unwrap_or(libc::c_int::MAX);
        let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLPRI, revents: 0 };
        // SAFETY: one entry is given and it is valid for writing.
        match check_int(unsafe { libc::poll(&raw mut entry, 1, left) }) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(0) => return Ok(Priority::TimedOut),
            Ok(_) if entry.revents & libc::POLLNVAL != 0 => return Err(Errno::EBADF),
            Ok(_) if entry.revents & libc::POLLERR != 0 => return Ok(Priority::Error),
            Ok(_) => return Ok(Priority::Raised),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;

    #[test]
    fn nothing_changes() {
        let (read, _write) = std::io::pipe().unwrap();
        let start = Instant::now();
        assert_eq!(changed(read.as_fd(), Duration::from_millis(20)), Ok(false));
        assert!(start.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_file_that_was_read_has_not_changed() {
        let mut mounts = std::fs::File::open("/proc/self/mounts").unwrap();
        mounts.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(changed(mounts.as_fd(), Duration::ZERO), Ok(false));
    }
}
