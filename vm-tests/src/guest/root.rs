//! A root directory that `pivot_root(2)` accepts.
//!
//! The root of the initramfs is the top of the mount tree; before Linux 7.0 that cannot be pivoted. A bind
//! mount of itself, moved on top, can. What PID 1 was started from stays below, so `/proc/1/exe` cannot be
//! bound from: use [`super::paths::INIT`].

use nix::mount::{MsFlags, mount};
use std::{fs, io};

const STAGING: &str = "/.root";
const NONE: Option<&str> = None;

/// Moves a bind mount of the initramfs over it, and goes there.
pub(super) fn make_pivotable() -> io::Result<()> {
    fs::create_dir(STAGING)?;
    mount(Some("/"), STAGING, NONE, MsFlags::MS_BIND, NONE)?;
    std::env::set_current_dir(STAGING)?;
    mount(Some("."), "/", NONE, MsFlags::MS_MOVE, NONE)?;
    nix::unistd::chroot(".")?;
    std::env::set_current_dir("/")?;
    fs::remove_dir(STAGING)
}

/// Makes every mount shared: containers must cope with the propagation that systemd sets up.
pub(super) fn share() -> io::Result<()> {
    Ok(mount(NONE, "/", NONE, MsFlags::MS_SHARED | MsFlags::MS_REC, NONE)?)
}
