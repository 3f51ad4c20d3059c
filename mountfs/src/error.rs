//! What can go wrong before the child runs: in an option, in a path, in opening a source.

use std::fmt;
use std::path::Path;

use cofferdam_sys::plan::TooManySlots;
use cofferdam_sys::{Errno, errno};

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a root filesystem cannot be made: the step, the object, the kernel's answer, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    /// What was being done, with the object: `open the source "/data" of the mount on "/mnt"`.
    about: String,
    errno: Option<Errno>,
    hint: Option<String>,
}

/// What sort of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A path, an option or a device makes no sense.
    InvalidInput,
    /// An option that this crate knows and does not do.
    UnsupportedOption,
    /// The running kernel lacks what was asked for.
    UnsupportedKernel,
    /// A mount that would weaken the container, such as one inside `/proc`.
    Refused,
    /// A source or a device is not what it should be.
    WrongSource,
    /// A system call failed; [`Error::errno`] has its answer.
    System,
    /// The plan has no room left.
    PlanFull,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, about: impl Into<String>) -> Self {
        Self { kind, about: about.into(), errno: None, hint: None }
    }

    pub(crate) fn invalid(about: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, about)
    }

    pub(crate) fn system(about: impl Into<String>, errno: Errno) -> Self {
        let hint = hint_for(errno).map(str::to_owned);
        Self { kind: ErrorKind::System, about: about.into(), errno: Some(errno), hint }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says which mount it is about.
    pub(crate) fn of_mount(mut self, target: &Path) -> Self {
        self.about = format!("mount on {}: {}", target.display(), self.about);
        self
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The kernel's answer, when a system call failed.
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// The likely cause and what to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.about)?;
        match self.errno {
            Some(errno) => write!(f, ": {}", errno::describe(errno)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<TooManySlots> for Error {
    fn from(full: TooManySlots) -> Self {
        Self::new(ErrorKind::PlanFull, full.to_string())
            .with_hint("use a plan of its own for each root filesystem")
    }
}

/// The likely cause of an answer to `open_tree(2)` or `openat2(2)` in the parent.
fn hint_for(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::ENOENT => "create it on the host first: sources are never made",
        Errno::EACCES => "a directory on the way is closed to the caller: check its permissions",
        Errno::EPERM => "CAP_SYS_ADMIN over the mount namespace, or a seccomp filter, is in the way",
        Errno::EINVAL => {
            "it lies on an unbindable mount, or on one with locked mounts below: bind it recursively (rbind)"
        }
        Errno::ENOSYS => "the kernel is older than 5.10, or a seccomp filter hides the call",
        Errno::EMFILE | Errno::ENFILE => "raise the limit of open files (ulimit -n)",
        Errno::ENOSPC => "the mount namespace is full: see the sysctl fs.mount-max",
        Errno::ELOOP => "too many symbolic links on the way",
        _ => return None,
    })
}
