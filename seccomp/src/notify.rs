//! The supervisor's side: a program that answers calls of others (`seccomp_unotify(2)`).
//!
//! A supervisor sees numbers and arguments, not what pointers point to: that it has to read from the
//! process's memory, which may change between the look and the call. So [`Listener::let_pass`] is no
//! decision about anything behind a pointer. To decide about a path, open it in the supervisor and hand over
//! the descriptor ([`Listener::add_fd`]).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use cofferdam_sys::Errno;
use cofferdam_sys::seccomp::{self, ADDFD_SEND, ADDFD_SETFD, AddFd, RESPONSE_CONTINUE, Response};
pub use cofferdam_sys::seccomp::{CallData, Notification};

use crate::{Error, ErrorKind};

/// Where calls arrive that a filter answers with [`crate::Answer::Notify`] (Linux 5.0).
///
/// Its descriptor is readable when a call waits and can be polled. When it is closed, waiting calls and all
/// later ones fail with `ENOSYS`. Any thread may answer.
#[derive(Debug)]
pub struct Listener(OwnedFd);

/// Where a descriptor is put in the process that made a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The number that it gets, as with `dup2(2)`; the lowest free one when not given.
    pub number: Option<u32>,
    /// Whether it is closed by `execve(2)`.
    pub close_on_exec: bool,
}

impl From<OwnedFd> for Listener {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<Listener> for OwnedFd {
    fn from(listener: Listener) -> Self {
        listener.0
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Listener {
    /// Waits for the next call. A signal or a caller that is killed meanwhile does not end the wait.
    ///
    /// Gives `None` when no process has the filter any more; before Linux 6.11 one that has ended has it until it
    /// was waited for.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] with the kernel's answer.
    pub fn receive(&self) -> Result<Option<Notification>, Error> {
        use rustix::event::{PollFd, PollFlags, poll};
        loop {
            // The ioctl alone would wait for ever when the last process with the filter is gone.
            let mut ready = [PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut ready, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(os("wait for a call", Errno::from_raw(errno.raw_os_error()))),
            }
            let [state] = ready;
            if !state.revents().contains(PollFlags::IN) {
                return Ok(None);
            }
            match seccomp::receive(self.as_fd()) {
                Ok(notification) => return Ok(Some(notification)),
                // The caller was killed before its call was read, or another thread was quicker.
                Err(Errno::ENOENT | Errno::EINTR) => {}
                Err(errno) => return Err(os("receive a call", errno)),
            }
        }
    }

    /// Whether a call still waits: to be asked after looking at the caller's memory or `/proc`, since its
    /// number may have been given to another process meanwhile.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] with the kernel's answer.
    pub fn is_waiting(&self, call: &Notification) -> Result<bool, Error> {
        seccomp::id_valid(self.as_fd(), call.id).map_err(|errno| os("ask whether a call still waits", errno))
    }

    /// Makes the call give a value.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] when the call does not wait any more.
    pub fn give(&self, call: &Notification, value: i64) -> Result<(), Error> {
        self.respond(Response { id: call.id, value, ..Response::default() })
    }

    /// Makes the call fail.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] when the call does not wait any more.
    pub fn fail(&self, call: &Notification, errno: Errno) -> Result<(), Error> {
        let error = (errno as i32).checked_neg().unwrap_or(-1);
        self.respond(Response { id: call.id, error, ..Response::default() })
    }

    /// Has the kernel go on with the call (Linux 5.5). No decision about what pointers point to: see above.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] when the call does not wait any more.
    pub fn let_pass(&self, call: &Notification) -> Result<(), Error> {
        self.respond(Response { id: call.id, flags: RESPONSE_CONTINUE, ..Response::default() })
    }

    /// Puts a descriptor into the calling process and gives its number there (Linux 5.9). The call still waits.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] when the call does not wait any more, [`ErrorKind::Os`] such as `EMFILE`.
    pub fn add_fd(&self, call: &Notification, fd: BorrowedFd<'_>, place: Place) -> Result<RawFd, Error> {
        self.add(call, fd, place, 0)
    }

    /// The same, and makes the call give that number, in one step: the caller cannot be killed between, with
    /// a descriptor left behind that nobody knows (Linux 5.14).
    ///
    /// # Errors
    /// As [`Self::add_fd`]; `EINVAL` before Linux 5.14.
    pub fn give_fd(&self, call: &Notification, fd: BorrowedFd<'_>, place: Place) -> Result<RawFd, Error> {
        self.add(call, fd, place, ADDFD_SEND)
    }

    fn add(&self, call: &Notification, fd: BorrowedFd<'_>, place: Place, flags: u32) -> Result<RawFd, Error> {
        const CLOEXEC: u32 = 0o2_000_000;
        let what = "put a descriptor into the calling process";
        let add = AddFd {
            id: call.id,
            flags: flags | if place.number.is_some() { ADDFD_SETFD } else { 0 },
            source: fd.as_raw_fd().try_into().map_err(|_| os(what, Errno::EBADF))?,
            number: place.number.unwrap_or(0),
            number_flags: if place.close_on_exec { CLOEXEC } else { 0 },
        };
        seccomp::add_fd(self.as_fd(), add).map_err(|errno| gone_or(what, errno))
    }

    fn respond(&self, response: Response) -> Result<(), Error> {
        seccomp::respond(self.as_fd(), response).map_err(|errno| gone_or("answer a call", errno))
    }
}

fn gone_or(what: &str, errno: Errno) -> Error {
    match errno {
        Errno::ENOENT | Errno::EINPROGRESS => {
            Error::new(ErrorKind::Gone, format!("{what}: the call does not wait any more"))
        }
        _ => os(what, errno),
    }
}

fn os(what: &str, errno: Errno) -> Error {
    Error::new(ErrorKind::Os(errno), what)
}
