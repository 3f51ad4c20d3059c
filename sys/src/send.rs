//! Descriptors over a Unix socket (`SCM_RIGHTS` of `unix(7)`), without allocating.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::call::check_int;
use crate::{Errno, Result};

/// Room for the header of a control message and one descriptor, aligned as the kernel wants it.
#[repr(C)]
union Control {
    header: libc::cmsghdr,
    bytes: [u8; 64],
}

/// The length that `CMSG_LEN` gives for one descriptor.
const FD: libc::c_uint = 4;

/// Sends `payload`, which is not empty, and one descriptor along with it (`sendmsg(2)`).
///
/// On a stream socket the payload may arrive in pieces; the descriptor comes with the first one.
///
/// # Errors
/// `EPIPE` when nobody reads (no signal is raised), `EINVAL` for an empty payload, `EMSGSIZE` when a payload
/// is too long for a datagram.
pub fn send_descriptor(socket: BorrowedFd<'_>, descriptor: BorrowedFd<'_>, payload: &[u8]) -> Result<()> {
    let mut rest = payload;
    let mut with = Some(descriptor);
    if rest.is_empty() {
        return Err(Errno::EINVAL);
    }
    while !rest.is_empty() {
        let sent = send_some(socket, with.take(), rest)?;
        rest = rest.get(sent..).ok_or(Errno::EIO)?;
        if sent == 0 {
            return Err(Errno::EIO);
        }
    }
    Ok(())
}

/// Sends one message of a socket that keeps messages apart, without a descriptor (`sendmsg(2)`).
///
/// # Errors
/// `EPIPE` when nobody reads (no signal is raised), `EMSGSIZE` when it is too long for one.
pub fn send_message(socket: BorrowedFd<'_>, message: &[u8]) -> Result<()> {
    if send_some(socket, None, message)? == message.len() { Ok(()) } else { Err(Errno::EIO) }
}

fn send_some(socket: BorrowedFd<'_>, descriptor: Option<BorrowedFd<'_>>, data: &[u8]) -> Result<usize> {
    let mut control = Control { bytes: [0; 64] };
    let mut vector = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    // SAFETY: all-zero bytes are a valid msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    if let Some(descriptor) = descriptor {
        message.msg_control = (&raw mut control).cast();
        // SAFETY: computes a length.
        let (space, length) = unsafe { (libc::CMSG_SPACE(FD), libc::CMSG_LEN(FD)) };
        message.msg_controllen = space.try_into().map_err(|_| Errno::EINVAL)?;
        // SAFETY: the control buffer is longer than CMSG_SPACE and aligned for a header, so that the first
        // header and the descriptor behind it lie inside.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = length.try_into().map_err(|_| Errno::EINVAL)?;
            libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(descriptor.as_raw_fd());
        }
    }
    loop {
        // SAFETY: the message points to one vector over `data`, which the kernel reads, and to the control
        // buffer; all are valid for the call.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
        match usize::try_from(sent) {
            Ok(sent) => return Ok(sent),
            Err(_) => match Errno::last() {
                Errno::EINTR => {}
                errno => return Err(errno),
            },
        }
    }
}

/// Receives a message of at most `buffer` and the descriptor that came with it, close-on-exec (`recvmsg(2)`).
///
/// Gives 0 bytes at the end of the stream. More than one descriptor is refused with `EMSGSIZE`.
///
/// # Errors
/// `EAGAIN` on a socket that does not block, `EMSGSIZE` when more came than there is room for.
pub fn receive_descriptor(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, Option<OwnedFd>)> {
    let mut control = Control { bytes: [0; 64] };
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all-zero bytes are a valid msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    // SAFETY: computes a length. Room for one descriptor only: the kernel closes what does not fit.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(FD) }.try_into().map_err(|_| Errno::EINVAL)?;
    let received = loop {
        // SAFETY: the kernel fills buffer and control buffer within the lengths given.
        let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        match usize::try_from(received) {
            Ok(received) => break received,
            Err(_) => match Errno::last() {
                Errno::EINTR => {}
                errno => return Err(errno),
            },
        }
    };
    // SAFETY: computes a length.
    let one = unsafe { libc::CMSG_LEN(FD) };
    // SAFETY: the kernel wrote the header; it is read only where it says that one descriptor follows.
    let descriptor = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if header.is_null()
            || (*header).cmsg_level != libc::SOL_SOCKET
            || (*header).cmsg_type != libc::SCM_RIGHTS
            || u64::try_from((*header).cmsg_len).ok() != Some(u64::from(one))
        {
            None
        } else {
            Some(OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned()))
        }
    };
    if message.msg_flags & (libc::MSG_CTRUNC | libc::MSG_TRUNC) != 0 {
        return Err(Errno::EMSGSIZE);
    }
    Ok((received, descriptor))
}

/// Waits until there is something to receive, or the process of a pidfd has ended (`poll(2)`).
///
/// `Ok(true)` when there is something, also when the process has ended since.
///
/// # Errors
/// As `poll(2)`.
pub fn wait_for_message(socket: BorrowedFd<'_>, process: BorrowedFd<'_>) -> Result<bool> {
    let entry = |fd: BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    loop {
        let mut entries = [entry(socket), entry(process)];
        // SAFETY: two entries are given and they are valid for writing.
        match check_int(unsafe { libc::poll(entries.as_mut_ptr(), 2, -1) }) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => return Ok(entries.first().is_some_and(|entry| entry.revents & libc::POLLIN != 0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_descriptor_arrives_with_its_payload() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        send_descriptor(ours.as_fd(), reader.as_fd(), b"state").unwrap();
        drop(reader);
        let mut buffer = [0; 16];
        let (length, descriptor) = receive_descriptor(theirs.as_fd(), &mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"state");
        let mut writer = writer;
        writer.write_all(b"x").unwrap();
        assert_eq!(crate::file::read(descriptor.unwrap().as_fd(), &mut buffer), Ok(1));
        drop(ours);
        let (length, descriptor) = receive_descriptor(theirs.as_fd(), &mut buffer).unwrap();
        assert!(length == 0 && descriptor.is_none());
    }

    #[test]
    fn nobody_and_nothing_are_errors() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert_eq!(send_descriptor(ours.as_fd(), ours.as_fd(), b""), Err(Errno::EINVAL));
        drop(theirs);
        assert_eq!(send_descriptor(ours.as_fd(), ours.as_fd(), b"x"), Err(Errno::EPIPE));
    }

    #[test]
    fn bytes_alone_are_no_descriptor() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"hello").unwrap();
        let (length, descriptor) = receive_descriptor(theirs.as_fd(), &mut [0; 5]).unwrap();
        assert!(length == 5 && descriptor.is_none());
    }
}
