//! The layers of defence that a config can ask for, and how each is taken away.

use super::Bundle;
use super::value::{At, list, place};
use serde_json::{Value, json};

/// One defence; an attempt names those that stand in its way, the first to fire first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// The short list of capabilities, the bounding set included.
    Capabilities,
    /// The limits of the cgroup.
    CgroupLimits,
    /// The cgroup namespace.
    CgroupNamespace,
    /// Access to no devices but the usual ones.
    Devices,
    /// The IPC namespace.
    IpcNamespace,
    /// The masks over files of procfs and sysfs.
    Masks,
    /// Volumes that are read-only.
    ReadonlyMounts,
    /// Mounts that do not propagate to the host.
    MountPropagation,
    /// The network namespace.
    NetworkNamespace,
    /// `no_new_privs`.
    NoNewPrivileges,
    /// The pid namespace.
    PidNamespace,
    /// Files of procfs that are read-only.
    ReadonlyPaths,
    /// Resource limits of the process.
    Rlimits,
    /// The system call filter, of attempts that have one ([`Bundle::seccomp`]).
    Seccomp,
    /// The user namespace.
    UserNamespace,
    /// The UTS namespace.
    UtsNamespace,
}

impl Layer {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Capabilities,
        Self::CgroupLimits,
        Self::CgroupNamespace,
        Self::Devices,
        Self::IpcNamespace,
        Self::Masks,
        Self::ReadonlyMounts,
        Self::MountPropagation,
        Self::NetworkNamespace,
        Self::NoNewPrivileges,
        Self::PidNamespace,
        Self::ReadonlyPaths,
        Self::Rlimits,
        Self::Seccomp,
        Self::UserNamespace,
        Self::UtsNamespace,
    ];

    /// The name in `peel:NAME` and `lab.break=NAME`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::CgroupLimits => "cgroup-limits",
            Self::CgroupNamespace => "cgroup-namespace",
            Self::Devices => "devices",
            Self::IpcNamespace => "ipc-namespace",
            Self::Masks => "masks",
            Self::ReadonlyMounts => "readonly-mounts",
            Self::MountPropagation => "mount-propagation",
            Self::NetworkNamespace => "network-namespace",
            Self::NoNewPrivileges => "no-new-privileges",
            Self::PidNamespace => "pid-namespace",
            Self::ReadonlyPaths => "readonly-paths",
            Self::Rlimits => "rlimits",
            Self::Seccomp => "seccomp",
            Self::UserNamespace => "user-namespace",
            Self::UtsNamespace => "uts-namespace",
        }
    }

    /// The layer of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|layer| layer.name() == name)
    }

    pub(super) fn peel(self, bundle: &mut Bundle) {
        match self {
            Self::Capabilities => {
                for set in ["bounding", "effective", "permitted"] {
                    bundle.set(&format!("/process/capabilities/{set}"), json!(ALL_CAPABILITIES));
                }
            }
            Self::CgroupLimits => remove(bundle.place("/linux"), &["resources"]),
            Self::CgroupNamespace => remove_namespace(bundle, "cgroup"),
            Self::Devices => {
                bundle.set("/linux/resources/devices", json!([{ "allow": true, "access": "rwm" }]));
            }
            Self::IpcNamespace => {
                // The queues of the host cannot be mounted from a user namespace that does not own them.
                remove_namespace(bundle, "ipc");
                bundle.unmount("/dev/mqueue");
            }
            Self::Masks => set(bundle, "/linux/maskedPaths", json!([])),
            Self::ReadonlyMounts => each_bind(bundle, "ro", "rw"),
            Self::MountPropagation => {
                set(bundle, "/linux/rootfsPropagation", json!("shared"));
                each_bind(bundle, "private", "rshared");
            }
            Self::NetworkNamespace => {
                remove_namespace(bundle, "network");
                host_tree(bundle, "/sys");
            }
            Self::NoNewPrivileges => set(bundle, "/process/noNewPrivileges", json!(false)),
            Self::PidNamespace => {
                remove_namespace(bundle, "pid");
                host_tree(bundle, "/proc");
            }
            Self::ReadonlyPaths => set(bundle, "/linux/readonlyPaths", json!([])),
            Self::Rlimits => remove(bundle.place("/process"), &["rlimits"]),
            Self::Seccomp => remove(bundle.place("/linux"), &["seccomp"]),
            Self::UserNamespace => {
                remove(bundle.place("/linux"), &["uidMappings", "gidMappings"]);
                remove_namespace(bundle, "user");
            }
            Self::UtsNamespace => {
                remove(bundle.place("/"), &["hostname"]);
                remove_namespace(bundle, "uts");
            }
        }
    }
}

fn set(bundle: &mut Bundle, path: &str, value: Value) {
    bundle.set(path, value);
}

fn remove_namespace(bundle: &mut Bundle, kind: &str) {
    bundle.list("/linux/namespaces").retain(|namespace| namespace.at("type") != kind);
}

/// A fresh procfs or sysfs needs a namespace that the container's user namespace owns; without it, the
/// host's tree is bound instead.
fn host_tree(bundle: &mut Bundle, path: &str) {
    for mount in bundle.list("/mounts").iter_mut().filter(|mount| mount.at("destination") == path) {
        *place(mount, "/type") = json!("bind");
        *place(mount, "/source") = json!(path);
        list(mount, "/options").extend([json!("rbind"), json!("rprivate")]);
    }
}

/// Replaces an option of every bind mount of the config.
fn each_bind(bundle: &mut Bundle, old: &str, new: &str) {
    for mount in bundle
        .list("/mounts")
        .iter_mut()
        .filter(|mount| mount.at("type") == "bind" && mount.at("destination") != super::PROBE)
    {
        for option in list(mount, "/options").iter_mut().filter(|option| **option == old) {
            *option = json!(new);
        }
    }
}

fn remove(object: &mut Value, keys: &[&str]) {
    if let Some(object) = object.as_object_mut() {
        object.retain(|key, _| !keys.contains(&key.as_str()));
    }
}

/// All that Linux 5.10 has; newer kernels have no more so far.
pub(super) const ALL_CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];
