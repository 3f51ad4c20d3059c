//! What a process says of itself to the security modules: the `lsm_*` system calls, and procfs before them.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::call::{check, check_int};
use crate::open::{self, Open, Resolve};
use crate::{Errno, Result, file};

// The same on all architectures.
const SYS_LSM_GET_SELF_ATTR: libc::c_long = 459;
const SYS_LSM_SET_SELF_ATTR: libc::c_long = 460;
const SYS_LSM_LIST_MODULES: libc::c_long = 461;

/// The attribute of `lsm_get_self_attr(2)` that is in force now (`LSM_ATTR_CURRENT`).
pub const ATTR_CURRENT: u32 = 100;
/// The attribute that the next `execve(2)` puts in force (`LSM_ATTR_EXEC`).
pub const ATTR_EXEC: u32 = 101;
/// The attribute for keys that are made (`LSM_ATTR_KEYCREATE`).
pub const ATTR_KEYCREATE: u32 = 103;

/// More than any kernel has modules.
const MODULES: usize = 64;
/// The kernel's own limit is a page.
const CONTEXTS: usize = 4096;
/// The four words of `struct lsm_ctx` before its context.
const HEADER: usize = 32;

/// How a file of one's own in procfs is looked up: nothing may have been put in the way.
const OWN: Resolve =
    Resolve::NO_SYMLINKS.union(Resolve::NO_MAGICLINKS).union(Resolve::NO_XDEV).union(Resolve::BENEATH);

/// `int lsm_list_modules(u64 *ids, u32 *size, 0)`: the `LSM_ID_*` of the active modules (Linux 6.8).
///
/// # Errors
/// `ENOSYS` before Linux 6.8.
pub fn list_modules() -> Result<Vec<u64>> {
    let mut ids = [0u64; MODULES];
    let mut size = u32::try_from(size_of_val(&ids)).map_err(|_| Errno::E2BIG)?;
    // SAFETY: the size is that of the array, both are valid for writing.
    let count = check(unsafe { libc::syscall(SYS_LSM_LIST_MODULES, ids.as_mut_ptr(), &raw mut size, 0) })?;
    let count = usize::try_from(count).map_err(|_| Errno::EIO)?;
    ids.get(..count).map(<[u64]>::to_vec).ok_or(Errno::EIO)
}

