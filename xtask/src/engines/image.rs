//! The image that all containers are made from: a shell and the usual commands, no registry asked.
//!
//! An archive as `docker save` writes it: every engine reads that one.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::process;

/// What the image is called in every engine.
pub(super) const NAME: &str = "localhost/engine-test:1";
/// The folder with a `Dockerfile`.
pub(super) const CONTEXT: &str = "build";
/// What the server of the image serves.
pub(super) const PAGE: &str = "served from inside";

/// The image's files in a folder. [`CONTEXT`] beside them builds the same and more.
#[derive(Debug, Clone)]
pub(super) struct Image {
    /// The archive that engines load.
    pub archive: PathBuf,
}

/// Makes the archive in this folder; `busybox` is a static program.
///
/// # Errors
/// A file cannot be written, or the program does not list its commands.
pub(super) fn make(dir: &Path, busybox: &Path) -> Result<Image> {
    let layer = dir.join("layer.tar");
    write_layer(&layer, busybox).context("write the layer of the image")?;
    let digest = process::success(Command::new("sha256sum").arg(&layer))?;
    let digest = digest.split_whitespace().next().context("the digest of the layer")?;
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Env": ["PATH=/bin", "FROM_IMAGE=yes"], "Cmd": ["/bin/sleep", "100000"], "WorkingDir": "/" },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
        "history": [{ "created_by": "engine-test" }],
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"] }]);
    let archive = dir.join("image.tar");
    let attempt = || -> std::io::Result<()> {
        let mut tar = tar::Builder::new(File::create(&archive)?);
        append(&mut tar, "config.json", config.to_string().as_bytes(), 0o644)?;
        append(&mut tar, "manifest.json", manifest.to_string().as_bytes(), 0o644)?;
        tar.append_path_with_name(&layer, "layer.tar")?;
        tar.into_inner()?.flush()
    };
    attempt().with_context(|| format!("write the image {}", archive.display()))?;
    context(&dir.join(CONTEXT), &layer).context("write the folder of the build")?;
    Ok(Image { archive })
}

/// A build of every kind of step that runs or keeps something.
fn context(context: &Path, layer: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(context)?;
    std::fs::copy(layer, context.join("layer.tar"))?;
    std::fs::write(
        context.join("Dockerfile"),
        "FROM scratch\nADD layer.tar /\nENV PATH=/bin GREETING=built\nRUN echo $GREETING > /built\n\
         USER 1000\nRUN id -u > /tmp/who\nUSER 0\nRUN cat /tmp/who >> /built\nCMD [\"cat\", \"/built\"]\n",
    )
}

fn write_layer(path: &Path, busybox: &Path) -> Result<()> {
    let applets = process::success(Command::new(busybox).arg("--list"))?;
    let mut tar = tar::Builder::new(File::create(path)?);
    for (folder, mode) in [
        ("bin", 0o755),
        ("dev", 0o755),
        ("etc", 0o755),
        ("proc", 0o555),
        ("sys", 0o555),
        ("tmp", 0o1777),
        ("www", 0o755),
    ] {
        let mut header = header(tar::EntryType::Directory, mode, 0);
        tar.append_data(&mut header, format!("{folder}/"), std::io::empty())?;
    }
    let program = std::fs::read(busybox).with_context(|| format!("read {}", busybox.display()))?;
    append(&mut tar, "bin/busybox", &program, 0o755)?;
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox")?;
    }
    append(
        &mut tar,
        "etc/passwd",
        b"root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n",
        0o644,
    )?;
    append(&mut tar, "etc/group", b"root:x:0:\nuser:x:1000:\n", 0o644)?;
    append(&mut tar, "etc/plain", b"not a program\n", 0o644)?;
    append(&mut tar, "www/index.html", PAGE.as_bytes(), 0o644)?;
    tar.into_inner()?.flush()?;
    Ok(())
}

fn append<W: std::io::Write>(
    tar: &mut tar::Builder<W>,
    path: &str,
    data: &[u8],
    mode: u32,
) -> std::io::Result<()> {
    let mut header = header(tar::EntryType::Regular, mode, data.len() as u64);
    tar.append_data(&mut header, path, data)
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands in for the multi-call program: what matters is that it lists its commands.
    #[test]
    fn the_archive_has_what_engines_look_for() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("busybox");
        std::fs::write(&program, "#!/bin/sh\nprintf 'busybox\\nsh\\ncat\\n'\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let image = make(dir.path(), &program).unwrap();
        let names = |path: &Path| -> Vec<String> {
            let mut archive = tar::Archive::new(File::open(path).unwrap());
            let entries = archive.entries().unwrap();
            entries.map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
        };
        assert_eq!(names(&image.archive), ["config.json", "manifest.json", "layer.tar"]);
        let layer = names(&dir.path().join(CONTEXT).join("layer.tar"));
        assert!(
            ["bin/busybox", "bin/sh", "bin/cat", "tmp/"].iter().all(|name| layer.contains(&(*name).into()))
        );
        assert_eq!(layer.iter().filter(|name| *name == "bin/busybox").count(), 1);
    }
}
