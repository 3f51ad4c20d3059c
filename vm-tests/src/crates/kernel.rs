//! What each kernel is known to have: the table against which probes are asserted on both sides.

use crate::features;
use crate::registry::{OrFail, Result};
use std::fs;

/// The running kernel's version. For assertions only: the crates ask the kernel what it has.
pub(super) fn version() -> Result<(u32, u32)> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    features::version(&release).or_fail(format_args!("a version in {release}"))
}

/// Whether the running kernel is this version or a later one.
pub(super) fn since(major: u32, minor: u32) -> Result<bool> {
    Ok(version()? >= (major, minor))
}
