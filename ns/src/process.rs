//! A process that stays the one that was meant: a pidfd and the directory in `/proc` that goes with it.

use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::open::{Dir, Open, Resolve, openat2};
use cofferdam_sys::plan::At;
use cofferdam_sys::{Errno, file, pidfd, process};

use crate::{Error, Namespace, NsKind};

/// A process as a descriptor (`pidfd_open(2)`) with its directory in `/proc`.
///
/// A number is used again when its process is gone. The directory was opened by number and the process found
/// alive *after* that, so that it is this one's; from then on only descriptors are used.
#[derive(Debug, Clone)]
pub struct Process {
    pid: i32,
    pidfd: Arc<OwnedFd>,
    dir: Arc<OwnedFd>,
}

impl Process {
    /// The process of that number, as of now.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] with `ESRCH` when there is none, `EINVAL` for a thread that is no process.
    pub fn open(pid: i32) -> Result<Self, Error> {
        let pidfd = process::pidfd_open(pid)
            .map_err(|number| Error::os(number, format!("open process {pid} (pidfd_open)")))?;
        Self::new(pid, pidfd)
    }

    /// The process behind a pidfd.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] with `ESRCH` when it has ended and was waited for.
    pub fn from_pidfd(pidfd: OwnedFd) -> Result<Self, Error> {
        let pid = pidfd::pid(pidfd.as_fd())
            .map_err(|number| Error::os(number, "find the number of a process (/proc/self/fdinfo)"))?;
        Self::new(pid, pidfd)
    }

    pub(crate) fn new(pid: i32, pidfd: OwnedFd) -> Result<Self, Error> {
        /// `PROC_SUPER_MAGIC` of `statfs(2)`.
        const PROC: i64 = 0x9fa0;
        let step = || format!("open /proc/{pid}");
        let path = std::ffi::CString::new(format!("/proc/{pid}"))
            .map_err(|_| Error::invalid("a number of a process holds NUL"))?;
        let flags = Open::PATH | Open::DIRECTORY;
        let dir = openat2(Dir::Cwd, &path, flags, 0, Resolve::NO_SYMLINKS)
            .map_err(|number| Error::os(number, step()))?;
        let magic = file::filesystem_magic(dir.as_fd()).map_err(|number| Error::os(number, step()))?;
        if magic != PROC {
            return Err(Error::invalid(format!("{}: /proc is no procfs", step())));
        }
        let process = Self { pid, pidfd: Arc::new(pidfd), dir: Arc::new(dir) };
        if process.is_there()? {
            Ok(process)
        } else {
            Err(Error::os(Errno::ESRCH, step()).with_hint("the process has ended"))
        }
    }

    /// Its number in the caller's PID namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it runs, or has ended and was not waited for: whether its number is still its own.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] as `pidfd_send_signal(2)`.
    pub fn is_there(&self) -> Result<bool, Error> {
        match process::pidfd_send_signal(self.pidfd.as_fd(), 0) {
            Ok(()) | Err(Errno::EPERM) => Ok(true),
            Err(Errno::ESRCH) => Ok(false),
            Err(number) => Err(Error::os(number, format!("ask for process {}", self.pid))),
        }
    }

    /// One of its namespaces.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] with `EACCES` for a process that may not be inspected (`ptrace(2)`), `ENOENT`
    /// or `ESRCH` for one that has ended.
    pub fn namespace(&self, kind: NsKind) -> Result<Namespace, Error> {
        let step = || format!("open the {kind} namespace of process {}", self.pid);
        let path = std::ffi::CString::new(format!("ns/{kind}"))
            .map_err(|_| Error::invalid("a kind of namespace holds NUL"))?;
        let fd = openat2((&*self.dir).into(), &path, Open::empty(), 0, Resolve::empty())
            .map_err(|number| Error::os(number, step()))?;
        Namespace::from_fd(fd, step)
    }

    /// The kinds in which its namespace is not the calling thread's: those that can be joined.
    ///
    /// # Errors
    /// As [`Process::namespace`].
    pub fn foreign_namespaces(&self) -> Result<Namespaces, Error> {
        let mut foreign = Namespaces::empty();
        for kind in NsKind::ALL {
            let theirs = self.namespace(kind)?.identity()?;
            if theirs != Namespace::of_process(0, kind)?.identity()? {
                foreign |= kind.flag();
            }
        }
        Ok(foreign)
    }

    /// The pidfd for a step of a plan.
    pub(crate) fn at(&self) -> At {
        At::Fd(Arc::clone(&self.pidfd))
    }

    /// A descriptor of its directory, to hand on.
    pub(crate) fn dir(&self) -> Result<OwnedFd, Error> {
        self.dir.try_clone().map_err(|error| Error::io(&error, "duplicate a descriptor"))
    }

    /// Writes a file of its directory in one call.
    pub(crate) fn write(&self, name: &CStr, text: &str) -> Result<(), Error> {
        openat2((&*self.dir).into(), name, Open::WRONLY, 0, Resolve::NO_SYMLINKS)
            .and_then(|file| file::write_once(file.as_fd(), text.as_bytes()))
            .map_err(|number| {
                let text = text.trim_end().replace('\n', ", ");
                Error::os(number, format!("write `{text}` to /proc/{}/{}", self.pid, name.to_string_lossy()))
            })
    }

    /// Reads a file of its directory.
    pub(crate) fn read(&self, name: &CStr) -> Result<String, Error> {
        let step = || format!("read /proc/{}/{}", self.pid, name.to_string_lossy());
        let fd = openat2((&*self.dir).into(), name, Open::empty(), 0, Resolve::NO_SYMLINKS)
            .map_err(|number| Error::os(number, step()))?;
        let mut text = String::new();
        File::from(fd).read_to_string(&mut text).map_err(|error| Error::io(&error, step()))?;
        Ok(text)
    }
}

impl AsFd for Process {
    /// The pidfd.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn the_own_process_is_like_itself() {
        let own = Process::open(std::process::id().cast_signed()).unwrap();
        assert!(own.is_there().unwrap());
        assert_eq!(own.foreign_namespaces().unwrap(), Namespaces::empty());
        assert!(own.read(c"status").unwrap().contains("Pid:"));
    }

    #[test]
    fn a_process_that_has_ended_is_not_taken_for_its_successor() {
        let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let process = Process::open(child.id().cast_signed()).unwrap();
        let pidfd = process.as_fd().try_clone_to_owned().unwrap();
        assert_eq!(Process::from_pidfd(pidfd).unwrap().pid(), process.pid());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!process.is_there().unwrap());
        // As if the number were this process's now.
        let own = std::process::id().cast_signed();
        let stale = process.as_fd().try_clone_to_owned().unwrap();
        assert_eq!(Process::new(own, stale).unwrap_err().kind(), ErrorKind::Os(Errno::ESRCH));
        let error = process.write(c"oom_score_adj", "0").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Os(Errno::ESRCH | Errno::ENOENT)), "{error}");
    }
}
