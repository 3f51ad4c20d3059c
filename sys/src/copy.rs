//! The content of a directory, copied without allocating: for a tmpfs that begins as what it covers.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::call::check;
use crate::file::{self, Stat};
use crate::open::{Dir, Open, Resolve, chmodat, chownat, mkdirat, mknodat, openat2, symlinkat};
use crate::{Errno, Result};

/// How deep directories may be in one another.
const DEEPEST: u32 = 32;

/// Entries are opened as they are: not through links, not below other mounts.
const HERE: Resolve = Resolve::BENEATH.union(Resolve::NO_SYMLINKS).union(Resolve::NO_XDEV);

/// Copies what is in one directory into another: files, directories, links, FIFOs and nodes with their
/// owners and permissions, without extended attributes and hard links. Sockets are left out, and so are
/// mounts on the way. With `top` the target itself gets the owner and the permissions of the source.
///
/// # Errors
/// `EEXIST` for a name that the target has already, `E2BIG` for directories that are more than 32 deep,
/// otherwise the first call that fails. What was copied stays.
pub fn copy_content(from: BorrowedFd<'_>, to: BorrowedFd<'_>, top: bool) -> Result<()> {
    let source = file::fstat(from)?;
    directory(from, to, DEEPEST)?;
    if top { give(to.into(), c".", &source) } else { Ok(()) }
}

fn directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: u32) -> Result<()> {
    let depth = depth.checked_sub(1).ok_or(Errno::E2BIG)?;
    let from = openat2(from.into(), c".", Open::DIRECTORY, 0, HERE)?;
    let mut buffer = Entries([0; 1024]);
    loop {
        // SAFETY: address and length are those of one buffer, which is aligned as the structures are.
        let count = check(unsafe {
            libc::syscall(libc::SYS_getdents64, from.as_raw_fd(), buffer.0.as_mut_ptr(), buffer.0.len())
        })?;
        let count = usize::try_from(count).map_err(|_| Errno::EIO)?;
        if count == 0 {
            return Ok(());
        }
        let mut rest = buffer.0.get(..count).ok_or(Errno::EIO)?;
        while let Some((name, after)) = next(rest) {
            rest = after;
            if name != c"." && name != c".." {
                entry(&from, to, name, depth)?;
            }
        }
    }
}

/// Room for `struct linux_dirent64`, which is aligned to eight bytes.
#[repr(align(8))]
struct Entries([u8; 1024]);

/// The name of the first entry, and the entries after it.
fn next(entries: &[u8]) -> Option<(&CStr, &[u8])> {
    let length = entries.get(16..18)?;
    let length = u16::from_ne_bytes(length.try_into().ok()?);
    let (entry, rest) = entries.split_at_checked(length.into())?;
    Some((CStr::from_bytes_until_nul(entry.get(19..)?).ok()?, rest))
}

fn entry(from: &OwnedFd, to: BorrowedFd<'_>, name: &CStr, depth: u32) -> Result<()> {
    let there = match openat2(from.into(), name, Open::PATH | Open::NOFOLLOW, 0, HERE) {
        // A mount in the image, or one that was made by somebody else; or the entry is gone by now.
        Err(Errno::EXDEV | Errno::ENOENT) => return Ok(()),
        // A link that a look-up would follow: NO_SYMLINKS refuses the last component too.
        Err(Errno::ELOOP) => return link(from, to, name),
        other => other?,
    };
    let stat = file::fstat(there.as_fd())?;
    match stat.mode & libc::S_IFMT {
        libc::S_IFDIR => {
            mkdirat(to.into(), name, 0o700)?;
            let made = openat2(to.into(), name, Open::PATH | Open::DIRECTORY, 0, HERE)?;
            directory(there.as_fd(), made.as_fd(), depth)?;
        }
        libc::S_IFREG => content(from, to, name)?,
        libc::S_IFLNK => return link(from, to, name),
        libc::S_IFSOCK => return Ok(()),
        _ => mknodat(to.into(), name, stat.mode, stat.major, stat.minor)?,
    }
    give(to.into(), name, &stat)
}

/// Owner first: `chown(2)` takes set-id bits away.
fn give(dir: Dir<'_>, name: &CStr, stat: &Stat) -> Result<()> {
    chownat(dir, name, stat.uid, stat.gid)?;
    chmodat(dir, name, stat.mode & 0o7777)
}

