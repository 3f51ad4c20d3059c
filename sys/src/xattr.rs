//! Extended attributes (`xattr(7)`): by descriptor, by path, and below a directory descriptor.
//!
//! A descriptor opened with `O_PATH` takes none of the calls, not even `getxattrat(2)` with an empty path
//! (`EBADF`): such a file is reached as a name below its directory, or by its path below `/proc/self/fd`.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::call::{Dir, check, check_int};
use crate::{Errno, Result};

/// The four calls of Linux 6.13, with the same numbers on every architecture.
const SYS_SETXATTRAT: libc::c_long = 463;
const SYS_GETXATTRAT: libc::c_long = 464;
const SYS_REMOVEXATTRAT: libc::c_long = 466;

/// The kernel's `struct xattr_args`.
#[repr(C)]
struct Args {
    value: u64,
    size: u32,
    flags: u32,
}

/// `ssize_t fgetxattr(int fd, const char *name, void *value, size_t size)` (`getxattr(2)`).
///
/// Gives the value's length; an empty buffer asks for the length alone.
///
/// # Errors
/// `ENODATA` where the file has no such attribute, `ERANGE` for a buffer that is too small, `EBADF` for a
/// descriptor opened with `O_PATH`, `EOPNOTSUPP` where the file system has no such attributes.
pub fn fgetxattr(fd: BorrowedFd<'_>, name: &CStr, value: &mut [u8]) -> Result<usize> {
    let (pointer, room) = (value.as_mut_ptr().cast(), value.len());
    // SAFETY: the name is a valid C string; pointer and length are those of one slice that we may write.
    length(unsafe { libc::fgetxattr(fd.as_raw_fd(), name.as_ptr(), pointer, room) })
}

/// `int fsetxattr(int fd, const char *name, const void *value, size_t size, 0)` (`setxattr(2)`): makes or replaces.
///
/// # Errors
/// `EPERM` without the right to that attribute, `EINVAL` for a value that the kernel refuses, `EBADF` for a
/// descriptor opened with `O_PATH`, `EROFS`, `EOPNOTSUPP` where the file system has no such attributes.
pub fn fsetxattr(fd: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> Result<()> {
    let (pointer, size) = (value.as_ptr().cast(), value.len());
    // SAFETY: the name is a valid C string; pointer and length are those of one slice.
    check_int(unsafe { libc::fsetxattr(fd.as_raw_fd(), name.as_ptr(), pointer, size, 0) }).map(drop)
}

/// `int fremovexattr(int fd, const char *name)` (`removexattr(2)`).
///
/// # Errors
/// `ENODATA` where the file has no such attribute, otherwise as [`fsetxattr`].
pub fn fremovexattr(fd: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    // SAFETY: the name is a valid C string.
    check_int(unsafe { libc::fremovexattr(fd.as_raw_fd(), name.as_ptr()) }).map(drop)
}

/// `ssize_t getxattr(const char *path, const char *name, void *value, size_t size)` (`getxattr(2)`); follows links.
///
/// # Errors
/// As [`fgetxattr`], and those of a path.
pub fn getxattr(path: &CStr, name: &CStr, value: &mut [u8]) -> Result<usize> {
    let (pointer, room) = (value.as_mut_ptr().cast(), value.len());
    // SAFETY: path and name are valid C strings; pointer and length are those of one slice that we may write.
    length(unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), pointer, room) })
}

/// `int setxattr(const char *path, const char *name, const void *value, size_t size, 0)` (`setxattr(2)`); follows links.
///
/// # Errors
/// As [`fsetxattr`], and those of a path.
pub fn setxattr(path: &CStr, name: &CStr, value: &[u8]) -> Result<()> {
    let (pointer, size) = (value.as_ptr().cast(), value.len());
    // SAFETY: path and name are valid C strings; pointer and length are those of one slice.
    check_int(unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), pointer, size, 0) }).map(drop)
}

/// `int removexattr(const char *path, const char *name)` (`removexattr(2)`); follows links.
///
/// # Errors
/// As [`fremovexattr`], and those of a path.
pub fn removexattr(path: &CStr, name: &CStr) -> Result<()> {
    // SAFETY: path and name are valid C strings.
    check_int(unsafe { libc::removexattr(path.as_ptr(), name.as_ptr()) }).map(drop)
}

/// `getxattrat(dirfd, path, AT_SYMLINK_NOFOLLOW, name, &args, sizeof args)` (Linux 6.13).
///
/// # Errors
/// `ENOSYS` before Linux 6.13, otherwise as [`fgetxattr`] and those of a path.
pub fn getxattrat(dir: Dir<'_>, path: &CStr, name: &CStr, value: &mut [u8]) -> Result<usize> {
    let args = Args { value: address(value.as_mut_ptr()), size: size(value)?, flags: 0 };
    // SAFETY: path and name are valid C strings; the structure has the size that is given, and its pointer
    // and length are those of one slice that we may write.
    let got = check(unsafe { at(SYS_GETXATTRAT, dir, path, name, Some(&args)) })?;
    usize::try_from(got).map_err(|_| Errno::EIO)
}

