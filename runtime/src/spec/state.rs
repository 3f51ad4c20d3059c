//! The state of a container, as the specification has it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::shape;

/// The name of the descriptor that comes with a [`ContainerProcessState`].
pub const SECCOMP_FD_NAME: &str = "seccompFd";

shape::objects! {
    /// The state of a container.
    #[derive(Eq, Default)]
    pub struct State {
        /// The version of the specification.
        pub version: String = "ociVersion",
        /// The container's id.
        pub id: String = "id",
        /// What it does.
        pub status: ContainerState = "status",
        /// The first process, as the host numbers it.
        pub pid: Option<i32> = "pid",
        /// The bundle's directory.
        pub bundle: PathBuf = "bundle",
        /// The config's annotations.
        pub annotations: BTreeMap<String, String> = "annotations",
    }

    /// What a seccomp agent is told of a process whose calls it answers.
    #[derive(Eq, Default)]
    pub struct ContainerProcessState {
        /// The version of the specification.
        pub version: String = "ociVersion",
        /// The names of the descriptors that come with it.
        pub fds: Vec<String> = "fds",
        /// The process, as the host numbers it.
        pub pid: i32 = "pid",
        /// The config's `linux.seccomp.listenerMetadata`.
        pub metadata: Option<String> = "metadata",
        /// The container's state.
        pub state: State = "state",
    }
}

shape::words! {
    /// What a container does.
    #[derive(Default)]
    pub enum ContainerState {
        /// It is being made.
        Creating = "creating",
        /// It waits to be started.
        Created = "created",
        /// Its program runs.
        Running = "running",
        /// Its program has ended.
        #[default]
        Stopped = "stopped",
    }
}
