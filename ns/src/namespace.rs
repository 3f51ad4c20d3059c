//! One namespace: its file, and what tells it from others.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::plan::At;
use cofferdam_sys::{Errno, file, nsfs};

use crate::{Error, NsKind};

/// What tells one namespace from every other that exists at the same time: device and inode of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Device number of nsfs.
    pub dev: u64,
    /// Inode number, as `readlink /proc/self/ns/…` shows it.
    pub ino: u64,
}

/// An open namespace. It stays alive as long as this, or a clone of this, is.
#[derive(Debug, Clone)]
pub struct Namespace {
    kind: NsKind,
    fd: Arc<OwnedFd>,
}

impl Namespace {
    /// The namespace of a process; pid 0 is the calling thread.
    ///
    /// A number may be another process's by now: [`crate::Process::namespace`] cannot be wrong.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] with `ENOENT` for a process or kind that is not there, `EACCES` for a process
    /// that may not be inspected (`ptrace(2)`).
    pub fn of_process(pid: i32, kind: NsKind) -> Result<Self, Error> {
        let process = if pid == 0 { "thread-self".to_owned() } else { pid.to_string() };
        Self::open(Path::new(&format!("/proc/{process}/ns/{kind}")), kind)
    }

    /// The namespace behind a path: below `/proc/PID/ns`, or pinned by a bind mount.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] as `open(2)`; [`crate::ErrorKind::Invalid`] when the file is no namespace, or
    /// one of another kind.
    pub fn open(path: &Path, kind: NsKind) -> Result<Self, Error> {
        let found = Self::open_any(path)?;
        if found.kind == kind {
            return Ok(found);
        }
        Err(Error::invalid(format!("{} is a namespace of kind {}, not {kind}", path.display(), found.kind)))
    }

    /// The same, of whatever kind it is.
    ///
    /// # Errors
    /// As [`Namespace::open`].
    pub fn open_any(path: &Path) -> Result<Self, Error> {
        let step = || format!("open the namespace {}", path.display());
        // Non-blocking: a FIFO put in its place must not hold us.
        let fd =
            File::options().read(true).custom_flags(0o4000).open(path).map_err(|e| Error::io(&e, step()))?;
        Self::from_fd(fd.into(), step)
    }

    /// The namespace behind a descriptor that was got elsewhere: inherited, received, from `ioctl(2)`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] when it is no namespace.
    pub fn from_owned_fd(fd: OwnedFd) -> Result<Self, Error> {
        Self::from_fd(fd, || "take a descriptor for a namespace".to_owned())
    }

