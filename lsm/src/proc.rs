//! A procfs that is one: where labels are written by a child and read back from outside.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use cofferdam_sys::file::{filesystem_magic, fstat};
use cofferdam_sys::mount::{MountAttrs, fsconfig_create, fsmount, fsopen};
use cofferdam_sys::open::Open;
use cofferdam_sys::plan::At;
use cofferdam_sys::{Errno, lsm};

use crate::file;
use crate::{Error, ErrorKind};

/// `PROC_SUPER_MAGIC` of `statfs(2)`.
const MAGIC: i64 = 0x9fa0;
/// `PROC_ROOT_INO`: the inode of a procfs's root, which no directory below it has.
const ROOT: u64 = 1;

/// The root of a verified procfs.
///
/// Preferred is an instance of one's own that is mounted nowhere, so that nobody can mount anything over its
/// files (the class of CVE-2019-16884 and CVE-2025-52881). Without the right to make one it is the `/proc` of
/// this process, and what lies below is opened without crossing a mount or following a link.
#[derive(Debug, Clone)]
pub struct Proc {
    root: Arc<OwnedFd>,
    private: bool,
}

impl Proc {
    /// A private instance where that may be made, otherwise `/proc`; either way verified.
    ///
    /// # Errors
    /// [`ErrorKind::Untrusted`] when `/proc` is no procfs or is that of other processes; [`ErrorKind::Os`].
    pub fn open() -> Result<Self, Error> {
        match private() {
            Ok(root) => Self::verified(root, true, "a private procfs"),
            // Not root of the PID namespace, or confined: what is mounted will do, as it is verified too.
            Err(Errno::EPERM | Errno::EACCES | Errno::ENOSYS) => Self::mounted(Path::new("/proc")),
            Err(number) => Err(Error::os("make a private procfs (fsopen)", number)),
        }
    }

    /// The procfs that is mounted at `path`.
    ///
    /// # Errors
    /// As [`Proc::open`].
    pub fn mounted(path: &Path) -> Result<Self, Error> {
        let root = file::directory(path, MAGIC, "procfs")?;
        Self::verified(root, false, &path.display().to_string())
    }

    fn verified(root: OwnedFd, private: bool, name: &str) -> Result<Self, Error> {
        let os = |number| Error::os(format!("look at {name}"), number);
        let untrusted = |why: &str| Error::new(ErrorKind::Untrusted, format!("{name}: {why}"));
        if filesystem_magic(root.as_fd()).map_err(os)? != MAGIC {
            return Err(untrusted("it is no procfs"));
        }
        if fstat(root.as_fd()).map_err(os)?.ino != ROOT {
            return Err(untrusted("it is a directory of a procfs, and not its root"));
        }
        let own = lsm::own_pid(root.as_fd()).map(i32::unsigned_abs);
        if own != Ok(std::process::id()) {
            return Err(untrusted("it is the procfs of another PID namespace"));
        }
        Ok(Self { root: Arc::new(root), private })
    }

    /// Whether it is an instance of one's own that is mounted nowhere.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// The text of a process's file such as `attr/current`, without the newline and NUL bytes at its end.
    ///
    /// The process must not have been waited for, or its id may be another's by now.
    ///
    /// # Errors
    /// [`ErrorKind::Untrusted`] when something is in the way of the file; [`ErrorKind::Os`] with `ENOENT` when
    /// there is no such process or file.
    pub fn read(&self, pid: i32, path: &str) -> Result<String, Error> {
        let what = format!("read {path} of process {pid}");
        if pid <= 0 {
            return Err(Error::invalid(format!("{what}: it is no process id")));
        }
        let name = CString::new(format!("{pid}/{path}"))
            .map_err(|_| Error::invalid(format!("{what}: it holds a NUL byte")))?;
        let file = file::below(self.root.as_fd(), &name, Open::empty()).map_err(|number| match number {
            Errno::EXDEV | Errno::ELOOP => {
                Error::new(ErrorKind::Untrusted, format!("{what}: something was put over it"))
            }
            number => Error::os(&what, number),
        })?;
        let text = file::read(file, &what)?;
        Ok(text.trim_end_matches(['\n', '\0']).to_owned())
    }

    /// The same of this process.
    ///
    /// # Errors
    /// As [`Proc::read`].
    pub fn read_own(&self, path: &str) -> Result<String, Error> {
        // A number of the kernel's own, which fits.
        self.read(i32::try_from(std::process::id()).unwrap_or(0), path)
    }

    /// Whether processes have this file.
    pub(crate) fn has(&self, path: &str) -> Result<bool, Error> {
        let what = format!("look for {path} of this process");
        let name = CString::new(format!("{}/{path}", std::process::id()))
            .map_err(|_| Error::invalid(format!("{what}: it holds a NUL byte")))?;
        match file::below(self.root.as_fd(), &name, Open::PATH) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(number) => Err(Error::os(what, number)),
        }
    }

    /// For a step of a child.
    pub(crate) fn at(&self) -> At {
        At::Fd(Arc::clone(&self.root))
    }
}

impl AsFd for Proc {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

fn private() -> cofferdam_sys::Result<OwnedFd> {
    let context = fsopen(c"proc")?;
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), MountAttrs::NOSUID | MountAttrs::NODEV | MountAttrs::NOEXEC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_procfs_is_verified() {
        for proc in [Proc::open().unwrap(), Proc::mounted(Path::new("/proc")).unwrap()] {
            let pid = i32::try_from(std::process::id()).unwrap();
            let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
            assert_eq!(proc.read(pid, "comm").unwrap(), comm.trim_end());
            assert!(proc.has("attr/current").unwrap() && !proc.has("attr/nothing").unwrap());
            assert_eq!(proc.read(pid, "nothing").unwrap_err().kind(), ErrorKind::Os(Errno::ENOENT));
            assert_eq!(proc.read(pid, "cwd/x").unwrap_err().kind(), ErrorKind::Untrusted);
            assert_eq!(proc.read(0, "comm").unwrap_err().kind(), ErrorKind::Invalid);
            assert_eq!(proc.read(pid, "a\0").unwrap_err().kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn what_only_looks_like_one_is_refused() {
        for path in ["/", "/sys", "/proc/self", "/proc/sys"] {
            let kind = Proc::mounted(Path::new(path)).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::Untrusted, "{path}");
        }
    }
}
