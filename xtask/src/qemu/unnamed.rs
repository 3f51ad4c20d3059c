//! Temporary files without a name: nothing is left of them, however this program ends.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::kernels::cache::Cache;

/// A file that is gone with the last descriptor of it.
#[derive(Debug)]
pub struct Unnamed {
    file: File,
    path: PathBuf,
}

impl Unnamed {
    /// An empty file on the file system of the cache.
    ///
    /// # Errors
    ///
    /// When the cache cannot be written.
    pub fn new(cache: &Cache) -> Result<Self> {
        let folder = cache.path("tmp");
        Self::at(&folder).map_err(|error| cache.explain(error, &folder))
    }

    /// An empty file on the file system of `folder`.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn at(folder: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder)
            .with_context(|| format!("making a temporary file in {}", folder.display()))?;
        // Not /proc/self: the programs that open it are other processes.
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into();
        Ok(Self { file, path })
    }

    /// The file, to write it.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// A path by which this process and its children can open it, as long as this value lives.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn children_read_it_and_no_name_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let mut unnamed = Unnamed::at(folder.path()).unwrap();
        unnamed.file().write_all(b"content").unwrap();
        let output = std::process::Command::new("cat").arg(unnamed.path()).output().unwrap();
        assert_eq!(output.stdout, b"content");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let path = unnamed.path().to_owned();
        drop(unnamed);
        assert!(std::fs::read(path).is_err());
    }
}
