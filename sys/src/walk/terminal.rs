//! A pseudo-terminal of the container's own, and looking for its program ahead of time.

use std::ffi::CStr;
use std::os::fd::AsFd;

use super::Walk;
use crate::call::check;
use crate::open::{Open, Resolve, openat2};
use crate::plan::{At, Slot};
use crate::{Errno, Result, file, tty};

impl Walk<'_> {
    /// The master by the path, the slave by the master: `/dev/pts/N` could be anything in a hostile image.
    pub(super) fn open_terminal(&mut self, dir: &At, path: &CStr, master: Slot, slave: Slot) -> Result<()> {
        let resolve = Resolve::IN_ROOT | Resolve::NO_MAGICLINKS;
        let ptmx = openat2(self.dir(dir)?, path, Open::RDWR | Open::NOCTTY, 0, resolve)?;
        let stat = file::fstat(ptmx.as_fd())?;
        if !stat.is_char_device(5, 2) {
            return Err(Errno::ENODEV);
        }
        tty::unlock(ptmx.as_fd())?;
        let peer = tty::peer(ptmx.as_fd())?;
        self.put(master, ptmx)?;
        self.put(slave, peer)
    }

    /// As `execvp(3)` would choose, with the effective ids; what is there at `execve(2)` counts then.
    pub(super) fn require_program(&self) -> Result<()> {
        let mut answer = Errno::ENOENT;
        for candidate in &self.plan.exec().candidates {
            match executable(candidate) {
                Ok(()) => return Ok(()),
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(Errno::EACCES) => answer = Errno::EACCES,
                Err(errno) => return Err(errno),
            }
        }
        Err(answer)
    }
}

/// Whether it is a regular file that the caller may execute (`faccessat2(2)`, Linux 5.8).
fn executable(path: &CStr) -> Result<()> {
    let file = openat2(crate::open::Dir::Cwd, path, Open::PATH, 0, Resolve::empty())?;
    if !file::fstat(file.as_fd())?.is_file() {
        return Err(Errno::EACCES);
    }
    let flags = libc::AT_EACCESS | libc::AT_EMPTY_PATH;
    let (fd, empty) = (std::os::fd::AsRawFd::as_raw_fd(&file), c"".as_ptr());
    // SAFETY: the path is a valid C string.
    check(unsafe { libc::syscall(libc::SYS_faccessat2, fd, empty, libc::X_OK, flags) }).map(drop)
}
