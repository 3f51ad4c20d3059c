//! Reading and writing the interface files of a cgroup, relative to its directory.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use cofferdam_sys::open::{Dir, Open, Resolve, openat2};
use cofferdam_sys::{Errno, errno, file};

use crate::{Error, ErrorKind, Result};

/// How everything below a cgroup's directory is opened.
const BENEATH: Resolve =
    Resolve::BENEATH.union(Resolve::NO_SYMLINKS).union(Resolve::NO_MAGICLINKS).union(Resolve::NO_XDEV);

/// More than any interface file of a sane machine holds.
const READ_LIMIT: u64 = 16 << 20;

/// A cgroup's directory with the path that messages name it by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct In<'a> {
    pub(crate) fd: BorrowedFd<'a>,
    pub(crate) path: &'a Path,
}

impl In<'_> {
    fn open(self, name: &str, flags: Open) -> std::result::Result<OwnedFd, Errno> {
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        openat2(Dir::Fd(self.fd), &name, flags, 0, BENEATH)
    }

    /// Opens a directory below.
    pub(crate) fn directory(self, path: &str) -> Result<OwnedFd> {
        let what = || format!("open the cgroup {}", self.path.join(path).display());
        self.open(path, Open::DIRECTORY).map_err(|number| Error::system(what(), number))
    }

    /// Opens a file for reading.
    pub(crate) fn reader(self, name: &str) -> Result<File> {
        let what = || format!("read {}", self.path.join(name).display());
        Ok(self.open(name, Open::empty()).map_err(|number| Error::system(what(), number))?.into())
    }

    /// Opens a file.
    pub(crate) fn open_with(self, name: &str, flags: Open) -> Result<File> {
        let what = || format!("open {}", self.path.join(name).display());
        Ok(self.open(name, flags).map_err(|number| Error::system(what(), number))?.into())
    }

    /// The content of a file.
    pub(crate) fn read(self, name: &str) -> Result<String> {
        let mut file = self.reader(name)?;
        rest(&self.path.join(name), &mut file)
    }

    /// The content of a file, `None` when there is no such file.
    pub(crate) fn read_if_there(self, name: &str) -> Result<Option<String>> {
        match self.read(name) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.errno() == Some(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The number in a file, `None` when there is no such file.
    pub(crate) fn number_if_there(self, name: &str) -> Result<Option<u64>> {
        self.read_if_there(name)?.map(|text| number(name, &text)).transpose()
    }

    /// Writes a value in one call.
    pub(crate) fn write(self, name: &str, value: &str) -> Result<()> {
        let written =
            self.open(name, Open::WRONLY).and_then(|file| file::write_once(file.as_fd(), value.as_bytes()));
        written.map_err(|number| {
            let path = self.path.join(name);
            Error::system(format!("write `{}` to {}", value.escape_default(), path.display()), number)
        })
    }
}

/// The rest of an open file, which messages name by its path.
pub(crate) fn rest(path: &Path, file: &mut File) -> Result<String> {
    let what = || format!("read {}", path.display());
    let mut bytes = Vec::with_capacity(512);
    let count = file
        .take(READ_LIMIT)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::system(what(), errno::from_io(&error)))?;
    if u64::try_from(count).is_ok_and(|count| count >= READ_LIMIT) {
        return Err(Error::new(ErrorKind::Invalid, format!("{}: more than 16 MiB", what())));
    }
    String::from_utf8(bytes)
        .map_err(|_| Error::new(ErrorKind::Invalid, format!("{}: it is not UTF-8", what())))
}

/// The content of an open file from its start.
pub(crate) fn again(path: &Path, file: &mut File) -> Result<String> {
    file.seek(SeekFrom::Start(0))
        .map_err(|error| Error::system(format!("read {}", path.display()), errno::from_io(&error)))?;
    rest(path, file)
}

/// A number as the kernel prints it; `max` is `u64::MAX`.
pub(crate) fn number(field: &str, text: &str) -> Result<u64> {
    match text.trim() {
        "max" => Ok(u64::MAX),
        digits => digits.parse().map_err(|_| {
            let shown: String = digits.chars().take(40).collect();
            let what = format!("{field}: `{}` is no number of 64 bits", shown.escape_default());
            Error::new(ErrorKind::Invalid, what)
        }),
    }
}

/// The value of a key in a file of `key value` lines; `None` when the key is not there.
pub(crate) fn keyed(file: &str, text: &str, key: &str) -> Result<Option<u64>> {
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then_some(value)
    });
    value.map(|value| number(&format!("{file}, {key}"), value)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_or_refused_by_name() {
        assert_eq!(number("x", "17\n").unwrap(), 17);
        assert_eq!(number("x", "max\n").unwrap(), u64::MAX);
        assert_eq!(keyed("f", "a 1\nb 2\n", "b").unwrap(), Some(2));
        assert_eq!(keyed("f", "a 1\nab 2\n", "b").unwrap(), None);
        let error = keyed("pids.events", "max 18446744073709551616\n", "max").unwrap_err();
        assert_eq!(error.to_string(), "pids.events, max: `18446744073709551616` is no number of 64 bits");
        for text in ["", "-1", "1 2", "0x1", "\u{0}"] {
            assert_eq!(number("x", text).unwrap_err().kind(), ErrorKind::Invalid, "{text:?}");
        }
    }

    #[test]
    fn nothing_outside_the_directory_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "text").unwrap();
        std::os::unix::fs::symlink("file", dir.path().join("link")).unwrap();
        let fd = File::open(dir.path()).unwrap();
        let dir = In { fd: fd.as_fd(), path: dir.path() };
        assert_eq!(dir.read("file").unwrap(), "text");
        assert_eq!(dir.read("link").unwrap_err().errno(), Some(Errno::ELOOP));
        assert_eq!(dir.read("../x").unwrap_err().errno(), Some(Errno::EXDEV));
        assert_eq!(dir.read("/etc/passwd").unwrap_err().errno(), Some(Errno::EXDEV));
        assert_eq!(dir.read_if_there("nothing").unwrap(), None);
        dir.write("file", "xy").unwrap();
        assert_eq!(dir.read("file").unwrap(), "xyxt");
        std::fs::write(dir.path.join("file"), b"\xff").unwrap();
        assert_eq!(dir.read("file").unwrap_err().kind(), ErrorKind::Invalid);
        let error = dir.write("nothing", "a\nb").unwrap_err().to_string();
        assert!(error.starts_with("write `a\\nb` to /") && error.contains("nothing: ENOENT"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}", key in "[a-z]{1,3}") {
            let _ = keyed("file", &text, &key);
        }
    }
}
