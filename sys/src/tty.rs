//! Terminals: the controlling one of a session, and its size.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::Result;
use crate::call::{check_int, new_fd};

/// `ioctl(fd, TIOCSCTTY, 0)`: makes a terminal the controlling one of the caller's new session (`ioctl_tty(2)`).
///
/// # Errors
/// `EPERM` when the caller leads no session or has a terminal already, `ENOTTY` for another file.
pub fn set_controlling(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the request takes an integer.
    check_int(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSCTTY, 0) }).map(drop)
}

/// `ioctl(fd, TIOCSWINSZ, &size)`: tells a terminal its size in characters (`ioctl_tty(2)`).
///
/// # Errors
/// `ENOTTY` for a file that is no terminal.
pub fn set_size(fd: BorrowedFd<'_>, rows: u16, columns: u16) -> Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request reads one winsize, which is valid for the call.
    check_int(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }).map(drop)
}

/// `fchown(fd, uid, -1)`: gives a terminal to a user and leaves its group (`chown(2)`).
///
/// # Errors
/// As `fchown(2)`.
pub fn set_owner(fd: BorrowedFd<'_>, uid: u32) -> Result<()> {
    // SAFETY: takes no pointer.
    check_int(unsafe { libc::fchown(fd.as_raw_fd(), uid, libc::gid_t::MAX) }).map(drop)
}

/// `ioctl(ptmx, TIOCSPTLCK, &0)`: lets the other end of a new pseudo-terminal be opened (`ioctl_tty(2)`).
///
/// # Errors
/// `ENOTTY` for a file that is no `ptmx`.
pub fn unlock(ptmx: BorrowedFd<'_>) -> Result<()> {
    let unlocked: libc::c_int = 0;
    // SAFETY: the request reads one int, which is valid for the call.
    check_int(unsafe { libc::ioctl(ptmx.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) }).map(drop)
}

/// `ioctl(ptmx, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)`: the other end, without a path (Linux 4.13).
///
/// # Errors
/// `EIO` for one that is locked, `ENOTTY` for a file that is no `ptmx`.
pub fn peer(ptmx: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the request takes an integer.
    new_fd(unsafe { libc::ioctl(ptmx.as_raw_fd(), libc::TIOCGPTPEER, flags) }.into())
}

/// `ioctl(fd, TIOCSTI, &byte)`: pushes a byte into a terminal's input (`ioctl_tty(2)`).
///
/// # Errors
/// `EPERM` for a terminal that is not the caller's own, `EIO` where the kernel has it switched off (Linux 6.2).
pub fn push_input(fd: BorrowedFd<'_>, byte: u8) -> Result<()> {
    // SAFETY: the request reads one byte, which is valid for the call.
    check_int(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSTI, &raw const byte) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_file_is_no_terminal() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(set_size(null.as_fd(), 24, 80).unwrap_err(), crate::Errno::ENOTTY);
        assert_eq!(push_input(null.as_fd(), b'x').unwrap_err(), crate::Errno::ENOTTY);
    }
}
