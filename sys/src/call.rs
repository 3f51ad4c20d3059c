//! How a raw return value becomes a result; nothing here allocates.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::{Errno, Result};

/// The value of a call that returns -1 and sets `errno` on failure.
#[inline]
pub(crate) fn check(value: libc::c_long) -> Result<libc::c_long> {
    if value == -1 { Err(Errno::last()) } else { Ok(value) }
}

/// The same for calls that return a C `int`.
#[inline]
pub(crate) fn check_int(value: libc::c_int) -> Result<libc::c_int> {
    if value == -1 { Err(Errno::last()) } else { Ok(value) }
}

/// A new descriptor from a call's return value.
#[inline]
pub(crate) fn new_fd(value: libc::c_long) -> Result<OwnedFd> {
    let raw = RawFd::try_from(check(value)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel just returned this descriptor to us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// A directory to start a look-up from: a descriptor, or the working directory.
#[derive(Debug, Clone, Copy)]
pub enum Dir<'fd> {
    /// `AT_FDCWD`.
    Cwd,
    /// An open descriptor.
    Fd(BorrowedFd<'fd>),
}

impl Dir<'_> {
    /// The number that the kernel takes.
    #[inline]
    pub(crate) fn raw(self) -> RawFd {
        match self {
            Dir::Cwd => libc::AT_FDCWD,
            Dir::Fd(fd) => fd.as_raw_fd(),
        }
    }
}

impl<'fd> From<BorrowedFd<'fd>> for Dir<'fd> {
    fn from(fd: BorrowedFd<'fd>) -> Self {
        Dir::Fd(fd)
    }
}

impl<'fd> From<&'fd OwnedFd> for Dir<'fd> {
    fn from(fd: &'fd OwnedFd) -> Self {
        use std::os::fd::AsFd;
        Dir::Fd(fd.as_fd())
    }
}
