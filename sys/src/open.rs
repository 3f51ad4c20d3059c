//! `openat2(2)` and what is done relative to a directory descriptor.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use crate::Result;
pub use crate::call::Dir;
use crate::call::{check, check_int, new_fd};

bitflags::bitflags! {
    /// How a path is resolved: the `RESOLVE_*` flags of `openat2(2)` (Linux 5.6).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Resolve: u64 {
        /// `RESOLVE_NO_XDEV`: do not cross mount points.
        const NO_XDEV = 0x01;
        /// `RESOLVE_NO_MAGICLINKS`: refuse links such as `/proc/PID/fd/N`.
        const NO_MAGICLINKS = 0x02;
        /// `RESOLVE_NO_SYMLINKS`: refuse every symbolic link.
        const NO_SYMLINKS = 0x04;
        /// `RESOLVE_BENEATH`: refuse to leave the directory.
        const BENEATH = 0x08;
        /// `RESOLVE_IN_ROOT`: the directory is the root for `..` and absolute links.
        const IN_ROOT = 0x10;
    }

    /// How a file is opened: the `O_*` flags of `open(2)`; `O_CLOEXEC` is always added.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Open: u64 {
        /// `O_WRONLY`.
        const WRONLY = libc::O_WRONLY as u64;
        /// `O_RDWR`.
        const RDWR = libc::O_RDWR as u64;
        /// `O_CREAT`.
        const CREAT = libc::O_CREAT as u64;
        /// `O_EXCL`.
        const EXCL = libc::O_EXCL as u64;
        /// `O_TRUNC`.
        const TRUNC = libc::O_TRUNC as u64;
        /// `O_NONBLOCK`.
        const NONBLOCK = libc::O_NONBLOCK as u64;
        /// `O_DIRECTORY`.
        const DIRECTORY = libc::O_DIRECTORY as u64;
        /// `O_NOFOLLOW`.
        const NOFOLLOW = libc::O_NOFOLLOW as u64;
        /// `O_NOCTTY`: a terminal does not become the controlling one.
        const NOCTTY = libc::O_NOCTTY as u64;
        /// `O_PATH`: a reference to the file that gives no access to its content.
        const PATH = libc::O_PATH as u64;
    }
}

/// The kernel's `struct open_how`.
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// `int openat2(int dirfd, const char *path, struct open_how *how, size_t size)` (`openat2(2)`).
///
/// `mode` counts only with [`Open::CREAT`]. An `EAGAIN` of the kernel (a rename raced with the look-up)
/// is tried again.
///
/// # Errors
/// As `open(2)`, and `EXDEV` or `ELOOP` when `resolve` forbids a step of the path.
pub fn openat2(dir: Dir<'_>, path: &CStr, flags: Open, mode: u32, resolve: Resolve) -> Result<OwnedFd> {
    let mode = if flags.contains(Open::CREAT) { u64::from(mode) } else { 0 };
    let cloexec = u64::from(libc::O_CLOEXEC.unsigned_abs());
    let how = OpenHow { flags: flags.bits() | cloexec, mode, resolve: resolve.bits() };
    // The kernel may give EAGAIN for as long as somebody renames; a bound keeps an attacker from
    // holding us here.
    let mut tries = 64u32;
    loop {
        // SAFETY: path and `how` are valid for the call, and the size is that of `how`.
        let value = unsafe {
            libc::syscall(libc::SYS_openat2, dir.raw(), path.as_ptr(), &raw const how, size_of::<OpenHow>())
        };
        match new_fd(value) {
            Err(crate::Errno::EAGAIN | crate::Errno::EINTR) if tries > 0 => tries = tries.saturating_sub(1),
            other => return other,
        }
    }
}

/// `int mkdirat(int dirfd, const char *path, mode_t mode)` (`mkdir(2)`).
///
/// # Errors
/// As `mkdir(2)`.
pub fn mkdirat(dir: Dir<'_>, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: the path is a valid C string.
    check_int(unsafe { libc::mkdirat(dir.raw(), path.as_ptr(), mode) }).map(drop)
}

