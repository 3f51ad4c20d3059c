//! Mounts as they were made before Linux 5.2, with `mount(2)` alone, and still without a race.
//!
//! `mount(2)` knows paths only, and gives no descriptor of what it has mounted. Two things make up for it:
//! - A path is always `/proc/self/fd/N`, which leads to the very file that the descriptor is open on. It
//!   needs a procfs on `/proc`, the host's own: the root has not been changed yet.
//! - What `fsmount(2)` and `open_tree(2)` give detached is mounted on a *stage* first: a small tmpfs that
//!   only the caller's namespace has, so that nobody can swap what is in it. There it is opened, gets its
//!   attributes, and is then moved (`MS_MOVE`) to where it belongs; the descriptor goes along.
//!
//! Nothing here allocates.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::file::{self, self_fd_path_of};
use crate::mount::{MountFlags, mount};
use crate::open::{Dir, Open, Resolve, mkdirat, openat2};
use crate::{Errno, Result};

/// The directory of a stage.
const DIRECTORY: &CStr = c"d";
/// The file of a stage.
const FILE: &CStr = c"f";

/// Mounts a stage over the caller's root directory, where only `/..` leads to it, and opens it.
///
/// # Errors
/// As `mount(2)`.
pub fn make() -> Result<OwnedFd> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(Some(c"stage"), c"/", Some(c"tmpfs"), flags, Some(c"mode=0700,size=16k,nr_inodes=4"))?;
    // `..` of the root stays there, and crosses to what is mounted on it.
    let stage = openat2(Dir::Cwd, c"/..", Open::PATH | Open::DIRECTORY, 0, Resolve::empty())?;
    mkdirat((&stage).into(), DIRECTORY, 0o700)?;
    let flags = Open::CREAT | Open::EXCL | Open::NOFOLLOW;
    openat2((&stage).into(), FILE, flags, 0o600, Resolve::empty())?;
    Ok(stage)
}

/// `mount(source, STAGE/d, fstype, flags, data)`, opened: as `fsopen(2)` … `fsmount(2)`.
///
/// # Errors
/// As `mount(2)`.
pub fn new_filesystem(
    stage: BorrowedFd<'_>,
    fstype: &CStr,
    source: &CStr,
    flags: MountFlags,
    data: &CStr,
) -> Result<OwnedFd> {
    let mut buffer = [0u8; 32];
    let target = self_fd_path_of(stage.as_raw_fd(), b"/d", &mut buffer)?;
    mount(Some(source), target, Some(fstype), flags, Some(data))?;
    open(stage, DIRECTORY)
}

/// A copy of the mount behind a descriptor, on the stage and opened: as `open_tree(OPEN_TREE_CLONE)`.
///
/// # Errors
/// As `mount(2)` with `MS_BIND`; `EINVAL` for a descriptor of another mount namespace.
pub fn copy(stage: BorrowedFd<'_>, from: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd> {
    let (name, place): (_, &[u8]) =
        if file::fstat(from)?.is_dir() { (DIRECTORY, b"/d") } else { (FILE, b"/f") };
    let (mut source, mut target) = ([0u8; 32], [0u8; 32]);
    let source = file::self_fd_path(from.as_raw_fd(), &mut source)?;
    let target = self_fd_path_of(stage.as_raw_fd(), place, &mut target)?;
    let recursive = if recursive { MountFlags::REC } else { MountFlags::empty() };
    mount(Some(source), target, None, MountFlags::BIND | recursive, None)?;
    open(stage, name)
}

/// Moves a mount from the stage to where it belongs: as `move_mount(2)`.
///
/// # Errors
/// As `mount(2)` with `MS_MOVE`.
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    let (mut source, mut place) = ([0u8; 32], [0u8; 32]);
    let source = file::self_fd_path(mount.as_raw_fd(), &mut source)?;
    let target = file::self_fd_path(target.as_raw_fd(), &mut place)?;
    crate::mount::mount(Some(source), target, None, MountFlags::MOVE, None)
}

/// Opens what was mounted on a name of the stage; `ENODEV` when nothing was.
fn open(stage: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let there = openat2(stage.into(), name, Open::PATH | Open::NOFOLLOW, 0, Resolve::NO_SYMLINKS)?;
    let stage = file::fstat(stage)?;
    if file::fstat(there.as_fd())?.dev == stage.dev { Err(Errno::ENODEV) } else { Ok(there) }
}
