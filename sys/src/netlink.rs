//! Routing sockets (`netlink(7)`, `rtnetlink(7)`): what carries messages that a safe crate makes and reads.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::call::{check, check_int, new_fd};
use crate::{Errno, Result};

/// A routing socket of the calling thread's network namespace, to which it belongs from then on.
///
/// Answers say in words what was wrong (`NETLINK_EXT_ACK`) and do not repeat the request (`NETLINK_CAP_ACK`).
///
/// # Errors
/// As `socket(2)` and `setsockopt(2)`; `EPROTONOSUPPORT` for a kernel without networking.
pub fn open() -> Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: takes no pointer.
    let socket = new_fd(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) }.into())?;
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
        let on: libc::c_int = 1;
        let length = libc::socklen_t::try_from(size_of_val(&on)).map_err(|_| Errno::EINVAL)?;
        let (fd, level) = (socket.as_raw_fd(), libc::SOL_NETLINK);
        // SAFETY: the value is an int that lives through the call, and its length is given.
        check_int(unsafe { libc::setsockopt(fd, level, option, (&raw const on).cast(), length) })?;
    }
    Ok(socket)
}

/// Sends one message to the kernel (`sendto(2)`).
///
/// # Errors
/// As `sendto(2)`; `EIO` when only a part of it was taken.
pub fn send(socket: BorrowedFd<'_>, message: &[u8]) -> Result<()> {
    let kernel = address()?;
    let length = libc::socklen_t::try_from(size_of_val(&kernel)).map_err(|_| Errno::EINVAL)?;
    let (fd, address) = (socket.as_raw_fd(), (&raw const kernel).cast());
    // SAFETY: message and address are valid for the lengths that are given.
    let value = unsafe { libc::sendto(fd, message.as_ptr().cast(), message.len(), 0, address, length) };
    let sent = check(value.try_into().unwrap_or(-1))?;
    if usize::try_from(sent) == Ok(message.len()) { Ok(()) } else { Err(Errno::EIO) }
}

/// Takes the next datagram of the kernel's, one or more messages, and gives its length (`recvfrom(2)`).
///
/// What another process sent is left out.
///
/// # Errors
/// As `recvfrom(2)`; `EMSGSIZE` when the buffer is too short, and the datagram is lost then.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    loop {
        let mut from = address()?;
        let mut length = libc::socklen_t::try_from(size_of_val(&from)).map_err(|_| Errno::EINVAL)?;
        let (fd, place) = (socket.as_raw_fd(), buffer.as_mut_ptr().cast());
        let (address, room) = ((&raw mut from).cast(), &raw mut length);
        // SAFETY: buffer and address are valid for the lengths that are given.
        let value = unsafe { libc::recvfrom(fd, place, buffer.len(), libc::MSG_TRUNC, address, room) };
        let got = match check(value.try_into().unwrap_or(-1)) {
            Err(Errno::EINTR) => continue,
            other => usize::try_from(other?).map_err(|_| Errno::EIO)?,
        };
        // The kernel's own port is 0.
        if from.nl_pid != 0 {
            continue;
        }
        return if got > buffer.len() { Err(Errno::EMSGSIZE) } else { Ok(got) };
    }
}

/// The kernel's address.
fn address() -> Result<libc::sockaddr_nl> {
    // SAFETY: all-zero bytes are a valid sockaddr_nl.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::sa_family_t::try_from(libc::AF_NETLINK).map_err(|_| Errno::EINVAL)?;
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn the_kernel_answers_and_short_buffers_are_told() {
        let socket = open().unwrap();
        // RTM_GETLINK of interface 1 with NLM_F_REQUEST: the header, then a struct ifinfomsg.
        let mut message = vec![0; 32];
        for (place, value) in [(0, 32), (4, 18), (6, 1), (8, 7), (20, 1)] {
            message[place] = value;
        }
        send(socket.as_fd(), &message).unwrap();
        let mut buffer = [0; 8192];
        let length = receive(socket.as_fd(), &mut buffer).unwrap();
        // The same number, and RTM_NEWLINK.
        assert!(length > 32 && buffer[8] == 7 && buffer[4] == 16, "{:?}", &buffer[..32]);
        send(socket.as_fd(), &message).unwrap();
        assert_eq!(receive(socket.as_fd(), &mut [0; 16]), Err(Errno::EMSGSIZE));
    }
}