/// Whether the `lsm_*` calls are there (Linux 6.8).
///
/// # Errors
/// `EPERM` where a seccomp filter hides the answer.
pub fn has_calls() -> Result<bool> {
    let none = std::ptr::null::<u8>();
    // SAFETY: the kernel reads the size first and gives EFAULT for the null pointer.
    match check(unsafe { libc::syscall(SYS_LSM_LIST_MODULES, none, none, 0) }) {
        Ok(_) | Err(Errno::EFAULT) => Ok(true),
        Err(Errno::ENOSYS) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// `int lsm_get_self_attr(attr, struct lsm_ctx *, u32 *size, 0)`: each module's id with its context (Linux 6.8).
///
/// A context ends where the module says, which may or may not be after a NUL byte.
///
/// # Errors
/// `ENOSYS` before Linux 6.8, `EOPNOTSUPP` when no active module has the attribute.
pub fn self_attribute(attribute: u32) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut buffer = [0u64; CONTEXTS / 8];
    let mut size = u32::try_from(CONTEXTS).map_err(|_| Errno::E2BIG)?;
    let pointer = buffer.as_mut_ptr();
    // SAFETY: the size is that of the buffer, both are valid for writing.
    let count = check(unsafe { libc::syscall(SYS_LSM_GET_SELF_ATTR, attribute, pointer, &raw mut size, 0) })?;
    let bytes: Vec<u8> = buffer.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let mut rest = bytes.as_slice();
    let mut contexts = Vec::new();
    for _ in 0..count {
        let (id, length, context) = decode(rest).ok_or(Errno::EIO)?;
        contexts.push((id, context.to_vec()));
        rest = rest.get(length..).ok_or(Errno::EIO)?;
    }
    Ok(contexts)
}

/// One `struct lsm_ctx`: its id, its length with padding, its context.
fn decode(bytes: &[u8]) -> Option<(u64, usize, &[u8])> {
    let word = |number: usize| {
        let at = number.checked_mul(8)?;
        let bytes = bytes.get(at..at.checked_add(8)?)?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    };
    let (length, context) = (usize::try_from(word(2)?).ok()?, usize::try_from(word(3)?).ok()?);
    let context = bytes.get(HEADER..HEADER.checked_add(context)?)?;
    (length >= HEADER).then_some((word(0)?, length, context))
}

/// A `struct lsm_ctx` for [`set_self_attribute`]: the module's `LSM_ID_*` and its context.
pub fn context(module: u64, context: &[u8]) -> Vec<u8> {
    let size = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    let words = [module, 0, size(HEADER.saturating_add(context.len())), size(context.len())];
    words.iter().flat_map(|word| word.to_ne_bytes()).chain(context.iter().copied()).collect()
}

/// `int lsm_set_self_attr(attr, struct lsm_ctx *, u32 size, 0)` of the calling thread (Linux 6.8).
///
/// `context` is what [`context`] gives.
///
/// # Errors
/// `ENOSYS` before Linux 6.8, `EOPNOTSUPP` when the module is not active or has no such attribute, and what
/// the module says: `ENOENT` for an unknown profile, `EINVAL` for an unknown context, `EACCES` or `EPERM`
/// when its policy forbids the change.
pub fn set_self_attribute(attribute: u32, context: &[u8]) -> Result<()> {
    let size = u32::try_from(context.len()).map_err(|_| Errno::E2BIG)?;
    // SAFETY: pointer and length are those of one slice, which the kernel only reads.
    check(unsafe { libc::syscall(SYS_LSM_SET_SELF_ATTR, attribute, context.as_ptr(), size, 0) }).map(drop)
}

/// Writes once to a file of the calling thread's own directory in a procfs: `attr/exec`, `attr/apparmor/exec`.
///
/// `proc` is the root of a procfs that was opened in the same PID namespace or one above; it need not be
/// mounted anywhere. What was mounted over the file, and links other than the kernel's own `thread-self`,
/// are refused. Allocates nothing.
///
/// # Errors
/// `ESTALE` when `proc` is no procfs or does not know the caller, `EXDEV` or `ELOOP` when something is in
/// the way, `ENOENT` without the file, and what the write gives.
pub fn write_own(proc: BorrowedFd<'_>, path: &CStr, data: &[u8]) -> Result<()> {
    if file::filesystem_magic(proc)? != libc::PROC_SUPER_MAGIC {
        return Err(Errno::ESTALE);
    }
    let mut buffer = [0u8; 192];
    let path = own_path(proc, path, &mut buffer)?;
    let own = open::openat2(proc.into(), path, Open::WRONLY, 0, OWN)?;
    file::write_once(own.as_fd(), data)
}

/// `N/task/N/PATH` of the caller, as that procfs counts processes.
fn own_path<'b>(proc: BorrowedFd<'_>, path: &CStr, buffer: &'b mut [u8; 192]) -> Result<&'b CStr> {
    // SAFETY: the name is a C string, and the length that is given is that of the buffer.
    let length = check(unsafe {
        libc::readlinkat(proc.as_raw_fd(), c"thread-self".as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
            .try_into()
            .unwrap_or(-1)
    })?;
    let length = usize::try_from(length).map_err(|_| Errno::EIO)?;
    let link = buffer.get(..length).ok_or(Errno::EIO)?;
    // A procfs of a PID namespace that does not hold the caller gives an empty link.
    if !is_thread(link) {
        return Err(Errno::ESTALE);
    }
    let room = buffer.get_mut(length..).ok_or(Errno::ENAMETOOLONG)?;
    let path = path.to_bytes_with_nul();
    if room.len() <= path.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    for (place, byte) in room.iter_mut().zip(b"/".iter().chain(path)) {
        *place = *byte;
    }
    CStr::from_bytes_until_nul(buffer).map_err(|_| Errno::ENAMETOOLONG)
}

/// Whether it reads `N/task/N`.
fn is_thread(link: &[u8]) -> bool {
    let number = |part: Option<&[u8]>| {
        part.is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
    };
    let mut parts = link.split(|byte| *byte == b'/');
    number(parts.next()) && parts.next() == Some(b"task") && number(parts.next()) && parts.next().is_none()
}

/// `ssize_t readlinkat(proc, "self")` as a number: the caller's process id as that procfs counts.
///
/// # Errors
/// `ESTALE` when the procfs does not know the caller.
pub fn own_pid(proc: BorrowedFd<'_>) -> Result<i32> {
    let mut buffer = [0u8; 16];
    // SAFETY: the name is a C string, and the length that is given is that of the buffer.
    let length = check_int(
        unsafe {
            libc::readlinkat(proc.as_raw_fd(), c"self".as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
        }
        .try_into()
        .unwrap_or(-1),
    )?;
    let text = usize::try_from(length).ok().and_then(|length| buffer.get(..length)).unwrap_or_default();
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Errno::ESTALE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn contexts_are_encoded_as_the_kernel_reads_them() {
        let bytes = context(104, b"exec x");
        assert_eq!(bytes.len(), 38);
        assert_eq!(decode(&bytes), Some((104, 38, &b"exec x"[..])));
        assert_eq!(decode(&bytes[..37]), None);
        assert_eq!(decode(&[]), None);
        let mut short = bytes.clone();
        short[16] = 31;
        assert_eq!(decode(&short), None, "a length that would not move on");
    }

    #[test]
    fn only_a_thread_is_one() {
        assert!(is_thread(b"1/task/22"));
        for link in ["", "1", "1/task", "1/task/", "1/task/2/3", "../task/1", "1/fd/1", "/1/task/1"] {
            assert!(!is_thread(link.as_bytes()), "{link}");
        }
    }

    #[test]
    fn ones_own_files_are_written_and_nothing_else() {
        let proc = File::open("/proc").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                write_own(proc.as_fd(), c"comm", b"renamed").unwrap();
                assert_eq!(std::fs::read_to_string("/proc/thread-self/comm").unwrap(), "renamed\n");
            });
        });
        assert_eq!(write_own(proc.as_fd(), c"nothing", b"x").unwrap_err(), Errno::ENOENT);
        assert_eq!(write_own(proc.as_fd(), c"../../../../comm", b"x").unwrap_err(), Errno::EXDEV);
        assert_eq!(write_own(proc.as_fd(), c"cwd/x", b"x").unwrap_err(), Errno::ELOOP);
        let long = std::ffi::CString::new("x".repeat(200)).unwrap();
        assert_eq!(write_own(proc.as_fd(), &long, b"x").unwrap_err(), Errno::ENAMETOOLONG);
        let other = File::open("/").unwrap();
        assert_eq!(write_own(other.as_fd(), c"comm", b"x").unwrap_err(), Errno::ESTALE);
        assert_eq!(own_pid(proc.as_fd()).unwrap().unsigned_abs(), std::process::id());
        assert!(own_pid(other.as_fd()).is_err());
    }

    #[test]
    fn the_calls_are_all_there_or_none() {
        if has_calls().unwrap() {
            // LSM_ID_CAPABILITY is always active.
            assert!(list_modules().unwrap().contains(&100));
            assert!(matches!(self_attribute(ATTR_CURRENT), Ok(_) | Err(Errno::EOPNOTSUPP)));
            let unknown = context(99, b"x");
            assert_eq!(set_self_attribute(ATTR_EXEC, &unknown).unwrap_err(), Errno::EOPNOTSUPP);
        } else {
            assert_eq!(list_modules().unwrap_err(), Errno::ENOSYS);
            assert_eq!(self_attribute(ATTR_CURRENT).unwrap_err(), Errno::ENOSYS);
            assert_eq!(set_self_attribute(ATTR_EXEC, &context(104, b"x")).unwrap_err(), Errno::ENOSYS);
        }
    }
}
