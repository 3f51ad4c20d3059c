//! Guests in QEMU: how they are started, watched, snapshotted, and how none is left behind.

pub mod accel;
mod channel;
mod command;
pub mod console;
pub mod disk;
pub mod guard;
mod qmp;
mod snapshot;
pub mod unnamed;
mod vm;
pub mod watch;

pub use snapshot::Snapshot;
pub use vm::{Failure, Hello, Vm, VmEvent};
pub use watch::Trouble;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::fail;
use crate::kernels::cache::Cache;

/// The machine that QEMU emulates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Machine {
    /// The smallest one, without PCI and so without virtio: boots fastest.
    Microvm,
    /// A PC with PCI, for guests with a disk.
    Q35,
}

impl Machine {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Microvm => "microvm",
            Self::Q35 => "q35",
        }
    }
}

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Accel {
    /// The processor.
    Kvm,
    /// QEMU, in software.
    Tcg,
}

impl Accel {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// How long things may take before the lab gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the start of QEMU to the guest's hello.
    pub boot: Duration,
    /// From the start of QEMU to the first answer of a resumed guest.
    pub resume: Duration,
    /// Without an event or a console line while one is waited for; must be longer than the limit of a case.
    pub silence: Duration,
    /// The limit of one case, in milliseconds of guest time.
    pub case_ms: u64,
}

impl Limits {
    /// What is right for an accelerator, with room for a machine that has other work to do.
    pub fn of(accel: Accel) -> Self {
        let (boot, resume, silence, case_ms) = match accel {
            Accel::Kvm => (30, 15, 60, 20_000),
            Accel::Tcg => (120, 60, 180, 60_000),
        };
        Self {
            boot: Duration::from_secs(boot),
            resume: Duration::from_secs(resume),
            silence: Duration::from_secs(silence),
            case_ms,
        }
    }
}

/// QEMU's program, and where large files without a name are made for it.
#[derive(Debug, Clone)]
pub struct Qemu {
    program: PathBuf,
    /// On the cache's file system: snapshots are large, and /tmp may be memory.
    files: PathBuf,
}

impl Qemu {
    /// Finds QEMU on the search path.
    ///
    /// # Errors
    ///
    /// When it is not installed, or the cache cannot be written.
    pub fn find(cache: &Cache) -> Result<Self> {
        let program = on_path("qemu-system-x86_64").ok_or_else(|| {
            fail::lab("qemu-system-x86_64 is not installed: run `sudo apt-get install --no-install-recommends qemu-system-x86`")
        })?;
        Ok(Self { program, files: cache.path("tmp") })
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    #[cfg(test)]
    pub(crate) fn fake(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), files: std::env::temp_dir() }
    }
}

/// A guest to be.
#[derive(Debug, Clone)]
pub struct Config {
    /// QEMU.
    pub qemu: Qemu,
    /// The machine.
    pub machine: Machine,
    /// The accelerator.
    pub accel: Accel,
    /// Processors: one, or two for tests of races.
    pub cpus: u8,
    /// Memory in MiB; 256 is enough for all suites.
    pub memory_mib: u32,
    /// The kernel, of an image.
    pub vmlinux: PathBuf,
    /// The initramfs, of the same image.
    pub initrd: PathBuf,
    /// What the kernel's command line has besides what every guest needs: `lab.runtime=own …`.
    pub append: String,
    /// The scratch disk of [`disk::scratch`], of which the guest gets a copy; takes [`Machine::Q35`].
    pub disk: Option<PathBuf>,
    /// Where the console's log goes.
    pub log: PathBuf,
    /// How long things may take.
    pub limits: Limits,
}

/// The path of a program on the search path, or in the folders of administration that are often not on it.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.filter(|folder| folder.is_absolute()).map(|folder| folder.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;

    /// Says hello on the channel.
    pub(super) const HELLO: &str = r#"echo '{"event":"hello","protocol":2,"release":"6.0","init_ms":7}' >&0
"#;

    /// A shell script in the place of QEMU.
    pub(super) struct Fake {
        pub(super) folder: TempDir,
        pub(super) config: Config,
    }

    /// A guest whose QEMU is a script, with limits of a second or two.
    pub(super) fn fake(script: &str) -> Fake {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("qemu-fake");
        std::fs::write(&program, format!("#!/bin/sh\ncd '{}'\n{script}", folder.path().display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let limit = Duration::from_secs(2);
        let config = Config {
            qemu: Qemu::fake(program),
            machine: Machine::Microvm,
            accel: Accel::Tcg,
            cpus: 1,
            memory_mib: 256,
            vmlinux: "/vmlinux".into(),
            initrd: "/initrd".into(),
            append: String::new(),
            disk: None,
            log: folder.path().join("logs/console.log"),
            limits: Limits { boot: limit, resume: limit, silence: limit, case_ms: 1000 },
        };
        Fake { folder, config }
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(on_path("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(on_path("no-such-program-anywhere"), None);
    }

    #[test]
    fn limits_grow_with_software_emulation() {
        let (kvm, tcg) = (Limits::of(Accel::Kvm), Limits::of(Accel::Tcg));
        assert!(tcg.boot > kvm.boot && tcg.case_ms > kvm.case_ms);
        for limits in [kvm, tcg] {
            assert!(limits.silence > Duration::from_millis(limits.case_ms), "a long case is not silence");
        }
    }
}
