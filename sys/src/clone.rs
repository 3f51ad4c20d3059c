//! `clone3(2)`, `unshare(2)` and `setns(2)`: making and entering namespaces.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::Result;
use crate::call::check_int;

bitflags::bitflags! {
    /// Which namespaces a child or the caller gets anew: the `CLONE_NEW*` flags of `namespaces(7)`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Namespaces: u64 {
        /// `CLONE_NEWTIME` (Linux 5.6); for `clone3` and `unshare` only.
        const TIME = 0x0000_0080;
        /// `CLONE_NEWNS`, the mount namespace.
        const MOUNT = 0x0002_0000;
        /// `CLONE_NEWCGROUP`.
        const CGROUP = 0x0200_0000;
        /// `CLONE_NEWUTS`.
        const UTS = 0x0400_0000;
        /// `CLONE_NEWIPC`.
        const IPC = 0x0800_0000;
        /// `CLONE_NEWUSER`.
        const USER = 0x1000_0000;
        /// `CLONE_NEWPID`.
        const PID = 0x2000_0000;
        /// `CLONE_NEWNET`.
        const NET = 0x4000_0000;
    }
}

impl std::fmt::Display for Namespaces {
    /// The names that `/proc/PID/ns` has, separated by commas.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const NAMES: [(Namespaces, &str); 8] = [
            (Namespaces::CGROUP, "cgroup"),
            (Namespaces::IPC, "ipc"),
            (Namespaces::MOUNT, "mnt"),
            (Namespaces::NET, "net"),
            (Namespaces::PID, "pid"),
            (Namespaces::TIME, "time"),
            (Namespaces::USER, "user"),
            (Namespaces::UTS, "uts"),
        ];
        let mut comma = "";
        for (_, name) in NAMES.iter().filter(|(flag, _)| self.contains(*flag)) {
            write!(f, "{comma}{name}")?;
            comma = ", ";
        }
        Ok(())
    }
}

/// `int unshare(int flags)`: moves the caller into new namespaces (`unshare(2)`).
///
/// For [`Namespaces::PID`] and [`Namespaces::TIME`] it is the next child that moves.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN` (or, for a user namespace, when the host forbids it), `ENOSPC` at a
/// limit of `namespaces(7)`, `EINVAL` for a user or mount namespace in a process with several threads.
pub fn unshare(namespaces: Namespaces) -> Result<()> {
    let flags = libc::c_int::try_from(namespaces.bits()).map_err(|_| crate::Errno::EINVAL)?;
    // SAFETY: takes no pointer. `CLONE_FILES`, which could invalidate descriptors behind their owner's
    // back, is not among the flags.
    check_int(unsafe { libc::unshare(flags) }).map(drop)
}

/// `int setns(int fd, int nstype)`: moves the caller into the namespaces behind `fd` (`setns(2)`).
///
/// `fd` is a namespace file or, since Linux 5.8, a pidfd; then `kinds` says which of the process's
/// namespaces to join. With a namespace file, `kinds` must name its type or be empty.
///
/// # Errors
/// `EPERM` without the capabilities in the target, `EINVAL` for a wrong type or a threaded caller.
pub fn setns(fd: BorrowedFd<'_>, kinds: Namespaces) -> Result<()> {
    let flags = libc::c_int::try_from(kinds.bits()).map_err(|_| crate::Errno::EINVAL)?;
    // SAFETY: takes no pointer; the descriptor is borrowed for the call.
    check_int(unsafe { libc::setns(fd.as_raw_fd(), flags) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_the_kernels() {
        let known = [
            (Namespaces::MOUNT, libc::CLONE_NEWNS),
            (Namespaces::CGROUP, libc::CLONE_NEWCGROUP),
            (Namespaces::UTS, libc::CLONE_NEWUTS),
            (Namespaces::IPC, libc::CLONE_NEWIPC),
            (Namespaces::USER, libc::CLONE_NEWUSER),
            (Namespaces::PID, libc::CLONE_NEWPID),
            (Namespaces::NET, libc::CLONE_NEWNET),
            (Namespaces::TIME, libc::CLONE_NEWTIME),
        ];
        for (ours, kernel) in known {
            assert_eq!(ours.bits(), u64::try_from(kernel).unwrap());
        }
    }
}
