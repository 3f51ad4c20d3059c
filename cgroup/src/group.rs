//! One cgroup: a descriptor of its directory, and a path for messages.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use cofferdam_sys::open::{Dir, mkdirat};
use cofferdam_sys::{Errno, errno, file};

use crate::file::In;
use crate::{Error, ErrorKind, Hierarchy, Result};

/// A v2 cgroup, held by a descriptor of its directory.
#[derive(Debug)]
pub struct Cgroup {
    fd: OwnedFd,
    path: PathBuf,
}

impl Cgroup {
    /// The root of a layout's v2 hierarchy.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] without a v2 hierarchy, or when another file system is mounted there.
    pub fn root(hierarchy: &Hierarchy) -> Result<Self> {
        /// `CGROUP2_SUPER_MAGIC` of `statfs(2)`.
        const CGROUP2: i64 = 0x6367_7270;
        let path = hierarchy.require_v2()?.point.clone();
        let what = || format!("open the cgroup hierarchy {}", path.display());
        let fd: OwnedFd =
            File::open(&path).map_err(|error| Error::system(what(), errno::from_io(&error)))?.into();
        let magic = file::filesystem_magic(fd.as_fd()).map_err(|number| Error::system(what(), number))?;
        if magic != CGROUP2 {
            let what = format!("{}: another file system is mounted there", what());
            return Err(Error::new(ErrorKind::Unsupported, what));
        }
        Ok(Self { fd, path })
    }

    /// Makes a child of a cgroup.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`]; [`ErrorKind::Invalid`] for a name that is no name of a directory;
    /// [`ErrorKind::NotFound`] when the parent is gone.
    pub fn create(parent: &Cgroup, name: &str) -> Result<Self> {
        let c_name = checked(name)?;
        let path = parent.path.join(name);
        mkdirat(Dir::Fd(parent.fd()), &c_name, 0o755).map_err(|number| {
            let error = Error::system(format!("make the cgroup {}", path.display()), number);
            match number {
                Errno::EEXIST => error.with_hint("choose another name, or delete it if nobody uses it"),
                _ => error,
            }
        })?;
        parent.child(name)
    }

    /// Opens a cgroup below this one; links, `..` and mount points on the way are refused.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Invalid`] for a path that is empty or leads elsewhere.
    pub fn open(&self, path: &Path) -> Result<Self> {
        let text = path.to_str().filter(|text| !text.is_empty() && !path.is_absolute());
        let Some(text) = text else {
            let what = format!("open the cgroup `{}`: not a relative path in UTF-8", path.display());
            return Err(Error::new(ErrorKind::Invalid, what));
        };
        let fd = self.files().directory(text)?;
        Ok(Self { fd, path: self.path.join(path) })
    }

    /// Opens a child.
    ///
    /// # Errors
    /// As [`Cgroup::open`].
    pub fn child(&self, name: &str) -> Result<Self> {
        checked(name)?;
        self.open(Path::new(name))
    }

    /// Another descriptor of the same cgroup.
    ///
    /// # Errors
    /// [`ErrorKind::System`] for want of descriptors.
    pub fn try_clone(&self) -> Result<Self> {
        let copy = self.fd.try_clone().map_err(|error| {
            Error::system(
                format!("duplicate the descriptor of {}", self.path.display()),
                errno::from_io(&error),
            )
        })?;
        Ok(Self { fd: copy, path: self.path.clone() })
    }

    /// Its path when it was opened, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its directory, as `CLONE_INTO_CGROUP` of `clone3(2)` takes it (Linux 5.7).
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The processes in it, as the caller's PID namespace numbers them; 0 for one that it does not see.
    ///
    /// # Errors
    /// [`ErrorKind::System`] with `EOPNOTSUPP` for a threaded cgroup.
    pub fn procs(&self) -> Result<Vec<i32>> {
        let text = self.files().read("cgroup.procs")?;
        let pid = |line: &str| {
            line.parse::<i32>().ok().filter(|pid| *pid >= 0).ok_or_else(|| {
                let shown: String = line.chars().take(40).collect();
                let what = format!(
                    "{}/cgroup.procs: `{}` is no process id",
                    self.path.display(),
                    shown.escape_default()
                );
                Error::new(ErrorKind::Invalid, what)
            })
        };
        text.lines().map(pid).collect()
    }

    /// Moves a process into it; pid 0 is the caller.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when it passes controllers on to children; [`ErrorKind::System`] with `ESRCH`
    /// when there is no such process.
    pub fn add(&self, pid: i32) -> Result<()> {
        self.files().write("cgroup.procs", &pid.to_string()).map_err(|error| match error.errno() {
            Some(Errno::EBUSY) => error
                .with_hint("it has controllers enabled for its children, so it takes no processes itself"),
            _ => error,
        })
    }

    /// The names of its children.
    ///
    /// # Errors
    /// As reading the directory, which goes through `/proc/self/fd`.
    pub fn children(&self) -> Result<Vec<String>> {
        use std::os::fd::AsRawFd;
        let step = |error: &std::io::Error| {
            Error::system(format!("list the cgroup {}", self.path.display()), errno::from_io(error))
        };
        // The path by descriptor names this cgroup even when another was made in its place.
        let list = std::fs::read_dir(format!("/proc/self/fd/{}", self.fd.as_raw_fd()));
        let mut names = Vec::new();
        for entry in list.map_err(|error| step(&error))? {
            let entry = entry.map_err(|error| step(&error))?;
            let directory = entry.file_type().map_err(|error| step(&error))?.is_dir();
            if let (true, Ok(name)) = (directory, entry.file_name().into_string()) {
                names.push(name);
            }
        }
        Ok(names)
    }

    pub(crate) fn files(&self) -> In<'_> {
        In { fd: self.fd(), path: &self.path }
    }
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd()
    }
}

/// One component of a path, as the kernel takes it.
fn checked(name: &str) -> Result<CString> {
    let bad =
        name.is_empty() || name == "." || name == ".." || name.len() > 255 || name.contains(['/', '\n']);
    CString::new(name).ok().filter(|_| !bad).ok_or_else(|| {
        let shown: String = name.chars().take(40).collect();
        let what = format!("`{}` is no name of a cgroup", shown.escape_default());
        Error::new(ErrorKind::Invalid, what).with_hint("1 to 255 bytes without `/`, newline and NUL")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_component() {
        checked("cofferdam-1.scope").unwrap();
        for name in ["", ".", "..", "a/b", "/", "a\nb", "a\0", &"x".repeat(256)] {
            assert_eq!(checked(name).unwrap_err().kind(), ErrorKind::Invalid, "{name:?}");
        }
    }
}
