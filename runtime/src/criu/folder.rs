//! A folder of images, or of criu's log: nobody but the caller may write there.
//!
//! An image says which memory, capabilities and mounts a process gets. Who can change one, or have criu write
//! through a link, has the rights of the caller.

use std::ffi::CString;
use std::fs::{DirBuilder, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use cofferdam_sys::file::{Stat, fstat};
use cofferdam_sys::open::{Dir, Open, Resolve, mkdirat, openat2};
use cofferdam_sys::{Errno, errno, process};

use crate::{Error, ErrorKind, Result};

/// criu's name for the earlier image that an image builds upon: a link in the folder.
const PARENT: &str = "parent";

/// How many images may build upon one another.
const LONGEST_LINE: usize = 256;

/// An open folder that is the caller's alone.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder, which is made with mode 0700 when it is missing.
    pub(crate) fn make(path: &Path, option: &str) -> Result<Self> {
        Self::at(path, option, true)
    }

    /// Opens a folder that is there.
    pub(crate) fn open(path: &Path, option: &str) -> Result<Self> {
        Self::at(path, option, false)
    }

    fn at(path: &Path, option: &str, make: bool) -> Result<Self> {
        let fail = |why: &str| Error::new(ErrorKind::Usage, format!("{option} {}: {why}", path.display()));
        let number = |number: Errno| match number {
            Errno::ELOOP => fail("is a symbolic link").with_hint("name the folder itself"),
            number => fail(&errno::describe(number)),
        };
        let io = |error: std::io::Error| number(errno::from_io(&error));
        // `.`, `/` and what ends in `..` have no name of their own to be followed.
        let named = path.file_name().is_some();
        let whole = if named { path.to_owned() } else { path.canonicalize().map_err(io)? };
        let parent = whole.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = whole.file_name().unwrap_or(std::ffi::OsStr::new("."));
        let name = CString::new(name.as_bytes()).map_err(|_| fail("holds a NUL byte"))?;
        if make {
            DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(io)?;
        }
        let parent = File::open(parent).map_err(io)?;
        if make {
            match mkdirat(Dir::Fd(parent.as_fd()), &name, 0o700) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(number(errno)),
            }
        }
        let resolve = Resolve::BENEATH | Resolve::NO_SYMLINKS;
        let fd = openat2(Dir::Fd(parent.as_fd()), &name, Open::DIRECTORY, 0, resolve).map_err(number)?;
        let stat = fstat(fd.as_fd()).map_err(number)?;
        if let Some(why) = not_alone(&stat) {
            return Err(fail(&why).with_hint(
                "a folder of images or logs must belong to the caller, who alone may write there (chmod go-w)",
            ));
        }
        // For messages, and for links from one image to another.
        let shown = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or(whole);
        Ok(Self { fd, path: shown })
    }

    /// Makes certain that every file of an image, and of those that it builds upon, is the caller's alone.
    pub(crate) fn check_image(&self) -> Result<()> {
        self.check_line(LONGEST_LINE)
    }

    fn check_line(&self, left: usize) -> Result<()> {
        let fail = |name: &str, why: &str| {
            let path = self.path.join(name);
            Error::new(ErrorKind::Usage, format!("image {}: {why}", path.display()))
        };
        let io = |error: std::io::Error| fail("", &errno::describe(errno::from_io(&error)));
        for entry in std::fs::read_dir(format!("/proc/self/fd/{}", self.fd.as_raw_fd())).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            let shown = name.to_string_lossy().into_owned();
            let text = CString::new(name.as_bytes()).map_err(|_| fail(&shown, "holds a NUL byte"))?;
            let flags = Open::PATH | Open::NOFOLLOW;
            let file = openat2(Dir::Fd(self.fd.as_fd()), &text, flags, 0, Resolve::BENEATH);
            let stat = file.and_then(|file| fstat(file.as_fd()));
            let stat = stat.map_err(|number| fail(&shown, &errno::describe(number)))?;
            if name == PARENT && is_link(&stat) {
                let left = left.checked_sub(1).ok_or_else(|| fail(PARENT, "too many images in a row"))?;
                let target = std::fs::read_link(format!("/proc/self/fd/{}/{PARENT}", self.fd.as_raw_fd()));
                // criu makes the link relative to the folder.
                let target = self.path.join(target.map_err(io)?);
                Folder::open(&target, "image that this one builds upon:")?.check_line(left)?;
                continue;
            }
            if is_link(&stat) {
                return Err(fail(&shown, "is a symbolic link"));
            }
            if let Some(why) = not_alone(&stat) {
                return Err(fail(&shown, &why)
                    .with_hint("who can change an image decides what the restored processes may do"));
            }
        }
        Ok(())
    }

    /// The same folder as a process with a mount namespace of its own has it: criu can mount something in that one
    /// only.
    pub(crate) fn seen_by(&self, pid: i32) -> Result<Self> {
        let fail = |why: &str| {
            Error::new(ErrorKind::System, format!("open {} for criu: {why}", self.path.display()))
        };
        let number = |number: Errno| fail(&errno::describe(number));
        let root = File::open(format!("/proc/{pid}/root")).map_err(|error| number(errno::from_io(&error)))?;
        let inside = self.path.strip_prefix("/").unwrap_or(&self.path);
        let inside = CString::new(inside.as_os_str().as_bytes()).map_err(|_| number(Errno::EINVAL))?;
        let resolve = Resolve::BENEATH | Resolve::NO_SYMLINKS;
        let fd = openat2(Dir::Fd(root.as_fd()), &inside, Open::DIRECTORY, 0, resolve).map_err(number)?;
        let (ours, theirs) = (fstat(self.fd.as_fd()).map_err(number)?, fstat(fd.as_fd()).map_err(number)?);
        if (ours.dev, ours.ino) != (theirs.dev, theirs.ino) {
            return Err(fail("another folder has its place now"));
        }
        Ok(Self { fd, path: self.path.clone() })
    }

    /// Its number, which criu is told.
    pub(crate) fn number(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// Where it is, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a file of at most `largest` bytes; `None` when there is none.
    pub(crate) fn read(&self, name: &str, largest: u64) -> Result<Option<Vec<u8>>> {
        let file = match self.file(name, Open::NONBLOCK) {
            Ok(file) => file,
            Err(Errno::ENOENT) => return Ok(None),
            Err(number) => return Err(self.failed("read", name, number)),
        };
        let mut text = Vec::new();
        let read = file.take(largest).read_to_end(&mut text);
        read.map_err(|error| self.failed("read", name, errno::from_io(&error)))?;
        Ok(Some(text))
    }

    /// Opens a file to read the end of it.
    pub(super) fn log(&self, name: &str) -> Option<File> {
        self.file(name, Open::NONBLOCK).ok()
    }

    /// Writes a file anew.
    pub(crate) fn write(&self, name: &str, text: &[u8]) -> Result<()> {
        let mut file = self
            .file(name, Open::WRONLY | Open::CREAT | Open::TRUNC)
            .map_err(|number| self.failed("write", name, number))?;
        file.write_all(text).map_err(|error| self.failed("write", name, errno::from_io(&error)))
    }

    fn file(&self, name: &str, flags: Open) -> std::result::Result<File, Errno> {
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        let resolve = Resolve::BENEATH | Resolve::NO_SYMLINKS;
        let mode = if flags.contains(Open::CREAT) { 0o600 } else { 0 };
        openat2(Dir::Fd(self.fd.as_fd()), &name, flags, mode, resolve).map(File::from)
    }

    fn failed(&self, what: &str, name: &str, number: Errno) -> Error {
        let path = self.path.join(name);
        Error::new(ErrorKind::System, format!("{what} {}: {}", path.display(), errno::describe(number)))
    }
}

