//! Reading, writing and removing the capabilities of a file.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use cofferdam_sys::open::{Dir, Open, Resolve, openat2};
use cofferdam_sys::{Errno, file, xattr};

use super::FileCaps;
use crate::Error;
use crate::status::procfs;

/// The attribute's name.
const NAME: &CStr = c"security.capability";

/// More than any revision has, so that a longer value is told from one that fits.
const ROOM: usize = 64;

impl FileCaps {
    /// The capabilities of an open file, `None` where it has none (`fgetxattr(2)`).
    ///
    /// As the caller's user namespace sees them: the kernel shows those of the caller's own root as version 2.
    /// A descriptor opened with `O_PATH` needs a procfs on `/proc`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] for a value that is in no known format, [`crate::ErrorKind::Os`] with
    /// `EOVERFLOW` for capabilities whose root id the caller's user namespace does not map.
    pub fn read(file: impl AsFd) -> Result<Option<Self>, Error> {
        let mut value = [0u8; ROOM];
        let answer = match xattr::fgetxattr(file.as_fd(), NAME, &mut value) {
            Err(Errno::EBADF) => through_proc(file.as_fd(), |path| xattr::getxattr(path, NAME, &mut value))?,
            other => other,
        };
        found(answer, &value)
    }

    /// The capabilities of a file below a directory; a final link is not followed.
    ///
    /// By `getxattrat(2)`, and before Linux 6.13 as [`FileCaps::read`] with a descriptor opened for it, which
    /// needs a procfs on `/proc`.
    ///
    /// # Errors
    /// As [`FileCaps::read`], and those of a path.
    pub fn read_at(dir: Dir<'_>, name: &CStr) -> Result<Option<Self>, Error> {
        let mut value = [0u8; ROOM];
        match xattr::getxattrat(dir, name, NAME, &mut value) {
            Err(Errno::ENOSYS) => Self::read(reference(dir, name, "read")?),
            other => found(other, &value),
        }
    }

    /// Gives an open file these capabilities and no other (`fsetxattr(2)`).
    ///
    /// Needs `CAP_SETFCAP`. Without it over the file system's own user namespace, the kernel turns version 2
    /// into version 3 with the caller's root. Writing to the file or changing its owner removes them again.
    /// A descriptor opened with `O_PATH` needs a procfs on `/proc`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] with a hint for each answer of `setxattr(2)`.
    pub fn write(&self, file: impl AsFd) -> Result<(), Error> {
        let value = self.to_bytes();
        let answer = match xattr::fsetxattr(file.as_fd(), NAME, &value) {
            Err(Errno::EBADF) => through_proc(file.as_fd(), |path| xattr::setxattr(path, NAME, &value))?,
            other => other,
        };
        answer.map_err(|errno| self.refused(errno))
    }

    /// Gives a file below a directory these capabilities and no other; a final link is not followed.
    ///
    /// # Errors
    /// As [`FileCaps::write`], and those of a path.
    pub fn write_at(&self, dir: Dir<'_>, name: &CStr) -> Result<(), Error> {
        match xattr::setxattrat(dir, name, NAME, &self.to_bytes()) {
            Err(Errno::ENOSYS) => self.write(reference(dir, name, "write")?),
            other => other.map_err(|errno| self.refused(errno)),
        }
    }

    /// Takes the capabilities of an open file away; whether it had some (`fremovexattr(2)`).
    ///
    /// Needs `CAP_SETFCAP`. A descriptor opened with `O_PATH` needs a procfs on `/proc`.
    ///
    /// # Errors
    /// As [`FileCaps::write`].
    pub fn remove(file: impl AsFd) -> Result<bool, Error> {
        let answer = match xattr::fremovexattr(file.as_fd(), NAME) {
            Err(Errno::EBADF) => through_proc(file.as_fd(), |path| xattr::removexattr(path, NAME))?,
            other => other,
        };
        removed(answer)
    }

    /// Takes the capabilities of a file below a directory away; a final link is not followed.
    ///
    /// # Errors
    /// As [`FileCaps::write`], and those of a path.
    pub fn remove_at(dir: Dir<'_>, name: &CStr) -> Result<bool, Error> {
        match xattr::removexattrat(dir, name, NAME) {
            Err(Errno::ENOSYS) => Self::remove(reference(dir, name, "remove")?),
            other => removed(other),
        }
    }

    fn refused(&self, errno: Errno) -> Error {
        let error = Error::os(errno, format!("set the file's capabilities to `{self}`"));
        match errno {
            Errno::EINVAL if self.rootid.is_some() => {
                error.with_hint("the root id must be mapped in the caller's user namespace (Linux 4.14)")
            }
            _ => hinted(error, errno),
        }
    }
}

