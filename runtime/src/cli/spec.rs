//! `spec`.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use clap::Parser;
use cofferdam_cgroup::Hierarchy;
use serde_json::{Value, json};

use super::arguments;
use super::context::Context;
use super::hardened::{self, Ids};
use crate::{Error, ErrorKind, Result};

#[derive(Debug, Parser)]
#[command(name = "cofferdam spec", about = "Write a config.json to begin with")]
struct Spec {
    /// The directory that gets config.json.
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    bundle: PathBuf,
    /// One that a user without root can run.
    #[arg(long, conflicts_with = "hardened")]
    rootless: bool,
    /// One with every defence that a config can ask for.
    #[arg(long)]
    hardened: bool,
    /// With --hardened: the host's ids that the container's are mapped to [default: of /etc/subuid and /etc/subgid].
    #[arg(long, value_name = "FIRST[:COUNT]", requires = "hardened")]
    ids: Option<String>,
}

pub(super) fn act(_: &Context, words: &[OsString]) -> Result<u8> {
    let Spec { bundle, rootless, hardened, ids } = arguments(words)?;
    let mut config = conventional();
    if !hardened && !matches!(Hierarchy::detect(), Ok(Hierarchy::Unified(_))) {
        // What the common runtimes print for v1 has none, and scripts add one.
        without_namespace(&mut config, "cgroup");
    }
    if rootless {
        let ids = std::fs::metadata("/proc/self").map_err(|error| fail(&bundle, &error))?;
        without_root(&mut config, ids.uid(), ids.gid());
    }
    if hardened {
        let ids = ids.as_deref().map_or_else(Ids::of_caller, Ids::parse)?;
        hardened::harden(&mut config, ids)?;
    }
    let path = bundle.join("config.json");
    // Never over one that is there.
    let mut file = std::fs::File::create_new(&path).map_err(|error| fail(&path, &error))?;
    let mut text = serde_json::to_string_pretty(&config).map_err(|error| fail(&path, &error))?;
    text.push('\n');
    file.write_all(text.as_bytes()).map_err(|error| fail(&path, &error))?;
    Ok(0)
}

fn fail(path: &std::path::Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::System, format!("write {}: {error}", path.display()))
}

/// What every OCI runtime prints here, so that scripts that change it find what they look for.
pub(super) fn conventional() -> Value {
    let caps = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| json!({ "destination": destination, "type": kind, "source": source, "options": options });
    json!({
        "ociVersion": super::version::SPEC,
        "process": {
            "terminal": true,
            "user": { "uid": 0, "gid": 0 },
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": { "bounding": caps, "effective": caps, "permitted": caps },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "cofferdam",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", "devpts",
                &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
        ],
        "linux": {
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" },
                { "type": "mount" }, { "type": "cgroup" },
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
            ],
            "readonlyPaths": [
                "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
            ],
        },
    })
}

fn without_namespace(config: &mut Value, kind: &str) {
    let namespaces = config.pointer_mut("/linux/namespaces").and_then(Value::as_array_mut);
    if let Some(list) = namespaces {
        list.retain(|namespace| namespace.get("type") != Some(&json!(kind)));
    }
}

/// A user namespace with the caller as root in it, the host's network, and nothing that needs more.
fn without_root(config: &mut Value, uid: u32, gid: u32) {
    let map = |id: u32| json!([{ "containerID": 0, "hostID": id, "size": 1 }]);
    let Some(linux) = config.get_mut("linux").and_then(Value::as_object_mut) else { return };
    linux.remove("resources");
    linux.insert("uidMappings".into(), map(uid));
    linux.insert("gidMappings".into(), map(gid));
    if let Some(list) = linux.get_mut("namespaces").and_then(Value::as_array_mut) {
        list.push(json!({ "type": "user" }));
    }
    without_namespace(config, "network");
    let mounts = config.get_mut("mounts").and_then(Value::as_array_mut);
    for mount in mounts.into_iter().flatten() {
        // Group 5 has no id in the map.
        if let Some(options) = mount.get_mut("options").and_then(Value::as_array_mut) {
            options.retain(|option| option != "gid=5");
        }
        // A new sysfs needs a network namespace of its own.
        if mount.get("type") == Some(&json!("sysfs")) {
            *mount = json!({
                "destination": "/sys", "type": "none", "source": "/sys",
                "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
            });
        }
    }
    if let Some(list) = config.get_mut("mounts").and_then(Value::as_array_mut) {
        list.retain(|mount| mount.get("type") != Some(&json!("cgroup")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_a_config() {
        let mut config = conventional();
        for rootless in [false, true] {
            if rootless {
                without_root(&mut config, 1000, 1000);
            }
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir(dir.path().join("rootfs")).unwrap();
            std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
            let bundle = crate::bundle::Bundle::load(dir.path(), None).unwrap();
            crate::lower(&bundle, &"box".parse().unwrap()).unwrap();
            serde_json::from_value::<oci_spec::runtime::Spec>(config.clone()).unwrap();
        }
    }
}
