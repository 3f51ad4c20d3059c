//! Attempts on files of the host.

use crate::probe::{Steps, Tried, c_string, hex, io, number, unhex};
use cofferdam_sys::Errno;
use cofferdam_sys::open::{self, Dir, Open, Resolve};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// The beginning of a file; one that is there but empty gives `ENODATA`, as a mask does.
pub(super) fn read(path: &str) -> Tried {
    text(io(File::open(path))?)
}

pub(super) fn text(file: impl Read) -> Tried {
    let mut data = Vec::new();
    io(file.take(4096).read_to_end(&mut data))?;
    if data.is_empty() { Err(Errno::ENODATA) } else { Ok(json!(String::from_utf8_lossy(&data))) }
}

/// Writes a file by three ways to it.
pub(super) fn write(steps: &Steps, path: &str, text: &str) -> Tried {
    let plain = steps.step("plain", write_once(path, text));
    let around = steps.step("through /proc/self/root", write_once(&format!("/proc/self/root{path}"), text));
    let reopened = steps.step("reopened O_PATH", reopen(path, text));
    plain.or(around).or(reopened).map(|()| Value::Null)
}

pub(super) fn write_once(path: &str, text: &str) -> Tried<()> {
    let mut file = io(fs::OpenOptions::new().write(true).open(path))?;
    io(file.write_all(text.as_bytes()))
}

fn reopen(path: &str, text: &str) -> Tried<()> {
    let pinned = open::openat2(Dir::Cwd, &c_string(path)?, Open::PATH, 0, Resolve::empty())?;
    write_once(&format!("/proc/self/fd/{}", pinned.as_raw_fd()), text)
}

/// Opens a file handle of the host through the root directory's filesystem.
pub(super) fn handle(kind: &str, bytes: &str) -> Tried {
    let root = io(File::open("/"))?;
    let root = OwnedFd::from(root);
    let found = open::open_by_handle_at((&root).into(), number(kind)?, &unhex(bytes)?, Open::empty())?;
    text(File::from(found))
}

/// Makes a node of a block device of the host and reads two bytes from it.
pub(super) fn mknod(steps: &Steps, major: &str, minor: &str, offset: &str) -> Tried {
    const S_IFBLK: u32 = 0o060_000;
    let node = "/dev/attempt";
    let made = open::mknodat(Dir::Cwd, c"/dev/attempt", S_IFBLK | 0o600, number(major)?, number(minor)?);
    steps.step("mknod", made)?;
    let mut data = [0u8; 2];
    let read = io(File::open(node)).and_then(|disk| io(disk.read_exact_at(&mut data, number(offset)?)));
    let _ = fs::remove_file(node);
    read.map(|()| json!(hex(&data)))
}

/// Keeps a directory above a nested `chroot(2)` open, goes back to it, and from there up as far as it goes.
pub(super) fn chroot(steps: &Steps, secret: &str) -> Tried {
    let root = io(File::open("/"))?;
    steps.step("chroot /tmp", nix::unistd::chroot("/tmp"))?;
    steps.step("fchdir", nix::unistd::fchdir(&root))?;
    for _ in 0..64 {
        nix::unistd::chdir("..")?;
    }
    steps.step("chroot .", nix::unistd::chroot("."))?;
    read(secret)
}

/// Looks for a directory among the descriptors that were open at the start, and for the secret below it.
pub(super) fn descriptors(steps: &Steps, secret: &str) -> Tried {
    let names: Vec<i32> = io(fs::read_dir("/proc/self/fd"))?
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
        .filter(|number| *number > 2)
        .collect();
    // What is left when the listing is over was there before it.
    let inherited: Vec<i32> =
        names.into_iter().filter(|n| fs::symlink_metadata(format!("/proc/self/fd/{n}")).is_ok()).collect();
    steps.say("inherited", Ok(json!(inherited)));
    inherited
        .iter()
        .find_map(|number| read(&format!("/proc/self/fd/{number}{secret}")).ok())
        .ok_or(Errno::EBADF)
}
