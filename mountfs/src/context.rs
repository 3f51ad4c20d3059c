//! A file system that the parent makes: `fsopen(2)` to `fsmount(2)`, with the kernel's own words on failure.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use cofferdam_sys::Errno;
use cofferdam_sys::mount::{self, MountAttrs};

use crate::{Error, Result};

/// A file system context.
pub(crate) struct Context<'a> {
    fd: OwnedFd,
    about: &'a str,
}

impl<'a> Context<'a> {
    /// Begins with a file system of this type; `about` begins every message.
    pub(crate) fn begin(fstype: &CStr, about: &'a str) -> Result<Self> {
        let fd = mount::fsopen(fstype).map_err(|errno| {
            let name = fstype.to_string_lossy();
            let error = Error::system(format!("{about}: begin with {name}"), errno);
            if errno == Errno::ENODEV {
                error.with_hint(format!("the kernel has no file system {name}: modprobe {name}"))
            } else {
                error
            }
        })?;
        Ok(Self { fd, about })
    }

    pub(crate) fn about(&self) -> &str {
        self.about
    }

    pub(crate) fn set(&self, key: &CStr, value: &CStr) -> Result<()> {
        let step = || format!("set {}={}", key.to_string_lossy(), value.to_string_lossy());
        mount::fsconfig_string(self.fd.as_fd(), key, value).map_err(|errno| self.fail(&step(), errno))
    }

    pub(crate) fn flag(&self, key: &CStr) -> Result<()> {
        mount::fsconfig_flag(self.fd.as_fd(), key)
            .map_err(|errno| self.fail(&format!("set {}", key.to_string_lossy()), errno))
    }

    /// Makes the file system, and a mount of it that no namespace has.
    pub(crate) fn create(self, attrs: MountAttrs) -> Result<OwnedFd> {
        mount::fsconfig_create(self.fd.as_fd()).map_err(|errno| self.fail("create it", errno))?;
        mount::fsmount(self.fd.as_fd(), attrs).map_err(|errno| self.fail("mount it", errno))
    }

    /// The kernel's answer, and what it has written into the context's log.
    fn fail(&self, step: &str, errno: Errno) -> Error {
        let error = Error::system(format!("{}: {step}", self.about), errno);
        let log = mount::context_log(self.fd.as_fd());
        let log = String::from_utf8_lossy(&log);
        let log = log.trim();
        if log.is_empty() { error } else { error.with_hint(format!("the kernel says: {log}")) }
    }
}
