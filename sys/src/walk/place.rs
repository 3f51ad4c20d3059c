//! Places below a root, made where they are missing.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use super::{INSIDE, Walk};
use crate::call::Dir;
use crate::open::{self, Open, Resolve};
use crate::plan::{At, PathIn, Slot};
use crate::{Errno, Result};

/// `PATH_MAX` of the kernel: the longest path, its NUL included.
const LONGEST: usize = 4096;

/// How many links that lead nowhere one path may have.
const LINKS: usize = 8;

/// What is made lies in the directory itself.
const BESIDE: Resolve = Resolve::NO_SYMLINKS.union(Resolve::BENEATH);

impl Walk<'_> {
    /// Opens the first `depth` components below the root, making what is missing.
    pub(super) fn ensure_dirs(&self, root: &At, path: &PathIn, depth: usize) -> Result<OwnedFd> {
        let root = self.dir(root)?;
        let flags = Open::PATH | Open::DIRECTORY;
        let mut here: Option<OwnedFd> = None;
        for (prefix, name) in path.walk().take(depth) {
            here = Some(match open::openat2(root, prefix, flags, 0, INSIDE) {
                Err(Errno::ENOENT) => {
                    let parent = here.as_ref().map_or(root, Dir::from);
                    match open::mkdirat(parent, name, 0o755) {
                        Err(Errno::EEXIST) => make(root, prefix, false, LINKS)?,
                        made => made.and_then(|()| open::openat2(parent, name, flags, 0, BESIDE))?,
                    }
                }
                other => other?,
            });
        }
        here.map_or_else(|| open::openat2(root, c".", flags, 0, INSIDE), Ok)
    }

    pub(super) fn ensure_file(&mut self, root: &At, path: &PathIn, out: Slot) -> Result<()> {
        let parent = self.ensure_dirs(root, path, path.len().saturating_sub(1))?;
        let (_, name) = path.walk().last().ok_or(Errno::EISDIR)?;
        let root = self.dir(root)?;
        let file = match open::openat2(root, path.whole(), Open::PATH, 0, INSIDE) {
            Err(Errno::ENOENT) => match new_file((&parent).into(), name) {
                Err(Errno::EEXIST) => make(root, path.whole(), true, LINKS)?,
                made => made.and_then(|()| open::openat2((&parent).into(), name, Open::PATH, 0, BESIDE))?,
            },
            other => other?,
        };
        self.put(out, file)
    }
}

fn new_file(dir: Dir<'_>, name: &CStr) -> Result<()> {
    let flags = Open::CREAT | Open::EXCL | Open::NOFOLLOW;
    open::openat2(dir, name, flags, 0o644, BESIDE).map(drop)
}

/// Makes what a path names that has links which lead nowhere, as `/etc/resolv.conf` of many an image: what they
/// name is made too. Every look-up begins at the root and stays in it, `..` included.
fn make(root: Dir<'_>, path: &CStr, file: bool, links: usize) -> Result<OwnedFd> {
    let mut here = Way::new();
    let mut left = path.to_bytes();
    loop {
        let (name, rest) = split(left);
        left = rest;
        let before = here.length;
        here.push(name)?;
        let last = split(left).0.is_empty();
        let this = file && last;
        let flags = if this { Open::PATH } else { Open::PATH | Open::DIRECTORY };
        match open::openat2(root, here.c_str()?, flags, 0, INSIDE) {
            Ok(found) if last => return Ok(found),
            Ok(_) => continue,
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        let parent =
            open::openat2(root, here.first(before).c_str()?, Open::PATH | Open::DIRECTORY, 0, INSIDE)?;
        let parent = Dir::from(&parent);
        let mut own = Way::new();
        own.push(name)?;
        let made =
            if this { new_file(parent, own.c_str()?) } else { open::mkdirat(parent, own.c_str()?, 0o755) };
        match made {
            Ok(()) if last => return open::openat2(parent, own.c_str()?, flags, 0, BESIDE),
            Ok(()) => {}
            Err(Errno::EEXIST) => {
                let links = links.checked_sub(1).ok_or(Errno::ELOOP)?;
                let mut target = [0; LONGEST];
                // What is there and no link was not there a moment ago.
                let length = open::readlinkat(parent, own.c_str()?, &mut target)?;
                let target = target.get(..length).unwrap_or_default();
                let mut next = if target.first() == Some(&b'/') { Way::new() } else { here.first(before) };
                next.push(target)?;
                next.push(left)?;
                return make(root, next.c_str()?, file, links);
            }
            Err(errno) => return Err(errno),
        }
    }
}

/// The first component of a path, and what is behind it; nothing when there is none.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let begin = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    let path = path.get(begin..).unwrap_or_default();
    let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
    path.split_at(end)
}

