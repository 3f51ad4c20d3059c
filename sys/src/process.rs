//! Processes as descriptors, their end, and what a process says about itself.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use crate::call::{check, check_int, new_fd};
use crate::{Errno, Result};

/// `int pidfd_open(pid_t pid, 0)` (`pidfd_open(2)`, Linux 5.3).
///
/// # Errors
/// `ESRCH` when there is no such process.
pub fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    // SAFETY: takes no pointer.
    new_fd(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// `int pidfd_send_signal(int pidfd, int sig, NULL, 0)` (`pidfd_send_signal(2)`, Linux 5.1).
///
/// # Errors
/// `ESRCH` when the process has ended and was waited for, `EPERM` without permission.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: no siginfo is given, which the call allows.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) }).map(drop)
}

/// `int pidfd_getfd(int pidfd, int fd, 0)`: a copy of a descriptor of another process (`pidfd_getfd(2)`, Linux 5.6).
///
/// It is close-on-exec here, whatever it is there.
///
/// # Errors
/// `EPERM` without the right to trace the process (`ptrace(2)`), `EBADF` when it has no such descriptor, `ESRCH`
/// when it has ended.
pub fn pidfd_getfd(pidfd: BorrowedFd<'_>, fd: RawFd) -> Result<OwnedFd> {
    // SAFETY: takes no pointer.
    new_fd(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) })
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It called `exit(2)` with this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// The status by the shell's convention: the code, or 128 + the signal's number.
    pub fn status(self) -> u8 {
        let value = match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => signal.saturating_add(128),
        };
        u8::try_from(value & 0xff).unwrap_or(u8::MAX)
    }
}

/// `waitid(P_PIDFD, pidfd, &info, WEXITED | __WALL)`: waits for a child and reaps it (`waitid(2)`, Linux 5.4).
///
/// # Errors
/// `ECHILD` when it is no child of the caller or was waited for before.
pub fn wait(pidfd: BorrowedFd<'_>) -> Result<Exit> {
    let id = libc::id_t::try_from(pidfd.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    loop {
        let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
        // Also for a child whose end raises another signal than SIGCHLD.
        let options = libc::WEXITED | libc::__WALL;
        // SAFETY: the kernel fills the structure, whose address is valid.
        match check_int(unsafe { libc::waitid(libc::P_PIDFD, id, info.as_mut_ptr(), options) }) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => {
                // SAFETY: the call succeeded; the structure was zeroed before, so every field is set.
                let info = unsafe { info.assume_init() };
                // SAFETY: waitid fills the SIGCHLD fields.
                let status = unsafe { info.si_status() };
                let exited = info.si_code == libc::CLD_EXITED;
                return Ok(if exited { Exit::Code(status) } else { Exit::Signal(status) });
            }
        }
    }
}

/// Waits for a child's end and reaps it, for a time at most: `None` when that is over and it was killed.
///
/// # Errors
/// As [`wait`] and `poll(2)`.
pub fn wait_for(pidfd: BorrowedFd<'_>, timeout: Option<Duration>) -> Result<Option<Exit>> {
    if ends_within(pidfd, timeout)? {
        return wait(pidfd).map(Some);
    }
    pidfd_send_signal(pidfd, libc::SIGKILL)?;
    wait(pidfd).map(|_| None)
}

/// Whether a process, which need be no child, ends within a time; without one, waits for its end.
///
/// # Errors
/// As `poll(2)`.
pub fn ends_within(pidfd: BorrowedFd<'_>, timeout: Option<Duration>) -> Result<bool> {
    let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = end.map_or(-1, |end| {
            let left = end.saturating_duration_since(Instant::now()).saturating_add(ALMOST_A_MILLISECOND);
            libc::c_int::try_from(left.as_millis()).unwrap_or(libc::c_int::MAX)
        });
        let mut entry = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry is given and it is valid for writing.
        match check_int(unsafe { libc::poll(&raw mut entry, 1, left) }) {
            Err(Errno::EINTR) => {}
            other => return other.map(|ready| ready > 0),
        }
    }
}

