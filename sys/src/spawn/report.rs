//! What the child says to its parent: one record a message, and a pidfd with the news of a fork.
//!
//! A plan without [`crate::plan::Step::Fork`] has a pipe. One with it has a socket, as the process that goes on
//! is made by the child and not by us: it sends its own pidfd, and the kernel puts its id as *we* see it beside
//! it (`SCM_CREDENTIALS`, `unix(7)`). No number is passed from one PID namespace to another.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::call::{check, check_int};
use crate::record::{FORKED, REACHED, Record, SIZE};
use crate::{Errno, Result, process};

/// What the parent hears.
#[derive(Debug)]
pub(super) enum Message {
    /// Nobody can say anything any more: `execve(2)` has closed the other end, or death has.
    End,
    /// A step failed.
    Failed(Box<Record>),
    /// The child has come as far as it was asked to.
    Reached,
    /// This process goes on in the place of the child.
    Forked { pid: i32, pidfd: OwnedFd },
    /// The child died in the middle of a record.
    Torn,
}

/// The parent's end.
#[derive(Debug)]
pub(super) struct Receiver {
    fd: OwnedFd,
    socket: bool,
}

/// Both ends, close-on-exec and above the standard descriptors; a socket when the child will fork.
pub(super) fn channel(forks: bool) -> Result<(Receiver, OwnedFd)> {
    if !forks {
        let (fd, write) = super::pipe()?;
        return Ok((Receiver { fd, socket: false }, write));
    }
    let mut ends = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the kernel stores two descriptors in the array.
    check_int(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
    let [read, write] = ends;
    // SAFETY: the kernel just gave us both.
    let (read, write) = unsafe { (OwnedFd::from_raw_fd(read), OwnedFd::from_raw_fd(write)) };
    let (read, write) = (super::above_standard(read)?, super::above_standard(write)?);
    let on: libc::c_int = 1;
    let size = libc::socklen_t::try_from(size_of_val(&on)).map_err(|_| Errno::EINVAL)?;
    let (level, name) = (libc::SOL_SOCKET, libc::SO_PASSCRED);
    // SAFETY: pointer and size are those of one integer.
    check_int(unsafe { libc::setsockopt(read.as_raw_fd(), level, name, (&raw const on).cast(), size) })?;
    Ok((Receiver { fd: read, socket: true }, write))
}

/// Room for one pidfd and one `struct ucred`, aligned as control messages must be.
type Control = [u64; 8];

/// Says that the caller goes on in the place of the process that made it.
pub(crate) fn announce(report: BorrowedFd<'_>) -> Result<()> {
    use std::os::fd::AsFd;
    // SAFETY: takes no pointer and cannot fail.
    let own = process::pidfd_open(unsafe { libc::getpid() })?;
    let mut bytes = Record::new(FORKED, 0, 0, b"").bytes();
    let mut control: Control = [0; 8];
    let mut vector = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut message = header(&mut vector, &mut control);
    let size = libc::c_uint::try_from(size_of::<RawFd>()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: only computes.
    let (space, length) = unsafe { (libc::CMSG_SPACE(size), libc::CMSG_LEN(size)) };
    message.msg_controllen = usize::try_from(space).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the header names a control buffer that has room for one message.
    let first = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: not null, as the buffer is larger than a header, and aligned, as the buffer is.
    let first = unsafe { first.as_mut() }.ok_or(Errno::ENOBUFS)?;
    first.cmsg_level = libc::SOL_SOCKET;
    first.cmsg_type = libc::SCM_RIGHTS;
    first.cmsg_len = usize::try_from(length).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the message has room for one descriptor; the data may be unaligned for the type.
    unsafe { libc::CMSG_DATA(first).cast::<RawFd>().write_unaligned(own.as_fd().as_raw_fd()) };
    loop {
        // SAFETY: the header and all that it points to are valid.
        let sent = unsafe { libc::sendmsg(report.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
        match check(sent.try_into().unwrap_or(-1)) {
            Err(Errno::EINTR) => {}
            other => return other.map(drop),
        }
    }
}

impl Receiver {
    pub(super) fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Whether the child may fork.
    pub(super) fn hears_of_forks(&self) -> bool {
        self.socket
    }

    /// Waits for the next message.
    pub(super) fn receive(&self) -> Result<Message> {
        if self.socket { self.receive_packet() } else { self.receive_record() }
    }

    fn receive_record(&self) -> Result<Message> {
        use std::os::fd::AsFd;
        match Record::receive(self.fd.as_fd()) {
            Ok(None) => Ok(Message::End),
            Ok(Some(record)) => Ok(said(record)),
            Err(Errno::EPROTO) => Ok(Message::Torn),
            Err(errno) => Err(errno),
        }
    }

    fn receive_packet(&self) -> Result<Message> {
        let mut bytes = [0u8; SIZE];
        let mut control: Control = [0; 8];
        let mut vector = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let mut message = header(&mut vector, &mut control);
        let length = loop {
            // SAFETY: the header and all that it points to are valid for writing.
            let got = unsafe { libc::recvmsg(self.fd.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
            match check(got.try_into().unwrap_or(-1)) {
                Err(Errno::EINTR) => {}
                other => break other?,
            }
        };
        let (pid, pidfd) = attached(&message);
        match usize::try_from(length) {
            Ok(0) => return Ok(Message::End),
            Ok(SIZE) => {}
            _ => return Ok(Message::Torn),
        }
        let record = Record::parse(&bytes);
        if record.number != FORKED {
            return Ok(said(record));
        }
        match (pid, pidfd) {
            (Some(pid), Some(pidfd)) => Ok(Message::Forked { pid, pidfd }),
            // The kernel drops what does not fit into our table of descriptors.
            _ => Err(Errno::EMFILE),
        }
    }
}

fn said(record: Record) -> Message {
    if record.number == REACHED { Message::Reached } else { Message::Failed(Box::new(record)) }
}

fn header(vector: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: all-zero is a valid header without name, data and control messages.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vector;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>();
    message
}

/// The process id and the descriptor that came with a message.
fn attached(message: &libc::msghdr) -> (Option<i32>, Option<OwnedFd>) {
    let (mut pid, mut pidfd) = (None, None);
    // SAFETY: the kernel has filled the header that is asked.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: null at the end, otherwise a whole header inside the buffer.
    while let Some(one) = unsafe { next.as_ref() } {
        // SAFETY: only computes an address inside the buffer.
        let data = unsafe { libc::CMSG_DATA(one) };
        match (one.cmsg_level, one.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                // SAFETY: such a message holds at least one descriptor, and each is new and ours.
                pidfd = Some(unsafe { OwnedFd::from_raw_fd(data.cast::<RawFd>().read_unaligned()) });
            }
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                // SAFETY: such a message holds one structure.
                pid = Some(unsafe { data.cast::<libc::ucred>().read_unaligned() }.pid);
            }
            _ => {}
        }
        // SAFETY: both belong to the same buffer.
        next = unsafe { libc::CMSG_NXTHDR(message, one) };
    }
    (pid, pidfd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn both_channels_carry_failures_and_their_end() {
        for forks in [false, true] {
            let (receiver, sender) = channel(forks).unwrap();
            let record = Record::new(7, Errno::EPERM as i32, 0, b"open it");
            record.send(sender.as_fd()).unwrap();
            Record::new(REACHED, 0, 0, b"").send(sender.as_fd()).unwrap();
            let heard = receiver.receive().unwrap();
            assert!(matches!(&heard, Message::Failed(heard) if **heard == record), "{heard:?}");
            assert!(matches!(receiver.receive().unwrap(), Message::Reached));
            drop(sender);
            assert!(matches!(receiver.receive().unwrap(), Message::End));
        }
    }

    #[test]
    fn a_process_announces_itself() {
        let (receiver, sender) = channel(true).unwrap();
        announce(sender.as_fd()).unwrap();
        let Message::Forked { pid, pidfd } = receiver.receive().unwrap() else { panic!("no news") };
        assert_eq!(pid, std::process::id().cast_signed());
        process::pidfd_send_signal(pidfd.as_fd(), 0).unwrap();
    }

    #[test]
    fn half_a_record_is_noticed() {
        for forks in [false, true] {
            let (receiver, sender) = channel(forks).unwrap();
            crate::file::write_once(sender.as_fd(), &[1, 2, 3]).unwrap();
            drop(sender);
            assert!(matches!(receiver.receive().unwrap(), Message::Torn));
        }
    }
}
