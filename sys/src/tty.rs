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

/// `ioctl(fd, TIOCGWINSZ, &size)`: a terminal's size in characters, rows first; 0 is unknown (`ioctl_tty(2)`).
///
/// # Errors
/// `ENOTTY` for a file that is no terminal.
pub fn size(fd: BorrowedFd<'_>) -> Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request fills one winsize, which is valid for the call.
    check_int(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) })?;
    Ok((size.ws_row, size.ws_col))
}

/// Takes `ONLCR` from a terminal's modes: a newline that is written to it comes out without a carriage return
/// before it (`termios(3)`).
///
/// # Errors
/// `ENOTTY` for a file that is no terminal.
pub fn keep_newlines(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: all-zero bytes are a valid termios.
    let mut modes: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the call fills one termios, which is valid for it.
    check_int(unsafe { libc::tcgetattr(fd.as_raw_fd(), &raw mut modes) })?;
    modes.c_oflag &= !libc::ONLCR;
    // SAFETY: the call reads one termios, which is valid for it.
    check_int(unsafe { libc::tcsetattr(fd.as_raw_fd(), libc::TCSANOW, &raw const modes) }).map(drop)
}

/// A terminal that gives every byte as it is typed and writes every byte as it is (`cfmakeraw(3)`); as it was
/// before when dropped.
#[derive(Debug)]
pub struct Raw {
    fd: OwnedFd,
    before: libc::termios,
}

impl Raw {
    /// Switches a terminal over, once what was written to it is out.
    ///
    /// # Errors
    /// `ENOTTY` for a file that is no terminal, `EIO` for one whose other end is closed.
    pub fn enter(fd: BorrowedFd<'_>) -> Result<Self> {
        let own = fd.try_clone_to_owned().map_err(|error| crate::errno::from_io(&error))?;
        // SAFETY: all-zero bytes are a valid termios.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the call fills one termios, which is valid for it.
        check_int(unsafe { libc::tcgetattr(own.as_raw_fd(), &raw mut before) })?;
        let mut raw = before;
        // SAFETY: the call changes one termios, which is valid for it.
        unsafe { libc::cfmakeraw(&raw mut raw) };
        // SAFETY: the call reads one termios, which is valid for it.
        check_int(unsafe { libc::tcsetattr(own.as_raw_fd(), libc::TCSADRAIN, &raw const raw) })?;
        Ok(Self { fd: own, before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: the call reads one termios, which is valid for it. It fails for a terminal that is gone.
        unsafe { libc::tcsetattr(self.fd.as_raw_fd(), libc::TCSADRAIN, &raw const self.before) };
    }
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
        assert_eq!(size(null.as_fd()).unwrap_err(), crate::Errno::ENOTTY);
        assert_eq!(Raw::enter(null.as_fd()).unwrap_err(), crate::Errno::ENOTTY);
    }

    #[test]
    fn a_terminal_has_a_size_and_is_raw_for_a_while() {
        let Ok(ptmx) = std::fs::File::options().read(true).write(true).open("/dev/ptmx") else { return };
        unlock(ptmx.as_fd()).unwrap();
        let peer = peer(ptmx.as_fd()).unwrap();
        set_size(peer.as_fd(), 11, 22).unwrap();
        assert_eq!(size(ptmx.as_fd()).unwrap(), (11, 22));
        let echoes = || {
            // SAFETY: all-zero bytes are a valid termios, which the call fills.
            let mut now: libc::termios = unsafe { std::mem::zeroed() };
            // SAFETY: the termios is valid for the call.
            check_int(unsafe { libc::tcgetattr(peer.as_raw_fd(), &raw mut now) }).unwrap();
            now.c_lflag & libc::ECHO != 0
        };
        assert!(echoes());
        let raw = Raw::enter(peer.as_fd()).unwrap();
        assert!(!echoes());
        drop(raw);
        assert!(echoes());
    }
}