    pub(crate) fn from_fd(fd: OwnedFd, step: impl Fn() -> String) -> Result<Self, Error> {
        /// `NSFS_MAGIC` of `statfs(2)`. Another file system may give the ioctl's number another meaning.
        const NSFS: i64 = 0x6e73_6673;
        let magic = file::filesystem_magic(fd.as_fd()).map_err(|number| Error::os(number, step()))?;
        let kind = if magic == NSFS {
            nsfs::kind(fd.as_fd()).map_err(|number| Error::os(number, step()))?
        } else {
            0
        };
        match NsKind::of_flag(Namespaces::from_bits_retain(kind.into())) {
            Some(kind) => Ok(Self { kind, fd: Arc::new(fd) }),
            None => Err(Error::invalid(format!("{}: not a namespace file", step()))),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> NsKind {
        self.kind
    }

    /// Its identity.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] as `fstat(2)`.
    pub fn identity(&self) -> Result<Identity, Error> {
        let stat = file::fstat(self.fd.as_fd())
            .map_err(|number| Error::os(number, format!("identify a {} namespace", self.kind)))?;
        Ok(Identity { dev: stat.dev, ino: stat.ino })
    }

    /// A number that no other namespace has or will have until the next boot.
    ///
    /// `None` before Linux 6.18 (6.11 for a mount namespace); an [`Identity`] is used again after the end of its
    /// namespace.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] as `ioctl(2)`.
    pub fn unique_id(&self) -> Result<Option<u64>, Error> {
        nsfs::id(self.fd.as_fd())
            .map_err(|number| Error::os(number, format!("ask a {} namespace for its id", self.kind)))
    }

    /// The user namespace that owns it; whoever has capabilities there has them over this one.
    ///
    /// `None` when the owner is neither the caller's user namespace nor one below it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] as `ioctl_nsfs(2)`.
    pub fn owner(&self) -> Result<Option<Namespace>, Error> {
        self.related(nsfs::owner(self.fd.as_fd()), "owner")
    }

    /// The parent of a user or PID namespace; `None` when it is outside the caller's own.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] with `EINVAL` for the other kinds, which have none.
    pub fn parent(&self) -> Result<Option<Namespace>, Error> {
        self.related(nsfs::parent(self.fd.as_fd()), "parent")
    }

    /// The user who made a user namespace, as the caller's user namespace numbers it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] with `EINVAL` for another kind.
    pub fn owner_uid(&self) -> Result<u32, Error> {
        nsfs::owner_uid(self.fd.as_fd())
            .map_err(|number| Error::os(number, format!("ask who made a {} namespace", self.kind)))
    }

    fn related(
        &self,
        answer: cofferdam_sys::Result<OwnedFd>,
        what: &str,
    ) -> Result<Option<Namespace>, Error> {
        let step = || format!("ask a {} namespace for its {what}", self.kind);
        match answer {
            Ok(fd) => Self::from_fd(fd, step).map(Some),
            Err(Errno::EPERM) => Ok(None),
            Err(number) => Err(Error::os(number, step())),
        }
    }

    /// Whether this user namespace is the other one or below it. Unknown is "no".
    pub(crate) fn is_within(&self, other: &Namespace) -> bool {
        /// The kernel nests user namespaces no deeper.
        const DEEPEST: usize = 33;
        let Ok(wanted) = other.identity() else { return false };
        let mut here = self.clone();
        for _ in 0..DEEPEST {
            if here.identity().is_ok_and(|identity| identity == wanted) {
                return true;
            }
            let Ok(Some(parent)) = here.parent() else { return false };
            here = parent;
        }
        false
    }

    /// The descriptor for a step of a plan.
    pub(crate) fn at(&self) -> At {
        At::Fd(Arc::clone(&self.fd))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_process_shares_its_parents_namespaces() {
        for kind in NsKind::ALL {
            let own = Namespace::of_process(0, kind).unwrap();
            let same = Namespace::of_process(std::process::id().cast_signed(), kind).unwrap();
            assert_eq!(own.identity().unwrap(), same.identity().unwrap(), "{kind}");
            assert_eq!(own.unique_id().unwrap(), same.unique_id().unwrap(), "{kind}");
        }
    }

    #[test]
    fn another_file_is_no_namespace() {
        let error = Namespace::open(Path::new("/proc/self/stat"), NsKind::Network).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("/proc/self/stat: not a namespace file"), "{error}");
        let error = Namespace::open(Path::new("/nowhere"), NsKind::Network).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Os(Errno::ENOENT));
        let error = Namespace::open(Path::new("/proc/self/ns/uts"), NsKind::Network).unwrap_err();
        assert_eq!(error.to_string(), "/proc/self/ns/uts is a namespace of kind uts, not net");
    }

    #[test]
    fn the_callers_namespaces_have_an_owner() {
        let user = Namespace::of_process(0, NsKind::User).unwrap();
        let owner = Namespace::of_process(0, NsKind::Uts).unwrap().owner().unwrap();
        if let Some(owner) = owner {
            assert!(user.is_within(&owner) || owner.is_within(&user));
        }
        assert!(user.is_within(&user));
        let error = Namespace::of_process(0, NsKind::Uts).unwrap().parent().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Os(Errno::EINVAL));
    }
}
