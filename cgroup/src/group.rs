//! One cgroup: a descriptor of its directory, and a path for messages.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use cofferdam_sys::{errno, file};

use crate::file::In;
use crate::node::checked;
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

    /// Takes any directory for a cgroup: fuzzing has one with files of its own.
    #[cfg(fuzzing)]
    pub fn of_directory(path: &Path) -> Result<Self> {
        let open = File::open(path).map_err(|error| Error::system("open", errno::from_io(&error)))?;
        Ok(Self { fd: open.into(), path: path.to_owned() })
    }

    /// Makes a child of a cgroup.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`]; [`ErrorKind::Invalid`] for a name that is no name of a directory;
    /// [`ErrorKind::NotFound`] when the parent is gone.
    pub fn create(parent: &Cgroup, name: &str) -> Result<Self> {
        parent.files().make(name)?;
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

    /// The names of its children.
    ///
    /// # Errors
    /// As reading the directory, which goes through `/proc/self/fd`.
    pub fn children(&self) -> Result<Vec<String>> {
        self.files().children()
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
