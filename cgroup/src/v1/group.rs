//! One cgroup of one v1 hierarchy.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use cofferdam_sys::{Errno, errno, file};

use super::Mount;
use crate::file::In;
use crate::node::checked;
use crate::{Controllers, Error, ErrorKind, Result};

/// A v1 cgroup, held by a descriptor of its directory.
#[derive(Debug)]
pub struct Group {
    fd: OwnedFd,
    path: PathBuf,
    controllers: Controllers,
}

impl Group {
    /// The root of a mounted hierarchy.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when another file system is mounted there.
    pub fn root(mount: &Mount) -> Result<Self> {
        /// `CGROUP_SUPER_MAGIC` of `statfs(2)`.
        const CGROUP: i64 = 0x0027_e0eb;
        let path = mount.mount.point.clone();
        let what = || format!("open the cgroup hierarchy {}", path.display());
        let fd: OwnedFd =
            File::open(&path).map_err(|error| Error::system(what(), errno::from_io(&error)))?.into();
        let magic = file::filesystem_magic(fd.as_fd()).map_err(|number| Error::system(what(), number))?;
        if magic != CGROUP {
            let what = format!("{}: another file system is mounted there", what());
            return Err(Error::new(ErrorKind::Unsupported, what));
        }
        Ok(Self { fd, path, controllers: mount.controllers.clone() })
    }

    /// Makes a child that is ready for processes: with the parent's processors and memory nodes where it is
    /// of `cpuset`, and counting what is below where it is of `memory`.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`]; [`ErrorKind::Invalid`] for a name that is no name of a directory;
    /// [`ErrorKind::NotFound`] when the parent is gone. A child that could not be made ready is removed.
    pub fn create(parent: &Group, name: &str) -> Result<Self> {
        parent.files().make(name)?;
        let new = parent.child(name)?;
        match new.make_ready(parent) {
            Ok(()) => Ok(new),
            Err(error) => Err(match new.files().rmdir() {
                Ok(()) => error,
                Err(number) => {
                    error.with_cleanup(&Error::system(format!("delete {}", new.path.display()), number))
                }
            }),
        }
    }

    /// Opens a child.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Invalid`] for a name that is no name of a directory.
    pub fn child(&self, name: &str) -> Result<Self> {
        checked(name)?;
        self.open(name)
    }

    /// Opens a cgroup below this one; links, `..` and mount points on the way are refused.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn open(&self, path: &str) -> Result<Self> {
        let fd = self.files().directory(path)?;
        Ok(Self { fd, path: self.path.join(path), controllers: self.controllers.clone() })
    }

    /// Another descriptor of the same cgroup.
    ///
    /// # Errors
    /// [`ErrorKind::System`] for want of descriptors.
    pub fn try_clone(&self) -> Result<Self> {
        let copy = self.fd.try_clone().map_err(|error| {
            let what = format!("duplicate the descriptor of {}", self.path.display());
            Error::system(what, errno::from_io(&error))
        })?;
        Ok(Self { fd: copy, path: self.path.clone(), controllers: self.controllers.clone() })
    }

    /// Its path when it was opened, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The controllers of its hierarchy, by their v1 names.
    pub fn controllers(&self) -> &Controllers {
        &self.controllers
    }

    /// The processes in it, as the caller's PID namespace numbers them; 0 for one that it does not see.
    ///
    /// # Errors
    /// As reading `cgroup.procs`.
    pub fn procs(&self) -> Result<Vec<i32>> {
        self.files().ids("cgroup.procs")
    }

    /// Moves a process with all its threads into it; pid 0 is the caller.
    ///
    /// # Errors
    /// [`ErrorKind::System`] with `ESRCH` when there is no such process, with `ENOSPC` for a cpuset without
    /// processors, with `EINVAL` for a real-time process where `cpu` has no real-time budget.
    pub fn add(&self, pid: i32) -> Result<()> {
        self.files().write("cgroup.procs", &pid.to_string()).map_err(|error| match error.errno() {
            Some(Errno::ENOSPC) => error.with_hint("cpuset.cpus or cpuset.mems of this cgroup is empty"),
            Some(Errno::EINVAL) if self.controllers.contains("cpu") => error.with_hint(
                "a real-time process needs a budget here: write cpu.rt_runtime_us from the root down, or use a \
                 kernel without CONFIG_RT_GROUP_SCHED",
            ),
            _ => error,
        })
    }

    /// Moves one thread into it (`tasks`).
    ///
    /// # Errors
    /// As [`Group::add`].
    pub fn add_thread(&self, tid: i32) -> Result<()> {
        self.files().write("tasks", &tid.to_string())
    }

    /// The names of its children.
    ///
    /// # Errors
    /// As reading the directory, which goes through `/proc/self/fd`.
    pub fn children(&self) -> Result<Vec<String>> {
        self.files().children()
    }

    /// Takes over what a new directory lacks.
    pub(super) fn make_ready(&self, parent: &Group) -> Result<()> {
        if self.controllers.contains("cpuset") {
            self.inherit_cpuset(parent)?;
        }
        // Before Linux 5.11 a limit counted only the cgroup itself, unless it was told otherwise.
        if self.controllers.contains("memory")
            && self.files().number_if_there("memory.use_hierarchy")? == Some(0)
        {
            self.files().write("memory.use_hierarchy", "1")?;
        }
        Ok(())
    }

    /// An empty cpuset takes no process.
    pub(super) fn inherit_cpuset(&self, parent: &Group) -> Result<()> {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if self.files().read(file)?.trim().is_empty() {
                self.files().write(file, parent.files().read(file)?.trim())?;
            }
        }
        Ok(())
    }

    pub(crate) fn files(&self) -> In<'_> {
        In { fd: self.fd.as_fd(), path: &self.path }
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
