//! Files of the kernel's own file systems: looked up without links and mounts in the way, read to a limit.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cofferdam_sys::file::filesystem_magic;
use cofferdam_sys::open::{Dir, Open, Resolve, openat2};

use crate::{Error, ErrorKind};

/// More than any of these files holds that is read here.
const LIMIT: u64 = 1 << 20;

/// Below a root of these file systems nothing is followed and nothing may be mounted.
const BELOW: Resolve =
    Resolve::NO_SYMLINKS.union(Resolve::NO_MAGICLINKS).union(Resolve::NO_XDEV).union(Resolve::BENEATH);

/// A directory of a file system that must have this magic number (`statfs(2)`).
pub(crate) fn directory(path: &Path, magic: i64, name: &'static str) -> Result<OwnedFd, Error> {
    let what = || format!("open {}", path.display());
    let text = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::invalid(format!("{}: it holds a NUL byte", what())))?;
    let fd = openat2(Dir::Cwd, &text, Open::PATH | Open::DIRECTORY, 0, Resolve::NO_MAGICLINKS)
        .map_err(|number| Error::os(what(), number))?;
    let found = filesystem_magic(fd.as_fd()).map_err(|number| Error::os(what(), number))?;
    if found != magic {
        let what = format!("{} is no {name}: its magic number is {found:#x}", path.display());
        return Err(Error::new(ErrorKind::Untrusted, what));
    }
    Ok(fd)
}

/// Opens a file below such a directory.
pub(crate) fn below(root: BorrowedFd<'_>, path: &CStr, flags: Open) -> cofferdam_sys::Result<File> {
    openat2(root.into(), path, flags, 0, BELOW).map(File::from)
}

/// Reads a file to its end; `what` begins the error.
pub(crate) fn read(mut file: impl Read, what: &str) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let count = file.by_ref().take(LIMIT).read_to_end(&mut bytes).map_err(|error| Error::io(what, &error))?;
    if u64::try_from(count).is_ok_and(|count| count == LIMIT) {
        return Err(Error::invalid(format!("{what}: it is longer than {LIMIT} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| Error::invalid(format!("{what}: it is not UTF-8")))
}

/// Reads a file by its path.
pub(crate) fn text(path: &Path) -> Result<String, Error> {
    let what = format!("read {}", path.display());
    read(File::open(path).map_err(|error| Error::io(&what, &error))?, &what)
}

/// Writes all of it at once, as these files want it; `what` begins the error.
pub(crate) fn write(mut file: &File, data: &[u8], what: &str) -> Result<(), Error> {
    match file.write(data) {
        Ok(count) if count == data.len() => Ok(()),
        Ok(count) => Err(Error::invalid(format!("{what}: the kernel took {count} of {} bytes", data.len()))),
        Err(error) => Err(Error::io(what, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_sys::Errno;

    #[test]
    fn another_file_system_is_not_taken_for_the_right_one() {
        assert!(directory(Path::new("/proc"), 0x9fa0, "procfs").is_ok());
        let error = directory(Path::new("/"), 0x9fa0, "procfs").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted);
        assert!(error.to_string().starts_with("/ is no procfs: its magic number is 0x"), "{error}");
        assert_eq!(directory(Path::new("/a\0"), 0, "x").unwrap_err().kind(), ErrorKind::Invalid);
        let error = directory(Path::new("/nowhere"), 0, "x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Os(Errno::ENOENT));
    }

    #[test]
    fn nothing_is_followed_below() {
        let proc = directory(Path::new("/proc"), 0x9fa0, "procfs").unwrap();
        let open = |path: &CStr| below(proc.as_fd(), path, Open::empty()).map(drop);
        assert_eq!(open(c"uptime"), Ok(()));
        assert_eq!(open(c"self/status"), Err(Errno::ELOOP));
        assert_eq!(open(c"../etc/passwd"), Err(Errno::EXDEV));
    }

    #[test]
    fn texts_have_an_end_and_are_text() {
        assert_eq!(read(&b"abc"[..], "x").unwrap(), "abc");
        assert_eq!(read(&b"\xff"[..], "read x").unwrap_err().to_string(), "read x: it is not UTF-8");
        let endless = std::io::repeat(b'x');
        assert_eq!(read(endless, "x").unwrap_err().kind(), ErrorKind::Invalid);
    }
}