/// `ssize_t readlinkat(int dirfd, const char *path, char *buffer, size_t size)` (`readlink(2)`): how many bytes of the
/// buffer the target has. One that does not fit is an error.
///
/// # Errors
/// `EINVAL` for what is no link, `ENAMETOOLONG` for a buffer that is too small; else as `readlink(2)`.
pub fn readlinkat(dir: Dir<'_>, path: &CStr, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the path is a valid C string, pointer and length are those of one slice that we may write.
    let value =
        unsafe { libc::readlinkat(dir.raw(), path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    let length = usize::try_from(value).map_err(|_| crate::Errno::last())?;
    if length < buffer.len() { Ok(length) } else { Err(crate::Errno::ENAMETOOLONG) }
}

/// `int unlinkat(int dirfd, const char *path, AT_REMOVEDIR)`: removes an empty directory (`unlink(2)`).
///
/// # Errors
/// As `rmdir(2)`.
pub fn rmdirat(dir: Dir<'_>, path: &CStr) -> Result<()> {
    // SAFETY: the path is a valid C string.
    check_int(unsafe { libc::unlinkat(dir.raw(), path.as_ptr(), libc::AT_REMOVEDIR) }).map(drop)
}

/// `int unlinkat(int dirfd, const char *path, 0)`: removes a name that is no directory's (`unlink(2)`).
///
/// # Errors
/// As `unlink(2)`.
pub fn unlinkat(dir: Dir<'_>, path: &CStr) -> Result<()> {
    // SAFETY: the path is a valid C string.
    check_int(unsafe { libc::unlinkat(dir.raw(), path.as_ptr(), 0) }).map(drop)
}

/// `int renameat(int olddirfd, const char *old, int newdirfd, const char *new)` (`rename(2)`).
///
/// # Errors
/// As `rename(2)`.
pub fn renameat(from: Dir<'_>, old: &CStr, to: Dir<'_>, new: &CStr) -> Result<()> {
    // SAFETY: both paths are valid C strings.
    check_int(unsafe { libc::renameat(from.raw(), old.as_ptr(), to.raw(), new.as_ptr()) }).map(drop)
}

/// `int renameat2(dir, first, dir, second, RENAME_EXCHANGE)` (`rename(2)`): two names of a directory trade places
/// in one step.
///
/// # Errors
/// As `rename(2)`; `EINVAL` on a file system that has no such step.
pub fn exchange(dir: Dir<'_>, first: &CStr, second: &CStr) -> Result<()> {
    let (fd, first, second) = (dir.raw(), first.as_ptr(), second.as_ptr());
    // SAFETY: both names are valid C strings.
    check(unsafe { libc::syscall(libc::SYS_renameat2, fd, first, fd, second, libc::RENAME_EXCHANGE) })
        .map(drop)
}

/// `int symlinkat(const char *target, int newdirfd, const char *path)` (`symlink(2)`).
///
/// # Errors
/// As `symlink(2)`.
pub fn symlinkat(target: &CStr, dir: Dir<'_>, path: &CStr) -> Result<()> {
    // SAFETY: both strings are valid C strings.
    check_int(unsafe { libc::symlinkat(target.as_ptr(), dir.raw(), path.as_ptr()) }).map(drop)
}

/// `int mknodat(int dirfd, const char *path, mode_t mode, dev_t dev)` (`mknod(2)`).
///
/// `mode` holds the file's type (`S_IFCHR`, `S_IFBLK`, `S_IFIFO`) and permissions.
///
/// # Errors
/// As `mknod(2)`; `EPERM` for a device outside the initial user namespace.
pub fn mknodat(dir: Dir<'_>, path: &CStr, mode: u32, major: u32, minor: u32) -> Result<()> {
    let device = libc::makedev(major, minor);
    // SAFETY: the path is a valid C string.
    check_int(unsafe { libc::mknodat(dir.raw(), path.as_ptr(), mode, device) }).map(drop)
}

/// `int fchownat(int dirfd, const char *path, uid_t, gid_t, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)` (`chown(2)`).
///
/// # Errors
/// As `chown(2)`.
pub fn chownat(dir: Dir<'_>, path: &CStr, uid: u32, gid: u32) -> Result<()> {
    let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;
    // SAFETY: the path is a valid C string.
    check_int(unsafe { libc::fchownat(dir.raw(), path.as_ptr(), uid, gid, flags) }).map(drop)
}

/// `int fchmodat(int dirfd, const char *path, mode_t mode, 0)` (`chmod(2)`); follows a final link.
///
/// # Errors
/// As `chmod(2)`.
pub fn chmodat(dir: Dir<'_>, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: the path is a valid C string.
    check_int(unsafe { libc::fchmodat(dir.raw(), path.as_ptr(), mode, 0) }).map(drop)
}

/// `int open_by_handle_at(int mount_fd, struct file_handle *handle, int flags)` (`open_by_handle_at(2)`).
///
/// `bytes` is the opaque handle (at most 128 bytes), `kind` its type as `name_to_handle_at(2)` gave it.
///
/// # Errors
/// `EPERM` without `CAP_DAC_READ_SEARCH` over the file system, `ESTALE` for a handle that it does not
/// know, `EINVAL` for one longer than 128 bytes.
pub fn open_by_handle_at(mount: Dir<'_>, kind: i32, bytes: &[u8], flags: Open) -> Result<OwnedFd> {
    let mut handle = FileHandle { bytes: 0, kind, data: [0; 128] };
    let room = handle.data.get_mut(..bytes.len()).ok_or(crate::Errno::EINVAL)?;
    room.copy_from_slice(bytes);
    handle.bytes = u32::try_from(bytes.len()).map_err(|_| crate::Errno::EINVAL)?;
    let flags = flags.bits() | u64::from(libc::O_CLOEXEC.unsigned_abs());
    // SAFETY: the handle is valid for the call and says how many of its bytes count.
    new_fd(unsafe { libc::syscall(libc::SYS_open_by_handle_at, mount.raw(), &raw mut handle, flags) })
}

/// `int name_to_handle_at(int dirfd, const char *path, struct file_handle *, int *mount_id, AT_EMPTY_PATH)`.
///
/// Gives the handle's type and bytes (`open_by_handle_at(2)`).
///
/// # Errors
/// `EOPNOTSUPP` where the file system has no handles, otherwise as `open(2)`.
pub fn name_to_handle_at(dir: Dir<'_>, path: &CStr) -> Result<(i32, Vec<u8>)> {
    let mut handle = FileHandle { bytes: 128, kind: 0, data: [0; 128] };
    let mut mount_id: libc::c_int = 0;
    // SAFETY: handle and mount id are valid for writing, and the handle says how much room it has.
    check(unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            dir.raw(),
            path.as_ptr(),
            &raw mut handle,
            &raw mut mount_id,
            libc::AT_EMPTY_PATH,
        )
    })?;
    let length = usize::try_from(handle.bytes).map_err(|_| crate::Errno::EINVAL)?;
    let bytes = handle.data.get(..length).ok_or(crate::Errno::EINVAL)?.to_vec();
    Ok((handle.kind, bytes))
}

