//! Attempts on the disk of the host.

use super::CAPABILITIES;
use super::attempt::{Attempt, Held};
use crate::bundle::Layer::{Capabilities, Devices, UserNamespace};
use crate::guest::paths::DISK;
use crate::registry::{Context, Result, Test};
use cofferdam_sys::Errno::{EACCES, EPERM};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

pub(super) const TESTS: &[Test] = &[
    Test::escape(
        "dev-mknod-host-disk",
        "Makes a node of the host's disk and reads the magic number of its filesystem",
        CAPABILITIES,
        mknod,
    )
    .disk(),
    Test::escape(
        "dev-mount-host-disk",
        "Mounts the host's disk from a node that slipped into the container",
        CAPABILITIES,
        mount,
    )
    .disk(),
];

/// Where ext4 has its magic number, and what it is.
const MAGIC: (&str, &str) = ("1080", "53ef");

fn mknod(ctx: &mut Context) -> Result {
    let device = fs::metadata(DISK)?.rdev();
    let major = rustix::fs::major(device).to_string();
    let minor = rustix::fs::minor(device).to_string();
    Attempt::new(ctx, &[Capabilities, UserNamespace, Devices], &["mknod", &major, &minor, MAGIC.0])
        .held(Held::By(&[EPERM]), Held::By(&[EPERM]))
        .secret(MAGIC.1)
        .host_untouched(superblock)
        .run()
}

fn mount(ctx: &mut Context) -> Result {
    Attempt::new(ctx, &[Capabilities, UserNamespace, Devices], &["mount", "/dev/disk", "ext4", "lost+found"])
        .held(Held::By(&[EPERM]), Held::By(&[EPERM, EACCES]))
        .bundle(|bundle| {
            bundle.bind(Path::new(DISK), "/dev/disk", &["bind"]);
        })
        .host_untouched(superblock)
        .run()
}

/// The superblock up to the times of its mounts and writes.
fn superblock() -> Result<String> {
    let mut data = [0u8; 44];
    File::open(DISK)?.read_exact_at(&mut data, 1024)?;
    Ok(crate::probe::hex(&data))
}
