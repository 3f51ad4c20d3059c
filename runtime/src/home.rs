//! `HOME` of a process whose environment has none or an empty one.
//!
//! The specification does not ask for it. The common runtimes have always set it, and images of engines that
//! leave it to the runtime (containerd's CRI) rely on it: the home directory that the container's `/etc/passwd`
//! gives the user, `/` for a user that it does not have.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use cofferdam_sys::open::{Dir, Open, Resolve, openat2};

use crate::container::Process;
use crate::spec::Spec;

/// How much of a `/etc/passwd` is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Where the file of users is.
const PASSWD: &str = "/etc/passwd";

/// Adds `HOME` where it is missing. `passwd` gives the text of the file of users and is called only then.
pub(crate) fn complete(process: &mut Process, passwd: impl FnOnce() -> Vec<u8>) {
    if process.env.iter().any(|entry| entry.as_bytes().starts_with(b"HOME=")) {
        return;
    }
    let text = passwd();
    let home = of_user(&text, process.uid).unwrap_or(b"/");
    // Without NUL bytes, as it comes from a field that has been searched for them.
    process.env.extend(CString::new([b"HOME=", home].concat()).ok());
}

/// The file of users of a container that is to be made: in its root, or what the config binds over that.
pub(crate) fn of_bundle(bundle: &Path, root: &Path, spec: &Spec) -> Vec<u8> {
    let bound = spec.mounts.iter().rev().find(|mount| mount.destination == Path::new(PASSWD));
    match bound.and_then(|mount| mount.source.as_ref()) {
        Some(source) => read(Path::new("/"), &bundle.join(source)),
        None => read(root, Path::new(PASSWD)),
    }
}

/// The file of users that a process sees.
pub(crate) fn of_process(pid: i32) -> Vec<u8> {
    read(&PathBuf::from(format!("/proc/{pid}/root")), Path::new(PASSWD))
}

/// The text of a file below a root; nothing for one that is not there or is no plain file. It is the image's:
/// links in it stay in the root, and a pipe or a device is not waited for.
fn read(root: &Path, path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    let c_string = |path: &Path| CString::new(path.as_os_str().as_encoded_bytes()).ok();
    let (Some(root), Some(path)) = (c_string(root), c_string(path)) else { return text };
    let opened =
        openat2(Dir::Cwd, &root, Open::PATH | Open::DIRECTORY, 0, Resolve::empty()).and_then(|root| {
            let flags = Open::NONBLOCK | Open::NOCTTY;
            openat2(Dir::Fd(root.as_fd()), &path, flags, 0, Resolve::IN_ROOT | Resolve::NO_MAGICLINKS)
        });
    if let Ok(file) = opened.map(File::from)
        && file.metadata().is_ok_and(|meta| meta.is_file())
        && file.take(LARGEST).read_to_end(&mut text).is_err()
    {
        text.clear();
    }
    text
}

/// The home directory of a user in the lines of `passwd(5)`.
fn of_user(text: &[u8], uid: u32) -> Option<&[u8]> {
    let uid = uid.to_string();
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let found = fields.nth(2)? == uid.as_bytes();
        let home = fields.nth(2)?;
        (found && !home.is_empty() && !home.contains(&0)).then_some(home)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_found_by_number() {
        let text =
            b"root:x:0:0:root:/root:/bin/sh\nno fields\n7:x:8:7::/seven:\nnone:x:9:9:::\nlast:x:70:1::/last";
        for (uid, home) in [(0, Some(&b"/root"[..])), (8, Some(b"/seven")), (70, Some(b"/last"))] {
            assert_eq!(of_user(text, uid), home, "{uid}");
        }
        for uid in [7, 9, 1] {
            assert_eq!(of_user(text, uid), None, "{uid}");
        }
    }

    #[test]
    fn only_plain_files_in_the_root_are_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("users"), "inside").unwrap();
        let passwd = dir.path().join("etc/passwd");
        std::os::unix::fs::symlink("/users", &passwd).unwrap();
        assert_eq!(read(dir.path(), Path::new(PASSWD)), b"inside");
        std::fs::remove_file(&passwd).unwrap();
        assert_eq!(read(dir.path(), Path::new(PASSWD)), b"");
        assert!(std::process::Command::new("mkfifo").arg(&passwd).status().unwrap().success());
        assert_eq!(read(dir.path(), Path::new(PASSWD)), b"");
    }
}
