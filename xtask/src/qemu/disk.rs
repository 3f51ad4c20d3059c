//! The scratch disk: one pristine ext4 file system, of which each guest writes to a copy of its own.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::on_path;
use super::unnamed::Unnamed;
use crate::fail;
use crate::kernels::cache::Cache;

/// Its size.
const BYTES: u64 = 64 << 20;
/// Exactly these: what mke2fs adds by default from one version to the next, an old kernel may not know.
const FEATURES: &str = "none,has_journal,extent,huge_file,flex_bg,64bit,dir_nlink,extra_isize,filetype,dir_index,ext_attr,sparse_super,large_file";

/// The image of the scratch disk, made once.
///
/// # Errors
///
/// When `mke2fs` is missing or fails, or the cache cannot be written.
pub fn scratch(cache: &Cache) -> Result<PathBuf> {
    const ENTRY: &str = "images/scratch-ext4.img";
    let _lock = cache.lock("scratch-disk")?;
    let path = cache.path(ENTRY);
    if path.is_file() {
        return Ok(path);
    }
    let mke2fs = on_path("mke2fs").ok_or_else(|| {
        fail::lab("mke2fs is not installed: run `sudo apt-get install --no-install-recommends e2fsprogs`")
    })?;
    cache.put(ENTRY, |file| {
        file.set_len(BYTES)?;
        let target = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let output = Command::new(mke2fs)
            .args(["-q", "-F", "-t", "ext4", "-m", "0", "-O", FEATURES, &target])
            .env("LC_ALL", "C")
            .output()
            .context("running mke2fs")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(fail::lab(format!(
                "mke2fs could not make the scratch disk ({}): {}",
                output.status,
                said.trim()
            )));
        }
        Ok(())
    })
}

/// A copy for one guest, with holes where the image has none but zeros.
///
/// QEMU's own copy-on-write keeps a named file for a moment, which would be left behind by a kill just then.
pub(super) fn copy(pristine: &Path, folder: &Path) -> Result<Unnamed> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let what = || format!("copying the scratch disk {}", pristine.display());
    let mut from = File::open(pristine).with_context(what)?;
    let mut copy = Unnamed::at(folder)?;
    let mut chunk = ZEROS;
    let mut at = 0;
    loop {
        let count = from.read(&mut chunk).with_context(what)?;
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        if Some(bytes) != ZEROS.get(..count) {
            copy.file().write_all_at(bytes, at).with_context(what)?;
        }
        at += count as u64;
    }
    copy.file().set_len(at).with_context(what)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_holds_ext4_and_is_made_once() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path()).unwrap();
        let path = scratch(&cache).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, BYTES);
        assert_eq!(bytes[1080..1082], [0x53, 0xef], "the magic number of ext4");
        // No incompatible feature beyond filetype, extents, 64bit and flex_bg.
        assert_eq!(bytes[1024 + 0x60..1024 + 0x64], 0x02c2_u32.to_le_bytes());
        let made = std::fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(scratch(&cache).unwrap(), path);
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), made);
    }

    #[test]
    fn a_copy_is_equal_and_sparse() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        let mut bytes = vec![0; 3 << 20];
        bytes[100] = 1;
        bytes[2_000_000] = 2;
        bytes.extend([0, 0, 7]);
        std::fs::write(&image, &bytes).unwrap();
        let mut copied = copy(&image, folder.path()).unwrap();
        assert_eq!(std::fs::read(copied.path()).unwrap(), bytes);
        assert!(copied.file().metadata().unwrap().blocks() * 512 < 1 << 20);
        assert!(copy(Path::new("/nonexistent"), folder.path()).is_err());
    }
}
