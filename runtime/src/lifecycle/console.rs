//! Where the master of a process's terminal goes: to an engine's socket, or to the command that stays.

use std::io::{IsTerminal, stdout};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use cofferdam_sys::plan::At;

use crate::container::Terminal;
use crate::{Error, ErrorKind, Result, run};

/// The two ends of the way.
pub(super) struct Console {
    /// What the child sends it to.
    pub(super) child: Option<At>,
    /// Where it comes, when this command passes the terminal on.
    pub(super) own: Option<UnixStream>,
}

impl Console {
    /// Connects to the console socket. Without one, a command that stays takes the terminal itself, and gives
    /// it the size of the caller's where the config says none.
    pub(super) fn of(terminal: Option<&mut Terminal>, socket: Option<&Path>, stays: bool) -> Result<Self> {
        match (terminal, socket) {
            (None, None) => Ok(Self { child: None, own: None }),
            (None, Some(_)) => Err(Error::new(ErrorKind::Usage, "--console-socket needs process.terminal")
                .with_hint("set process.terminal (exec: --tty), or leave the socket out")),
            (Some(_), Some(path)) => match UnixStream::connect(path) {
                Ok(stream) => Ok(Self { child: Some(At::from(OwnedFd::from(stream))), own: None }),
                Err(error) => {
                    let what = format!("--console-socket {}: {error}", path.display());
                    Err(Error::new(ErrorKind::Usage, what)
                        .with_hint("it names a unix stream socket that somebody listens on"))
                }
            },
            (Some(terminal), None) if stays => {
                terminal.size = terminal.size.or_else(run::own_size);
                // For a file or a pipe, as a program without a terminal would write them.
                terminal.plain_newlines = !stdout().is_terminal();
                let pair = UnixStream::pair().map_err(|error| {
                    Error::new(
                        ErrorKind::System,
                        format!("process.terminal: make a pair of sockets: {error}"),
                    )
                })?;
                Ok(Self { child: Some(At::from(OwnedFd::from(pair.0))), own: Some(pair.1) })
            }
            (Some(_), None) => Err(Error::new(ErrorKind::Usage, "process.terminal needs --console-socket")
                .with_hint(
                    "a process that this command does not wait for can have no terminal of the caller's",
                )),
        }
    }
}
