//! The guest's API filesystems, as a table.

use nix::mount::{MntFlags, MsFlags, umount2};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Mount<'a> {
    /// What is mounted.
    pub source: &'a str,
    /// Where.
    pub target: &'a str,
    /// The filesystem's type.
    pub kind: &'a str,
    /// Mount flags.
    pub flags: MsFlags,
    /// Options of the filesystem.
    pub data: &'a str,
}

const NONE: MsFlags = MsFlags::empty();
const SAFE: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);
const DATA: MsFlags = SAFE.union(MsFlags::MS_NOEXEC);

/// In the order in which they are mounted. `gid=5` is Debian's `tty`.
const TABLE: &[Mount<'_>] = &[
    Mount { source: "proc", target: "/proc", kind: "proc", flags: DATA, data: "" },
    Mount { source: "sysfs", target: "/sys", kind: "sysfs", flags: DATA, data: "" },
    Mount {
        source: "devtmpfs",
        target: "/dev",
        kind: "devtmpfs",
        flags: MsFlags::MS_NOSUID,
        data: "mode=755",
    },
    Mount {
        source: "devpts",
        target: "/dev/pts",
        kind: "devpts",
        flags: MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC),
        data: "gid=5,mode=620,ptmxmode=666",
    },
    Mount { source: "tmpfs", target: "/dev/shm", kind: "tmpfs", flags: SAFE, data: "" },
    Mount { source: "mqueue", target: "/dev/mqueue", kind: "mqueue", flags: DATA, data: "" },
    Mount { source: "tmpfs", target: "/run", kind: "tmpfs", flags: SAFE, data: "mode=755" },
    // Programs are run from here by tests, and device nodes are made here by attempts.
    Mount { source: "tmpfs", target: "/tmp", kind: "tmpfs", flags: NONE, data: "mode=1777" },
    Mount { source: "securityfs", target: "/sys/kernel/security", kind: "securityfs", flags: DATA, data: "" },
];

/// Mounts the runtime under test read-only where the kernel has no `mount_setattr(2)`.
///
/// There our own would copy itself into memory in each command, so that no container can write to its file, and to
/// an emulator each copy is new code. On a read-only mount it is safe as it is.
///
/// # Errors
/// What the probe or `mount(2)` says.
pub fn keep_runtime() -> io::Result<()> {
    const PLACE: &str = super::paths::RUNTIME;
    const NO: Option<&str> = None;
    if !Path::new(PLACE).exists() || super::facilities::has("mount_setattr")? {
        return Ok(());
    }
    nix::mount::mount(Some(PLACE), PLACE, NO, MsFlags::MS_BIND, NO)?;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    Ok(nix::mount::mount(NO, PLACE, NO, flags, NO)?)
}

/// Mounts the whole table.
///
/// # Errors
/// At the first mount that fails, with its target.
pub fn mount_all() -> io::Result<()> {
    TABLE.iter().try_for_each(|entry| {
        if !entry.target.starts_with("/sys/") {
            fs::create_dir_all(entry.target)?;
        }
        mount(entry)
    })
}

/// Mounts one entry on its existing target.
///
/// # Errors
/// What `mount(2)` says, with the target.
pub fn mount(entry: &Mount<'_>) -> io::Result<()> {
    nix::mount::mount(Some(entry.source), entry.target, Some(entry.kind), entry.flags, Some(entry.data))
        .map_err(|errno| io::Error::other(format!("mount {} on {}: {errno}", entry.kind, entry.target)))
}

/// A mount that is taken away when this is dropped.
#[derive(Debug)]
pub struct Mounted {
    target: PathBuf,
}

impl Mounted {
    /// Mounts an entry on its existing target.
    ///
    /// # Errors
    /// What [`mount`] says.
    pub fn new(entry: &Mount<'_>) -> io::Result<Self> {
        mount(entry)?;
        Ok(Self { target: entry.target.into() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.target
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Not lazily: somebody who is still in there is worth to be noticed.
        if let Err(errno) = umount2(&self.target, MntFlags::empty()) {
            eprintln!("cannot unmount {}: {errno}", self.target.display());
        }
    }
}
