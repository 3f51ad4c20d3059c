//! Initramfs archives; the `newc` format itself is the `cpio` crate's.

use std::collections::BTreeSet;
use std::io::{self, Write};

use cpio::newc::{Builder, ModeFileType, trailer};

/// Writes one archive; parent folders are added by themselves.
///
/// Archives can be put one behind the other: the kernel unpacks them in turn.
#[derive(Debug)]
pub struct Archive<W> {
    out: W,
    inode: u32,
    folders: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    /// An empty archive.
    pub fn new(out: W) -> Self {
        Self { out, inode: 0, folders: BTreeSet::new() }
    }

    /// Adds a regular file of root's.
    ///
    /// # Errors
    ///
    /// When writing fails, or the content is larger than the format's 4 GiB.
    pub fn file(&mut self, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
        let path = path.trim_start_matches('/');
        self.parents(path)?;
        let size = u32::try_from(content.len()).map_err(|_| {
            io::Error::new(io::ErrorKind::FileTooLarge, format!("{path} is larger than 4 GiB"))
        })?;
        let mut entry =
            self.entry(path).mode(mode).set_mode_file_type(ModeFileType::Regular).write(&mut self.out, size);
        entry.write_all(content)?;
        entry.finish()?;
        Ok(())
    }

    /// Ends the archive and gives the writer back.
    ///
    /// # Errors
    ///
    /// When writing fails.
    pub fn finish(self) -> io::Result<W> {
        trailer(self.out)
    }

    fn parents(&mut self, path: &str) -> io::Result<()> {
        for (at, _) in path.match_indices('/') {
            let Some(folder) = path.get(..at).filter(|folder| !folder.is_empty()) else { continue };
            if self.folders.insert(folder.to_owned()) {
                let entry =
                    self.entry(folder).nlink(2).mode(0o755).set_mode_file_type(ModeFileType::Directory);
                entry.write(&mut self.out, 0).finish()?;
            }
        }
        Ok(())
    }

    /// A numbered entry of root's; the time stays 0, so that equal content makes an equal archive.
    fn entry(&mut self, name: &str) -> Builder {
        self.inode += 1;
        Builder::new(name).ino(self.inode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn archive() -> Vec<u8> {
        let mut archive = Archive::new(Vec::new());
        archive.file("/init", b"#!program", 0o755).unwrap();
        archive.file("/lab/modules/order", b"a\n", 0o644).unwrap();
        archive.file("/lab/modules/a.ko", b"", 0o644).unwrap();
        archive.finish().unwrap()
    }

    #[test]
    fn bytes_are_those_of_the_format() {
        let bytes = archive();
        let header = "070701\
            00000001\
            000081ed\
            00000000\
            00000000\
            00000001\
            00000000\
            00000009\
            00000000\
            00000000\
            00000000\
            00000000\
            00000005\
            00000000";
        assert_eq!(&bytes[..110], header.as_bytes());
        assert_eq!(&bytes[110..128], b"init\0\0#!program\0\0\0");
        assert_eq!(bytes.len() % 4, 0, "the next archive must start on a boundary of 4");
    }

    #[test]
    fn an_archive_reads_back() {
        let bytes = archive();
        let mut rest = bytes.as_slice();
        let mut seen = Vec::new();
        loop {
            let mut reader = cpio::NewcReader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let mut content = String::new();
            reader.read_to_string(&mut content).unwrap();
            seen.push(format!("{name} {mode:o} {content:?}"));
            rest = reader.finish().unwrap();
        }
        let expected = [
            r##"init 100755 "#!program""##,
            r#"lab 40755 """#,
            r#"lab/modules 40755 """#,
            r#"lab/modules/order 100644 "a\n""#,
            r#"lab/modules/a.ko 100644 """#,
        ];
        assert_eq!(seen, expected);
    }
}
