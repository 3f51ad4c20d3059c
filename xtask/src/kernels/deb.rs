//! Files out of a .deb: an ar archive whose `data.tar.*` member holds the tree.

use anyhow::{Context as _, Result, bail};
use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

/// Extracts the regular files for which `place` gives a path relative to `into`; returns how many there were.
///
/// Nothing can be written outside `into`, whatever the archive says: names with `..` are refused and links are left out.
///
/// # Errors
///
/// When the package is truncated or damaged, or a file cannot be written.
pub fn extract(deb: &Path, into: &Path, place: impl Fn(&Path) -> Option<PathBuf>) -> Result<usize> {
    let file = File::open(deb).with_context(|| format!("opening {}", deb.display()))?;
    extract_from(BufReader::new(file), into, place).with_context(|| {
        format!("extracting {} (it is truncated, damaged, or the disk is full)", deb.display())
    })
}

/// Where the wanted files of a kernel package go: `vmlinuz`, `config` and `modules/`.
pub fn kernel_file(path: &Path) -> Option<PathBuf> {
    if let Ok(boot) = path.strip_prefix("boot") {
        let name = boot.to_str()?;
        let wanted = ["vmlinuz", "config"];
        let found = wanted
            .iter()
            .find(|wanted| name.strip_prefix(**wanted).is_some_and(|rest| rest.starts_with('-')));
        return found.map(PathBuf::from);
    }
    let modules = path.strip_prefix("usr").unwrap_or(path).strip_prefix("lib/modules").ok()?;
    let mut inside = modules.components();
    inside.next();
    let inside = inside.as_path();
    match inside.to_str()? {
        "vmlinuz" | "config" => Some(inside.to_owned()),
        name if name.starts_with("kernel/") || name.starts_with("modules.") => {
            Some(Path::new("modules").join(inside))
        }
        _ => None,
    }
}

fn extract_from(deb: impl Read, into: &Path, place: impl Fn(&Path) -> Option<PathBuf>) -> Result<usize> {
    let mut archive = ar::Archive::new(deb);
    while let Some(member) = archive.next_entry() {
        let member = member?;
        let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
        let Some(kind) = name.trim_end_matches('/').strip_prefix("data.tar") else {
            continue;
        };
        let size = member.header().size();
        let read = Cell::new(0);
        let counted = Counted { inner: member, read: &read };
        let mut data: Box<dyn Read + '_> = match kind {
            "" => Box::new(counted),
            ".xz" => Box::new(liblzma::read::XzDecoder::new(counted)),
            ".gz" => Box::new(flate2::read::GzDecoder::new(counted)),
            ".zst" => Box::new(zstd::Decoder::new(counted)?),
            other => bail!("its data member is compressed as `{other}`: xz, gz and zst are known"),
        };
        let files = untar(&mut data, into, place)?;
        // What follows the tar's end is read too: decoders check their sums there.
        io::copy(&mut data, &mut io::sink())?;
        drop(data);
        if read.get() != size {
            bail!("the data member ends after {} of {size} bytes", read.get());
        }
        return Ok(files);
    }
    bail!("there is no data member in it")
}

fn untar(data: &mut dyn Read, into: &Path, place: impl Fn(&Path) -> Option<PathBuf>) -> Result<usize> {
    let mut files = 0;
    for entry in tar::Archive::new(data).entries()? {
        let mut entry = entry?;
        let path = plain(&entry.path()?)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let Some(target) = place(&path) else { continue };
        let target = into.join(plain(&target)?);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::options().write(true).create_new(true).open(&target)?;
        // A tree that ends within a file is noticed when the next entry is looked for.
        io::copy(&mut entry, &mut file)?;
        let mode = 0o644 | (entry.header().mode()? & 0o111);
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        files += 1;
    }
    Ok(files)
}

/// The path without a leading `./`, refused unless it stays inside.
fn plain(path: &Path) -> Result<PathBuf> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            _ => bail!("it has a file named {}, which leads outside", path.display()),
        }
    }
    Ok(plain)
}

