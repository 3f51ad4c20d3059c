//! Small questions about an open file that need no allocation.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use crate::call::{check, check_int};
use crate::{Errno, Result};

/// The `MS_*` attribute bits that `fstatvfs(3)` reports for the mount of `fd`.
///
/// # Errors
/// As `fstatvfs(3)`.
pub fn mount_flags(fd: BorrowedFd<'_>) -> Result<u64> {
    // The ST_* values equal MS_* for these; relatime and nosymfollow have bits of their own.
    const SAME: u64 = libc::ST_RDONLY
        | libc::ST_NOSUID
        | libc::ST_NODEV
        | libc::ST_NOEXEC
        | libc::ST_NOATIME
        | libc::ST_NODIRATIME;
    const ST_RELATIME: u64 = 0x1000;
    const ST_NOSYMFOLLOW: u64 = 0x2000;
    const MS_NOSYMFOLLOW: u64 = 256;
    let mut answer = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the call fills the whole structure, whose address is valid.
    check_int(unsafe { libc::fstatvfs(fd.as_raw_fd(), answer.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so the structure is filled.
    let reported = unsafe { answer.assume_init() }.f_flag;
    let relatime = if reported & ST_RELATIME == 0 { 0 } else { libc::MS_RELATIME };
    let nosymfollow = if reported & ST_NOSYMFOLLOW == 0 { 0 } else { MS_NOSYMFOLLOW };
    Ok((reported & SAME) | relatime | nosymfollow)
}

/// The magic number of the file system of `fd`, as in `statfs(2)`.
///
/// # Errors
/// As `fstatfs(2)`.
pub fn filesystem_magic(fd: BorrowedFd<'_>) -> Result<i64> {
    Ok(statfs(fd)?.f_type)
}

fn statfs(fd: BorrowedFd<'_>) -> Result<libc::statfs> {
    let mut answer = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the kernel writes the whole structure, whose address is valid.
    check_int(unsafe { libc::fstatfs(fd.as_raw_fd(), answer.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so the structure is filled.
    Ok(unsafe { answer.assume_init() })
}

/// What `fstat(2)` says of an open file, as far as isolation needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// File type and permissions (`st_mode`).
    pub mode: u32,
    /// Owner, in the caller's user namespace.
    pub uid: u32,
    /// Group, in the caller's user namespace.
    pub gid: u32,
    /// Device number of the file system.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Major number, for a device node.
    pub major: u32,
    /// Minor number, for a device node.
    pub minor: u32,
}

impl Stat {
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFREG
    }

    /// Whether it is the character device with these numbers.
    pub fn is_char_device(&self, major: u32, minor: u32) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFCHR && (self.major, self.minor) == (major, minor)
    }
}

/// `int fstat(int fd, struct stat *)` (`stat(2)`).
///
/// # Errors
/// As `fstat(2)`.
pub fn fstat(fd: BorrowedFd<'_>) -> Result<Stat> {
    let mut answer = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel writes the whole structure, whose address is valid.
    check_int(unsafe { libc::fstat(fd.as_raw_fd(), answer.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so the structure is filled.
    let stat = unsafe { answer.assume_init() };
    Ok(Stat {
        mode: stat.st_mode,
        uid: stat.st_uid,
        gid: stat.st_gid,
        dev: stat.st_dev,
        ino: stat.st_ino,
        major: libc::major(stat.st_rdev),
        minor: libc::minor(stat.st_rdev),
    })
}

/// Writes a number in decimal to the end of the buffer and gives that part.
pub(crate) fn decimal(number: u32, buffer: &mut [u8; 10]) -> &[u8] {
    let mut left = number;
    let mut start = buffer.len();
    for place in buffer.iter_mut().rev() {
        *place = b'0'.wrapping_add(u8::try_from(left % 10).unwrap_or(0));
        left /= 10;
        start = start.saturating_sub(1);
        if left == 0 {
            break;
        }
    }
    buffer.get(start..).unwrap_or_default()
}

/// Writes `/proc/self/fd/N` into the buffer.
///
/// # Errors
/// `ENAMETOOLONG` when the buffer is too small, `EBADF` for a negative number.
pub fn self_fd_path(fd: RawFd, buffer: &mut [u8; 32]) -> Result<&CStr> {
    self_fd_path_of(fd, b"", buffer)
}

/// Writes `/proc/self/fd/N` and what follows it into the buffer.
pub(crate) fn self_fd_path_of<'buffer>(
    fd: RawFd,
    rest: &[u8],
    buffer: &'buffer mut [u8; 32],
) -> Result<&'buffer CStr> {
    const PREFIX: &[u8] = b"/proc/self/fd/";
    let mut digits = [0u8; 10];
    let digits = decimal(u32::try_from(fd).map_err(|_| Errno::EBADF)?, &mut digits);
    let text = PREFIX.iter().chain(digits).chain(rest).chain(std::iter::once(&0));
    for (place, byte) in buffer.iter_mut().zip(text) {
        *place = *byte;
    }
    CStr::from_bytes_until_nul(buffer).map_err(|_| Errno::ENAMETOOLONG)
}

/// `ssize_t write(int fd, const void *, size_t)` of the whole buffer in one call (`write(2)`).
///
/// Kernel interfaces take a value in one write, so a short one is an error here.
///
/// # Errors
/// As `write(2)`; `EIO` for a short write.
pub fn write_once(fd: BorrowedFd<'_>, data: &[u8]) -> Result<()> {
    loop {
        // SAFETY: pointer and length are those of one slice.
        let value = unsafe { libc::write(fd.as_raw_fd(), data.as_ptr().cast(), data.len()) };
        match check(value.try_into().unwrap_or(-1)) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(count) if usize::try_from(count) == Ok(data.len()) => return Ok(()),
            Ok(_) => return Err(Errno::EIO),
        }
    }
}

/// `fcntl(fd, F_SETFL, flags | O_NONBLOCK)`: reads and writes give `EAGAIN` where they would wait (`fcntl(2)`).
///
/// Of the open file, which other descriptors of it share.
///
/// # Errors
/// As `fcntl(2)`.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: takes no pointer.
    let flags = check_int(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    // SAFETY: takes no pointer.
    check_int(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) }).map(drop)
}

/// Whether a number is an open descriptor that a program inherits: `fcntl(fd, F_GETFD)` without `FD_CLOEXEC`.
pub fn is_inherited(number: RawFd) -> bool {
    // SAFETY: takes no pointer, and only looks at the number.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    flags != -1 && flags & libc::FD_CLOEXEC == 0
}

/// `ssize_t read(int fd, void *, size_t)`, tried again after a signal (`read(2)`).
///
/// # Errors
/// As `read(2)`.
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    loop {
        // SAFETY: pointer and length are those of one slice that we may write.
        let value = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        match check(value.try_into().unwrap_or(-1)) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(count) => return usize::try_from(count).map_err(|_| Errno::EIO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn path_of_a_descriptor() {
        for fd in [0, 7, 10, 1_048_575, RawFd::MAX] {
            let mut buffer = [0u8; 32];
            let path = self_fd_path(fd, &mut buffer).unwrap();
            assert_eq!(path.to_str().unwrap(), format!("/proc/self/fd/{fd}"));
        }
        assert_eq!(self_fd_path(-1, &mut [0; 32]).unwrap_err(), Errno::EBADF);
    }

    #[test]
    fn tells_devices_and_filesystems() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let stat = fstat(null.as_fd()).unwrap();
        assert!(stat.is_char_device(1, 3));
        assert!(!stat.is_char_device(1, 5));
        let proc = std::fs::File::open("/proc").unwrap();
        assert_eq!(filesystem_magic(proc.as_fd()).unwrap(), libc::PROC_SUPER_MAGIC);
    }
}
