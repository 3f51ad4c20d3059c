//! The three standard descriptors of a child.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::{AsRawFd, OwnedFd};

use cofferdam_sys::plan::{At, Plan, Step};

use crate::Error;

/// What a standard descriptor of a child is.
#[derive(Debug, Default)]
pub enum Stdio {
    /// The caller's.
    #[default]
    Inherit,
    /// `/dev/null`.
    Null,
    /// A pipe, whose other end is in the [`super::Child`].
    Piped,
    /// This one.
    Fd(OwnedFd),
}

impl<T: Into<OwnedFd>> From<T> for Stdio {
    fn from(file: T) -> Self {
        Stdio::Fd(file.into())
    }
}

/// All three.
#[derive(Debug, Default)]
pub(super) struct Three {
    pub(super) stdin: Stdio,
    pub(super) stdout: Stdio,
    pub(super) stderr: Stdio,
}

/// The caller's ends of the pipes.
#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) stdin: Option<PipeWriter>,
    pub(super) stdout: Option<PipeReader>,
    pub(super) stderr: Option<PipeReader>,
}

impl Ends {
    /// Opens what is asked for and adds the steps; the plan owns the child's ends.
    pub(super) fn open(three: Three, plan: &mut Plan) -> Result<Self, Error> {
        let mut ends = Self::default();
        let fd = match three.stdin {
            Stdio::Piped => {
                let (read, write) = make_pipe()?;
                ends.stdin = Some(write);
                Some(read.into())
            }
            other => existing(other)?,
        };
        duplicate(fd, 0, plan)?;
        let fd = output(three.stdout, &mut ends.stdout)?;
        duplicate(fd, 1, plan)?;
        let fd = output(three.stderr, &mut ends.stderr)?;
        duplicate(fd, 2, plan)?;
        Ok(ends)
    }
}

fn output(stdio: Stdio, end: &mut Option<PipeReader>) -> Result<Option<OwnedFd>, Error> {
    match stdio {
        Stdio::Piped => {
            let (read, write) = make_pipe()?;
            *end = Some(read);
            Ok(Some(write.into()))
        }
        other => existing(other),
    }
}

fn existing(stdio: Stdio) -> Result<Option<OwnedFd>, Error> {
    match stdio {
        Stdio::Inherit | Stdio::Piped => Ok(None),
        Stdio::Fd(fd) => Ok(Some(fd)),
        Stdio::Null => {
            let null = File::options().read(true).write(true).open("/dev/null");
            null.map(|file| Some(file.into())).map_err(|error| Error::io(&error, "open /dev/null"))
        }
    }
}

fn make_pipe() -> Result<(PipeReader, PipeWriter), Error> {
    pipe().map_err(|error| Error::io(&error, "make a pipe"))
}

fn duplicate(fd: Option<OwnedFd>, to: i32, plan: &mut Plan) -> Result<(), Error> {
    const NAMES: [&str; 3] = ["input", "output", "error"];
    let Some(mut fd) = fd else { return Ok(()) };
    if fd.as_raw_fd() <= 2 {
        // Where the caller runs without them, a step for one would overwrite the source of another.
        fd = fd.try_clone().map_err(|error| Error::io(&error, "duplicate a descriptor"))?;
    }
    let name = usize::try_from(to).ok().and_then(|to| NAMES.get(to)).unwrap_or(&"descriptor");
    plan.push(format!("set standard {name}"), Step::Duplicate { from: At::from(fd), to });
    Ok(())
}
