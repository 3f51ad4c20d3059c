//! What the mount calls know.

use std::os::fd::AsFd;

use super::present;
use crate::call::check;
use crate::mount::MountAttrs;
use crate::open::{Dir, Open, Resolve, openat2};
use crate::readback::{self, IdKind};
use crate::{Errno, Result};

/// Whether `open_tree(2)` is there, and with it `fsopen(2)`, `fsmount(2)` and `move_mount(2)` (Linux 5.2).
///
/// # Errors
/// `EPERM` where a seccomp filter hides the answer.
pub fn has_open_tree() -> Result<bool> {
    // SAFETY: unknown flags are refused before the path is looked at.
    let value = check(unsafe { libc::syscall(libc::SYS_open_tree, -1, c"".as_ptr(), u32::MAX) });
    present(value, Errno::EINVAL)
}

/// Whether `mount_setattr(2)` knows `MOUNT_ATTR_NOSYMFOLLOW` (Linux 5.14).
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN` over the mount namespace where the kernel asks for it first.
pub fn setattr_knows_nosymfollow() -> Result<bool> {
    knows(MountAttrs::NOSYMFOLLOW)
}

/// Whether `mount_setattr(2)` knows `MOUNT_ATTR_IDMAP` (Linux 5.12).
///
/// # Errors
/// As [`setattr_knows_nosymfollow`].
pub fn setattr_knows_idmap() -> Result<bool> {
    knows(MountAttrs::IDMAP)
}

/// Attributes are looked at before the descriptor, which is none: what is known gives `EBADF`.
fn knows(attrs: MountAttrs) -> Result<bool> {
    let attr = [attrs.bits(), 0, 0, u64::from(u32::MAX >> 1)];
    let flags = libc::AT_EMPTY_PATH;
    // SAFETY: path and structure are valid for the call, and the size is that of the structure.
    let value = check(unsafe {
        libc::syscall(libc::SYS_mount_setattr, -1, c"".as_ptr(), flags, &raw const attr, size_of_val(&attr))
    });
    match value {
        Err(Errno::EBADF) => Ok(true),
        Err(Errno::ENOSYS | Errno::EINVAL) => Ok(false),
        Ok(_) => Err(Errno::EINVAL),
        // An unprivileged caller is told so before anything is looked at: the size was, though.
        Err(errno) => Err(errno),
    }
}

/// Whether `open_tree_attr(2)` is there (Linux 6.15).
///
/// # Errors
/// `EPERM` where a seccomp filter hides the answer.
pub fn has_open_tree_attr() -> Result<bool> {
    const SYS_OPEN_TREE_ATTR: libc::c_long = 467;
    let none = std::ptr::null::<u8>();
    // SAFETY: unknown flags are refused before the path is looked at, and no structure is given.
    let value = check(unsafe { libc::syscall(SYS_OPEN_TREE_ATTR, -1, c"".as_ptr(), u32::MAX, none, 0) });
    present(value, Errno::EINVAL)
}

/// Whether `statx(2)` tells the id of a mount that is never used again (Linux 6.8).
///
/// # Errors
/// As `statx(2)`.
pub fn has_unique_mount_ids() -> Result<bool> {
    let root = openat2(Dir::Cwd, c"/", Open::PATH, 0, Resolve::empty())?;
    match readback::mount_id(root.as_fd().into(), c"", IdKind::Unique) {
        Ok(_) => Ok(true),
        Err(Errno::ENOSYS) => Ok(false),
        Err(errno) => Err(errno),
    }
}
