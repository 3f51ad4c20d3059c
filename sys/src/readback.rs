//! What the kernel says of a mount: its id, and where it is there the answers of `statmount(2)` and `listmount(2)`.
//!
//! Nothing here allocates: the child of a spawn reads back what it has mounted.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use crate::call::{Dir, check, check_int};
use crate::mount::{ATIME_MASK, MountAttrs, MountFlags};
use crate::{Errno, Result};

// The same numbers on every architecture; libc does not have them on all.
const SYS_STATMOUNT: libc::c_long = 457;
const SYS_LISTMOUNT: libc::c_long = 458;

/// The number of a mount.
///
/// Only two ids that were asked for in the same way can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MountId(pub u64);

/// Which of a mount's two numbers is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// The one that `mountinfo` shows (`STATX_MNT_ID`, Linux 5.8); it is used again after an unmount.
    Reused,
    /// The one that `statmount(2)` takes (`STATX_MNT_ID_UNIQUE`, Linux 6.8).
    Unique,
}

/// `statx(dir, path, AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_MNT_ID…)`: the mount that a path or descriptor is on.
///
/// # Errors
/// As `statx(2)`; `ENOSYS` where the kernel does not tell this kind of id.
pub fn mount_id(dir: Dir<'_>, path: &CStr, kind: IdKind) -> Result<MountId> {
    let mask = match kind {
        IdKind::Reused => libc::STATX_MNT_ID,
        IdKind::Unique => libc::STATX_MNT_ID_UNIQUE,
    };
    let mut answer = std::mem::MaybeUninit::<libc::statx>::zeroed();
    let flags = libc::AT_EMPTY_PATH | libc::AT_NO_AUTOMOUNT;
    // SAFETY: the path is a valid C string, and the kernel fills the structure, whose address is valid.
    check_int(unsafe { libc::statx(dir.raw(), path.as_ptr(), flags, mask, answer.as_mut_ptr()) })?;
    // SAFETY: the structure was zeroed before, so that every field is set.
    let answer = unsafe { answer.assume_init() };
    if answer.stx_mask & mask == 0 { Err(Errno::ENOSYS) } else { Ok(MountId(answer.stx_mnt_id)) }
}

/// What [`statmount`] tells of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MountState {
    /// The mount that it is on.
    pub parent: MountId,
    /// Its attributes; [`MountAttrs::IDMAP`] included.
    pub attrs: MountAttrs,
    /// Exactly one of `SHARED`, `SLAVE`, `PRIVATE`, `UNBINDABLE`, or `SHARED | SLAVE`.
    pub propagation: MountFlags,
    /// The magic number of its file system (`statfs(2)`).
    pub magic: u64,
}

/// The kernel's `struct mnt_id_req`, version 0.
#[repr(C)]
struct MountIdRequest {
    size: u32,
    spare: u32,
    mount: u64,
    param: u64,
}

/// The kernel's `struct statmount` up to what is asked for here; its size is fixed at 512 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
struct StatMount {
    size: u32,
    options: u32,
    mask: u64,
    major: u32,
    minor: u32,
    magic: u64,
    superblock_flags: u32,
    fstype: u32,
    id: u64,
    parent: u64,
    old_id: u32,
    old_parent: u32,
    attrs: u64,
    propagation: u64,
    rest: [u64; 54],
}

/// `statmount(&req, &buf, sizeof buf, 0)`: what a mount is and has (`statmount(2)`, Linux 6.8).
///
/// `id` is a unique one. Nothing of the variable part (paths, names) is asked for.
///
/// # Errors
/// `ENOENT` when the caller's namespace has no such mount, `ENOSYS` before Linux 6.8, `EPERM` for a
/// mount that the caller's root cannot reach.
pub fn statmount(id: MountId) -> Result<MountState> {
    const SB_BASIC: u64 = 1;
    const MNT_BASIC: u64 = 2;
    let request = request(id, SB_BASIC | MNT_BASIC);
    // SAFETY: the structure holds integers only, for which zero is valid.
    let mut answer: StatMount = unsafe { std::mem::zeroed() };
    // SAFETY: the request is valid and says its size; the kernel writes at most the size that is given.
    check(unsafe {
        libc::syscall(SYS_STATMOUNT, &raw const request, &raw mut answer, size_of::<StatMount>(), 0)
    })?;
    if answer.mask & MNT_BASIC == 0 {
        return Err(Errno::ENODATA);
    }
    Ok(MountState {
        parent: MountId(answer.parent),
        attrs: MountAttrs::from_bits_retain(answer.attrs),
        propagation: MountFlags::from_bits_retain(answer.propagation),
        magic: answer.magic,
    })
}

/// `listmount(&req, ids, len, 0)`: the mounts below a mount, in the order of their ids (`listmount(2)`, Linux 6.8).
///
/// Gives how many ids were stored. When that is all the room there was, the next call goes on after the
/// last of them.
///
/// # Errors
/// As [`statmount`].
pub fn listmount(below: MountId, after: Option<MountId>, room: &mut [u64]) -> Result<usize> {
    let request = request(below, after.map_or(0, |id| id.0));
    // SAFETY: the request is valid and says its size; address and length are those of one slice.
    let count =
        check(unsafe { libc::syscall(SYS_LISTMOUNT, &raw const request, room.as_mut_ptr(), room.len(), 0) })?;
    usize::try_from(count).map_err(|_| Errno::EIO)
}

