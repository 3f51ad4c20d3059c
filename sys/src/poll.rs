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
        let left = milliseconds(left);
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

bitflags::bitflags! {
    /// What a descriptor is waited for: `POLL*`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Events: u16 {
        /// `POLLIN`: there is something to read, or the end.
        const IN = 1;
        /// `POLLOUT`: something can be written.
        const OUT = 4;
        /// `POLLERR`, which is always waited for.
        const ERR = 8;
        /// `POLLHUP`, which is always waited for: the other end is closed.
        const HUP = 16;
        const _ = !0;
    }
}

/// `poll(2)`: waits until something has happened to one of the descriptors, and gives what; `None` is left out.
///
/// # Errors
/// `EINTR` when a signal was handled, `EINVAL` for more than may be open.
pub fn wait<const N: usize>(wanted: [(Option<BorrowedFd<'_>>, Events); N]) -> Result<[Events; N]> {
    poll(wanted, -1)
}

/// The same for some time at most; nothing has happened then.
///
/// # Errors
/// As [`wait`].
pub fn wait_within<const N: usize>(
    wanted: [(Option<BorrowedFd<'_>>, Events); N],
    timeout: Duration,
) -> Result<[Events; N]> {
    poll(wanted, milliseconds(timeout))
}

/// Rounded up: a wait of 0 in place of 0.9 ms would spin.
fn milliseconds(time: Duration) -> libc::c_int {
    let time = time.saturating_add(Duration::from_nanos(999_999)).as_millis();
    libc::c_int::try_from(time).unwrap_or(libc::c_int::MAX)
}

fn poll<const N: usize>(
    wanted: [(Option<BorrowedFd<'_>>, Events); N],
    timeout: libc::c_int,
) -> Result<[Events; N]> {
    let mut entries = wanted.map(|(fd, events)| libc::pollfd {
        fd: fd.map_or(-1, |fd| fd.as_raw_fd()),
        events: events.bits().cast_signed(),
        revents: 0,
    });
    let count = libc::nfds_t::try_from(N).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the array holds as many entries as are given.
    check_int(unsafe { libc::poll(entries.as_mut_ptr(), count, timeout) })?;
    Ok(entries.map(|entry| Events::from_bits_retain(entry.revents.cast_unsigned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;

    #[test]
    fn what_has_happened_is_told() {
        let (read, write) = std::io::pipe().unwrap();
        let wanted =
            [(Some(read.as_fd()), Events::IN), (None, Events::IN), (Some(write.as_fd()), Events::OUT)];
        assert_eq!(wait(wanted), Ok([Events::empty(), Events::empty(), Events::OUT]));
        drop(write);
        assert_eq!(wait([(Some(read.as_fd()), Events::IN)]), Ok([Events::HUP]));
    }

    #[test]
    fn a_wait_ends() {
        let (read, _write) = std::io::pipe().unwrap();
        let start = Instant::now();
        assert_eq!(
            wait_within([(Some(read.as_fd()), Events::IN)], Duration::from_millis(20)),
            Ok([Events::empty()])
        );
        assert!(start.elapsed() >= Duration::from_millis(20));
    }

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
