//! One namespace: its kind, its file, its identity.

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;

use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::{errno, file};

use crate::{Error, ErrorKind};

/// The eight kinds of namespace (`namespaces(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NsKind {
    /// `cgroup_namespaces(7)`.
    Cgroup,
    /// `ipc_namespaces(7)`.
    Ipc,
    /// `mount_namespaces(7)`.
    Mount,
    /// `network_namespaces(7)`.
    Network,
    /// `pid_namespaces(7)`.
    Pid,
    /// `time_namespaces(7)`.
    Time,
    /// `user_namespaces(7)`.
    User,
    /// `uts_namespaces(7)`.
    Uts,
}

impl NsKind {
    /// Every kind.
    pub const ALL: [NsKind; 8] = [
        NsKind::Cgroup,
        NsKind::Ipc,
        NsKind::Mount,
        NsKind::Network,
        NsKind::Pid,
        NsKind::Time,
        NsKind::User,
        NsKind::Uts,
    ];

    /// The kind's `CLONE_NEW*` flag.
    pub fn flag(self) -> Namespaces {
        match self {
            NsKind::Cgroup => Namespaces::CGROUP,
            NsKind::Ipc => Namespaces::IPC,
            NsKind::Mount => Namespaces::MOUNT,
            NsKind::Network => Namespaces::NET,
            NsKind::Pid => Namespaces::PID,
            NsKind::Time => Namespaces::TIME,
            NsKind::User => Namespaces::USER,
            NsKind::Uts => Namespaces::UTS,
        }
    }

    /// The name of its file below `/proc/PID/ns`.
    pub fn proc_name(self) -> &'static str {
        match self {
            NsKind::Cgroup => "cgroup",
            NsKind::Ipc => "ipc",
            NsKind::Mount => "mnt",
            NsKind::Network => "net",
            NsKind::Pid => "pid",
            NsKind::Time => "time",
            NsKind::User => "user",
            NsKind::Uts => "uts",
        }
    }
}

impl fmt::Display for NsKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.proc_name())
    }
}

impl FromStr for NsKind {
    type Err = Error;

    /// Reads a name as `/proc/PID/ns` has it.
    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|kind| kind.proc_name() == name);
        known.ok_or_else(|| Error::new(ErrorKind::Invalid, format!("`{name}` is no kind of namespace")))
    }
}

/// What tells one namespace from every other that exists at the same time: device and inode of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Device number of nsfs.
    pub dev: u64,
    /// Inode number, as `readlink /proc/self/ns/…` shows it.
    pub ino: u64,
}

/// An open namespace. It stays alive as long as this is.
#[derive(Debug)]
pub struct Namespace {
    kind: NsKind,
    fd: OwnedFd,
}

impl Namespace {
    /// The namespace of a process; pid 0 is the calling thread.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] with `ENOENT` for a process or kind that is not there, `EACCES` for a process
    /// that may not be inspected (`ptrace(2)`).
    pub fn of_process(pid: i32, kind: NsKind) -> Result<Self, Error> {
        let process = if pid == 0 { "thread-self".to_owned() } else { pid.to_string() };
        Self::open(Path::new(&format!("/proc/{process}/ns/{kind}")), kind)
    }

    /// The namespace behind a path: below `/proc/PID/ns`, or pinned by a bind mount.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] as `open(2)`; [`ErrorKind::Invalid`] when the file is no namespace.
    pub fn open(path: &Path, kind: NsKind) -> Result<Self, Error> {
        /// `NSFS_MAGIC` of `statfs(2)`.
        const NSFS: i64 = 0x6e73_6673;
        let step = || format!("open the {kind} namespace {}", path.display());
        let os = |error: &std::io::Error| Error::new(ErrorKind::Os(errno::from_io(error)), step());
        // Non-blocking: a FIFO put in its place must not hold us.
        let fd = File::options().read(true).custom_flags(0o4000).open(path).map_err(|error| os(&error))?;
        let magic =
            file::filesystem_magic(fd.as_fd()).map_err(|number| Error::new(ErrorKind::Os(number), step()))?;
        if magic != NSFS {
            return Err(Error::new(ErrorKind::Invalid, format!("{}: not a namespace file", step())));
        }
        Ok(Self { kind, fd: fd.into() })
    }

    /// Its kind.
    pub fn kind(&self) -> NsKind {
        self.kind
    }

    /// Its identity.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] as `fstat(2)`.
    pub fn identity(&self) -> Result<Identity, Error> {
        let stat = file::fstat(self.fd.as_fd()).map_err(|number| {
            Error::new(ErrorKind::Os(number), format!("identify a {} namespace", self.kind))
        })?;
        Ok(Identity { dev: stat.dev, ino: stat.ino })
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

    #[test]
    fn a_process_shares_its_parents_namespaces() {
        for kind in NsKind::ALL {
            let own = Namespace::of_process(0, kind).unwrap().identity().unwrap();
            let same = Namespace::of_process(std::process::id().cast_signed(), kind).unwrap();
            assert_eq!(own, same.identity().unwrap(), "{kind}");
            assert_eq!(kind.proc_name().parse::<NsKind>().unwrap(), kind);
        }
        assert_eq!("mount".parse::<NsKind>().unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn another_file_is_no_namespace() {
        let error = Namespace::open(Path::new("/proc/self/stat"), NsKind::Network).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("/proc/self/stat: not a namespace file"), "{error}");
        let error = Namespace::open(Path::new("/nowhere"), NsKind::Network).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Os(cofferdam_sys::Errno::ENOENT));
    }
}
