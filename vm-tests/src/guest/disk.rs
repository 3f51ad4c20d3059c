//! The scratch disk.

use super::mounts::{Mount, Mounted};
use super::paths;
use nix::mount::MsFlags;
use std::io;
use std::path::Path;

/// Mounts the ext4 filesystem of the scratch disk on an existing directory.
///
/// # Errors
/// When the guest has no disk or its kernel no ext4.
pub fn mount(target: &Path) -> io::Result<Mounted> {
    let target = target.to_str().ok_or_else(|| io::Error::other("the target is not UTF-8"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    Mounted::new(&Mount { source: paths::DISK, target, kind: "ext4", flags, data: "" })
}
