//! Waiting for a change of a kernel file (`poll(2)`).

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::call::check_int;
use crate::{Errno, Result};

/// Waits for `POLLPRI`, which files such as `cgroup.events` and PSI triggers raise when they change.
///
/// `Ok(false)` after `timeout`. A change counts from the last read of the file's start through this
/// descriptor, so: read, and wait when what was read is not what is wanted.
///
/// # Errors
/// As `poll(2)`; `EBADF` for a descriptor that is not open.
pub fn changed(fd: BorrowedFd<'_>, timeout: Duration) -> Result<bool> {
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
            Ok(0) => return Ok(false),
            Ok(_) if entry.revents & libc::POLLNVAL != 0 => return Err(Errno::EBADF),
            Ok(_) => return Ok(true),
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