/// The kernel's `struct file_handle` with the room that `MAX_HANDLE_SZ` asks for.
#[repr(C)]
struct FileHandle {
    bytes: u32,
    kind: i32,
    data: [u8; 128],
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Errno;
    use std::os::fd::AsFd;

    #[test]
    fn in_root_keeps_dotdot_inside() {
        let root = openat2(Dir::Cwd, c"/proc/self/task", Open::PATH, 0, Resolve::empty()).unwrap();
        let up = openat2(root.as_fd().into(), c"../../../..", Open::PATH, 0, Resolve::IN_ROOT).unwrap();
        let name = |fd: &OwnedFd| {
            use std::os::fd::AsRawFd;
            std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap()
        };
        assert_eq!(name(&root), name(&up));
    }

    #[test]
    fn refuses_magic_links() {
        let error = openat2(Dir::Cwd, c"/proc/self/exe", Open::PATH, 0, Resolve::NO_MAGICLINKS).unwrap_err();
        assert_eq!(error, Errno::ELOOP);
    }

    #[test]
    fn descriptors_are_closed_on_exec() {
        use std::os::fd::AsRawFd;
        let fd = openat2(Dir::Cwd, c"/", Open::PATH, 0, Resolve::empty()).unwrap();
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        let flags = i32::from_str_radix(flags, 8).unwrap();
        assert_ne!(flags & libc::O_CLOEXEC, 0);
    }
}