/// Counts what has been read of a member.
struct Counted<'a, R> {
    inner: R,
    read: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.set(self.read.get() + u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn tree() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let noise: Vec<u8> =
            (0..60_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
        let mut add = |path: &str, mode: u32, data: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_mode(mode);
            builder.append_data(&mut header, path, data).unwrap();
        };
        add("./boot/vmlinuz-6.12.1", 0o644, &noise);
        add("./boot/System.map-6.12.1", 0o644, b"map");
        add("./usr/lib/modules/6.12.1/kernel/net/dummy.ko", 0o644, b"ko");
        add("./usr/lib/modules/6.12.1/modules.builtin", 0o644, b"kernel/fs/ext4.ko");
        add("./usr/bin/tool", 0o755, b"tool");
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        builder.append_link(&mut link, "usr/lib/modules/6.12.1/kernel/away", "/etc").unwrap();
        builder.into_inner().unwrap()
    }

    fn pack(name: &str, data: &[u8]) -> Vec<u8> {
        let mut builder = ar::Builder::new(Vec::new());
        let mut add = |name: &str, data: &[u8]| {
            builder.append(&ar::Header::new(name.into(), data.len() as u64), data).unwrap();
        };
        add("debian-binary", b"2.0\n");
        add("control.tar.xz", b"anything");
        add(name, data);
        builder.into_inner().unwrap()
    }

    fn xz(data: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn try_kernel(deb: &[u8]) -> (tempfile::TempDir, Result<usize>) {
        let into = tempfile::tempdir().unwrap();
        let result = extract_from(deb, into.path(), kernel_file);
        (into, result)
    }

    #[test]
    fn only_image_modules_and_config_of_a_kernel() {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&tree()).unwrap();
        let packed = [
            ("data.tar", tree()),
            ("data.tar.xz", xz(&tree())),
            ("data.tar.gz", gz.finish().unwrap()),
            ("data.tar.zst", zstd::encode_all(tree().as_slice(), 1).unwrap()),
        ];
        for (name, data) in packed {
            let (into, result) = try_kernel(&pack(name, &data));
            assert_eq!(result.unwrap(), 3, "{name}");
            assert_eq!(fs::metadata(into.path().join("vmlinuz")).unwrap().len(), 60_000);
            assert!(into.path().join("modules/kernel/net/dummy.ko").exists());
            assert!(into.path().join("modules/modules.builtin").exists());
            assert!(!into.path().join("modules/kernel/away").exists());
        }
    }

    #[test]
    fn truncated_packages_are_refused_wherever_they_end() {
        for (name, data) in [("data.tar.xz", xz(&tree())), ("data.tar", tree())] {
            let whole = pack(name, &data);
            for end in [10, 100, 200, whole.len() / 2, whole.len() - 300, whole.len() - 20, whole.len() - 2] {
                let (_into, result) = try_kernel(&whole[..end]);
                assert!(result.is_err(), "{name} cut at {end} of {}", whole.len());
            }
        }
    }

    #[test]
    fn a_tree_cut_short_inside_a_whole_member_is_refused() {
        let whole = tree();
        for end in [700, 30_000, 61_000] {
            let (_into, result) = try_kernel(&pack("data.tar.xz", &xz(&whole[..end])));
            assert!(result.is_err(), "cut at {end} of {}", whole.len());
        }
    }

    #[test]
    fn tampered_packages_are_refused() {
        let mut deb = pack("data.tar.xz", &xz(&tree()));
        let middle = deb.len() / 2;
        deb[middle] ^= 1;
        assert!(try_kernel(&deb).1.is_err());
        assert!(try_kernel(b"<html>no package</html>").1.is_err());
        assert!(try_kernel(&pack("data.tar.lzma", b"x")).1.unwrap_err().to_string().contains(".lzma"));
        assert!(try_kernel(&pack("other", b"x")).1.unwrap_err().to_string().contains("no data member"));
    }

    #[test]
    fn names_that_lead_outside_are_refused() {
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        let name = b"../outside";
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, &b"x"[..]).unwrap();
        let deb = pack("data.tar", &builder.into_inner().unwrap());
        let into = tempfile::tempdir().unwrap();
        let error = extract_from(deb.as_slice(), into.path(), |path| Some(path.to_owned())).unwrap_err();
        assert!(error.to_string().contains("leads outside"), "{error}");
    }

    #[test]
    fn files_of_a_kernel_old_and_new() {
        let place = |path: &str| kernel_file(Path::new(path)).map(|to| to.to_str().unwrap().to_owned());
        assert_eq!(place("boot/vmlinuz-5.10.0-46-cloud-amd64").as_deref(), Some("vmlinuz"));
        assert_eq!(place("boot/config-5.10.0-46-cloud-amd64").as_deref(), Some("config"));
        assert_eq!(place("usr/lib/modules/7.3.4/vmlinuz").as_deref(), Some("vmlinuz"));
        assert_eq!(place("lib/modules/6.1/kernel/fs/x.ko").as_deref(), Some("modules/kernel/fs/x.ko"));
        assert_eq!(place("usr/lib/modules/7.3.4/System.map"), None);
        assert_eq!(place("usr/share/doc/vmlinuz-1"), None);
    }
}
