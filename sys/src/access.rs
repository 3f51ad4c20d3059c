//! What the caller may do with a file, asked and not tried (`access(2)`).

use std::ffi::CStr;

use crate::call::{Dir, check};
use crate::{Errno, Result};

/// `int faccessat2(int dirfd, const char *path, W_OK, AT_EACCESS)` (`access(2)`, Linux 5.8): whether the
/// caller's effective ids may write a file, or make and remove files in a directory.
///
/// # Errors
/// `ENOENT` and the like for a path that does not lead to a file; `ENOSYS` where a seccomp filter hides the
/// call.
pub fn writable(dir: Dir<'_>, path: &CStr) -> Result<bool> {
    // SAFETY: the path is a valid C string.
    let value = unsafe {
        libc::syscall(libc::SYS_faccessat2, dir.raw(), path.as_ptr(), libc::W_OK, libc::AT_EACCESS)
    };
    match check(value) {
        Ok(_) => Ok(true),
        Err(Errno::EACCES | Errno::EPERM | Errno::EROFS) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_writable_or_not() {
        assert_eq!(writable(Dir::Cwd, c"/dev/null"), Ok(true));
        assert_eq!(writable(Dir::Cwd, c"/nowhere"), Err(Errno::ENOENT));
    }
}
