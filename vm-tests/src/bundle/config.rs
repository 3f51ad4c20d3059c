//! The hardened `config.json`.

use serde_json::{Value, json};

/// The first id of the host that a container's ids are mapped to.
pub const HOST_ID: u32 = 100_000;
/// How many ids a container has.
pub const IDS: u32 = 65_536;

/// What a hardened container may have at most.
pub const HARDENED_CAPABILITIES: [&str; 11] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_SETFCAP",
];

const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
];

const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Every defence that a config can ask for now but seccomp ([`super::Bundle::seccomp`]); devices and LSM labels
/// are not among them yet.
pub(super) fn hardened(id: &str) -> Value {
    let namespaces = ["user", "pid", "mount", "ipc", "uts", "network", "cgroup"];
    let ids = json!([{ "containerID": 0, "hostID": HOST_ID, "size": IDS }]);
    json!({
        "ociVersion": "1.0.2",
        "hostname": "container",
        "root": { "path": "rootfs", "readonly": true },
        "process": process(),
        "mounts": mounts(),
        "linux": {
            "namespaces": namespaces.map(|kind| json!({ "type": kind })),
            "uidMappings": ids,
            "gidMappings": ids,
            "cgroupsPath": format!("/{id}"),
            "maskedPaths": MASKED,
            "readonlyPaths": READONLY,
            "resources": {
                "pids": { "limit": 64 },
                "memory": { "limit": 64 << 20, "swap": 64 << 20 },
                "cpu": { "shares": 512, "quota": 150_000, "period": 100_000 },
            },
        },
    })
}

fn process() -> Value {
    json!({
        "terminal": false,
        "user": { "uid": 0, "gid": 0 },
        "args": ["/probe"],
        "env": ["PATH=/"],
        "cwd": "/",
        "noNewPrivileges": true,
        "capabilities": {
            "bounding": HARDENED_CAPABILITIES,
            "effective": HARDENED_CAPABILITIES,
            "permitted": HARDENED_CAPABILITIES,
        },
        "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024 }],
    })
}

fn mounts() -> Value {
    let line = |kind: &str, source: &str, destination: &str, options: &[&str]| json!({ "destination": destination, "type": kind, "source": source, "options": options });
    json!([
        line("proc", "proc", "/proc", &["nosuid", "noexec", "nodev"]),
        line("tmpfs", "tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        line(
            "devpts",
            "devpts",
            "/dev/pts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        ),
        line("tmpfs", "shm", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        line("mqueue", "mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
        line("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]),
        line("cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
        line("tmpfs", "tmpfs", "/tmp", &["nosuid", "nodev", "mode=1777", "size=16m"]),
    ])
}
