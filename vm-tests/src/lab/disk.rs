//! The scratch disk.

use crate::guest::disk;
use crate::registry::{Context, OrFail, Result, Test};
use std::fs::{self, File};
use std::io::Write;

pub(super) const TESTS: &[Test] = &[Test::integration(
    "lab::disk-is-ext4",
    "The scratch disk is an ext4 filesystem that can be written",
    is_ext4,
)
.disk()];

/// `EXT4_SUPER_MAGIC` of statfs(2).
const EXT4: i64 = 0xef53;

fn is_ext4(ctx: &mut Context) -> Result {
    use std::os::fd::AsFd;
    let target = ctx.scratch().join("disk");
    fs::create_dir(&target)?;
    let disk = disk::mount(&target).or_fail("mounting the scratch disk")?;
    let directory = File::open(disk.path())?;
    ensure_eq!(cofferdam_sys::file::filesystem_magic(directory.as_fd())?, EXT4, "the type of the filesystem");
    let name = disk.path().join("written");
    let mut file = File::create(&name)?;
    file.write_all(&vec![7; 65_536])?;
    file.sync_all().or_fail("fsync")?;
    ensure_eq!(fs::read(&name)?.len(), 65_536, "bytes read back");
    fs::remove_file(&name)?;
    Ok(())
}
