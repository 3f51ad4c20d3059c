//! The root directory of a bundle.

use crate::registry::{OrFail, Result};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};

/// One file or directory of it.
#[derive(Debug)]
pub(super) struct Entry {
    path: String,
    mode: u32,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Directory,
    Text(String),
    CopyOf(PathBuf),
}

impl Entry {
    pub(super) fn directory(path: &str, mode: u32) -> Self {
        Self { path: path.to_owned(), mode, content: Content::Directory }
    }

    pub(super) fn file(path: &str, mode: u32, text: &str) -> Self {
        Self { path: path.to_owned(), mode, content: Content::Text(text.to_owned()) }
    }

    pub(super) fn copy(source: &Path, path: &str, mode: u32) -> Self {
        Self { path: path.to_owned(), mode, content: Content::CopyOf(source.to_owned()) }
    }
}

/// What every root directory has: the places to mount on, the probe's among them.
pub(super) fn skeleton() -> Vec<Entry> {
    let places = ["/proc", "/sys", "/dev", "/tmp", "/etc", "/mnt", "/data"];
    let mut entries: Vec<Entry> = places.iter().map(|path| Entry::directory(path, 0o755)).collect();
    entries.push(Entry::file(super::PROBE, 0o755, ""));
    entries
}

/// Makes the entries, all owned by the host's id of the container's root.
pub(super) fn write(root: &Path, entries: &[Entry], owner: u32) -> Result {
    own(root, 0o755, owner)?;
    for entry in entries {
        let place = root.join(entry.path.trim_start_matches('/'));
        match &entry.content {
            Content::Directory => fs::create_dir_all(&place),
            Content::Text(text) => fs::write(&place, text),
            Content::CopyOf(source) => fs::copy(source, &place).map(drop),
        }
        .or_fail(format_args!("making {}", place.display()))?;
        own(&place, entry.mode, owner)?;
    }
    Ok(())
}

/// A change of owner takes the set-user-ID bit away, so the mode comes second.
fn own(place: &Path, mode: u32, owner: u32) -> Result {
    lchown(place, Some(owner), Some(owner)).or_fail(format_args!("chown {}", place.display()))?;
    fs::set_permissions(place, Permissions::from_mode(mode))
        .or_fail(format_args!("chmod {}", place.display()))
}
