//! What both versions of cgroups have in common: a directory with processes, children and a name.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;

use cofferdam_sys::open::{Dir, Open, Resolve, mkdirat, openat2, rmdirat};
use cofferdam_sys::process::{pidfd_open, pidfd_send_signal};
use cofferdam_sys::{Errno, errno, file};

use crate::file::In;
use crate::life::SIGKILL;
use crate::{Error, ErrorKind, Result};

impl In<'_> {
    /// Makes a child.
    pub(crate) fn make(self, name: &str) -> Result<()> {
        let c_name = checked(name)?;
        mkdirat(Dir::Fd(self.fd), &c_name, 0o755).map_err(|number| {
            let error = Error::system(format!("make the cgroup {}", self.path.join(name).display()), number);
            match number {
                Errno::EEXIST => error.with_hint("choose another name, or delete it if nobody uses it"),
                _ => error,
            }
        })
    }

    /// The names of the children.
    pub(crate) fn children(self) -> Result<Vec<String>> {
        let step = |error: &std::io::Error| {
            Error::system(format!("list the cgroup {}", self.path.display()), errno::from_io(error))
        };
        // The path by descriptor names this cgroup even when another was made in its place.
        let list = std::fs::read_dir(format!("/proc/self/fd/{}", self.fd.as_raw_fd()));
        let mut names = Vec::new();
        for entry in list.map_err(|error| step(&error))? {
            let entry = entry.map_err(|error| step(&error))?;
            let directory = entry.file_type().map_err(|error| step(&error))?.is_dir();
            if let (true, Ok(name)) = (directory, entry.file_name().into_string()) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The process or thread ids in a file that lists them.
    pub(crate) fn ids(self, file: &str) -> Result<Vec<i32>> {
        let text = self.read(file)?;
        ids(&text).map_err(|line| {
            let shown: String = line.chars().take(40).collect();
            let what =
                format!("{}/{file}: `{}` is no process id", self.path.display(), shown.escape_default());
            Error::new(ErrorKind::Invalid, what)
        })
    }

    /// Kills every process in it and below by signals; whether there were any.
    pub(crate) fn signal_all(self) -> Result<bool> {
        let mut any = false;
        for name in self.children()? {
            let path = self.path.join(&name);
            let below = self.directory(&name).and_then(|fd| In { fd: fd.as_fd(), path: &path }.signal_all());
            match below {
                Ok(found) => any |= found,
                // Removed meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let listed = self.ids("cgroup.procs")?;
        if listed.contains(&0) {
            let what = format!("kill {}: it has processes of another PID namespace", self.path.display());
            return Err(Error::new(ErrorKind::Busy, what).with_hint(
                "kill it from an outer PID namespace, or use cgroup v2 on Linux 5.14, which has cgroup.kill",
            ));
        }
        let opened: Vec<_> = listed.iter().map(|pid| (*pid, pidfd_open(*pid))).collect();
        // An id that is still listed after its pidfd was opened was not given to another process before.
        let still = self.ids("cgroup.procs")?;
        for (pid, pidfd) in opened.into_iter().filter(|(pid, _)| still.contains(pid)) {
            let what = || format!("kill process {pid} of {}", self.path.display());
            match pidfd.and_then(|pidfd| pidfd_send_signal(pidfd.as_fd(), SIGKILL)) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(number) => return Err(Error::system(what(), number)),
            }
        }
        Ok(any || !still.is_empty())
    }

    /// Removes the directory by its parent's descriptor, when it still is this one.
    pub(crate) fn rmdir(self) -> std::result::Result<(), Errno> {
        let name = self.path.file_name().and_then(|name| CString::new(name.as_bytes()).ok());
        let name = name.ok_or(Errno::EINVAL)?;
        let flags = Open::PATH | Open::DIRECTORY;
        let parent = openat2(Dir::Fd(self.fd), c"..", flags, 0, Resolve::NO_XDEV)?;
        let named =
            openat2(Dir::Fd(parent.as_fd()), &name, flags, 0, Resolve::BENEATH | Resolve::NO_SYMLINKS)?;
        let (named, own) = (file::fstat(named.as_fd())?, file::fstat(self.fd)?);
        if (named.dev, named.ino) != (own.dev, own.ino) {
            // Ours was removed, and another has its name.
            return Err(Errno::ENOENT);
        }
        rmdirat(Dir::Fd(parent.as_fd()), &name)
    }

    /// An error that names the processes that are in the way.
    pub(crate) fn left(self, what: String, number: Errno) -> Error {
        let error = Error::system(what, number);
        if number != Errno::EBUSY {
            return error;
        }
        let pids = self.ids("cgroup.procs").unwrap_or_default();
        let mut list = pids.iter().take(8).map(i32::to_string).collect::<Vec<_>>().join(", ");
        if pids.len() > 8 {
            list.push_str(" …");
        }
        let hint = if pids.is_empty() {
            "a cgroup below is still in use".to_owned()
        } else {
            format!("it has processes: {list}")
        };
        error.with_kind(ErrorKind::Busy).with_hint(hint)
    }
}

/// One id a line; the line that is none otherwise.
fn ids(text: &str) -> std::result::Result<Vec<i32>, &str> {
    text.lines().map(|line| line.parse::<i32>().ok().filter(|pid| *pid >= 0).ok_or(line)).collect()
}

/// The components of a path below a root; no `..`, no NUL, at least one.
pub(crate) fn components(path: &str) -> Result<Vec<&str>> {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        let what = format!("`{}` names no cgroup", path.escape_default());
        return Err(Error::new(ErrorKind::Invalid, what));
    }
    names.iter().try_for_each(|name| checked(name).map(drop))?;
    Ok(names)
}

/// One component of a path, as the kernel takes it.
pub(crate) fn checked(name: &str) -> Result<CString> {
    let bad =
        name.is_empty() || name == "." || name == ".." || name.len() > 255 || name.contains(['/', '\n']);
    CString::new(name).ok().filter(|_| !bad).ok_or_else(|| {
        let shown: String = name.chars().take(40).collect();
        let what = format!("`{}` is no name of a cgroup", shown.escape_default());
        Error::new(ErrorKind::Invalid, what).with_hint("1 to 255 bytes without `/`, newline and NUL")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_one_component() {
        checked("cofferdam-1.scope").unwrap();
        for name in ["", ".", "..", "a/b", "/", "a\nb", "a\0", &"x".repeat(256)] {
            assert_eq!(checked(name).unwrap_err().kind(), ErrorKind::Invalid, "{name:?}");
        }
    }

    #[test]
    fn paths_are_components() {
        assert_eq!(components("/a//b/").unwrap(), ["a", "b"]);
        for path in ["", "/", "a/../b", "a/.", "a\0"] {
            assert_eq!(components(path).unwrap_err().kind(), ErrorKind::Invalid, "{path:?}");
        }
    }

    #[test]
    fn ids_are_read_or_shown() {
        assert_eq!(ids("1\n0\n2147483647\n"), Ok(vec![1, 0, i32::MAX]));
        assert_eq!(ids(""), Ok(vec![]));
        for text in ["-1", "2147483648", "x", "1 2"] {
            assert_eq!(ids(text), Err(text));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = ids(&text);
            let _ = components(&text);
        }
    }
}
