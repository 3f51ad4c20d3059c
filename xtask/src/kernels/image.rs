//! What a kernel image says about itself.

use anyhow::{Context as _, Result};
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;

use crate::fail;

/// Reads the release (what `uname -r` says) out of a bzImage or an uncompressed vmlinux.
///
/// # Errors
///
/// When the file cannot be read or is no kernel for x86-64 (exit 2: the name came from the command line).
pub fn release(path: &Path) -> Result<String> {
    let wrong = |why: &str| {
        fail::usage(format!(
            "{} {why}: give a Linux image for x86-64 (bzImage, as in /boot/vmlinuz-…, or vmlinux)",
            path.display()
        ))
    };
    let metadata = fs::metadata(path).map_err(|error| wrong(&format!("cannot be read ({error})")))?;
    if !metadata.is_file() {
        return Err(wrong("is no file"));
    }
    let file = File::open(path).map_err(|error| wrong(&format!("cannot be read ({error})")))?;
    let mut file = BufReader::new(file);
    let mut head = Vec::new();
    file.by_ref()
        .take(64 << 10)
        .read_to_end(&mut head)
        .with_context(|| format!("reading {}", path.display()))?;
    let release = if head.get(0x202..0x206) == Some(b"HdrS") {
        from_header(&head)
    } else if head.get(..4) == Some(b"\x7fELF") {
        find_banner(head, file).with_context(|| format!("reading {}", path.display()))?
    } else {
        None
    };
    release.ok_or_else(|| wrong("is no kernel image"))
}

/// The first two numbers of a release.
pub fn series(release: &str) -> String {
    let mut numbers = release.split(['.', '-', '+']);
    let (major, minor) = (numbers.next().unwrap_or(release), numbers.next().unwrap_or("0"));
    format!("{major}.{minor}")
}

/// The setup header has the offset of the version text, counted from 0x200.
fn from_header(head: &[u8]) -> Option<String> {
    let offset = head.get(0x20e..0x210)?;
    let offset = usize::from(u16::from_le_bytes(offset.try_into().ok()?));
    if offset == 0 {
        return None;
    }
    first_word(head.get(offset + 0x200..)?)
}

/// An ELF image has the banner `Linux version RELEASE (…` somewhere in its data.
fn find_banner(mut window: Vec<u8>, mut file: impl Read) -> Result<Option<String>> {
    const BANNER: &[u8] = b"Linux version ";
    const LONGEST: usize = 256;
    loop {
        let end = window.len().saturating_sub(LONGEST);
        for (start, _) in window.iter().enumerate().filter(|(_, byte)| **byte == b'L') {
            let rest = window.get(start..).unwrap_or_default();
            let release = rest.strip_prefix(BANNER).and_then(first_word);
            if let Some(release) =
                release.filter(|release| release.starts_with(|first: char| first.is_ascii_digit()))
            {
                return Ok(Some(release));
            }
        }
        window.drain(..end);
        let before = window.len();
        file.by_ref().take(1 << 20).read_to_end(&mut window)?;
        if window.len() == before {
            return Ok(None);
        }
    }
}

fn first_word(text: &[u8]) -> Option<String> {
    let end = text.iter().take(200).position(|byte| matches!(byte, b' ' | 0))?;
    let word = std::str::from_utf8(text.get(..end)?).ok()?;
    (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic())).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bz_image(version: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 0x4000];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&0x3000_u16.to_le_bytes());
        image[0x3200..0x3200 + version.len()].copy_from_slice(version);
        image
    }

    fn release_of(content: &[u8]) -> Result<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        release(file.path())
    }

    #[test]
    fn release_of_a_bz_image() {
        let image = bz_image(b"6.12.117+deb13-cloud-amd64 (someone@example) #1 SMP\0");
        assert_eq!(release_of(&image).unwrap(), "6.12.117+deb13-cloud-amd64");
    }

    #[test]
    fn release_of_an_elf_image_even_across_a_block() {
        for at in [100, (64 << 10) - 24, (1 << 20) + (64 << 10) - 24] {
            let mut image = b"\x7fELF".to_vec();
            image.resize(at, b'L');
            image.extend(b"Linux version %s\0Linux version 7.3.4-custom (gcc)");
            image.resize(at + 4096, 0);
            assert_eq!(release_of(&image).unwrap(), "7.3.4-custom", "{at}");
        }
    }

    #[test]
    fn other_files_are_no_kernels() {
        let mut truncated = bz_image(b"6.12 x");
        truncated.truncate(0x3100);
        for content in [&b""[..], b"text", b"\x7fELF and nothing", &truncated] {
            let error = release_of(content).unwrap_err();
            assert_eq!(fail::exit_code(&error), 2);
            assert!(error.to_string().contains("is no kernel image"), "{error}");
        }
        for path in ["/does/not/exist", "/"] {
            assert_eq!(fail::exit_code(&release(Path::new(path)).unwrap_err()), 2);
        }
    }

    #[test]
    fn series_of_releases() {
        for (release, expected) in
            [("6.12.117+deb13", "6.12"), ("7.3-rc1", "7.3"), ("5.10.0-46-cloud-amd64", "5.10")]
        {
            assert_eq!(series(release), expected);
        }
    }
}