/// `setxattrat(dirfd, path, AT_SYMLINK_NOFOLLOW, name, &args, sizeof args)` (Linux 6.13): makes or replaces.
///
/// # Errors
/// `ENOSYS` before Linux 6.13, otherwise as [`fsetxattr`] and those of a path.
pub fn setxattrat(dir: Dir<'_>, path: &CStr, name: &CStr, value: &[u8]) -> Result<()> {
    let args = Args { value: address(value.as_ptr()), size: size(value)?, flags: 0 };
    // SAFETY: path and name are valid C strings; the structure has the size that is given, and the kernel
    // only reads what its pointer and length, those of one slice, say.
    check(unsafe { at(SYS_SETXATTRAT, dir, path, name, Some(&args)) }).map(drop)
}

/// `removexattrat(dirfd, path, AT_SYMLINK_NOFOLLOW, name)` (Linux 6.13).
///
/// # Errors
/// `ENOSYS` before Linux 6.13, otherwise as [`fremovexattr`] and those of a path.
pub fn removexattrat(dir: Dir<'_>, path: &CStr, name: &CStr) -> Result<()> {
    // SAFETY: path and name are valid C strings.
    check(unsafe { at(SYS_REMOVEXATTRAT, dir, path, name, None) }).map(drop)
}

/// Whether `getxattrat(2)` and its siblings are there (Linux 6.13).
///
/// # Errors
/// `EPERM` where a seccomp filter hides the answer.
pub fn has_xattrat() -> Result<bool> {
    // SAFETY: size 0 is refused before any pointer is looked at.
    let value = unsafe {
        let none = std::ptr::null::<u8>();
        // As wide as the kernel reads it: the sixth argument lies on the stack, where an `int` has no upper half.
        let size = 0usize;
        libc::syscall(SYS_GETXATTRAT, libc::AT_FDCWD, c"".as_ptr(), 0, c"".as_ptr(), none, size)
    };
    match check(value) {
        Ok(_) | Err(Errno::EINVAL) => Ok(true),
        Err(Errno::ENOSYS) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// # Safety
/// What `args` points to must be valid for what the call does with it.
unsafe fn at(
    number: libc::c_long,
    dir: Dir<'_>,
    path: &CStr,
    name: &CStr,
    args: Option<&Args>,
) -> libc::c_long {
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    let (args, size) =
        args.map_or((std::ptr::null(), 0), |args| (std::ptr::from_ref(args), size_of::<Args>()));
    // SAFETY: path and name are valid C strings, the size is that of the structure; the rest is the caller's promise.
    unsafe { libc::syscall(number, dir.raw(), path.as_ptr(), flags, name.as_ptr(), args, size) }
}

fn length(value: libc::ssize_t) -> Result<usize> {
    usize::try_from(value).map_err(|_| Errno::last())
}

fn size(value: &[u8]) -> Result<u32> {
    u32::try_from(value.len()).map_err(|_| Errno::E2BIG)
}

fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn an_attribute_is_written_read_and_removed() {
        let path = std::env::temp_dir().join(format!("cofferdam-xattr-{}", std::process::id()));
        let file = std::fs::File::create(&path).unwrap();
        let by_path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        let (name, mut room) = (c"user.cofferdam", [0u8; 8]);
        let answer =
            fsetxattr(file.as_fd(), name, b"value").and_then(|()| fgetxattr(file.as_fd(), name, &mut room));
        let small = fgetxattr(file.as_fd(), name, &mut [0; 2]);
        let same = getxattr(&by_path, name, &mut [0; 8]);
        let gone = fremovexattr(file.as_fd(), name).and_then(|()| fremovexattr(file.as_fd(), name));
        std::fs::remove_file(&path).unwrap();
        // Before Linux 6.6 a tmpfs has no attributes for users.
        if answer == Err(Errno::EOPNOTSUPP) {
            return;
        }
        assert_eq!((answer, &room[..5]), (Ok(5), b"value".as_slice()));
        assert_eq!((small, same, gone), (Err(Errno::ERANGE), Ok(5), Err(Errno::ENODATA)));
    }

    #[test]
    fn the_newer_calls_agree_with_the_probe() {
        let answer = getxattrat(Dir::Cwd, c"/", c"user.cofferdam-none", &mut []);
        if has_xattrat().unwrap() {
            assert!(matches!(answer, Err(Errno::ENODATA | Errno::EOPNOTSUPP)), "{answer:?}");
        } else {
            assert_eq!(answer, Err(Errno::ENOSYS));
        }
    }

    #[test]
    fn structure_has_the_kernels_size() {
        assert_eq!(size_of::<Args>(), 16);
    }
}
