//! The standard descriptors of a container's first process, which lead outside.
//!
//! Pipes and files of the caller's cannot be in an image. A dump notes what they are, by names that criu has for such
//! things, and a restore puts its own descriptors in their places. The note is a file in the image, as the common
//! runtimes write it.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::{Folder, Options};
use crate::{Error, ErrorKind, Result};

/// The name of the note.
const NAME: &str = "descriptors.json";

/// The longest note that is read. Three names have some fifty bytes.
const LARGEST: u64 = 16 << 10;

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Descriptors {
    keys: Vec<String>,
}

impl Descriptors {
    /// Looks at those of a process; `mounts` are the numbers of its mounts.
    pub(crate) fn of(pid: i32, mounts: &[u64]) -> Self {
        let keys = (0..3).map(|number| key(pid, number, mounts).unwrap_or_default()).collect();
        Self { keys }
    }

    pub(crate) fn save(&self, images: &Folder) -> Result<()> {
        let text = serde_json::to_vec(&self.keys)
            .map_err(|error| Error::new(ErrorKind::System, format!("write {NAME}: {error}")))?;
        images.write(NAME, &text)
    }

    /// Reads the note. What is no name of something outside is left out: an image must not choose what of the
    /// caller's it gets.
    pub(crate) fn load(images: &Folder) -> Result<Self> {
        let Some(text) = images.read(NAME, LARGEST)? else { return Ok(Self { keys: Vec::new() }) };
        let keys = serde_json::from_slice(&text).map_err(|error| {
            let what = format!("image {}: {NAME}: {error}", images.path().display());
            Error::new(ErrorKind::Usage, what)
        })?;
        Ok(Self { keys })
    }

    /// Tells a dump which of them are not in the image.
    pub(crate) fn leave_out(&self, options: &mut Options) {
        for key in self.keys.iter().filter(|key| key.starts_with("file[")) {
            options.external(key);
        }
    }

    /// Puts the caller's own in their places.
    pub(crate) fn inherit(&self, options: &mut Options) {
        let outside = |key: &str| key.starts_with("file[") || key.starts_with("pipe:[");
        for (number, key) in (0..3).zip(&self.keys).filter(|(_, key)| outside(key)) {
            options.inherit(key, number);
        }
    }
}

/// criu's name for what a descriptor leads to; a file that one of the process's own mounts has gets its path, which
/// only informs.
fn key(pid: i32, number: i32, mounts: &[u64]) -> Option<String> {
    let place = format!("/proc/{pid}/fd/{number}");
    let link = fs::read_link(&place).ok()?.to_string_lossy().into_owned();
    if !link.starts_with('/') {
        return Some(link);
    }
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).ok()?;
    let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse::<u64>().ok())?;
    if mounts.contains(&mount) {
        return Some(link);
    }
    let inode = fs::metadata(&place).ok()?.ino();
    Some(format!("file[{mount:x}:{inode:x}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_outside_has_a_name() {
        let own = std::process::id().cast_signed();
        let file = tempfile::tempfile().unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        let inode = file.metadata().unwrap().ino();
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
        let mount: u64 = info.lines().find_map(|line| line.strip_prefix("mnt_id:\t")?.parse().ok()).unwrap();
        assert_eq!(key(own, number, &[]).unwrap(), format!("file[{mount:x}:{inode:x}]"));
        assert!(key(own, number, &[mount]).unwrap().starts_with('/'));
        let (read, _write) = std::io::pipe().unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&read);
        assert!(key(own, number, &[]).unwrap().starts_with("pipe:["));
        assert_eq!(key(own, -1, &[]), None);
    }

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::make(&dir.path().join("images"), "--image-path").unwrap();
        assert_eq!(Descriptors::load(&folder).unwrap().keys, Vec::<String>::new());
        let note = Descriptors { keys: vec!["pipe:[1]".into(), "/dev/null".into(), "file[1:2]".into()] };
        note.save(&folder).unwrap();
        assert_eq!(Descriptors::load(&folder).unwrap(), note);
        folder.write(NAME, b"{").unwrap();
        assert!(Descriptors::load(&folder).unwrap_err().to_string().contains("descriptors.json"));
    }
}
