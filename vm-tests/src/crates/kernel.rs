//! What each kernel is known to have: the table against which probes are asserted on both sides.

use crate::registry::{OrFail, Result};
use std::fs;

/// The running kernel's version. For assertions only: the crates ask the kernel what it has.
pub(super) fn version() -> Result<(u32, u32)> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    parse(&release).or_fail(format_args!("a version in {release}"))
}

/// Whether the running kernel is this version or a later one.
pub(super) fn since(major: u32, minor: u32) -> Result<bool> {
    Ok(version()? >= (major, minor))
}

fn parse(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_parsed() {
        assert_eq!(parse("5.10.0-46-cloud-amd64"), Some((5, 10)));
        assert_eq!(parse("7.3.4+deb13-cloud-amd64\n"), Some((7, 3)));
        assert_eq!(parse("unknown"), None);
    }
}
