//! `linux.namespaces`, `linux.uidMappings`, `linux.gidMappings` and `linux.timeOffsets`.

use std::path::PathBuf;

use super::shape;

shape::objects! {
    /// A namespace to make or join.
    #[derive(Eq)]
    pub struct LinuxNamespace {
        /// Its kind.
        pub typ: LinuxNamespaceType = required "type",
        /// The file of one to join; without it a new one is made.
        pub path: Option<PathBuf> = "path",
    }

    /// A range of ids.
    #[derive(Copy, Eq, Default)]
    pub struct LinuxIdMapping {
        /// The first id in the container.
        pub container_id: u32 = "containerID",
        /// The first id outside.
        pub host_id: u32 = "hostID",
        /// How many ids.
        pub size: u32 = "size",
    }

    /// What is added to a clock.
    #[derive(Copy, Eq, Default)]
    pub struct LinuxTimeOffset {
        /// Seconds.
        pub secs: Option<i64> = "secs",
        /// Nanoseconds.
        pub nanosecs: Option<u32> = "nanosecs",
    }
}

shape::words! {
    /// The kind of a namespace (`namespaces(7)`).
    #[expect(missing_docs, reason = "the names of namespaces(7)")]
    pub enum LinuxNamespaceType {
        Pid = "pid",
        Network = "network",
        Mount = "mount",
        Ipc = "ipc",
        Uts = "uts",
        User = "user",
        Cgroup = "cgroup",
        Time = "time",
    }
}
