//! The directory of all containers.

use std::ffi::CString;
use std::fs::{DirBuilder, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use cofferdam_sys::open::{Dir, Open, Resolve, mkdirat, openat2};
use cofferdam_sys::{Errno, errno};

use super::directory::{Directory, Locked};
use crate::{ContainerId, Error, ErrorKind, Result};

/// Where containers are kept when nothing else is said.
///
/// # Errors
/// [`ErrorKind::Usage`] without root and `XDG_RUNTIME_DIR`.
pub fn default_root() -> Result<PathBuf> {
    if cofferdam_sys::process::effective_uid() == 0 {
        return Ok("/run/cofferdam".into());
    }
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| Path::new(dir).is_absolute()) {
        Some(dir) => Ok(PathBuf::from(dir).join("cofferdam")),
        None => Err(Error::new(ErrorKind::Usage, "there is no place for the containers' state")
            .with_hint("set XDG_RUNTIME_DIR to a directory of your own, or name one with --root")),
    }
}

/// The directory of all containers, held by a descriptor.
#[derive(Debug)]
pub struct StateRoot {
    fd: OwnedFd,
    path: PathBuf,
}

impl StateRoot {
    /// Opens the directory, made with mode 0700 when it is missing.
    ///
    /// # Errors
    /// [`ErrorKind::State`] when it cannot be made or is no directory.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |error: std::io::Error| {
            let what = format!("the state directory {}: {error}", path.display());
            Error::new(ErrorKind::State, what).with_hint("--root names a directory that the caller may write")
        };
        let file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fail)?;
                File::open(path).map_err(fail)?
            }
            other => other.map_err(fail)?,
        };
        if !file.metadata().map_err(fail)?.is_dir() {
            return Err(fail(std::io::Error::from_raw_os_error(Errno::ENOTDIR as i32)));
        }
        Ok(Self { fd: file.into(), path: path.to_owned() })
    }

    /// Makes the directory of a new container and locks it.
    ///
    /// One in which nothing was written yet belongs to who locks it first: it was made a moment ago, or a
    /// command that was killed has left it behind.
    pub(crate) fn create(&self, id: &ContainerId) -> Result<Locked<'_>> {
        let exists = || {
            Error::new(ErrorKind::Exists, format!("container with given ID already exists: {id}"))
                .with_hint("choose another id, or delete the container that has it")
        };
        loop {
            let made = mkdirat(Dir::Fd(self.fd.as_fd()), &name(id)?, 0o700);
            if let Err(number) = made
                && number != Errno::EEXIST
            {
                let path = self.path.join(id.as_str());
                let what = format!("make {}: {}", path.display(), errno::describe(number));
                return Err(Error::new(ErrorKind::State, what));
            }
            match self.open_directory(id).and_then(Directory::try_lock) {
                Ok(Some(locked)) if locked.record()?.is_none() => return Ok(locked),
                Ok(_) => return Err(exists()),
                // Removed by who took it for the rest of a command that was killed.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                // What has the name is nothing of ours.
                Err(_) if made.is_err() => return Err(exists()),
                Err(error) => return Err(error),
            }
        }
    }

    /// The directory of a container.
    pub(crate) fn container(&self, id: &ContainerId) -> Result<Directory<'_>> {
        self.open_directory(id)
    }

    fn open_directory(&self, id: &ContainerId) -> Result<Directory<'_>> {
        let resolve = Resolve::BENEATH | Resolve::NO_SYMLINKS | Resolve::NO_MAGICLINKS;
        match openat2(Dir::Fd(self.fd.as_fd()), &name(id)?, Open::DIRECTORY, 0, resolve) {
            Ok(fd) => Ok(Directory::new(self, id, fd)),
            Err(Errno::ENOENT) => Err(missing(id)),
            Err(number) => {
                let path = self.path.join(id.as_str());
                let what = format!("open {}: {}", path.display(), errno::describe(number));
                Err(Error::new(ErrorKind::State, what))
            }
        }
    }

    /// The ids of all containers, sorted.
    pub(crate) fn ids(&self) -> Result<Vec<ContainerId>> {
        let fail = |error: std::io::Error| {
            Error::new(ErrorKind::State, format!("list {}: {error}", self.path.display()))
        };
        let list = std::fs::read_dir(format!("/proc/self/fd/{}", self.fd.as_raw_fd())).map_err(fail)?;
        let mut ids = Vec::new();
        for entry in list {
            let name = entry.map_err(fail)?.file_name();
            // What is no id was not made by us.
            ids.extend(name.to_str().and_then(|name| name.parse::<ContainerId>().ok()));
        }
        ids.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        Ok(ids)
    }

    /// Its path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }
}

pub(super) fn missing(id: &ContainerId) -> Error {
    Error::new(ErrorKind::NotFound, format!("container does not exist: {id}"))
}

pub(super) fn name(id: &ContainerId) -> Result<CString> {
    CString::new(id.as_str()).map_err(|error| Error::new(ErrorKind::Usage, error.to_string()))
}