/// Type and permissions as `stat(2)` has them.
const TYPE: u32 = 0o170_000;
const LINK: u32 = 0o120_000;
const OTHERS_WRITE: u32 = 0o022;

fn is_link(stat: &Stat) -> bool {
    stat.mode & TYPE == LINK
}

/// Why somebody else could write there.
fn not_alone(stat: &Stat) -> Option<String> {
    let own = process::effective_uid();
    if stat.uid != own {
        return Some(format!("belongs to user {}, not {own}", stat.uid));
    }
    let mode = stat.mode & 0o7777;
    (stat.mode & OTHERS_WRITE != 0).then(|| format!("can be written by others (mode {mode:04o})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn refused(path: &Path) -> String {
        Folder::make(path, "--image-path").unwrap_err().to_string()
    }

    #[test]
    fn a_folder_is_made_for_the_caller_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert!(Folder::open(&path, "--image-path").unwrap_err().to_string().contains("No such file"));
        let folder = Folder::make(&path, "--image-path").unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o700, 0o700));
        assert_eq!(folder.path(), path.canonicalize().unwrap());
        folder.write("x", b"text").unwrap();
        assert_eq!(folder.read("x", 2).unwrap().unwrap(), b"te");
        assert_eq!(mode(&path.join("x")), 0o600);
        assert_eq!(folder.read("y", 2).unwrap(), None);
        folder.check_image().unwrap();
    }

    #[test]
    fn a_folder_that_others_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for open in [0o777, 0o1777, 0o770, 0o702] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(open)).unwrap();
            let why = refused(dir.path());
            assert!(why.contains("can be written by others"), "{why}");
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Folder::make(dir.path(), "--image-path").unwrap();
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        // Root's, when this user is not root; a user's, when it is.
        let (path, _dir) = if process::effective_uid() == 0 {
            let dir = tempfile::tempdir().unwrap();
            std::os::unix::fs::chown(dir.path(), Some(1234), None).unwrap();
            (dir.path().to_owned(), Some(dir))
        } else {
            (PathBuf::from("/usr"), None)
        };
        let why = refused(&path);
        assert!(why.contains("belongs to user"), "{why}");
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        fs::create_dir(&real).unwrap();
        let link = dir.path().join("link");
        symlink(&real, &link).unwrap();
        assert!(refused(&link).contains("is a symbolic link"));
        assert!(refused(&link.join(".")).contains("is a symbolic link"), "a slash does not help");
        let folder = Folder::make(&real, "--image-path").unwrap();
        symlink("/etc/passwd", real.join("dump.log")).unwrap();
        assert!(folder.read("dump.log", 9).is_err());
        assert!(folder.write("dump.log", b"x").is_err());
        assert!(folder.check_image().unwrap_err().to_string().contains("dump.log: is a symbolic link"));
    }

    #[test]
    fn files_of_an_image_and_its_parents_are_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        let earlier = Folder::make(&first, "--image-path").unwrap();
        let image = Folder::make(&second, "--image-path").unwrap();
        earlier.write("pages-1.img", b"").unwrap();
        symlink("../first", second.join("parent")).unwrap();
        image.check_image().unwrap();
        fs::set_permissions(first.join("pages-1.img"), fs::Permissions::from_mode(0o666)).unwrap();
        let why = image.check_image().unwrap_err().to_string();
        assert!(why.contains("first/pages-1.img: can be written by others"), "{why}");
        fs::remove_file(first.join("pages-1.img")).unwrap();
        symlink("../second", first.join("parent")).unwrap();
        let why = image.check_image().unwrap_err().to_string();
        assert!(why.contains("too many images in a row"), "{why}");
    }
}
