//! `linux`, `linux.devices` and `linux.netDevices`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{
    LinuxIdMapping, LinuxIntelRdt, LinuxMemoryPolicy, LinuxNamespace, LinuxPersonality, LinuxResources,
    LinuxSeccomp, LinuxTimeOffset, shape,
};

shape::objects! {
    /// What is Linux's own.
    #[derive(Default)]
    pub struct Linux {
        /// Namespaces to make or join.
        pub namespaces: Vec<LinuxNamespace> = "namespaces",
        /// User ids of a new user namespace.
        pub uid_mappings: Vec<LinuxIdMapping> = "uidMappings",
        /// Group ids of a new user namespace.
        pub gid_mappings: Vec<LinuxIdMapping> = "gidMappings",
        /// The clocks of a new time namespace, by their names.
        pub time_offsets: BTreeMap<String, LinuxTimeOffset> = "timeOffsets",
        /// Device nodes.
        pub devices: Vec<LinuxDevice> = "devices",
        /// Network devices that are moved into the container, by their names outside.
        pub net_devices: BTreeMap<String, LinuxNetDevice> = "netDevices",
        /// Where the control group is.
        pub cgroups_path: Option<PathBuf> = "cgroupsPath",
        /// The limits of the control group.
        pub resources: Option<LinuxResources> = "resources",
        /// The propagation of mounts between the container's root and the host.
        pub rootfs_propagation: Option<String> = "rootfsPropagation",
        /// The system call filter.
        pub seccomp: Option<LinuxSeccomp> = "seccomp",
        /// Kernel parameters, by their names with dots.
        pub sysctl: BTreeMap<String, String> = "sysctl",
        /// Paths that cannot be read.
        pub masked_paths: Vec<String> = "maskedPaths",
        /// Paths that cannot be written.
        pub readonly_paths: Vec<String> = "readonlyPaths",
        /// The SELinux label of mounts.
        pub mount_label: Option<String> = "mountLabel",
        /// The execution domain.
        pub personality: Option<LinuxPersonality> = "personality",
        /// Shares of caches and memory bandwidth.
        pub intel_rdt: Option<LinuxIntelRdt> = "intelRdt",
        /// On which NUMA nodes memory is.
        pub memory_policy: Option<LinuxMemoryPolicy> = "memoryPolicy",
    }

    /// A device node to make.
    #[derive(Eq)]
    pub struct LinuxDevice {
        /// Its path in the container.
        pub path: PathBuf = "path",
        /// Its kind.
        pub typ: LinuxDeviceType = required "type",
        /// The major number.
        pub major: i64 = "major",
        /// The minor number.
        pub minor: i64 = "minor",
        /// Its permissions.
        pub file_mode: Option<u32> = "fileMode",
        /// Its owner.
        pub uid: Option<u32> = "uid",
        /// Its group.
        pub gid: Option<u32> = "gid",
    }

    /// A network device that is moved into the container.
    #[derive(Eq, Default)]
    pub struct LinuxNetDevice {
        /// Its name there.
        pub name: Option<String> = "name",
    }
}

shape::words! {
    /// The kind of a device.
    pub enum LinuxDeviceType {
        /// All kinds, in rules.
        A = "a",
        /// A block device.
        B = "b",
        /// A character device.
        C = "c",
        /// A character device without a buffer.
        U = "u",
        /// A FIFO.
        P = "p",
    }
}