/// Rounds up: a wait of 0 in place of 0.9 ms would spin.
const ALMOST_A_MILLISECOND: Duration = Duration::from_nanos(999_999);

/// `int close_range(unsigned first, unsigned last, 0)` (`close_range(2)`, Linux 5.9).
///
/// Private to the child: closing descriptors that somebody owns would break their owner.
pub(crate) fn close_range(first: u32, last: u32) -> Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: takes no pointer. Only the child of a spawn calls it, just before execve, when no owner
    // of a descriptor will run again.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// `fcntl(fd, F_SETFD, 0)`: an executed program inherits the descriptor (`fcntl(2)`).
///
/// Private to the child: in a caller with threads, another one's programs would inherit it too.
pub(crate) fn keep_across_execve(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: takes no pointer; the descriptor is borrowed for the call.
    check_int(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) }).map(drop)
}

/// Marks every descriptor from `first` on close-on-exec: `close_range(first, ~0, CLOSE_RANGE_CLOEXEC)` (Linux 5.11).
///
/// # Errors
/// `EINVAL` before Linux 5.11.
pub fn cloexec_from(first: u32) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: takes no pointer and closes nothing now.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// `prctl(PR_SET_PDEATHSIG, signal)`: a signal for the caller when the thread that made it ends (`prctl(2)`).
///
/// # Errors
/// `EINVAL` for a number that is no signal.
pub fn set_parent_death_signal(signal: i32) -> Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, signal.unsigned_abs().into(), 0)
}

/// `prctl(PR_SET_DUMPABLE, 0 or 1)`: whether others may inspect the caller (`prctl(2)`).
///
/// # Errors
/// None in practice.
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, dumpable.into(), 0)
}

/// `prctl(PR_SET_NO_NEW_PRIVS, 1)`: `execve(2)` gives no privileges any more (`prctl(2)`).
///
/// # Errors
/// None in practice.
pub fn set_no_new_privs() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)
}

/// `prctl(PR_GET_NO_NEW_PRIVS)`: whether `execve(2)` gives the calling thread no privileges any more (`prctl(2)`).
///
/// # Errors
/// None in practice.
pub fn no_new_privs() -> Result<bool> {
    Ok(prctl_value(libc::PR_GET_NO_NEW_PRIVS, 0, 0)? == 1)
}

/// `prctl(PR_SET_CHILD_SUBREAPER, 1)`: orphans below the caller become its children (`prctl(2)`).
///
/// # Errors
/// None in practice.
pub fn set_child_subreaper() -> Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0)
}

pub(crate) fn prctl(option: libc::c_int, second: libc::c_ulong, third: libc::c_ulong) -> Result<()> {
    let zero: libc::c_ulong = 0;
    // SAFETY: every option used in this crate takes integers only.
    check_int(unsafe { libc::prctl(option, second, third, zero, zero) }).map(drop)
}

/// `prctl(option, second, third)` that answers a number rather than success.
pub(crate) fn prctl_value(option: libc::c_int, second: libc::c_ulong, third: libc::c_ulong) -> Result<i32> {
    let zero: libc::c_ulong = 0;
    // SAFETY: every option used in this crate takes integers only.
    check_int(unsafe { libc::prctl(option, second, third, zero, zero) })
}

