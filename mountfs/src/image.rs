//! Images of file systems in a file: erofs and squashfs, by a loop device.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use cofferdam_sys::loopdev::LoopDevice;
use cofferdam_sys::plan::At;
use cofferdam_sys::{Errno, errno};

use crate::tree::Tree;
use crate::{Error, ErrorKind, Host, Result};

/// The file systems that an image may be: their name, and what is where in the image.
const KNOWN: [(&CStr, u64, [u8; 4]); 2] =
    [(c"squashfs", 0, *b"hsqs"), (c"erofs", 1024, [0xe2, 0xe1, 0xf5, 0xe0])];

/// Attaches an image to a loop device and opens it as a mount that no namespace has, or leaves that to the
/// child. The device goes away with its last mount.
pub(crate) fn tree(host: Host, path: &Path, about: &str) -> Result<Tree> {
    let io =
        |step: &str, error: &std::io::Error| Error::system(format!("{about}: {step}"), errno::from_io(error));
    let file = File::open(path).map_err(|error| io("open it", &error))?;
    let fstype = fstype(&file, about)?;
    let device = LoopDevice::attach_readonly(file.as_fd()).map_err(|errno| {
        let error = Error::system(format!("{about}: attach it to a loop device"), errno);
        match errno {
            Errno::ENOENT => error.with_hint("there is no /dev/loop-control or no node: modprobe loop"),
            Errno::EACCES | Errno::EPERM => error.with_hint("loop devices are for the host's root only"),
            _ => error,
        }
    })?;
    let data = vec![(c"source".to_owned(), Some(device.path().clone())), (c"ro".to_owned(), None)];
    match Tree::make(host, fstype, &data, about)? {
        // The child makes it, from a device that has to live until then.
        Tree::New { fstype, data, .. } => {
            Ok(Tree::New { fstype, data, keep: Some(At::from(device.into_fd())) })
        }
        made => Ok(made),
    }
}

/// The type of the file system in an image.
fn fstype(image: &File, about: &str) -> Result<&'static CStr> {
    for (name, offset, magic) in KNOWN {
        let mut found = [0; 4];
        if image.read_exact_at(&mut found, offset).is_ok() && found == magic {
            return Ok(name);
        }
    }
    Err(Error::new(ErrorKind::WrongSource, format!("{about}: it is neither erofs nor squashfs"))
        .with_hint("make it with mkfs.erofs or mksquashfs"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn types_are_told_by_their_magic() {
        let type_of = |content: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(content).unwrap();
            fstype(&file, "image").map_err(|error| error.kind())
        };
        assert_eq!(type_of(b"hsqs...").unwrap(), c"squashfs");
        assert_eq!(type_of(&[&[0; 1024][..], &[0xe2, 0xe1, 0xf5, 0xe0]].concat()).unwrap(), c"erofs");
        for content in [&b""[..], b"hsq", &[0; 2000]] {
            assert_eq!(type_of(content).unwrap_err(), ErrorKind::WrongSource);
        }
    }
}
