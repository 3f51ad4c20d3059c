//! Calls on open files.

use super::super::kernel::since;
use crate::registry::{Context, OrFail, Result};
use cofferdam_sys::mount::MountFlags;
use cofferdam_sys::open::{Dir, Open, Resolve, openat2};
use cofferdam_sys::{Errno, file, memfd, poll, xattr};
use nix::mount::{MsFlags, mount, umount};
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::chown;
use std::path::Path;
use std::time::Duration;

const NAME: &std::ffi::CStr = c"trusted.cofferdam";

pub(super) fn extended_attributes(ctx: &mut Context) -> Result {
    let path = ctx.scratch().join("file");
    let file = File::create(&path)?;
    let path = CString::new(path.as_os_str().as_bytes())?;
    let directory = File::open(ctx.scratch())?;
    let dir = Dir::Fd(directory.as_fd());
    let newer = xattr::has_xattrat()?;
    ensure_eq!(newer, since(6, 13)?, "the calls of Linux 6.13");

    xattr::fsetxattr(file.as_fd(), NAME, b"by descriptor")?;
    let mut room = [0u8; 32];
    let length = xattr::getxattr(&path, NAME, &mut room)?;
    ensure_eq!(room.get(..length), Some(b"by descriptor".as_slice()), "as read by path");
    ensure_eq!(xattr::fgetxattr(file.as_fd(), NAME, &mut []), Ok(length), "the length alone");
    ensure_eq!(xattr::fgetxattr(file.as_fd(), NAME, &mut [0; 2]), Err(Errno::ERANGE), "too little room");
    let by_name = xattr::getxattrat(dir, c"file", NAME, &mut room);
    ensure_eq!(by_name, if newer { Ok(length) } else { Err(Errno::ENOSYS) }, "as read by name");
    if newer {
        xattr::setxattrat(dir, c"file", NAME, b"by name")?;
        ensure_eq!(xattr::fgetxattr(file.as_fd(), NAME, &mut room), Ok(7), "as written by name");
        xattr::removexattrat(dir, c"file", NAME)?;
    } else {
        ensure_eq!(xattr::setxattrat(dir, c"file", NAME, b""), Err(Errno::ENOSYS), "writing by name");
        ensure_eq!(xattr::removexattrat(dir, c"file", NAME), Err(Errno::ENOSYS), "removing by name");
        xattr::removexattr(&path, NAME)?;
    }
    ensure_eq!(xattr::fgetxattr(file.as_fd(), NAME, &mut room), Err(Errno::ENODATA), "of a file without it");
    ensure_eq!(xattr::fremovexattr(file.as_fd(), NAME), Err(Errno::ENODATA), "removing it again");
    // No call works on a descriptor that is a reference only: the reason for the ways by path and by name.
    let reference = openat2(dir, c"file", Open::PATH, 0, Resolve::empty())?;
    ensure_eq!(xattr::fsetxattr(reference.as_fd(), NAME, b""), Err(Errno::EBADF), "through O_PATH");
    Ok(())
}

pub(super) fn sealed_memory(_: &mut Context) -> Result {
    use memfd::{Flags, Seals};
    let fd = memfd::create(c"sealed", Flags::CLOEXEC | Flags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(b"as it was")?;
    let seals = Seals::WRITE | Seals::GROW | Seals::SHRINK | Seals::SEAL;
    memfd::add_seals(file.as_fd(), seals)?;
    ensure_eq!(memfd::seals(file.as_fd())?, seals, "its seals");
    let refused = Some(Errno::EPERM as i32);
    ensure_eq!(file.write(b"!").err().or_fail("an error")?.raw_os_error(), refused, "writing");
    ensure_eq!(file.set_len(1).err().or_fail("an error")?.raw_os_error(), refused, "truncating");
    ensure_eq!(memfd::add_seals(file.as_fd(), Seals::FUTURE_WRITE), Err(Errno::EPERM), "one more seal");

    let quiet = memfd::create(c"quiet", Flags::CLOEXEC | Flags::NOEXEC_SEAL);
    if since(6, 3)? {
        let quiet = quiet?;
        ensure!(memfd::seals(quiet.as_fd())?.contains(Seals::EXEC), "its seals");
        ensure_eq!(file::fstat(quiet.as_fd())?.mode & 0o111, 0, "its permissions");
    } else {
        ensure_eq!(quiet.err(), Some(Errno::EINVAL), "a seal against execution before Linux 6.3");
    }
    Ok(())
}

pub(super) fn what_a_file_is(ctx: &mut Context) -> Result {
    let at = ctx.scratch().join("quiet");
    fs::create_dir(&at)?;
    fs::write(at.with_extension("file"), "")?;
    chown(at.with_extension("file"), Some(1000), Some(1001))?;
    let stat = file::fstat(File::open(at.with_extension("file"))?.as_fd())?;
    ensure_eq!((stat.uid, stat.gid, stat.mode & 0o170_000), (1000, 1001, 0o100_000), "a file");
    let null = file::fstat(File::open("/dev/null")?.as_fd())?;
    ensure!(null.is_char_device(1, 3) && !null.is_char_device(1, 5), "the null device: {null:?}");

    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_RDONLY;
    mount(Some("quiet"), &at, Some("tmpfs"), flags, None::<&str>)?;
    let answers = quiet(&at);
    umount(&at)?;
    answers
}

fn quiet(at: &Path) -> Result {
    const TMPFS: i64 = 0x0102_1994;
    let directory = File::open(at)?;
    let flags = MountFlags::from_bits_retain(file::mount_flags(directory.as_fd())?);
    let wanted = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY;
    ensure!(flags.contains(wanted) && !flags.contains(MountFlags::NOEXEC), "the flags {flags:?}");
    ensure_eq!(file::filesystem_magic(directory.as_fd())?, TMPFS, "the file system");
    ensure!(file::fstat(directory.as_fd())?.is_dir(), "it is a directory");
    Ok(())
}

pub(super) fn a_change_is_seen(ctx: &mut Context) -> Result {
    let at = ctx.scratch().join("mounted");
    fs::create_dir(&at)?;
    let mut table = File::open("/proc/self/mounts")?;
    table.read_to_end(&mut Vec::new())?;
    ensure_eq!(poll::changed(table.as_fd(), Duration::from_millis(5)), Ok(false), "before the change");
    mount(Some("seen"), &at, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    let seen = poll::changed(table.as_fd(), Duration::from_secs(5));
    umount(&at)?;
    ensure_eq!(seen, Ok(true), "after the change");
    Ok(())
}
