//! The mount calls: `fsopen(2)` and its family, `open_tree(2)`, `move_mount(2)`, `mount_setattr(2)`, and the older ones.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::Result;
use crate::call::{Dir, check, check_int, new_fd};

bitflags::bitflags! {
    /// Attributes of a mount: the `MOUNT_ATTR_*` flags of `mount_setattr(2)`.
    ///
    /// The access-time attributes are one field of the kernel's; see [`ATIME_MASK`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct MountAttrs: u64 {
        /// `MOUNT_ATTR_RDONLY`.
        const RDONLY = 0x0000_0001;
        /// `MOUNT_ATTR_NOSUID`.
        const NOSUID = 0x0000_0002;
        /// `MOUNT_ATTR_NODEV`.
        const NODEV = 0x0000_0004;
        /// `MOUNT_ATTR_NOEXEC`.
        const NOEXEC = 0x0000_0008;
        /// `MOUNT_ATTR_NOATIME`.
        const NOATIME = 0x0000_0010;
        /// `MOUNT_ATTR_STRICTATIME`.
        const STRICTATIME = 0x0000_0020;
        /// `MOUNT_ATTR_NODIRATIME`.
        const NODIRATIME = 0x0000_0080;
        /// `MOUNT_ATTR_IDMAP` (Linux 5.12).
        const IDMAP = 0x0010_0000;
        /// `MOUNT_ATTR_NOSYMFOLLOW` (Linux 5.14).
        const NOSYMFOLLOW = 0x0020_0000;
    }

    /// The `MS_*` flags of `mount(2)`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct MountFlags: u64 {
        /// `MS_RDONLY`.
        const RDONLY = libc::MS_RDONLY;
        /// `MS_NOSUID`.
        const NOSUID = libc::MS_NOSUID;
        /// `MS_NODEV`.
        const NODEV = libc::MS_NODEV;
        /// `MS_NOEXEC`.
        const NOEXEC = libc::MS_NOEXEC;
        /// `MS_REMOUNT`.
        const REMOUNT = libc::MS_REMOUNT;
        /// `MS_NOSYMFOLLOW` (Linux 5.10).
        const NOSYMFOLLOW = 256;
        /// `MS_SYNCHRONOUS`.
        const SYNCHRONOUS = libc::MS_SYNCHRONOUS;
        /// `MS_DIRSYNC`.
        const DIRSYNC = libc::MS_DIRSYNC;
        /// `MS_LAZYTIME`.
        const LAZYTIME = 1 << 25;
        /// `MS_MOVE`.
        const MOVE = libc::MS_MOVE;
        /// `MS_NOATIME`.
        const NOATIME = libc::MS_NOATIME;
        /// `MS_NODIRATIME`.
        const NODIRATIME = libc::MS_NODIRATIME;
        /// `MS_BIND`.
        const BIND = libc::MS_BIND;
        /// `MS_REC`.
        const REC = libc::MS_REC;
        /// `MS_UNBINDABLE`.
        const UNBINDABLE = libc::MS_UNBINDABLE;
        /// `MS_PRIVATE`.
        const PRIVATE = libc::MS_PRIVATE;
        /// `MS_SLAVE`.
        const SLAVE = libc::MS_SLAVE;
        /// `MS_SHARED`.
        const SHARED = libc::MS_SHARED;
        /// `MS_RELATIME`.
        const RELATIME = libc::MS_RELATIME;
        /// `MS_STRICTATIME`.
        const STRICTATIME = libc::MS_STRICTATIME;
    }

    /// Flags of `open_tree(2)`; `OPEN_TREE_CLOEXEC` is always added.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct OpenTree: u32 {
        /// `OPEN_TREE_CLONE`: a detached copy instead of a reference.
        const CLONE = 1;
        /// `AT_SYMLINK_NOFOLLOW`.
        const NOFOLLOW = 0x100;
        /// `AT_EMPTY_PATH`.
        const EMPTY_PATH = 0x1000;
        /// `AT_RECURSIVE`: with the mounts below.
        const RECURSIVE = 0x8000;
    }

    /// Flags of `umount2(2)`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Unmount: i32 {
        /// `MNT_FORCE`.
        const FORCE = libc::MNT_FORCE;
        /// `MNT_DETACH`.
        const DETACH = libc::MNT_DETACH;
        /// `UMOUNT_NOFOLLOW`.
        const NOFOLLOW = libc::UMOUNT_NOFOLLOW;
    }
}

