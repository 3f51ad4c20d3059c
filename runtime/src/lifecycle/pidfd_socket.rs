//! `--pidfd-socket`: a pidfd for whoever watches over the process, which no other can take the place of.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use cofferdam_sys::{errno, send};

use crate::{Error, ErrorKind, Result};

/// Connects before anything is made.
pub(super) fn connect(path: &Path) -> Result<UnixStream> {
    UnixStream::connect(path).map_err(|error| {
        Error::new(ErrorKind::Usage, format!("--pidfd-socket {}: {error}", path.display()))
            .with_hint("it names a unix stream socket that somebody listens on")
    })
}

pub(super) fn send(socket: &UnixStream, pidfd: BorrowedFd<'_>) -> Result<()> {
    send::send_descriptor(socket.as_fd(), pidfd, b"pidfd").map_err(|number| {
        Error::new(ErrorKind::System, format!("--pidfd-socket: send it: {}", errno::describe(number)))
    })
}
