//! What the running kernel has, asked of the kernel and never of its version number.
//!
//! Each function gives `Ok(false)` only for the one answer that means "not there"; anything unexpected is
//! an error, so that a probe that was blocked is not taken for an old kernel.

pub mod mounts;

use crate::call::check;
use crate::{Errno, Result};

/// Whether `mount_setattr(2)` is there (Linux 5.12).
///
/// # Errors
/// `EPERM` where a seccomp filter hides the answer.
pub fn has_mount_setattr() -> Result<bool> {
    // SAFETY: size 0 is refused before the pointer is looked at.
    let value = check(unsafe {
        libc::syscall(libc::SYS_mount_setattr, -1, c"".as_ptr(), 0, std::ptr::null::<u8>(), 0)
    });
    present(value, Errno::EINVAL)
}

/// Whether `clone3(2)` is there (Linux 5.3).
///
/// # Errors
/// `EPERM` where a seccomp filter hides the answer.
pub fn has_clone3() -> Result<bool> {
    // SAFETY: size 0 is refused before the pointer is looked at.
    let value = check(unsafe { libc::syscall(libc::SYS_clone3, std::ptr::null::<u8>(), 0) });
    present(value, Errno::EINVAL)
}

/// Whether `statmount(2)` is there (Linux 6.8).
///
/// # Errors
/// `EPERM` where a seccomp filter hides the answer.
pub fn has_statmount() -> Result<bool> {
    const SYS_STATMOUNT: libc::c_long = 457;
    let none = std::ptr::null::<u8>();
    // SAFETY: the kernel checks the null pointers and gives EFAULT.
    let value = check(unsafe { libc::syscall(SYS_STATMOUNT, none, none, 0, 0) });
    present(value, Errno::EFAULT)
}

/// The newest Landlock ABI of the kernel, `None` without Landlock (`landlock_create_ruleset(2)`, Linux 5.13).
///
/// # Errors
/// Anything but `ENOSYS` (not built in) and `EOPNOTSUPP` (switched off at boot).
pub fn landlock_abi() -> Result<Option<u32>> {
    const VERSION: u32 = 1;
    let none = std::ptr::null::<u8>();
    // SAFETY: with the version flag, pointer and size must be null and 0.
    match check(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0, VERSION) }) {
        Ok(abi) => u32::try_from(abi).map(Some).map_err(|_| Errno::EINVAL),
        Err(Errno::ENOSYS | Errno::EOPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Whether seccomp filters know an action, by its `SECCOMP_RET_*` value (`seccomp(2)`, Linux 4.14).
///
/// # Errors
/// `ENOSYS` on a kernel without seccomp.
pub fn seccomp_action(action: u32) -> Result<bool> {
    const GET_ACTION_AVAIL: u32 = 2;
    // SAFETY: the kernel reads one 32-bit word, which is valid for the call.
    match check(unsafe { libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAIL, 0, &raw const action) }) {
        Ok(_) => Ok(true),
        Err(Errno::EOPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// A call that was refused for its arguments is there; one that is unknown is not.
fn present(value: Result<libc::c_long>, refused: Errno) -> Result<bool> {
    match value {
        Ok(_) => Ok(true),
        Err(errno) if errno == refused => Ok(true),
        Err(Errno::ENOSYS) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_enosys_means_absent() {
        assert_eq!(present(Err(Errno::ENOSYS), Errno::EINVAL), Ok(false));
        assert_eq!(present(Err(Errno::EINVAL), Errno::EINVAL), Ok(true));
        assert_eq!(present(Err(Errno::EPERM), Errno::EINVAL), Err(Errno::EPERM));
    }

    #[test]
    fn kill_is_an_action_everywhere() {
        assert_eq!(seccomp_action(0), Ok(true));
        assert_eq!(seccomp_action(0x1234_0000), Ok(false));
    }
}