/// The size of the kernel's first version of the structure.
const REQUEST_SIZE: u32 = 24;
const _: () = assert!(size_of::<MountIdRequest>() == 24 && size_of::<StatMount>() == 512);

fn request(id: MountId, param: u64) -> MountIdRequest {
    MountIdRequest { size: REQUEST_SIZE, spare: 0, mount: id.0, param }
}

/// The attributes of the mount of `fd` as `fstatvfs(3)` shows them.
///
/// `RDONLY` is also there when the file system itself is read-only.
///
/// # Errors
/// As `fstatvfs(3)`.
pub fn attributes(fd: BorrowedFd<'_>) -> Result<MountAttrs> {
    const SAME: [(MountFlags, MountAttrs); 7] = [
        (MountFlags::RDONLY, MountAttrs::RDONLY),
        (MountFlags::NOSUID, MountAttrs::NOSUID),
        (MountFlags::NODEV, MountAttrs::NODEV),
        (MountFlags::NOEXEC, MountAttrs::NOEXEC),
        (MountFlags::NOATIME, MountAttrs::NOATIME),
        (MountFlags::NODIRATIME, MountAttrs::NODIRATIME),
        (MountFlags::NOSYMFOLLOW, MountAttrs::NOSYMFOLLOW),
    ];
    let flags = MountFlags::from_bits_retain(crate::file::mount_flags(fd)?);
    let mut attrs = MountAttrs::empty();
    for (flag, attr) in SAME {
        if flags.contains(flag) {
            attrs |= attr;
        }
    }
    if !flags.intersects(MountFlags::NOATIME | MountFlags::RELATIME) {
        attrs |= MountAttrs::STRICTATIME;
    }
    Ok(attrs)
}

/// What a mount must have and what it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Attributes that it must have.
    pub set: MountAttrs,
    /// Bits that it must not have, besides those in `set`; all of [`ATIME_MASK`] says that `set` has the
    /// whole of the access-time field.
    pub clear: u64,
}

impl Wanted {
    /// Whether attributes that were read back are as wanted.
    ///
    /// `NODIRATIME` is hidden by `NOATIME`, which does all that it does.
    pub fn met_by(self, found: MountAttrs) -> bool {
        let mut set = self.set;
        if found.contains(MountAttrs::NOATIME) {
            set.remove(MountAttrs::NODIRATIME);
        }
        let unwanted = self.clear & !self.set.bits();
        let unwanted = if self.clear & ATIME_MASK == 0 { unwanted & !ATIME_MASK } else { unwanted };
        found.contains(set) && found.bits() & unwanted == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn the_same_mount_has_the_same_id() {
        let proc = std::fs::File::open("/proc").unwrap();
        let by_path = mount_id(Dir::Cwd, c"/proc/self", IdKind::Reused).unwrap();
        let by_fd = mount_id(proc.as_fd().into(), c"", IdKind::Reused).unwrap();
        assert_eq!(by_path, by_fd);
        assert_ne!(mount_id(Dir::Cwd, c"/", IdKind::Reused).unwrap(), by_fd);
    }

    #[test]
    fn statmount_and_statvfs_agree() {
        let Ok(id) = mount_id(Dir::Cwd, c"/proc", IdKind::Unique) else { return };
        if crate::facility::has_statmount() == Ok(false) {
            return assert_eq!(statmount(id).unwrap_err(), Errno::ENOSYS);
        }
        let state = statmount(id).unwrap();
        assert_eq!(i64::try_from(state.magic).unwrap(), libc::PROC_SUPER_MAGIC);
        let proc = std::fs::File::open("/proc").unwrap();
        assert_eq!(state.attrs, attributes(proc.as_fd()).unwrap());
        let mut ids = [0; 512];
        let count = listmount(state.parent, None, &mut ids).unwrap();
        assert!(ids.get(..count).unwrap().contains(&id.0));
        assert_eq!(statmount(MountId(u64::MAX)).unwrap_err(), Errno::ENOENT);
    }

    #[test]
    fn wanted_is_more_than_a_subset() {
        let wanted =
            Wanted { set: MountAttrs::RDONLY | MountAttrs::NODIRATIME, clear: MountAttrs::NOEXEC.bits() };
        let base = MountAttrs::RDONLY | MountAttrs::NODIRATIME;
        assert!(wanted.met_by(base));
        assert!(wanted.met_by(base | MountAttrs::NODEV));
        assert!(!wanted.met_by(base | MountAttrs::NOEXEC));
        assert!(!wanted.met_by(MountAttrs::NODIRATIME));
        assert!(wanted.met_by(MountAttrs::RDONLY | MountAttrs::NOATIME));
        let relatime = Wanted { set: MountAttrs::empty(), clear: ATIME_MASK };
        assert!(relatime.met_by(MountAttrs::RDONLY));
        assert!(!relatime.met_by(MountAttrs::NOATIME));
    }
}
