//! Questions to an open namespace: its kind, owner, parent and id (`ioctl_nsfs(2)`).

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::call::{check_int, new_fd};
use crate::{Errno, Result};

/// The type of these ioctls, `NSIO`.
const NSIO: u32 = 0xb7;
const NS_GET_USERNS: libc::Ioctl = libc::_IO(NSIO, 1);
const NS_GET_PARENT: libc::Ioctl = libc::_IO(NSIO, 2);
const NS_GET_NSTYPE: libc::Ioctl = libc::_IO(NSIO, 3);
const NS_GET_OWNER_UID: libc::Ioctl = libc::_IO(NSIO, 4);
const NS_GET_MNTNS_ID: libc::Ioctl = libc::_IOR::<u64>(NSIO, 5);
const NS_GET_ID: libc::Ioctl = libc::_IOR::<u64>(NSIO, 13);

/// `ioctl(fd, NS_GET_NSTYPE)`: the namespace's `CLONE_NEW*` flag (Linux 4.11).
///
/// # Errors
/// `ENOTTY` for a file that is no namespace.
pub fn kind(namespace: BorrowedFd<'_>) -> Result<u32> {
    // SAFETY: takes no pointer.
    let flag = check_int(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_NSTYPE) })?;
    Ok(flag.cast_unsigned())
}

/// `ioctl(fd, NS_GET_USERNS)`: the user namespace that owns a namespace (Linux 4.9).
///
/// # Errors
/// `EPERM` when the owner is neither the caller's user namespace nor one below it.
pub fn owner(namespace: BorrowedFd<'_>) -> Result<OwnedFd> {
    // SAFETY: takes no pointer and gives a new descriptor, which is close-on-exec.
    new_fd(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS) }.into())
}

/// `ioctl(fd, NS_GET_PARENT)`: the parent of a user or PID namespace (Linux 4.9).
///
/// # Errors
/// `EPERM` when the parent is outside the caller's own namespaces, `EINVAL` for a kind without a hierarchy.
pub fn parent(namespace: BorrowedFd<'_>) -> Result<OwnedFd> {
    // SAFETY: takes no pointer and gives a new descriptor, which is close-on-exec.
    new_fd(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_PARENT) }.into())
}

/// `ioctl(fd, NS_GET_OWNER_UID, &uid)`: the user who made a user namespace, as the caller numbers it (Linux 4.11).
///
/// # Errors
/// `EINVAL` for another kind of namespace.
pub fn owner_uid(user_namespace: BorrowedFd<'_>) -> Result<u32> {
    let mut uid: libc::uid_t = 0;
    // SAFETY: the kernel writes one user id, whose address is valid.
    check_int(unsafe { libc::ioctl(user_namespace.as_raw_fd(), NS_GET_OWNER_UID, &raw mut uid) })?;
    Ok(uid)
}

/// `ioctl(fd, NS_GET_ID, &id)`: a number that no other namespace has or will have until the next boot (Linux 6.18).
///
/// A mount namespace has it since Linux 6.11, through `NS_GET_MNTNS_ID`. `Ok(None)` on a kernel without either.
///
/// # Errors
/// Anything but `ENOTTY`.
pub fn id(namespace: BorrowedFd<'_>) -> Result<Option<u64>> {
    for request in [NS_GET_ID, NS_GET_MNTNS_ID] {
        match get_id(namespace, request) {
            // EINVAL: the second one, of a namespace that is no mount namespace.
            Err(Errno::ENOTTY | Errno::EINVAL) => {}
            other => return other.map(Some),
        }
    }
    Ok(None)
}

/// Whether `NS_GET_ID` is there.
///
/// # Errors
/// As `open(2)` of a namespace of the caller's.
pub fn has_id() -> Result<bool> {
    probe("user", NS_GET_ID)
}

/// Whether `NS_GET_MNTNS_ID` is there (Linux 6.11).
///
/// # Errors
/// As `open(2)` of a namespace of the caller's.
pub fn has_mount_id() -> Result<bool> {
    probe("mnt", NS_GET_MNTNS_ID)
}

/// Whether `setns(2)` takes a pidfd (Linux 5.8): asked by joining a namespace that the caller is in.
///
/// # Errors
/// As `pidfd_open(2)`; `ENOSYS` where a filter hides a call.
pub fn has_setns_pidfd() -> Result<bool> {
    use std::os::fd::AsFd;
    // SAFETY: takes no pointer and cannot fail.
    let own = crate::process::pidfd_open(unsafe { libc::getpid() })?;
    match crate::clone::setns(own.as_fd(), crate::clone::Namespaces::UTS) {
        // Only a kernel that knows pidfds comes to ask for the capability.
        Ok(()) | Err(Errno::EPERM) => Ok(true),
        Err(Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn probe(kind: &str, request: libc::Ioctl) -> Result<bool> {
    use std::os::fd::AsFd;
    let file = std::fs::File::open(format!("/proc/thread-self/ns/{kind}"))
        .map_err(|error| crate::errno::from_io(&error))?;
    match get_id(file.as_fd(), request) {
        Ok(_) => Ok(true),
        Err(Errno::ENOTTY) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn get_id(namespace: BorrowedFd<'_>, request: libc::Ioctl) -> Result<u64> {
    let mut id = 0u64;
    // SAFETY: the kernel writes one 64-bit number, whose address is valid.
    check_int(unsafe { libc::ioctl(namespace.as_raw_fd(), request, &raw mut id) })?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn requests_are_the_kernels() {
        assert_eq!(NS_GET_USERNS, 0xb701);
        assert_eq!(NS_GET_MNTNS_ID, 0x8008_b705);
        assert_eq!(NS_GET_ID, 0x8008_b70d);
    }

    #[test]
    fn a_namespace_tells_its_kind_and_owner() {
        let uts = std::fs::File::open("/proc/self/ns/uts").unwrap();
        assert_eq!(kind(uts.as_fd()).unwrap(), libc::CLONE_NEWUTS.cast_unsigned());
        let owner = owner(uts.as_fd()).unwrap();
        assert_eq!(kind(owner.as_fd()).unwrap(), libc::CLONE_NEWUSER.cast_unsigned());
        assert_eq!(parent(uts.as_fd()).unwrap_err(), Errno::EINVAL);
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(kind(null.as_fd()).unwrap_err(), Errno::ENOTTY);
        assert_eq!(id(null.as_fd()), Ok(None));
    }

    #[test]
    fn ids_are_those_that_were_probed() {
        let file = |kind: &str| std::fs::File::open(format!("/proc/self/ns/{kind}")).unwrap();
        assert_eq!(id(file("uts").as_fd()).unwrap().is_some(), has_id().unwrap());
        let mount = has_id().unwrap() || has_mount_id().unwrap();
        assert_eq!(id(file("mnt").as_fd()).unwrap().is_some(), mount);
    }
}
