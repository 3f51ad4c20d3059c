//! Where a root filesystem comes from.

use std::path::{Path, PathBuf};

use crate::Overlay;

/// The content of a root filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RootSource {
    /// A directory of the host, by its absolute path, with the mounts below it.
    Directory(PathBuf),
    /// Directories on top of one another. By the host's root it is made outside the container; else in the
    /// container's user namespace (Linux 5.11).
    Overlay(Overlay),
    /// A file with an erofs or squashfs, attached to a loop device read-only. Needs the host's root, and the
    /// mount points in the image.
    Image(PathBuf),
    /// Another source that is not written to: changes go to a tmpfs on top, and end with the container.
    Ephemeral {
        /// What is below.
        lower: Box<RootSource>,
        /// The size of the tmpfs, as its option `size` has it; the kernel's half of the memory otherwise.
        size: Option<String>,
    },
}

impl RootSource {
    /// The host's own root, read-only, with a tmpfs on top. What is mounted in it is left out.
    pub fn host() -> Self {
        Self::Directory(PathBuf::from("/")).ephemeral()
    }

    /// The same with changes that end with the container.
    #[must_use]
    pub fn ephemeral(self) -> Self {
        Self::Ephemeral { lower: Box::new(self), size: None }
    }
}

impl From<PathBuf> for RootSource {
    fn from(path: PathBuf) -> Self {
        Self::Directory(path)
    }
}

impl From<&PathBuf> for RootSource {
    fn from(path: &PathBuf) -> Self {
        Self::Directory(path.clone())
    }
}

impl From<&Path> for RootSource {
    fn from(path: &Path) -> Self {
        Self::Directory(path.to_owned())
    }
}

impl From<&str> for RootSource {
    fn from(path: &str) -> Self {
        Self::Directory(path.into())
    }
}

impl From<String> for RootSource {
    fn from(path: String) -> Self {
        Self::Directory(path.into())
    }
}

impl From<Overlay> for RootSource {
    fn from(overlay: Overlay) -> Self {
        Self::Overlay(overlay)
    }
}
