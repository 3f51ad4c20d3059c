//! Whether KVM can be used: found out by booting a guest, because a KVM that is there may still not boot one.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{Accel, Config, Limits, Vm};
use crate::cli::AccelChoice;
use crate::fail;
use crate::kernels::cache::Cache;

/// A guest under a working KVM says hello within two seconds; this has room for a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
/// Where the answer is remembered.
const ENTRY: &str = "accel.json";

/// The accelerator of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Which.
    pub accel: Accel,
    /// Why, for the report.
    pub why: String,
}

/// The answer of a probe and what it holds for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    qemu: PathBuf,
    qemu_size: u64,
    qemu_changed: u128,
    host: String,
    /// Why KVM cannot be used; nothing when it can.
    obstacle: Option<String>,
}

/// Chooses the accelerator; `config` is any guest that boots, and is booted when the answer is not known yet.
///
/// # Errors
///
/// When KVM is insisted on and cannot be used, or the cache cannot be written.
pub fn choose(choice: AccelChoice, config: &Config, cache: &Cache) -> Result<Chosen> {
    if choice == AccelChoice::Tcg {
        return Ok(Chosen { accel: Accel::Tcg, why: "--accel tcg".into() });
    }
    let obstacle = match closed_device("/dev/kvm") {
        // Not remembered: it is quick to ask, and a group membership changes it.
        Some(obstacle) => Some(obstacle),
        None => remembered(config, cache)?,
    };
    match (obstacle, choice) {
        (None, _) => Ok(Chosen { accel: Accel::Kvm, why: "KVM boots a guest".into() }),
        (Some(obstacle), AccelChoice::Kvm) => Err(fail::lab(format!(
            "--accel kvm: {obstacle}; use --accel tcg, which needs nothing, or --accel auto"
        ))),
        (Some(obstacle), _) => Ok(Chosen { accel: Accel::Tcg, why: obstacle }),
    }
}

/// Why the device cannot be opened.
fn closed_device(device: &str) -> Option<String> {
    let error = File::options().read(true).write(true).open(device).err()?;
    Some(match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no {device}"),
        std::io::ErrorKind::PermissionDenied => {
            format!("{device} cannot be opened: {error} (are you in its group?)")
        }
        _ => format!("{device} cannot be opened: {error}"),
    })
}

/// The obstacle that an earlier probe or a new one has found.
fn remembered(config: &Config, cache: &Cache) -> Result<Option<String>> {
    // Two runs that begin at once probe once.
    let _lock = cache.lock("accel")?;
    let mut this = identity(config)?;
    let known: Option<Remembered> =
        fs::read(cache.path(ENTRY)).ok().and_then(|json| serde_json::from_slice(&json).ok());
    if let Some(known) = known {
        this.obstacle.clone_from(&known.obstacle);
        if this == known {
            return Ok(known.obstacle);
        }
    }
    this.obstacle = probe(config);
    cache.put(ENTRY, |file| Ok(file.write_all(&serde_json::to_vec_pretty(&this)?)?))?;
    Ok(this.obstacle)
}

/// What the answer depends on: QEMU's program and the host's kernel.
fn identity(config: &Config) -> Result<Remembered> {
    let qemu = config.qemu.program().to_owned();
    let meta = fs::metadata(&qemu).with_context(|| format!("reading {}", qemu.display()))?;
    let host = fs::read_to_string("/proc/sys/kernel/osrelease")
        .context("reading the release of this machine's kernel")?;
    Ok(Remembered {
        qemu_size: meta.len(),
        qemu_changed: meta.modified()?.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos()),
        qemu,
        host: host.trim().to_owned(),
        obstacle: None,
    })
}

/// Boots a guest under KVM; the reason when it does not come up.
fn probe(config: &Config) -> Option<String> {
    let mut probe = config.clone();
    probe.accel = Accel::Kvm;
    probe.limits = Limits { boot: LIMIT, ..Limits::of(Accel::Kvm) };
    probe.log = config.log.with_file_name("kvm-probe.log");
    let failure = Vm::boot_once(&probe).err()?;
    // QEMU's own complaint says more than that it ended.
    let program = config.qemu.program().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let complaint =
        failure.tail.iter().find(|line| line.starts_with(&program) || line.starts_with("KVM internal error"));
    let why = complaint.cloned().unwrap_or_else(|| failure.trouble.to_string());
    Some(format!("KVM does not boot a guest: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qemu::tests::{HELLO, fake};

    #[test]
    fn a_kvm_that_does_not_boot_is_found_out_once() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path()).unwrap();
        let script = format!(
            "echo x >>probes\n\
             case \"$*\" in *'-accel kvm'*) echo 'qemu-fake: error: failed to set MSR' >&2; exit 134;; esac\n{HELLO}"
        );
        let fake = fake(&script);
        let probes =
            || fs::read_to_string(fake.folder.path().join("probes")).unwrap_or_default().lines().count();
        for _ in 0..2 {
            let obstacle = remembered(&fake.config, &cache).unwrap().unwrap();
            assert!(obstacle.contains("qemu-fake: error: failed to set MSR"), "{obstacle}");
            assert_eq!(probes(), 1);
        }
        // Another QEMU is probed again.
        let program = fake.config.qemu.program();
        fs::write(program, fs::read_to_string(program).unwrap().replace("exit 134", ":")).unwrap();
        assert_eq!(remembered(&fake.config, &cache).unwrap(), None);
        assert_eq!(probes(), 2);
    }

    #[test]
    fn insisting_on_kvm_is_an_error_without_it() {
        assert!(closed_device("/nonexistent/kvm").unwrap().contains("there is no"));
        assert_eq!(closed_device("/dev/null"), None);
    }
}
