//! A hardened ruleset from a list of mounts.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::{FsAccess, NEWEST_ABI, Ruleset, Scopes};
use crate::Error;
use crate::error::shown;

/// What a container may do below one of its mounts, as plain data. Reading is always allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one attribute of the mount, and none depends on another"
)]
pub struct MountRule {
    /// Where it is, as the container sees it.
    pub path: PathBuf,
    /// Files may be written, made, removed and moved: the mount is not read-only.
    pub write: bool,
    /// Files may be executed: the mount is not `noexec`.
    pub execute: bool,
    /// Devices may be written and take `ioctl(2)`: the mount is not `nodev`.
    pub devices: bool,
    /// Sockets of processes outside may be connected to, as for a service that is shared on purpose.
    pub sockets: bool,
}

impl MountRule {
    /// A mount that may be read.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// May be written too.
    #[must_use]
    pub fn write(mut self) -> Self {
        self.write = true;
        self
    }

    /// May be executed from too.
    #[must_use]
    pub fn execute(mut self) -> Self {
        self.execute = true;
        self
    }

    /// Has devices.
    #[must_use]
    pub fn devices(mut self) -> Self {
        self.devices = true;
        self
    }

    fn access(&self) -> FsAccess {
        let mut access = FsAccess::READ;
        access.set(FsAccess::WRITE, self.write);
        access.set(FsAccess::EXECUTE, self.execute);
        if self.devices {
            access |= FsAccess::WRITE_FILE | FsAccess::IOCTL_DEV;
        }
        access.set(FsAccess::RESOLVE_UNIX, self.sockets);
        access
    }
}

/// A mount that Landlock allows more on than its own rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wider {
    /// The mount.
    pub path: PathBuf,
    /// The mount above it that allows more.
    pub above: PathBuf,
    /// What.
    pub access: FsAccess,
}

/// A ruleset from mounts, and what it cannot express.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Hardened {
    /// The ruleset. It handles every right that this build knows: older kernels take it as best effort only.
    pub ruleset: Ruleset,
    /// Where a mount is inside of another that allows more: a rule holds for all below it, and what it allows
    /// cannot be taken back. There the mount's own attributes are the only guard.
    pub wider: Vec<Wider>,
}

/// A ruleset that allows on each mount what its attributes allow, and nothing anywhere else.
///
/// No process outside can be signalled or reached by an abstract socket. Nobody makes device nodes. The network
/// is not handled: which ports a container may use is none of its mounts' business.
///
/// # Errors
/// [`crate::ErrorKind::Invalid`] for a path that is not absolute or has `..`, for one that is there twice, and for
/// an empty list, with which no program could be executed.
pub fn hardened(mounts: &[MountRule]) -> Result<Hardened, Error> {
    if mounts.is_empty() {
        return Err(Error::invalid("Landlock: no mount, so that nothing could be executed"));
    }
    let mut by_path: BTreeMap<PathBuf, FsAccess> = BTreeMap::new();
    for mount in mounts {
        let path = clean(&mount.path)?;
        if by_path.insert(path, mount.access()).is_some() {
            let path = shown(&mount.path.to_string_lossy());
            return Err(Error::invalid(format!("Landlock: the mount `{path}` is there twice")));
        }
    }
    let mut ruleset = Ruleset::new().handle_fs(FsAccess::of_abi(NEWEST_ABI)).scope(Scopes::all());
    let mut wider = Vec::new();
    for (path, access) in &by_path {
        ruleset = ruleset.allow_path(path, *access);
        for (above, more) in path.ancestors().skip(1).filter_map(|above| by_path.get_key_value(above)) {
            let access = *more - *access;
            if !access.is_empty() {
                wider.push(Wider { path: path.clone(), above: above.clone(), access });
            }
        }
    }
    Ok(Hardened { ruleset, wider })
}

/// The path without `.` and double slashes.
fn clean(path: &Path) -> Result<PathBuf, Error> {
    let refuse = || {
        let path = shown(&path.to_string_lossy());
        Error::invalid(format!("Landlock: the mount `{path}` is not absolute, or has `..`"))
    };
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(refuse());
    }
    Ok(path.components().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_mount_has_its_own_rights() {
        let mounts = [
            MountRule::new("/").execute(),
            MountRule::new("/tmp").write(),
            MountRule::new("/dev").devices(),
            MountRule { sockets: true, ..MountRule::new("/run/service") },
        ];
        let Hardened { ruleset, wider } = hardened(&mounts).unwrap();
        ruleset.validate().unwrap();
        assert_eq!(ruleset.handled_fs, FsAccess::all());
        let found: Vec<(&str, FsAccess)> =
            ruleset.paths.iter().map(|rule| (rule.path.to_str().unwrap(), rule.access)).collect();
        let device = FsAccess::WRITE_FILE | FsAccess::IOCTL_DEV;
        assert_eq!(
            found,
            [
                ("/", FsAccess::READ | FsAccess::EXECUTE),
                ("/dev", FsAccess::READ | device),
                ("/run/service", FsAccess::READ | FsAccess::RESOLVE_UNIX),
                ("/tmp", FsAccess::READ | FsAccess::WRITE),
            ]
        );
        // Execution is the root's, and so everybody's.
        assert!(wider.iter().all(|wider| wider.above == Path::new("/") && wider.access == FsAccess::EXECUTE));
        assert_eq!(wider.len(), 3);
    }

    #[test]
    fn nobody_makes_devices() {
        let all =
            MountRule { write: true, execute: true, devices: true, sockets: true, ..MountRule::new("/") };
        let access = hardened(&[all]).unwrap().ruleset.paths[0].access;
        assert_eq!(FsAccess::all() - access, FsAccess::MAKE_CHAR | FsAccess::MAKE_BLOCK);
    }

    #[test]
    fn odd_lists_are_refused() {
        for paths in [&[][..], &["tmp"], &["/a/../b"], &["/a", "/a/"], &["/a", "/./a"]] {
            let mounts: Vec<MountRule> = paths.iter().map(MountRule::new).collect();
            assert!(hardened(&mounts).is_err(), "{paths:?}");
        }
    }

    proptest! {
        /// Whatever is wider than asked for is listed, and nothing else is.
        #[test]
        fn what_is_wider_is_listed(modes in proptest::collection::vec(0u8..16, 4)) {
            let paths = ["/", "/a", "/a/b", "/c"];
            let mounts: Vec<MountRule> = paths.iter().zip(&modes).map(|(path, mode)| MountRule {
                path: path.into(), write: mode & 1 > 0, execute: mode & 2 > 0, devices: mode & 4 > 0, sockets: mode & 8 > 0,
            }).collect();
            let found = hardened(&mounts).unwrap();
            for mount in &mounts {
                // What the kernel allows on it: the rules of all directories on the way.
                let real = found.ruleset.paths.iter().filter(|rule| mount.path.starts_with(&rule.path))
                    .fold(FsAccess::empty(), |all, rule| all | rule.access);
                let listed = found.wider.iter().filter(|wider| wider.path == mount.path)
                    .fold(FsAccess::empty(), |all, wider| all | wider.access);
                prop_assert_eq!(real - mount.access(), listed);
            }
        }
    }
}