/// The bits to clear when any access-time attribute is set (`MOUNT_ATTR__ATIME`).
pub const ATIME_MASK: u64 = 0x70;

/// The kernel's `struct mount_attr`, version 0.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// `int fsopen(const char *fsname, FSOPEN_CLOEXEC)`: a context to configure a new file system in (Linux 5.2).
///
/// # Errors
/// `ENODEV` for an unknown file system, `EPERM` without `CAP_SYS_ADMIN` over the mount namespace.
pub fn fsopen(fstype: &CStr) -> Result<OwnedFd> {
    // SAFETY: the name is a valid C string.
    new_fd(unsafe { libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), 1) })
}

/// `fsconfig(fd, FSCONFIG_SET_STRING, key, value, 0)`: a parameter with a value (Linux 5.2).
///
/// # Errors
/// `EINVAL` for a parameter or value that the file system refuses; the context's log says why.
pub fn fsconfig_string(context: BorrowedFd<'_>, key: &CStr, value: &CStr) -> Result<()> {
    // SAFETY: both strings are valid C strings.
    check(unsafe {
        libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), 1, key.as_ptr(), value.as_ptr(), 0)
    })
    .map(drop)
}

/// `fsconfig(fd, FSCONFIG_SET_FLAG, key, NULL, 0)`: a parameter without a value (Linux 5.2).
///
/// # Errors
/// As [`fsconfig_string`].
pub fn fsconfig_flag(context: BorrowedFd<'_>, key: &CStr) -> Result<()> {
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: the key is a valid C string, and a flag has no value.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), 0, key.as_ptr(), none, 0) })
        .map(drop)
}

/// `fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0)`: makes the superblock (Linux 5.2).
///
/// # Errors
/// As mounting the file system with `mount(2)`.
pub fn fsconfig_create(context: BorrowedFd<'_>) -> Result<()> {
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: the command takes neither key nor value.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), 6, none, none, 0) }).map(drop)
}

/// What the kernel has to say of a context, one line a message with its severity (`e`, `w`, `i`) in front.
///
/// For the parent's messages: allocates.
pub fn context_log(context: BorrowedFd<'_>) -> Vec<u8> {
    let mut log = Vec::new();
    let mut buffer = [0u8; 512];
    // The kernel keeps few messages. The end is ENODATA.
    for _ in 0..16 {
        match crate::file::read(context, &mut buffer) {
            Ok(count) if count > 0 => log.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            _ => break,
        }
    }
    log
}

/// `int fsmount(int fsfd, FSMOUNT_CLOEXEC, unsigned attr_flags)`: a detached mount of the context (Linux 5.2).
///
/// # Errors
/// `EPERM` when the mount would reveal what the caller's own instance hides ("mount too revealing").
pub fn fsmount(context: BorrowedFd<'_>, attrs: MountAttrs) -> Result<OwnedFd> {
    // SAFETY: takes no pointer.
    new_fd(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), 1, attrs.bits()) })
}

/// `int open_tree(int dirfd, const char *path, unsigned flags)`: a mount as a descriptor (Linux 5.2).
///
/// # Errors
/// `EPERM` for a copy without `CAP_SYS_ADMIN`, `EINVAL` for a copy of a mount in another namespace.
pub fn open_tree(dir: Dir<'_>, path: &CStr, flags: OpenTree) -> Result<OwnedFd> {
    let flags = flags.bits() | libc::O_CLOEXEC.unsigned_abs();
    // SAFETY: the path is a valid C string.
    new_fd(unsafe { libc::syscall(libc::SYS_open_tree, dir.raw(), path.as_ptr(), flags) })
}