/// A path relative to the root that is put together in place: the child must not allocate.
#[derive(Clone, Copy)]
struct Way {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Way {
    fn new() -> Self {
        Self { bytes: [0; LONGEST], length: 0 }
    }

    /// The first bytes of it.
    fn first(&self, length: usize) -> Self {
        let mut first = *self;
        first.length = length.min(self.length);
        if let Some(end) = first.bytes.get_mut(first.length..) {
            end.fill(0);
        }
        first
    }

    /// Goes on with a path; leading slashes are the one between both.
    fn push(&mut self, path: &[u8]) -> Result<()> {
        let begin = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
        let path = path.get(begin..).unwrap_or_default();
        if path.is_empty() {
            return Ok(());
        }
        let slash = usize::from(self.length > 0);
        let begin = self.length.saturating_add(slash);
        let end = begin.saturating_add(path.len());
        // The last byte stays the NUL.
        let room = self.bytes.get_mut(..LONGEST.saturating_sub(1)).unwrap_or_default();
        if slash > 0 {
            *room.get_mut(self.length).ok_or(Errno::ENAMETOOLONG)? = b'/';
        }
        room.get_mut(begin..end).ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(path);
        self.length = end;
        Ok(())
    }

    fn c_str(&self) -> Result<&CStr> {
        if self.length == 0 {
            return Ok(c".");
        }
        CStr::from_bytes_until_nul(&self.bytes).map_err(|_| Errno::ENAMETOOLONG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn made(root: &Path, path: &CStr, file: bool) -> Result<OwnedFd> {
        let fd = OwnedFd::from(std::fs::File::open(root).unwrap());
        make(Dir::Fd(fd.as_fd()), path, file, LINKS)
    }

    #[test]
    fn links_that_lead_nowhere_get_what_they_name() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        std::fs::create_dir_all(root.join("etc")).unwrap();
        symlink("../../../run/a/resolv.conf", root.join("etc/resolv.conf")).unwrap();
        made(&root, c"etc/resolv.conf", true).unwrap();
        assert!(root.join("run/a/resolv.conf").is_file());
        symlink("/tmp/foo/bar", root.join("jump")).unwrap();
        symlink("/jump/baz/hosts", root.join("etc/hosts")).unwrap();
        made(&root, c"etc/hosts", true).unwrap();
        assert!(root.join("tmp/foo/bar/baz/hosts").is_file());
        symlink("/there", root.join("dir")).unwrap();
        made(&root, c"dir/in/it", false).unwrap();
        assert!(root.join("there/in/it").is_dir());
        assert!(std::fs::read_dir(outer.path()).unwrap().count() == 1, "something was made outside");
    }

    #[test]
    fn a_circle_is_refused_and_so_is_a_path_too_long() {
        let root = tempfile::tempdir().unwrap();
        symlink("/b", root.path().join("a")).unwrap();
        symlink("/a", root.path().join("b")).unwrap();
        assert_eq!(made(root.path(), c"a", false).unwrap_err(), Errno::ELOOP);
        symlink("/x".repeat(1500), root.path().join("long")).unwrap();
        let long = format!("long/{}", "y/".repeat(1000));
        let long = std::ffi::CString::new(long).unwrap();
        assert_eq!(made(root.path(), &long, false).unwrap_err(), Errno::ENAMETOOLONG);
    }
}
