//! Calls that only an escape attempt makes; behind the feature `attempts`, so that no product carries them.

pub mod calls;

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::call::{check, check_int};
use crate::{Errno, Result};

/// `kexec_load(0, 0, NULL, 0)`: unloads the kernel that `kexec_load(2)` loaded; changes nothing where there is none.
///
/// # Errors
/// `EPERM` without `CAP_SYS_BOOT`, `ENOSYS` where the kernel has no kexec.
pub fn kexec_unload() -> Result<()> {
    let none = std::ptr::null::<u8>();
    // SAFETY: without segments the kernel reads no memory.
    check(unsafe { libc::syscall(libc::SYS_kexec_load, 0, 0, none, 0) }).map(drop)
}

/// `syslog(SYSLOG_ACTION_READ_ALL, …)`: the end of the kernel's log (`syslog(2)`).
///
/// # Errors
/// `EPERM` without `CAP_SYSLOG` where `kernel.dmesg_restrict` is set.
pub fn kernel_log() -> Result<Vec<u8>> {
    const READ_ALL: libc::c_int = 3;
    let mut buffer = vec![0u8; 1 << 17];
    let room = libc::c_int::try_from(buffer.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: pointer and length are those of one buffer.
    let length = check_int(unsafe { libc::klogctl(READ_ALL, buffer.as_mut_ptr().cast(), room) })?;
    buffer.truncate(usize::try_from(length).map_err(|_| Errno::EINVAL)?);
    Ok(buffer)
}

/// `shmget(key, size, IPC_CREAT | IPC_EXCL | 0600)`, filled with `data`: a System V segment (`shmget(2)`).
///
/// Gives its id, for [`shm_remove`].
///
/// # Errors
/// `EEXIST` when the key is taken, `ENOSPC` at a limit of `sysvipc(7)`.
pub fn shm_create(key: i32, data: &[u8]) -> Result<i32> {
    // SAFETY: takes no pointer.
    let id = check_int(unsafe { libc::shmget(key, data.len(), libc::IPC_CREAT | libc::IPC_EXCL | 0o600) })?;
    let map = Attached::new(id, 0)?;
    // SAFETY: the segment has at least `data.len()` bytes, is mapped for writing, and cannot overlap `data`.
    unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), map.address, data.len()) };
    Ok(id)
}

/// Reads `length` bytes of the System V segment with that key.
///
/// # Errors
/// `ENOENT` when there is none in this IPC namespace, `EACCES` for another user's, `EINVAL` for one that is
/// smaller than `length`.
pub fn shm_read(key: i32, length: usize) -> Result<Vec<u8>> {
    // SAFETY: takes no pointer. A segment of fewer than `length` bytes is refused.
    let id = check_int(unsafe { libc::shmget(key, length, 0) })?;
    let map = Attached::new(id, libc::SHM_RDONLY)?;
    let mut data = vec![0u8; length];
    // SAFETY: the segment has at least `length` bytes (checked by shmget), and so has the buffer.
    unsafe { std::ptr::copy_nonoverlapping(map.address, data.as_mut_ptr(), length) };
    Ok(data)
}

/// `shmctl(id, IPC_RMID, NULL)` (`shmctl(2)`).
///
/// # Errors
/// `EINVAL` for an unknown id, `EPERM` for another user's segment.
pub fn shm_remove(id: i32) -> Result<()> {
    // SAFETY: IPC_RMID ignores the pointer.
    check_int(unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) }).map(drop)
}

/// A segment in the caller's memory; detached when dropped.
struct Attached {
    address: *mut u8,
}

impl Attached {
    fn new(id: i32, flags: libc::c_int) -> Result<Self> {
        // SAFETY: without an address the kernel picks a free range, so nothing that exists is replaced.
        let address = unsafe { libc::shmat(id, std::ptr::null(), flags) };
        if address.addr() == usize::MAX { Err(Errno::last()) } else { Ok(Self { address: address.cast() }) }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // SAFETY: the address came from shmat, and no reference into the segment outlives this value.
        unsafe { libc::shmdt(self.address.cast()) };
    }
}

/// `ioctl(socket, SIOCSIFMTU, …)`: the MTU of an interface of the caller's network namespace (`netdevice(7)`).
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` over that namespace, `ENODEV` when there is no such interface.
pub fn set_mtu(interface: &[u8], mtu: i32) -> Result<()> {
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.is_empty() || interface.len() >= request.ifr_name.len() || interface.contains(&0) {
        return Err(Errno::EINVAL);
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(interface) {
        *place = libc::c_char::from_ne_bytes([*byte]);
    }
    request.ifr_ifru.ifru_mtu = mtu;
    // SAFETY: takes no pointer.
    let socket = check_int(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel just gave us this descriptor.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: SIOCSIFMTU reads name and MTU of a valid ifreq.
    check_int(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFMTU, &raw const request) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_gives_back_what_it_was_filled_with() {
        let key = i32::try_from(std::process::id()).unwrap();
        let id = shm_create(key, b"abc").unwrap();
        let read = shm_read(key, 3);
        shm_remove(id).unwrap();
        assert_eq!(read.unwrap(), b"abc");
        assert_eq!(shm_read(key, 3).unwrap_err(), Errno::ENOENT);
    }

    #[test]
    fn refuses_names_that_do_not_fit() {
        assert_eq!(set_mtu(b"", 1500).unwrap_err(), Errno::EINVAL);
        assert_eq!(set_mtu(b"0123456789abcdef", 1500).unwrap_err(), Errno::EINVAL);
    }
}