/// `move_mount(from, "", to, "", F_EMPTY_PATH | T_EMPTY_PATH)`: attaches a mount by descriptors alone (Linux 5.2).
///
/// # Errors
/// `EINVAL` when the target is in another mount namespace or is no place to mount on, `ENOTDIR` when one
/// is a directory and the other is not.
pub fn move_mount(from: BorrowedFd<'_>, to: Dir<'_>) -> Result<()> {
    const F_EMPTY_PATH: u32 = 0x04;
    const T_EMPTY_PATH: u32 = 0x40;
    let (empty, flags) = (c"".as_ptr(), F_EMPTY_PATH | T_EMPTY_PATH);
    // SAFETY: both paths are empty C strings.
    check(unsafe { libc::syscall(libc::SYS_move_mount, from.as_raw_fd(), empty, to.raw(), empty, flags) })
        .map(drop)
}

/// `mount_setattr(fd, "", AT_EMPTY_PATH [| AT_RECURSIVE], &attr, sizeof attr)` (Linux 5.12).
///
/// `propagation` is one of `MS_SHARED`, `MS_PRIVATE`, `MS_SLAVE`, `MS_UNBINDABLE`, or empty to leave it.
///
/// # Errors
/// `ENOSYS` before Linux 5.12, `EPERM` for attributes that are locked, `EINVAL` for unknown ones.
pub fn mount_setattr(
    mount: BorrowedFd<'_>,
    recursive: bool,
    set: MountAttrs,
    clear: u64,
    propagation: MountFlags,
) -> Result<()> {
    let attr = MountAttr { set: set.bits(), clear, propagation: propagation.bits(), userns: 0 };
    setattr(mount, recursive, &attr)
}

/// `mount_setattr` with `MOUNT_ATTR_IDMAP`: gives a detached mount the id map of a user namespace (Linux 5.12).
///
/// # Errors
/// `EINVAL` where the file system cannot be idmapped or the mount is attached already.
pub fn mount_idmap(mount: BorrowedFd<'_>, recursive: bool, userns: BorrowedFd<'_>) -> Result<()> {
    let userns = u64::try_from(userns.as_raw_fd()).map_err(|_| crate::Errno::EBADF)?;
    let attr = MountAttr { set: MountAttrs::IDMAP.bits(), clear: 0, propagation: 0, userns };
    setattr(mount, recursive, &attr)
}

/// `open_tree_attr(fd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH …, &attr)` with `MOUNT_ATTR_IDMAP` (Linux 6.15).
///
/// A copy of a mount with another id map than the mount has, which [`mount_idmap`] cannot give.
///
/// # Errors
/// As [`mount_idmap`]; `ENOSYS` before Linux 6.15.
pub fn open_tree_idmap(mount: BorrowedFd<'_>, recursive: bool, userns: BorrowedFd<'_>) -> Result<OwnedFd> {
    // The same number on every architecture; libc does not have it on all.
    const SYS_OPEN_TREE_ATTR: libc::c_long = 467;
    let userns = u64::try_from(userns.as_raw_fd()).map_err(|_| crate::Errno::EBADF)?;
    let attr = MountAttr { set: MountAttrs::IDMAP.bits(), clear: 0, propagation: 0, userns };
    let recursive = if recursive { OpenTree::RECURSIVE } else { OpenTree::empty() };
    let flags = (OpenTree::CLONE | OpenTree::EMPTY_PATH | recursive).bits() | libc::O_CLOEXEC.unsigned_abs();
    let pointer = &raw const attr;
    // SAFETY: the path is an empty C string; the structure is valid for the call, and the size is its own.
    new_fd(unsafe {
        libc::syscall(
            SYS_OPEN_TREE_ATTR,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            pointer,
            size_of::<MountAttr>(),
        )
    })
}

