//! A namespace that outlives its processes: bind-mounted onto a file (`namespaces(7)`).

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use cofferdam_sys::mount::{MountFlags, Unmount, mount, umount2};
use cofferdam_sys::open::{Dir, Open, Resolve, openat2};
use cofferdam_sys::{Errno, file};

use crate::{Error, ErrorKind, Namespace};

impl Namespace {
    /// Pins the namespace to `path`, where [`Namespace::open`] finds it until [`unpin`].
    ///
    /// A file is made there; its directory must exist, and for a mount namespace be on a private mount: one
    /// that propagates into the namespace itself could never be freed. Needs `CAP_SYS_ADMIN` over the
    /// caller's mount namespace. When pinning fails, the file is removed again.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] with `EEXIST` when there is a file already, `EPERM` without the right, `EINVAL` for a
    /// mount namespace that could never be freed again: the kernel wants one that is younger than the caller's,
    /// by its [`Namespace::unique_id`].
    pub fn pin(&self, path: &Path) -> Result<(), Error> {
        let step = || format!("pin a {} namespace to {}", self.kind(), path.display());
        let target = c_path(path)?;
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o444)
            .open(path)
            .map_err(|error| Error::io(&error, step()))?;
        let source = CString::new(format!("/proc/thread-self/fd/{}", self.as_fd().as_raw_fd()))
            .map_err(|_| Error::invalid("a number of a descriptor holds NUL"))?;
        match mount(Some(&source), &target, None, MountFlags::BIND, None) {
            Ok(()) => Ok(()),
            Err(number) => {
                let error = pin_error(number, step());
                match std::fs::remove_file(path) {
                    Ok(()) => Err(error),
                    Err(left) => Err(Error::new(
                        error.kind(),
                        format!("{} (and {} is left: {left})", step(), path.display()),
                    )),
                }
            }
        }
    }
}

fn pin_error(number: Errno, step: String) -> Error {
    let error = Error::os(number, step);
    match number {
        Errno::EPERM => error.with_hint("a bind mount needs CAP_SYS_ADMIN over the caller's mount namespace"),
        Errno::EINVAL => error.with_hint(
            "a mount namespace can be pinned on a private mount only (mount --make-private), and in one with a lower \
             id only, which an older one has; since Linux 6.18 each CPU numbers for itself, and a younger one may \
             have the lower id by chance: make another one",
        ),
        _ => error,
    }
}

/// Takes a pin away and removes its file; the namespace ends when nothing else holds it.
///
/// A file that pins no namespace is left alone.
///
/// # Errors
/// [`ErrorKind::Invalid`] when no namespace is pinned there, [`ErrorKind::Os`] as `umount(2)` and `unlink(2)`.
pub fn unpin(path: &Path) -> Result<(), Error> {
    let step = || format!("unpin {}", path.display());
    let pinned = Namespace::open_any(path)?;
    if !is_mount(&pinned, path)? {
        return Err(Error::invalid(format!("{}: it is a namespace, but no pin", step())));
    }
    let target = c_path(path)?;
    // Without following a link, so that nobody has another mount taken away.
    umount2(&target, Unmount::DETACH | Unmount::NOFOLLOW).map_err(|number| Error::os(number, step()))?;
    std::fs::remove_file(path).map_err(|error| Error::io(&error, step()))
}

/// Whether the file at `path` itself is a namespace, rather than a magic link of procfs to one.
fn is_mount(pinned: &Namespace, path: &Path) -> Result<bool, Error> {
    let flags = Open::PATH | Open::NOFOLLOW;
    let itself = openat2(Dir::Cwd, &c_path(path)?, flags, 0, Resolve::empty())
        .map_err(|number| Error::os(number, format!("open {}", path.display())))?;
    let stat = file::fstat(itself.as_fd())
        .map_err(|number| Error::os(number, format!("look at {}", path.display())))?;
    let identity = pinned.identity()?;
    Ok((stat.dev, stat.ino) == (identity.dev, identity.ino))
}

fn c_path(path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Error::new(ErrorKind::Invalid, "a path holds NUL"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NsKind;

    #[test]
    fn what_is_no_pin_is_left_alone() {
        let path = std::env::temp_dir().join(format!("no-pin-{}", std::process::id()));
        std::fs::write(&path, "kept").unwrap();
        assert_eq!(unpin(&path).unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
        let uts = Namespace::of_process(0, NsKind::Uts).unwrap();
        assert_eq!(uts.pin(&path).unwrap_err().kind(), ErrorKind::Os(Errno::EEXIST));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
        std::fs::remove_file(&path).unwrap();
        let error = unpin(Path::new("/proc/self/ns/uts")).unwrap_err();
        assert!(error.to_string().contains("no pin"), "{error}");
    }
}
