//! Giving a cgroup to a user, and what is given to the caller.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use cofferdam_sys::open::{Dir, Open, chownat};
use cofferdam_sys::{Errno, access, errno};

use crate::{Cgroup, Controllers, Error, ErrorKind, Result};

/// The kernel's own list of the files to give away (Linux 4.15).
const LIST: &str = "/sys/kernel/cgroup/delegate";

/// That list where sysfs is not mounted.
const KNOWN: [&str; 5] =
    ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group", "memory.reclaim"];

/// What the caller may do with a cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// Make and remove cgroups below it: the directory is writable.
    pub create: bool,
    /// Move processes into it and between cgroups below it: `cgroup.procs` is writable.
    pub migrate: bool,
    /// Give controllers to its children: `cgroup.subtree_control` is writable.
    pub enable: bool,
    /// The controllers that it can pass on.
    pub controllers: Controllers,
}

impl Delegation {
    /// Whether it can be used as the root of cgroups of one's own.
    pub fn is_whole(&self) -> bool {
        self.create && self.migrate && self.enable
    }
}

impl Cgroup {
    /// Gives it to a user: the directory and the files that the kernel lists for that, and no other, so that
    /// the user can divide what it has and not change how much that is (`cgroups(7)`, "Delegation").
    ///
    /// # Errors
    /// [`ErrorKind::System`] with `EPERM` without `CAP_CHOWN`. What was given until then is taken back.
    pub fn delegate(&self, uid: u32, gid: u32) -> Result<()> {
        let mut given: Vec<(CString, u32, u32)> = Vec::new();
        for name in delegated_files() {
            match self.give(&name, uid, gid) {
                Ok(Some((uid, gid))) => given.push((name, uid, gid)),
                Ok(None) => {}
                Err(error) => {
                    let mut back = given.iter().rev();
                    let failed = back.find_map(|(name, uid, gid)| self.give(name, *uid, *gid).err());
                    return Err(match failed {
                        Some(failed) => error.with_cleanup(&failed),
                        None => error,
                    });
                }
            }
        }
        Ok(())
    }

    /// Changes the owner of a file; the old one, or `None` when it is not there.
    fn give(&self, name: &CString, uid: u32, gid: u32) -> Result<Option<(u32, u32)>> {
        let text = name.to_string_lossy();
        let what = || format!("give {}/{text} to {uid}:{gid}", self.path().display());
        let opened: Result<OwnedFd> = match text.as_ref() {
            "." => {
                self.fd().try_clone_to_owned().map_err(|error| Error::system(what(), errno::from_io(&error)))
            }
            text => self.files().open_with(text, Open::PATH).map(OwnedFd::from),
        };
        let file = match opened {
            Ok(file) => File::from(file),
            Err(error) if error.errno() == Some(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(error),
        };
        let old = file.metadata().map_err(|error| Error::system(what(), errno::from_io(&error)))?;
        chownat(Dir::Fd(file.as_fd()), c"", uid, gid).map_err(|number| {
            let error = Error::system(what(), number);
            match number {
                Errno::EPERM => {
                    error.with_hint("giving files away needs CAP_CHOWN where their owner is known")
                }
                Errno::EINVAL => error.with_kind(ErrorKind::Invalid).with_hint("the id is not mapped here"),
                _ => error,
            }
        })?;
        Ok(Some((old.uid(), old.gid())))
    }

    /// What the caller may do with it. Asked of the kernel with the caller's effective ids; nothing is tried.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a cgroup that is gone.
    pub fn delegation(&self) -> Result<Delegation> {
        let may = |name: &std::ffi::CStr| match access::writable(Dir::Fd(self.fd()), name) {
            Ok(may) => Ok(may),
            Err(number) => {
                let what = format!("ask for the right to write {}/{name:?}", self.path().display());
                Err(Error::system(what, number))
            }
        };
        Ok(Delegation {
            create: may(c".")?,
            migrate: may(c"cgroup.procs")?,
            enable: may(c"cgroup.subtree_control")?,
            controllers: self.controllers()?,
        })
    }
}

/// The files to give away, the directory first.
fn delegated_files() -> Vec<CString> {
    let list = fs::read_to_string(LIST).unwrap_or_default();
    std::iter::once(c".".to_owned()).chain(names(&list)).collect()
}

/// The names of the kernel's list, or those that are known; what is no name of a file is left out.
fn names(list: &str) -> Vec<CString> {
    let plain = |name: &&str| !name.is_empty() && !name.contains('/') && *name != "." && *name != "..";
    let listed: Vec<CString> =
        list.lines().map(str::trim).filter(plain).filter_map(|name| CString::new(name).ok()).collect();
    if listed.is_empty() {
        KNOWN.iter().filter_map(|name| CString::new(*name).ok()).collect()
    } else {
        listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_kernels_list_counts() {
        assert_eq!(names("cgroup.procs\nmemory.x\n"), [c"cgroup.procs".to_owned(), c"memory.x".to_owned()]);
        assert_eq!(names("").len(), KNOWN.len());
        assert_eq!(names("../x\n..\na\n"), [c"a".to_owned()]);
    }

    proptest! {
        #[test]
        fn any_list_has_plain_names(list in "\\PC{0,40}") {
            prop_assert!(names(&list).iter().all(|name| !name.as_bytes().contains(&b'/')));
        }
    }
}
