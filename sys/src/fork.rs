//! One process more: `clone3(2)`, and `clone(2)` where a seccomp filter hides it.
//!
//! Both sides of the call return into the same code, so nothing here is public: [`crate::spawn`] and the walk
//! are the two places that know what a child may do.

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::call::check;
use crate::clone::Namespaces;
use crate::{Errno, Result};

/// The kernel's `struct clone_args` as of Linux 5.7.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_PARENT: u64 = 0x8000;
const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// The highest signal of every architecture but MIPS.
const LAST_SIGNAL: i32 = 64;

/// Which of the two calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// `clone3(2)`.
    Clone3,
    /// `clone(2)`: no time namespace, no cgroup, and the caller's signal handlers stay.
    Clone,
}

/// What the new process is like.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fork<'fd> {
    pub(crate) namespaces: Namespaces,
    /// `CLONE_INTO_CGROUP`.
    pub(crate) cgroup: Option<BorrowedFd<'fd>>,
    /// The signal that its end raises in its parent; 0 for none.
    pub(crate) exit_signal: i32,
    /// A child of the caller's parent (`CLONE_PARENT`), which has the caller's own exit signal.
    pub(crate) sibling: bool,
}

/// On which side of the call this is.
#[derive(Debug)]
pub(crate) enum Side {
    /// In the new process.
    Child,
    /// In its maker.
    Maker { pid: i32, pidfd: OwnedFd },
}

/// Makes a process with a copy of the caller's memory. Allocates nothing.
///
/// # Safety
/// [`Side::Child`] may do only what is async-signal-safe, and must not return to code that does not know that
/// there are two of it: it ends in `execve(2)` or `_exit(2)`.
///
/// # Errors
/// `ENOSYS` where there is no such call; `EOPNOTSUPP` for what [`Call::Clone`] cannot do.
pub(crate) unsafe fn fork(call: Call, fork: &Fork<'_>) -> Result<Side> {
    let exit_signal = if fork.sibling { 0 } else { fork.exit_signal };
    if !(0..=LAST_SIGNAL).contains(&exit_signal) {
        return Err(Errno::EINVAL);
    }
    let exit_signal = u64::from(exit_signal.unsigned_abs());
    let parent = if fork.sibling { CLONE_PARENT } else { 0 };
    let flags = fork.namespaces.bits() | CLONE_PIDFD | parent;
    let mut pidfd: RawFd = -1;
    let value = match call {
        // SAFETY: the caller keeps the child's promises.
        Call::Clone3 => unsafe { clone3(flags, exit_signal, fork.cgroup, &mut pidfd) },
        // Its bit would be taken for one of the exit signal.
        Call::Clone if fork.namespaces.contains(Namespaces::TIME) || fork.cgroup.is_some() => {
            Err(Errno::EOPNOTSUPP)
        }
        // SAFETY: the caller keeps the child's promises.
        Call::Clone => unsafe { clone(flags | exit_signal, &mut pidfd) },
    }?;
    if value == 0 {
        return Ok(Side::Child);
    }
    // SAFETY: CLONE_PIDFD made the kernel store a new descriptor here.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Side::Maker { pid: i32::try_from(value).map_err(|_| Errno::EINVAL)?, pidfd })
}

/// # Safety
/// As [`fork`].
unsafe fn clone3(
    flags: u64,
    exit_signal: u64,
    cgroup: Option<BorrowedFd<'_>>,
    pidfd: &mut RawFd,
) -> Result<libc::c_long> {
    use std::os::fd::AsRawFd;
    let mut args = CloneArgs {
        flags: flags | CLONE_CLEAR_SIGHAND,
        pidfd: std::ptr::from_mut(pidfd).expose_provenance() as u64,
        exit_signal,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    }
    // SAFETY: the structure has the size that is given. Without CLONE_VM the child has its own copy of memory
    // and stack; what it does with them is the caller's promise.
    check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) })
}

/// # Safety
/// As [`fork`].
unsafe fn clone(flags: u64, pidfd: &mut RawFd) -> Result<libc::c_long> {
    let none = std::ptr::null_mut::<u8>();
    // The order of the last two differs between architectures; both are null. Only s390 has the stack first.
    // SAFETY: without a stack and without CLONE_VM the child goes on on its copy of ours, as after fork(2);
    // with CLONE_PIDFD the third argument is where the descriptor is stored.
    check(unsafe { libc::syscall(libc::SYS_clone, flags, none, std::ptr::from_mut(pidfd), none, none) })
}

/// Gives every signal that has a handler its default: what `CLONE_CLEAR_SIGHAND` does in `clone3(2)`.
///
/// For a child only, and while all signals are blocked: a handler of the parent must not run in its copy.
pub(crate) fn clear_handlers() -> Result<()> {
    make_default(|now| !matches!(now, libc::SIG_DFL | libc::SIG_IGN))
}

/// Gives every signal that is ignored its default, which `execve(2)` would not: whoever ignores `SIGINT`, as a shell
/// does for what it puts in the background, does not mean the program in the container, which could not even trap it.
///
/// For a child only.
pub(crate) fn heed_all() -> Result<()> {
    make_default(|now| now == libc::SIG_IGN)
}

/// Gives the signals their default whose disposition is one of these.
///
/// By the system call, as the C library keeps two numbers to itself, which who starts us may have ignored all the same.
fn make_default(wanted: impl Fn(libc::sighandler_t) -> bool) -> Result<()> {
    /// The kernel's `struct sigaction`: the disposition, then flags, a restorer where there is one, and the mask.
    type Action = [libc::sighandler_t; 4];
    const MASK_SIZE: usize = 8;
    for signal in 1..=LAST_SIGNAL {
        let mut action: Action = [0; 4];
        let none = std::ptr::null_mut::<Action>();
        // SAFETY: asks only; the array is as large as the kernel's structure, or larger.
        check(unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, none, &raw mut action, MASK_SIZE) })?;
        if wanted(action[0]) {
            action = [libc::SIG_DFL, 0, 0, 0];
            // SAFETY: as above; SIG_DFL is a disposition, not a handler that could run.
            check(unsafe {
                libc::syscall(libc::SYS_rt_sigaction, signal, &raw const action, none, MASK_SIZE)
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clone_cannot_do_is_refused() {
        let time = Fork { namespaces: Namespaces::TIME, ..Fork::default() };
        // SAFETY: no child is made.
        assert_eq!(unsafe { fork(Call::Clone, &time) }.unwrap_err(), Errno::EOPNOTSUPP);
        for exit_signal in [-1, 65, 256] {
            let bad = Fork { exit_signal, ..Fork::default() };
            // SAFETY: no child is made.
            assert_eq!(unsafe { fork(Call::Clone, &bad) }.unwrap_err(), Errno::EINVAL);
        }
    }
}
