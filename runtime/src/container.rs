//! A container as plain data: what the config was lowered to and what [`crate::lifecycle`] acts on.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::PathBuf;

use cofferdam_caps::Sets;
use cofferdam_cgroup::{Limits, Schemata, devices};
use cofferdam_lsm::Label;
use cofferdam_lsm::selinux::Context;
use cofferdam_mountfs::RootFs;
use cofferdam_netbridge::Move;
use cofferdam_ns::{IdMaps, Namespaces, NsKind, TimeOffsets};
use cofferdam_seccomp::Profile;
use cofferdam_sys::rlimit::Rlimit;
use cofferdam_sys::sched::{Attributes, IoClass};

use crate::hooks::Hooks;
use crate::systemd::ScopeName;

/// Everything about a container that its start needs.
#[derive(Debug, Clone)]
pub struct Container {
    /// `ociVersion` of the config.
    pub oci_version: String,
    /// The config's annotations.
    pub annotations: BTreeMap<String, String>,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// Programs to run on the way.
    pub hooks: Hooks,
    /// The program and its credentials.
    pub process: Process,
    /// Namespaces that it gets anew.
    pub new_namespaces: Namespaces,
    /// Namespaces that it joins, by the path of their file.
    pub join_namespaces: Vec<(NsKind, PathBuf)>,
    /// The id maps of a new user namespace.
    pub ids: Option<IdMaps>,
    /// The clocks of a new time namespace.
    pub clocks: Option<TimeOffsets>,
    /// How its processes see the machine and its memory.
    pub domain: Domain,
    /// The root file system.
    pub rootfs: RootFs,
    /// The SELinux label that its new file systems give their files.
    pub mount_label: Option<Context>,
    /// The control group.
    pub cgroup: CgroupPlan,
    /// Its class of cache and memory bandwidth.
    pub rdt: Option<Rdt>,
    /// `sethostname(2)`.
    pub hostname: Option<String>,
    /// `setdomainname(2)`.
    pub domainname: Option<String>,
    /// Namespaced kernel parameters: the path below `/proc/sys` and the value.
    pub sysctl: Vec<(String, String)>,
    /// Network devices that are moved into its network namespace.
    pub net_devices: Vec<Move>,
    /// Which system calls it may make.
    pub seccomp: Option<Seccomp>,
}

/// The resctrl group of a container (`linux.intelRdt`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rdt {
    /// The class; the container's id where the config names none.
    pub class: Option<String>,
    /// The shares, one write after the other.
    pub schemata: Vec<Schemata>,
    /// Whether a group of its own measures.
    pub monitor: bool,
    /// Fields that ask for an event, and the event.
    pub events: Vec<(&'static str, &'static str)>,
}

impl Container {
    /// Whether it is in the host's cgroup namespace, where its own cgroup is shown in the place of the root.
    pub(crate) fn shares_cgroups(&self) -> bool {
        let joined = self.join_namespaces.iter().any(|(kind, _)| *kind == NsKind::Cgroup);
        !joined && !self.new_namespaces.contains(Namespaces::CGROUP)
    }
}

/// The system call filter of a container.
#[derive(Debug, Clone)]
pub struct Seccomp {
    /// The calls and their answers.
    pub profile: Profile,
    /// Who is asked about calls that are answered with `SCMP_ACT_NOTIFY`.
    pub agent: Option<Agent>,
}

/// A program that answers system calls of a container (`linux.seccomp.listenerPath`).
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its Unix socket.
    pub socket: PathBuf,
    /// What it is told besides the container's state.
    pub metadata: String,
    /// The state that it is told; the process id is filled in when there is one.
    pub state: crate::spec::State,
}

/// The program of a container.
#[derive(Debug, Clone)]
pub struct Process {
    /// The arguments, the program's name first.
    pub args: Vec<CString>,
    /// The environment as `NAME=value`.
    pub env: Vec<CString>,
    /// The value of `PATH` in that environment.
    pub path: Vec<u8>,
    /// The working directory, absolute in the container.
    pub cwd: CString,
    /// User id in the container.
    pub uid: u32,
    /// Group id in the container.
    pub gid: u32,
    /// Supplementary group ids in the container.
    pub groups: Vec<u32>,
    /// Whether it keeps the caller's groups, and has no others.
    pub keep_groups: bool,
    /// The mask of new files' permissions.
    pub umask: Option<u32>,
    /// Whether it gets a terminal of its own.
    pub terminal: Option<Terminal>,
    /// The five capability sets.
    pub caps: Sets,
    /// Names in the config that are no capabilities, and are left out.
    pub unknown_caps: Vec<String>,
    /// What of the config is left out, for the caller to be told.
    pub remarks: Vec<String>,
    /// Whether `execve(2)` may still give privileges: not when this is set.
    pub no_new_privs: bool,
    /// Resource limits by number.
    pub rlimits: Vec<(u32, Rlimit)>,
    /// `/proc/PID/oom_score_adj`.
    pub oom_score_adj: Option<i32>,
    /// The label of a security module that the program is executed under.
    pub label: Option<Label>,
    /// How it is scheduled.
    pub scheduling: Scheduling,
    /// How many descriptors from number 3 on are told to it as those of `sd_listen_fds(3)`.
    pub listen_fds: u32,
}

/// How a process is scheduled.
#[derive(Debug, Clone, Default)]
pub struct Scheduling {
    /// `sched_setattr(2)`.
    pub attributes: Option<Attributes>,
    /// `ioprio_set(2)`.
    pub io: Option<(IoClass, u8)>,
    /// The processors of a process that joins the container.
    pub affinity: Affinity,
}

/// The processors that a process may run on, as bits, the lowest first.
#[derive(Debug, Clone, Default)]
pub struct Affinity {
    /// Until it is in the container's control group.
    pub initial: Option<Vec<u64>>,
    /// Afterwards.
    pub last: Option<Vec<u64>>,
}

/// How the processes of a container see the machine and its memory.
#[derive(Debug, Clone, Default)]
pub struct Domain {
    /// `personality(2)`.
    pub personality: Option<u32>,
    /// The mode, with its flags, and the nodes of `set_mempolicy(2)`.
    pub memory_policy: Option<(i32, Vec<u64>)>,
}

/// The terminal of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terminal {
    /// Rows and columns.
    pub size: Option<(u16, u16)>,
    /// Whether newlines come out as they are written: nobody reads them as a terminal does.
    pub plain_newlines: bool,
}

/// The control group of a container.
#[derive(Debug, Clone)]
pub struct CgroupPlan {
    /// The path below the roots of the hierarchies, without a leading `/`; empty for a config that has only a scope.
    pub path: String,
    /// The unit that systemd makes in its place, where it is to; none for a config that has a path.
    pub scope: Option<ScopeName>,
    /// Whether the config names the path. A caller without rights may be left where it is when it does not.
    pub named: bool,
    /// Whether the place is the runtime's to choose: below the root, or for a caller without rights below what was
    /// delegated to it.
    pub relative: bool,
    /// What is written before the container is born in it.
    pub limits: Limits,
    /// Which devices may be used: the rules in the config's order, the last that fits wins.
    pub devices: Vec<devices::Rule>,
}
