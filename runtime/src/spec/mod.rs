//! The types of the OCI runtime specification 1.3, as far as Linux goes: `config.json` ([`Spec`]) and the state
//! ([`State`], [`ContainerProcessState`]).
//!
//! They are plain structs with the specification's names. All of its fields are here, whether or not the
//! runtime enforces them: what it does not enforce is refused by name when a config is lowered. Fields of other
//! platforms are unknown and ignored.
//!
//! Why not the crate `oci-spec`: with it the static program has 4.9 MB in place of 3.3 (0.6 MB are regular
//! expressions for one field, 0.4 MB the code that `serde` derives for paths), and a `run` takes 4.2 MB of memory
//! in place of 3.1; the budgets are 4 MB and 2.8 MB. It is the oracle of `runtime/tests/spec_oracle.rs`.

mod hooks;
mod json;
mod linux;
mod mounts;
mod namespaces;
mod place;
mod placement;
mod process;
mod resources;
mod seccomp;
mod shape;
mod state;
mod tree;

use std::collections::BTreeMap;

use serde_json::Value;

pub use hooks::{Hook, Hooks};
pub use json::{Json, from_slice};
pub use linux::{Linux, LinuxDevice, LinuxDeviceType, LinuxNetDevice};
pub use mounts::{Mount, Root};
pub use namespaces::{LinuxIdMapping, LinuxNamespace, LinuxNamespaceType, LinuxTimeOffset};
pub use place::{Fault, Place};
pub use placement::{
    LinuxIntelRdt, LinuxMemoryPolicy, LinuxPersonality, LinuxPersonalityDomain, MemoryPolicyFlag,
    MemoryPolicyMode,
};
pub use process::{
    ConsoleSize, ExecCpuAffinity, IoPriorityClass, LinuxCapabilities, LinuxIoPriority, PosixRlimit, Process,
    Scheduler, SchedulerFlag, SchedulerPolicy, User,
};
pub use resources::{
    LinuxBlockIo, LinuxCpu, LinuxDeviceCgroup, LinuxHugepageLimit, LinuxInterfacePriority, LinuxMemory,
    LinuxNetwork, LinuxPids, LinuxRdma, LinuxResources, LinuxThrottleDevice, LinuxWeightDevice,
};
pub use seccomp::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator,
    LinuxSyscall, SeccompArch,
};
pub use state::{ContainerProcessState, ContainerState, SECCOMP_FD_NAME, State};

shape::objects! {
    /// A container's configuration: `config.json`.
    #[derive(Default)]
    pub struct Spec {
        /// The version of the specification that it follows.
        pub version: String = "ociVersion",
        /// The program.
        pub process: Option<Process> = "process",
        /// The root file system.
        pub root: Option<Root> = "root",
        /// The host name.
        pub hostname: Option<String> = "hostname",
        /// The NIS domain name.
        pub domainname: Option<String> = "domainname",
        /// What is mounted, in this order.
        pub mounts: Vec<Mount> = "mounts",
        /// Programs to run on the way.
        pub hooks: Option<Hooks> = "hooks",
        /// What the caller notes about the container.
        pub annotations: BTreeMap<String, String> = "annotations",
        /// What is Linux's own.
        pub linux: Option<Linux> = "linux",
        /// A virtual machine to run it in.
        pub vm: Option<Value> = "vm",
    }
}
