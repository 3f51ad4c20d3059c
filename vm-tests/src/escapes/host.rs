//! What attempts are after on the host, and the means to put it back.

use crate::registry::{Context, OrFail, Result};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A file of the host that no container may read.
#[derive(Debug)]
pub(super) struct Secret {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl Secret {
    pub(super) fn new(ctx: &Context) -> Result<Self> {
        let path = ctx.scratch().join("secret");
        let text = format!("secret-of-{}", std::process::id());
        fs::write(&path, &text).or_fail("writing the secret")?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { path, text })
    }

    pub(super) fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

/// A process of the host; its standard input is the secret.
#[derive(Debug)]
pub(super) struct Decoy {
    child: Child,
}

impl Decoy {
    pub(super) fn new(ctx: &Context, secret: &Secret) -> Result<Self> {
        let child = Command::new(ctx.probe())
            .args(["sleep", "600"])
            .stdin(File::open(&secret.path)?)
            .stdout(Stdio::null())
            .spawn()
            .or_fail("starting a process of the host")?;
        Ok(Self { child })
    }

    pub(super) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Its state and who traces it, as the host sees it.
    pub(super) fn state(&self) -> Result<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let state = status.lines().find(|line| line.starts_with("State:")).or_fail("the state")?;
        Ok(if state.contains('Z') { "dead".to_owned() } else { "alive".to_owned() })
    }
}

impl Drop for Decoy {
    fn drop(&mut self) {
        // It may be dead already, which is what the control is about.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A setting of the kernel that is put back at the end.
#[derive(Debug)]
pub(super) struct Setting {
    path: &'static str,
    before: String,
}

impl Setting {
    pub(super) fn new(path: &'static str) -> Result<Self> {
        Ok(Self { path, before: read(path)? })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if let Err(error) = fs::write(self.path, &self.before) {
            eprintln!("cannot put {} back: {error}", self.path);
        }
    }
}

pub(super) fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).or_fail(format_args!("reading {path}"))
}

/// What is mounted on the host: the mount points in their order.
pub(super) fn mounts() -> Result<String> {
    let table = read("/proc/self/mountinfo")?;
    Ok(table.lines().filter_map(|line| line.split(' ').nth(4)).collect::<Vec<_>>().join("\n"))
}