fn found(answer: Result<usize, Errno>, value: &[u8; ROOM]) -> Result<Option<FileCaps>, Error> {
    let length = match answer {
        Ok(length) => length,
        // A file system without such attributes has no file with capabilities.
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => return Ok(None),
        Err(errno) => return Err(hinted(Error::os(errno, "read the file's capabilities"), errno)),
    };
    FileCaps::parse(value.get(..length).unwrap_or(value)).map(Some)
}

fn removed(answer: Result<(), Errno>) -> Result<bool, Error> {
    match answer {
        Ok(()) => Ok(true),
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(false),
        Err(errno) => Err(hinted(Error::os(errno, "remove the file's capabilities"), errno)),
    }
}

fn hinted(error: Error, errno: Errno) -> Error {
    match errno {
        Errno::EPERM => error.with_hint(
            "it needs CAP_SETFCAP over the file's owner; in a user namespace, owner and group must be mapped",
        ),
        Errno::EOPNOTSUPP => error.with_hint("the file system has no attributes of the kind security.*"),
        Errno::EOVERFLOW => error.with_hint("their root id is not mapped in the caller's user namespace"),
        Errno::ERANGE => error.with_hint("the value is longer than that of any known revision"),
        Errno::EROFS => error.with_hint("the mount or the file system is read-only"),
        _ => error,
    }
}

/// A file that is known by its name only, as a descriptor that needs no access to its content.
fn reference(dir: Dir<'_>, name: &CStr, what: &str) -> Result<std::os::fd::OwnedFd, Error> {
    openat2(dir, name, Open::PATH | Open::NOFOLLOW, 0, Resolve::empty())
        .map_err(|errno| Error::os(errno, format!("{what} the capabilities of `{}`", name.to_string_lossy())))
}

/// What no call does to a descriptor opened with `O_PATH`, done to its path in a procfs.
///
/// Whoever can mount over `/proc` in the caller's mount namespace can lead this astray.
fn through_proc<T>(
    file: BorrowedFd<'_>,
    call: impl FnOnce(&CStr) -> Result<T, Errno>,
) -> Result<Result<T, Errno>, Error> {
    procfs()?;
    let mut buffer = [0u8; 32];
    let path = file::self_fd_path(file.as_raw_fd(), &mut buffer)
        .map_err(|errno| Error::os(errno, "name a descriptor below /proc/self/fd"))?;
    Ok(call(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cap, ErrorKind, Sets};

    #[test]
    fn a_file_without_any_has_none() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(FileCaps::read(&null).unwrap(), None);
        assert_eq!(FileCaps::read_at(Dir::Cwd, c"/dev/null").unwrap(), None);
        let path = openat2(Dir::Cwd, c"/dev/null", Open::PATH, 0, Resolve::empty()).unwrap();
        assert_eq!(FileCaps::read(path).unwrap(), None);
        let error = FileCaps::read_at(Dir::Cwd, c"/no/such/file").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Os(Errno::ENOENT));
    }

    #[test]
    fn what_is_written_is_read_by_each_way() {
        let directory = std::env::temp_dir().join(format!("cofferdam-file-caps-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("file"), "").unwrap();
        let dir = std::fs::File::open(&directory).unwrap();
        let answer = ways(Dir::Fd(dir.as_fd()));
        std::fs::remove_dir_all(&directory).unwrap();
        match answer {
            // Without the right to give any, that it is said is all that can be tested.
            Err(error) if !Sets::current().unwrap().effective.contains(Cap::SETFCAP) => {
                assert!(error.to_string().contains("CAP_SETFCAP"), "{error}");
            }
            other => other.unwrap(),
        }
    }

    fn ways(dir: Dir<'_>) -> Result<(), Error> {
        let caps = FileCaps::effective(Cap::NET_RAW.into());
        let name = c"file";
        let open = |flags| openat2(dir, name, flags, 0, Resolve::empty()).unwrap();
        caps.write_at(dir, name)?;
        for flags in [Open::empty(), Open::PATH] {
            let file = open(flags);
            assert_eq!(FileCaps::read(&file)?, Some(caps));
            assert!(FileCaps::remove(&file)? && !FileCaps::remove(&file)?);
            assert_eq!(FileCaps::read_at(dir, name)?, None);
            caps.write(&file)?;
        }
        assert!(FileCaps::remove_at(dir, name)? && !FileCaps::remove_at(dir, name)?);
        Ok(())
    }
}