fn setattr(mount: BorrowedFd<'_>, recursive: bool, attr: &MountAttr) -> Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let pointer = std::ptr::from_ref(attr);
    // SAFETY: the structure is valid for the call, and the size is its own.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            pointer,
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// `int mount(const char *source, const char *target, const char *fstype, unsigned long flags, const void *data)` (`mount(2)`).
///
/// # Errors
/// As `mount(2)`.
pub fn mount(
    source: Option<&CStr>,
    target: &CStr,
    fstype: Option<&CStr>,
    flags: MountFlags,
    data: Option<&CStr>,
) -> Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    let (source, fstype) = (pointer(source), pointer(fstype));
    // SAFETY: each pointer is a valid C string or null, as mount(2) allows.
    check_int(unsafe { libc::mount(source, target.as_ptr(), fstype, flags.bits(), pointer(data).cast()) })
        .map(drop)
}

/// `mount(NULL, "/proc/self/fd/N", NULL, MS_REMOUNT | MS_BIND | flags, NULL)`: attributes of an attached mount, before Linux 5.12.
///
/// Attributes that the mount has are kept, except those in `clear`: in a user namespace they may be
/// locked, and dropping them would be refused. Needs a procfs on `/proc`; allocates nothing.
///
/// # Errors
/// `ENOENT` without a procfs, `EPERM` for a locked attribute in `clear`, otherwise as `mount(2)`.
pub fn remount_bind(mount: BorrowedFd<'_>, flags: MountFlags, clear: MountFlags) -> Result<()> {
    let kept = MountFlags::from_bits_retain(crate::file::mount_flags(mount)?) - clear;
    let mut buffer = [0u8; 32];
    let path = crate::file::self_fd_path(mount.as_raw_fd(), &mut buffer)?;
    self::mount(None, path, None, flags | kept | MountFlags::REMOUNT | MountFlags::BIND, None)
}

/// `mount(NULL, "/proc/self/fd/N", NULL, flags, NULL)`: propagation of an attached mount, before Linux 5.12.
///
/// Needs a procfs on `/proc`; allocates nothing.
///
/// # Errors
/// `ENOENT` without a procfs, `EINVAL` when the descriptor is no root of a mount.
pub fn change_propagation(mount: BorrowedFd<'_>, flags: MountFlags) -> Result<()> {
    let mut buffer = [0u8; 32];
    let path = crate::file::self_fd_path(mount.as_raw_fd(), &mut buffer)?;
    self::mount(None, path, None, flags, None)
}

/// `int umount2(const char *target, int flags)` (`umount(2)`).
///
/// # Errors
/// As `umount(2)`; `EINVAL` for a mount that is locked or is none.
pub fn umount2(target: &CStr, flags: Unmount) -> Result<()> {
    // SAFETY: the path is a valid C string.
    check_int(unsafe { libc::umount2(target.as_ptr(), flags.bits()) }).map(drop)
}

/// `pivot_root(".", ".")`: the working directory becomes the root, with the old root on top of it.
///
/// `umount2(".", MNT_DETACH)` afterwards removes the old root; no directory is needed to put it in
/// (`pivot_root(2)`, notes).
///
/// # Errors
/// `EINVAL` when the working directory is no mount point or the root is the initramfs, `EBUSY` when it
/// is the current root.
pub fn pivot_root_here() -> Result<()> {
    let here = c".".as_ptr();
    // SAFETY: both paths are valid C strings.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, here, here) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Errno;

    #[test]
    fn an_unknown_filesystem_is_named_by_errno() {
        let error = fsopen(c"no-such-filesystem").unwrap_err();
        assert!(matches!(error, Errno::ENODEV | Errno::EPERM | Errno::ENOSYS), "{error}");
    }

    #[test]
    fn struct_has_the_kernels_size() {
        assert_eq!(size_of::<MountAttr>(), 32);
    }
}
