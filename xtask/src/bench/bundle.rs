//! The bundle that all runtimes get: what `spec` prints by convention, with a static program.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// A bundle in a folder of its own.
#[derive(Debug)]
pub(super) struct Bundle {
    /// The folder with `config.json`.
    pub dir: PathBuf,
}

impl Bundle {
    /// Makes it; `bare` is placed as `/bin/bare`.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn create(dir: &Path, bare: &Path) -> Result<Self> {
        let bundle = Self { dir: dir.join("bundle") };
        let bin = bundle.dir.join("rootfs/bin");
        for folder in ["bin", "proc", "sys", "dev"] {
            let path = bundle.dir.join("rootfs").join(folder);
            fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        }
        fs::copy(bare, bin.join("bare")).context("place the program in the bundle")?;
        bundle.set(&["/bin/bare", "true"], None)?;
        Ok(bundle)
    }

    /// Writes the config with these arguments and this limit of memory in bytes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn set(&self, args: &[&str], memory: Option<u64>) -> Result<()> {
        let text = serde_json::to_vec_pretty(&config(args, memory)).context("print config.json")?;
        let path = self.dir.join("config.json");
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}

fn config(args: &[&str], memory: Option<u64>) -> Value {
    let caps = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let mut resources = json!({});
    if let (Some(limit), Some(resources)) = (memory, resources.as_object_mut()) {
        resources.insert("memory".to_owned(), json!({ "limit": limit }));
    }
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": "1.0.2",
        "hostname": "bench",
        "root": { "path": "rootfs", "readonly": true },
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": args,
            "env": ["PATH=/bin", "TERM=xterm"],
            "cwd": "/",
            "noNewPrivileges": true,
            "capabilities": { "bounding": caps, "effective": caps, "permitted": caps },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024 }],
        },
        "mounts": [
            mount("/proc", "proc", "proc", &[]),
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
        ],
        "linux": {
            "resources": resources,
            "namespaces": namespaces,
            "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": kind, "source": source, "options": options })
}
