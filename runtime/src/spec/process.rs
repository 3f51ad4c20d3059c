//! `process`.

use std::path::PathBuf;

use super::shape;

shape::objects! {
    /// The program of a container.
    pub struct Process {
        /// Whether it gets a terminal.
        pub terminal: Option<bool> = "terminal",
        /// The terminal's size.
        pub console_size: Option<ConsoleSize> = "consoleSize",
        /// Who it runs as.
        pub user: User = "user",
        /// The arguments, the program's name first.
        pub args: Vec<String> = "args",
        /// The environment as `NAME=value`.
        pub env: Vec<String> = "env",
        /// The working directory.
        pub cwd: PathBuf = required "cwd",
        /// The five capability sets.
        pub capabilities: Option<LinuxCapabilities> = "capabilities",
        /// Resource limits (`getrlimit(2)`).
        pub rlimits: Vec<PosixRlimit> = "rlimits",
        /// Whether `execve(2)` may not give privileges.
        pub no_new_privileges: Option<bool> = "noNewPrivileges",
        /// The AppArmor profile.
        pub apparmor_profile: Option<String> = "apparmorProfile",
        /// `/proc/PID/oom_score_adj`.
        pub oom_score_adj: Option<i32> = "oomScoreAdj",
        /// The SELinux label.
        pub selinux_label: Option<String> = "selinuxLabel",
        /// `ioprio_set(2)`.
        pub io_priority: Option<LinuxIoPriority> = "ioPriority",
        /// `sched_setattr(2)`.
        pub scheduler: Option<Scheduler> = "scheduler",
        /// The processors of a process that joins the container.
        pub exec_cpu_affinity: Option<ExecCpuAffinity> = "execCPUAffinity",
    }

    /// The size of a terminal, in characters.
    #[derive(Copy, Eq, Default)]
    pub struct ConsoleSize {
        /// Rows.
        pub height: u64 = "height",
        /// Columns.
        pub width: u64 = "width",
    }

    /// Who a process runs as, in the numbers of the container.
    #[derive(Eq, Default)]
    pub struct User {
        /// User id.
        pub uid: u32 = "uid",
        /// Group id.
        pub gid: u32 = "gid",
        /// The mask of new files' permissions.
        pub umask: Option<u32> = "umask",
        /// Supplementary group ids.
        pub additional_gids: Vec<u32> = "additionalGids",
        /// The user's name, on Windows.
        pub username: Option<String> = "username",
    }

    /// Capability sets, by the names of `capabilities(7)`.
    #[derive(Eq, Default)]
    pub struct LinuxCapabilities {
        /// What can be gained at most.
        pub bounding: Vec<String> = "bounding",
        /// What is used.
        pub effective: Vec<String> = "effective",
        /// What can be inherited by programs that have file capabilities.
        pub inheritable: Vec<String> = "inheritable",
        /// What can be used.
        pub permitted: Vec<String> = "permitted",
        /// What programs without file capabilities inherit.
        pub ambient: Vec<String> = "ambient",
    }

    /// One resource limit.
    #[derive(Eq)]
    pub struct PosixRlimit {
        /// Its name, such as `RLIMIT_NOFILE`.
        pub typ: String = required "type",
        /// The most that a process may raise it to.
        pub hard: u64 = "hard",
        /// The limit.
        pub soft: u64 = "soft",
    }

    /// The priority of reads and writes.
    #[derive(Copy, Eq, Default)]
    pub struct LinuxIoPriority {
        /// The class.
        pub class: IoPriorityClass = "class",
        /// The priority in the class, 0 the highest.
        pub priority: i64 = "priority",
    }

    /// How a process is scheduled (`sched_setattr(2)`).
    #[derive(Eq)]
    pub struct Scheduler {
        /// The policy.
        pub policy: SchedulerPolicy = required "policy",
        /// The nice value, for the policies that have one.
        pub nice: Option<i32> = "nice",
        /// The priority, for the realtime policies.
        pub priority: Option<i32> = "priority",
        /// Flags.
        pub flags: Vec<SchedulerFlag> = "flags",
        /// Nanoseconds of work in a period, for the deadline policy.
        pub runtime: Option<u64> = "runtime",
        /// Nanoseconds in which they are to be done.
        pub deadline: Option<u64> = "deadline",
        /// The period in nanoseconds.
        pub period: Option<u64> = "period",
    }

    /// The processors that a process which joins the container may use, as lists such as `0-3,7`.
    #[derive(Eq, Default)]
    pub struct ExecCpuAffinity {
        /// Before it moves into the container's control group.
        pub initial: Option<String> = "initial",
        /// Afterwards.
        pub last: Option<String> = "final",
    }
}

shape::words! {
    /// The class of an I/O priority.
    #[derive(Default)]
    pub enum IoPriorityClass {
        /// Before all others.
        Realtime = "IOPRIO_CLASS_RT",
        /// The usual one.
        #[default]
        BestEffort = "IOPRIO_CLASS_BE",
        /// When nobody else reads or writes.
        Idle = "IOPRIO_CLASS_IDLE",
    }

    /// A scheduling policy (`sched(7)`).
    #[expect(missing_docs, reason = "the names of sched(7)")]
    pub enum SchedulerPolicy {
        Other = "SCHED_OTHER",
        Fifo = "SCHED_FIFO",
        RoundRobin = "SCHED_RR",
        Batch = "SCHED_BATCH",
        Iso = "SCHED_ISO",
        Idle = "SCHED_IDLE",
        Deadline = "SCHED_DEADLINE",
    }

    /// A flag of `sched_setattr(2)`.
    #[expect(missing_docs, reason = "the names of sched_setattr(2)")]
    pub enum SchedulerFlag {
        ResetOnFork = "SCHED_FLAG_RESET_ON_FORK",
        Reclaim = "SCHED_FLAG_RECLAIM",
        DeadlineOverrun = "SCHED_FLAG_DL_OVERRUN",
        KeepPolicy = "SCHED_FLAG_KEEP_POLICY",
        KeepParams = "SCHED_FLAG_KEEP_PARAMS",
        UtilClampMin = "SCHED_FLAG_UTIL_CLAMP_MIN",
        UtilClampMax = "SCHED_FLAG_UTIL_CLAMP_MAX",
    }
}
