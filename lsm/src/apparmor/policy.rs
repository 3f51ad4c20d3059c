//! The loaded policy, through securityfs.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use cofferdam_sys::Errno;
use cofferdam_sys::open::Open;

use super::{Confinement, Mode, ProfileName};
use crate::file;
use crate::{Error, ErrorKind};

const DIRECTORY: &str = "/sys/kernel/security/apparmor";
/// `SECURITYFS_MAGIC` of `statfs(2)`.
pub(crate) const SECURITYFS: i64 = 0x7363_6673;

/// A profile that is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its name.
    pub name: String,
    /// What becomes of what it does not allow.
    pub mode: Mode,
}

/// The policy of the AppArmor namespace that the caller sees; writing it needs `CAP_MAC_ADMIN`.
#[derive(Debug)]
pub struct Policy {
    directory: OwnedFd,
}

impl Policy {
    /// Opens `/sys/kernel/security/apparmor`.
    ///
    /// # Errors
    /// [`ErrorKind::NotActive`] without AppArmor, [`ErrorKind::NoSecurityfs`], [`ErrorKind::Untrusted`] when
    /// something else is mounted there, [`ErrorKind::Os`].
    pub fn open() -> Result<Self, Error> {
        super::require()?;
        let directory = file::directory(Path::new(DIRECTORY), SECURITYFS, "securityfs");
        let directory = directory.map_err(|error| match error.kind() {
            ErrorKind::Os(Errno::ENOENT) => {
                Error::new(ErrorKind::NoSecurityfs, format!("open {DIRECTORY}: securityfs is not mounted"))
            }
            _ => error,
        })?;
        Ok(Self { directory })
    }

    /// The profiles that are loaded, the newest first.
    ///
    /// # Errors
    /// [`ErrorKind::Os`], [`ErrorKind::Invalid`] when the kernel prints something else.
    pub fn profiles(&self) -> Result<Vec<Loaded>, Error> {
        let what = "read the loaded AppArmor profiles";
        let list = file::below(self.directory.as_fd(), c"profiles", Open::empty())
            .map_err(|number| Error::os(what, number))?;
        parse(&file::read(list, what)?)
    }

    /// Whether a profile of that name is loaded, and in which mode.
    ///
    /// # Errors
    /// As [`Policy::profiles`].
    pub fn find(&self, name: &ProfileName) -> Result<Option<Mode>, Error> {
        Ok(self.profiles()?.into_iter().find(|loaded| loaded.name == name.as_str()).map(|loaded| loaded.mode))
    }

    /// Loads profiles that a parser compiled, in place of those of the same names.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no compiled policy or one for newer kernels, [`ErrorKind::Os`] with
    /// `EPERM` or `EACCES` without `CAP_MAC_ADMIN` over the policy namespace.
    pub fn replace(&self, compiled: &[u8]) -> Result<(), Error> {
        self.write(c".replace", compiled, "load compiled AppArmor policy").map_err(|error| match error.kind() {
            ErrorKind::Os(Errno::EPROTO | Errno::EPROTONOSUPPORT | Errno::EINVAL | Errno::EBADMSG) => {
                Error::invalid(format!("{error}: this kernel cannot read it"))
                    .with_hint("compile it with the features of this kernel (/sys/kernel/security/apparmor/features)")
            }
            _ => error,
        })
    }

    /// Unloads a profile; processes under it become unconfined.
    ///
    /// # Errors
    /// [`ErrorKind::Unknown`] when no such profile is loaded, [`ErrorKind::Os`].
    pub fn remove(&self, name: &ProfileName) -> Result<(), Error> {
        let what = format!("unload the AppArmor profile {name}");
        self.write(c".remove", name.as_str().as_bytes(), &what).map_err(|error| match error.kind() {
            ErrorKind::Os(Errno::ENOENT) => {
                Error::new(ErrorKind::Unknown, format!("{what}: it is not loaded"))
            }
            _ => error,
        })
    }

    fn write(&self, name: &std::ffi::CStr, data: &[u8], what: &str) -> Result<(), Error> {
        let file = file::below(self.directory.as_fd(), name, Open::WRONLY)
            .map_err(|number| Error::os(what, number))?;
        file::write(&file, data, what)
    }
}

/// `NAME (MODE)` on each line.
fn parse(text: &str) -> Result<Vec<Loaded>, Error> {
    let line = |line: &str| {
        let label = Confinement::parse(line)?;
        let mode = label.mode().ok_or_else(|| {
            Error::invalid(format!("loaded AppArmor profiles: `{}` has no mode", crate::error::shown(line)))
        })?;
        Ok(Loaded { name: label.label().to_owned(), mode })
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_parsed() {
        let found = parse("/usr/bin/man (enforce)\na b (complain)\n").unwrap();
        let [first, second] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((first.name.as_str(), first.mode), ("/usr/bin/man", Mode::Enforce));
        assert_eq!((second.name.as_str(), second.mode), ("a b", Mode::Complain));
        assert_eq!(parse("").unwrap(), []);
        assert!(parse("x\n").is_err() && parse("\n").is_err() && parse("x (odd)").is_err());
    }

    #[test]
    fn without_apparmor_there_is_no_policy() {
        match Policy::open() {
            Ok(policy) => drop(policy.profiles().unwrap()),
            Err(error) if crate::apparmor::enabled().unwrap() => {
                assert_eq!(error.kind(), ErrorKind::NoSecurityfs, "{error}");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotActive, "{error}"),
        }
    }
}