/// `int sethostname(const char *, size_t)` (`sethostname(2)`).
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN` over the UTS namespace, `EINVAL` for more than 64 bytes.
pub fn sethostname(name: &[u8]) -> Result<()> {
    // SAFETY: pointer and length are those of one slice.
    check_int(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}

/// `int setdomainname(const char *, size_t)` (`setdomainname(2)`).
///
/// # Errors
/// As [`sethostname`].
pub fn setdomainname(name: &[u8]) -> Result<()> {
    // SAFETY: pointer and length are those of one slice.
    check_int(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) }).map(drop)
}

/// `int dup3(int from, int to, 0)`, or nothing but clearing close-on-exec when both are the same.
pub(crate) fn dup_to(from: BorrowedFd<'_>, to: RawFd) -> Result<()> {
    if from.as_raw_fd() == to {
        // SAFETY: takes no pointer.
        return check_int(unsafe { libc::fcntl(to, libc::F_SETFD, 0) }).map(drop);
    }
    // SAFETY: takes no pointer; only the child of a spawn calls it, where nobody owns `to`.
    check_int(unsafe { libc::dup3(from.as_raw_fd(), to, 0) }).map(drop)
}

/// `uid_t geteuid(void)` (`getuid(2)`).
pub fn effective_uid() -> u32 {
    // SAFETY: takes no pointer and cannot fail.
    unsafe { libc::geteuid() }
}

/// `int chdir(const char *)` (`chdir(2)`).
///
/// # Errors
/// As `chdir(2)`.
pub fn chdir(path: &CStr) -> Result<()> {
    // SAFETY: the path is a valid C string.
    check_int(unsafe { libc::chdir(path.as_ptr()) }).map(drop)
}

/// `int fchdir(int)` (`chdir(2)`).
///
/// # Errors
/// As `fchdir(2)`.
pub fn fchdir(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: takes no pointer.
    check_int(unsafe { libc::fchdir(fd.as_raw_fd()) }).map(drop)
}

/// `pid_t setsid(void)` (`setsid(2)`).
///
/// # Errors
/// `EPERM` for a process group's leader.
pub fn setsid() -> Result<()> {
    // SAFETY: takes no pointer.
    check_int(unsafe { libc::setsid() }).map(drop)
}

/// `mode_t umask(mode_t)`: sets the mask of new files' permissions (`umask(2)`).
pub fn umask(mask: u32) {
    // SAFETY: takes no pointer and cannot fail.
    unsafe { libc::umask(mask) };
}

/// `keyctl(KEYCTL_JOIN_SESSION_KEYRING, name)`: a session keyring of the caller's own (`keyctl(2)`).
///
/// # Errors
/// `EDQUOT` at the user's limit of keys, `ENOSYS` on a kernel without keys.
pub fn join_session_keyring(name: &CStr) -> Result<()> {
    // SAFETY: the name is a valid C string.
    check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) })
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    #[expect(clippy::zombie_processes, reason = "waited for by pidfd")]
    fn waits_by_pidfd() {
        let child = std::process::Command::new("/bin/sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pidfd = pidfd_open(i32::try_from(child.id()).unwrap()).unwrap();
        assert_eq!(wait(pidfd.as_fd()).unwrap(), Exit::Code(7));
        assert_eq!(wait(pidfd.as_fd()).unwrap_err(), Errno::ECHILD);
        assert_eq!(pidfd_send_signal(pidfd.as_fd(), 0).unwrap_err(), Errno::ESRCH);
    }

    #[test]
    fn a_descriptor_is_copied_from_a_process() {
        let own = pidfd_open(std::process::id().cast_signed()).unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        match pidfd_getfd(own.as_fd(), null.as_raw_fd()) {
            Ok(copy) => {
                let stat = crate::file::fstat(copy.as_fd()).unwrap();
                assert!(stat.is_char_device(1, 3));
            }
            // A filter, as in many containers.
            Err(errno) => assert_eq!(errno, Errno::EPERM),
        }
        assert!(matches!(pidfd_getfd(own.as_fd(), -1), Err(Errno::EBADF | Errno::EPERM)));
    }

    #[test]
    #[expect(clippy::zombie_processes, reason = "waited for by pidfd")]
    fn a_signal_is_told_from_a_code() {
        let child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let pidfd = pidfd_open(i32::try_from(child.id()).unwrap()).unwrap();
        pidfd_send_signal(pidfd.as_fd(), libc::SIGTERM).unwrap();
        let exit = wait(pidfd.as_fd()).unwrap();
        assert_eq!(exit, Exit::Signal(libc::SIGTERM));
        assert_eq!(exit.status(), 143);
    }
}
