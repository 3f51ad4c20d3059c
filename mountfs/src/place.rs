//! Paths in the container, checked.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cofferdam_sys::plan::PathIn;

use crate::{Error, Result};

/// A path below the root, never the root itself.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) path: PathIn,
    /// As it was written, for messages.
    pub(crate) shown: String,
}

/// What mounts inside `/proc` may be on: files that tell the machine's measures, as every engine allows.
const PROC_FILES: [&[u8]; 10] = [
    b"proc/cpuinfo",
    b"proc/diskstats",
    b"proc/meminfo",
    b"proc/stat",
    b"proc/swaps",
    b"proc/uptime",
    b"proc/loadavg",
    b"proc/slabinfo",
    b"proc/sys/kernel/ns_last_pid",
    b"proc/sys/crypto/fips_enabled",
];

impl Place {
    /// Checks a path; `what` says what it is for.
    pub(crate) fn new(what: &str, path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        let cut = PathIn::new(path.as_os_str().as_bytes()).ok_or_else(|| {
            Error::invalid(format!("{what} {shown}: the path holds .. or a NUL byte"))
                .with_hint("write the path as the container sees it, without ..")
        })?;
        if cut.is_root() {
            return Err(Error::invalid(format!("{what} {shown}: that is the root itself"))
                .with_hint("the root is said by its source, its own read-only flag and its propagation"));
        }
        Ok(Self { path: cut, shown })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.path.whole().to_bytes()
    }

    /// Whether the image must not say by a symbolic link where this is: all defences of `/proc` and
    /// `/sys` go by these paths.
    pub(crate) fn is_strict(&self) -> bool {
        matches!(self.bytes(), b"proc" | b"sys")
    }

    /// Whether a mount here may be on a procfs.
    pub(crate) fn may_be_in_proc(&self) -> bool {
        self.bytes() == b"proc" || PROC_FILES.contains(&self.bytes())
    }

    /// Whether this lies below the other.
    pub(crate) fn is_below(&self, other: &Place) -> bool {
        self.bytes().strip_prefix(other.bytes()).is_some_and(|rest| rest.first() == Some(&b'/'))
    }

    /// The path of the directory it is in, empty for the root.
    pub(crate) fn parent(&self) -> &[u8] {
        let slash = self.bytes().iter().rposition(|byte| *byte == b'/');
        slash.and_then(|slash| self.bytes().get(..slash)).unwrap_or_default()
    }

    /// The directory it is in, and its name there.
    pub(crate) fn split(&self) -> Option<(PathIn, CString)> {
        let parent = self.parent();
        let name = self.bytes().get(parent.len()..)?;
        let name = name.strip_prefix(b"/").unwrap_or(name);
        Some((PathIn::new(parent)?, CString::new(name).ok()?))
    }
}

/// A string for the kernel.
pub(crate) fn c_string(what: &str, bytes: impl AsRef<[u8]>) -> Result<CString> {
    CString::new(bytes.as_ref()).map_err(|_| Error::invalid(format!("{what} holds a NUL byte")))
}

/// A path on the host.
pub(crate) fn host_path(what: &str, path: &Path) -> Result<CString> {
    if !path.is_absolute() {
        return Err(Error::invalid(format!("{what} {} is not absolute", path.display()))
            .with_hint("join it to the directory that it is relative to"));
    }
    c_string(what, path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Place {
        Place::new("mount on", Path::new(path)).unwrap()
    }

    #[test]
    fn cuts_and_compares() {
        assert_eq!(place("//proc/").bytes(), b"proc");
        assert!(place("/proc").is_strict());
        assert!(!place("/process").is_strict());
        assert!(place("/proc/cpuinfo").may_be_in_proc());
        assert!(!place("/proc/self").may_be_in_proc());
        assert!(place("/a/b").is_below(&place("/a")));
        assert!(!place("/ab").is_below(&place("/a")));
        assert!(!place("/a").is_below(&place("/a")));
        let (parent, name) = place("/dev/null").split().unwrap();
        assert_eq!((parent.whole(), name.as_c_str()), (c"dev", c"null"));
        let (parent, name) = place("/null").split().unwrap();
        assert!(parent.is_root());
        assert_eq!(name.as_c_str(), c"null");
    }

    #[test]
    fn refuses_the_root_and_ways_out() {
        for path in ["/", "", ".", "/a/../b", "/a\0b"] {
            assert!(Place::new("mount on", Path::new(path)).is_err(), "{path:?}");
        }
        assert!(host_path("the source", Path::new("a")).is_err());
        assert!(host_path("the source", Path::new("/a\0")).is_err());
    }
}
