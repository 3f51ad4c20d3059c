//! Unix sockets: the few calls that a waiting child and its starter need (`unix(7)`).

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::call::{check_int, new_fd};
use crate::{Errno, Result};

/// A stream socket that is bound to a path and does not listen yet (`socket(2)`, `bind(2)`).
///
/// # Errors
/// `ENAMETOOLONG` for more than 107 bytes, `EADDRINUSE` for a name that is there.
pub fn bound(path: &CStr) -> Result<OwnedFd> {
    // SAFETY: all-zero is a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).map_err(|_| Errno::EINVAL)?;
    let bytes = path.to_bytes();
    if bytes.len() >= address.sun_path.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    for (place, byte) in address.sun_path.iter_mut().zip(bytes) {
        *place = libc::c_char::from_ne_bytes([*byte]);
    }
    // SAFETY: takes no pointer.
    let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    let socket = new_fd(socket.into())?;
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_un>()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the address is valid for the call and has the length that is given.
    check_int(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
    Ok(socket)
}

/// Two connected sockets that keep messages apart (`socketpair(2)`, `SOCK_SEQPACKET`), close-on-exec.
///
/// Each names the caller as its peer, also to a process that inherits it ([`peer_pid`]).
///
/// # Errors
/// `EMFILE` or `ENFILE` for want of descriptors.
pub fn packet_pair() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the kernel writes two descriptors into the array, which has room for them.
    check_int(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
    Ok((new_fd(ends[0].into())?, new_fd(ends[1].into())?))
}

/// `int listen(int sockfd, int backlog)` (`listen(2)`).
///
/// The caller becomes the peer that [`peer_pid`] names to those who connect.
///
/// # Errors
/// `EINVAL` for a socket without a name, `ENOTSOCK` for another file.
pub fn listen(socket: BorrowedFd<'_>, backlog: i32) -> Result<()> {
    // SAFETY: takes no pointer.
    check_int(unsafe { libc::listen(socket.as_raw_fd(), backlog) }).map(drop)
}

/// `int accept4(int sockfd, NULL, NULL, SOCK_CLOEXEC)`, tried again after a signal (`accept(2)`).
///
/// # Errors
/// As `accept4(2)`.
pub fn accept(socket: BorrowedFd<'_>) -> Result<OwnedFd> {
    loop {
        let (none, no_length) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: no address is asked for, which the call allows.
        let value = unsafe { libc::accept4(socket.as_raw_fd(), none, no_length, libc::SOCK_CLOEXEC) };
        match new_fd(value.into()) {
            Err(Errno::EINTR | Errno::ECONNABORTED) => {}
            other => return other,
        }
    }
}

/// The process at the other end: who connected or, seen from there, who called `listen(2)` (`SO_PEERCRED`).
///
/// 0 for one that the caller's PID namespace does not hold.
///
/// # Errors
/// As `getsockopt(2)`.
pub fn peer_pid(socket: BorrowedFd<'_>) -> Result<i32> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the kernel fills at most `length` bytes of the structure.
    check_int(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    })?;
    Ok(peer.pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn packets_stay_apart() {
        let (ours, theirs) = packet_pair().unwrap();
        for message in [b"one".as_slice(), b"two"] {
            crate::send::send_message(ours.as_fd(), message).unwrap();
        }
        let mut buffer = [0; 16];
        for message in [b"one".as_slice(), b"two"] {
            let (length, _) = crate::send::receive_descriptor(theirs.as_fd(), &mut buffer).unwrap();
            assert_eq!(&buffer[..length], message);
        }
        assert_eq!(peer_pid(theirs.as_fd()).unwrap(), std::process::id().cast_signed());
        drop(theirs);
        assert_eq!(crate::send::send_message(ours.as_fd(), b"x"), Err(Errno::EPIPE));
    }

    #[test]
    fn the_peer_is_who_listens() {
        let dir = std::env::temp_dir().join(format!("cofferdam-socket-{}", std::process::id()));
        let name = std::ffi::CString::new(dir.to_str().unwrap()).unwrap();
        let listener = bound(&name).unwrap();
        assert_eq!(bound(&name).unwrap_err(), Errno::EADDRINUSE);
        assert!(UnixStream::connect(&dir).is_err());
        listen(listener.as_fd(), 1).unwrap();
        let connected = UnixStream::connect(&dir).unwrap();
        std::fs::remove_file(&dir).unwrap();
        assert_eq!(peer_pid(connected.as_fd()).unwrap(), std::process::id().cast_signed());
        let accepted = accept(listener.as_fd()).unwrap();
        assert_eq!(peer_pid(accepted.as_fd()).unwrap(), std::process::id().cast_signed());
    }
}