fn content(from: &OwnedFd, to: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    // A FIFO that took the file's place must not hold us.
    let source = openat2(from.into(), name, Open::NOFOLLOW | Open::NONBLOCK, 0, HERE)?;
    if file::fstat(source.as_fd())?.mode & libc::S_IFMT != libc::S_IFREG {
        return Err(Errno::ESTALE);
    }
    let flags = Open::CREAT | Open::EXCL | Open::WRONLY | Open::NOFOLLOW;
    let made = openat2(to.into(), name, flags, 0o600, HERE)?;
    loop {
        // SAFETY: without an offset the call takes no pointer that is not null.
        let value =
            unsafe { libc::sendfile(made.as_raw_fd(), source.as_raw_fd(), std::ptr::null_mut(), 1 << 20) };
        match check(value.try_into().unwrap_or(-1)) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Never inlined: its buffer has no place in every level of the recursion.
#[inline(never)]
fn link(from: &OwnedFd, to: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    let mut target = [0u8; 4096];
    let room = target.len().saturating_sub(1);
    // SAFETY: the name is a valid C string; address and length are those of one buffer. A zero stays at
    // its end.
    let value =
        unsafe { libc::readlinkat(from.as_raw_fd(), name.as_ptr(), target.as_mut_ptr().cast(), room) };
    check(value.try_into().unwrap_or(-1))?;
    let target = CStr::from_bytes_until_nul(&target).map_err(|_| Errno::ENAMETOOLONG)?;
    symlinkat(target, to.into(), name)?;
    let stat = link_owner(from, name)?;
    chownat(to.into(), name, stat.uid, stat.gid)
}

fn link_owner(from: &OwnedFd, name: &CStr) -> Result<Stat> {
    let flags = Open::PATH | Open::NOFOLLOW;
    let there = openat2(from.into(), name, flags, 0, Resolve::BENEATH | Resolve::NO_XDEV)?;
    file::fstat(there.as_fd())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::PathBuf;

    /// A directory that is removed with all that is in it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("cofferdam-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn copied(from: &Scratch, to: &Scratch) -> Result<()> {
        let (from, to) = (fs::File::open(&from.0).unwrap(), fs::File::open(&to.0).unwrap());
        copy_content(from.as_fd(), to.as_fd(), true)
    }

    #[test]
    fn copies_all_kinds() {
        let (from, to) = (Scratch::new("from"), Scratch::new("to"));
        fs::create_dir_all(from.0.join("a/b")).unwrap();
        fs::write(from.0.join("a/b/file"), vec![7; 3 << 20]).unwrap();
        fs::set_permissions(from.0.join("a/b/file"), fs::Permissions::from_mode(0o4751)).unwrap();
        symlink("../outside", from.0.join("a/link")).unwrap();
        fs::set_permissions(from.0.join("a"), fs::Permissions::from_mode(0o1777)).unwrap();
        for number in 0..200 {
            fs::write(from.0.join(format!("a-rather-long-name-{number:03}")), [1]).unwrap();
        }
        copied(&from, &to).unwrap();
        assert_eq!(fs::read(to.0.join("a/b/file")).unwrap(), vec![7; 3 << 20]);
        assert_eq!(fs::metadata(to.0.join("a/b/file")).unwrap().mode() & 0o7777, 0o4751);
        assert_eq!(fs::metadata(to.0.join("a")).unwrap().mode() & 0o7777, 0o1777);
        assert_eq!(fs::read_link(to.0.join("a/link")).unwrap(), PathBuf::from("../outside"));
        assert_eq!(fs::read_dir(&to.0).unwrap().count(), 201);
        assert_eq!(copied(&from, &to).unwrap_err(), Errno::EEXIST);
    }

    #[test]
    fn deep_trees_are_refused() {
        let (from, to) = (Scratch::new("deep"), Scratch::new("flat"));
        let mut path = from.0.clone();
        for _ in 0..DEEPEST {
            path.push("d");
        }
        fs::create_dir_all(&path).unwrap();
        assert_eq!(copied(&from, &to).unwrap_err(), Errno::E2BIG);
    }
}
