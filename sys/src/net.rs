//! The one network call that a container's start needs: bringing an interface up.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::call::check_int;
use crate::{Errno, Result};

/// Sets `IFF_UP` on an interface of the caller's network namespace (`netdevice(7)`).
///
/// `name` has 1 to 15 bytes and no NUL.
///
/// # Errors
/// `ENODEV` when there is no such interface, `EPERM` without `CAP_NET_ADMIN`, `EINVAL` for a bad name.
pub fn interface_up(name: &[u8]) -> Result<()> {
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() || name.contains(&0) {
        return Err(Errno::EINVAL);
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name) {
        *place = libc::c_char::from_ne_bytes([*byte]);
    }
    // SAFETY: takes no pointer.
    let socket = check_int(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel just gave us this descriptor.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: SIOCGIFFLAGS reads the name and fills the flags of a valid ifreq.
    check_int(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) })?;
    // SAFETY: the call above filled this field of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    let up = libc::c_short::try_from(libc::IFF_UP).map_err(|_| Errno::EINVAL)?;
    request.ifr_ifru.ifru_flags = flags | up;
    // SAFETY: SIOCSIFFLAGS reads name and flags of a valid ifreq.
    check_int(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_that_do_not_fit() {
        assert_eq!(interface_up(b"").unwrap_err(), Errno::EINVAL);
        assert_eq!(interface_up(b"0123456789abcdef").unwrap_err(), Errno::EINVAL);
        assert_eq!(interface_up(b"nosuchdev0").unwrap_err(), Errno::ENODEV);
    }
}
