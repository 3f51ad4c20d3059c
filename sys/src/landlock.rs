//! The calls of `landlock(7)` that a child makes (Linux 5.13); the ruleset itself is made before the clone.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::Result;
use crate::call::check;
use crate::file;

/// The kernel's `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// `int landlock_add_rule(ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0)`: allows access to what is at or below a file.
///
/// `directory` are the `LANDLOCK_ACCESS_FS_*` rights when `file` is a directory, `other` when it is not:
/// the kernel refuses a right that has no meaning for the file. No right at all adds no rule.
///
/// # Errors
/// `EINVAL` for a right that the ruleset does not handle, `EBADFD` for a file of an internal file system.
pub fn allow_path(ruleset: BorrowedFd<'_>, file: BorrowedFd<'_>, directory: u64, other: u64) -> Result<()> {
    const PATH_BENEATH: libc::c_int = 1;
    let access = if file::fstat(file)?.is_dir() { directory } else { other };
    if access == 0 {
        return Ok(());
    }
    let rule = PathBeneath { allowed_access: access, parent_fd: file.as_raw_fd() };
    // SAFETY: the rule is valid for the call and has the layout that its type says.
    let value = unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), PATH_BENEATH, &raw const rule, 0)
    };
    check(value).map(drop)
}

/// `int landlock_restrict_self(ruleset, flags)`: the calling thread obeys the ruleset from now on, and so does
/// all that it makes.
///
/// Afterwards it can change no mount any more (`mount(2)`, `pivot_root(2)` give `EPERM`).
///
/// # Errors
/// `EPERM` without `no_new_privs` or `CAP_SYS_ADMIN` in the user namespace, `E2BIG` beyond 16 layers,
/// `EINVAL` for a flag that the kernel does not know.
pub fn restrict_self(ruleset: BorrowedFd<'_>, flags: u32) -> Result<()> {
    // SAFETY: takes no pointer. It takes rights away from the caller, which no memory safety rests on.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), flags) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Errno;
    use std::os::fd::AsFd;

    #[test]
    fn what_is_no_ruleset_is_refused() {
        let file = std::fs::File::open("/").unwrap();
        // EOPNOTSUPP and ENOSYS where there is no Landlock.
        let refused = [Errno::EBADFD, Errno::EOPNOTSUPP, Errno::ENOSYS];
        assert!(refused.contains(&allow_path(file.as_fd(), file.as_fd(), 1, 1).unwrap_err()));
        assert_eq!(allow_path(file.as_fd(), file.as_fd(), 0, 1), Ok(()));
        assert!(restrict_self(file.as_fd(), 0).is_err());
    }
}
