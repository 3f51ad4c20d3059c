//! `linux.seccomp`.

use std::path::PathBuf;

use super::shape;

shape::objects! {
    /// A system call filter.
    #[derive(Eq)]
    pub struct LinuxSeccomp {
        /// The answer to calls that no rule is about.
        pub default_action: LinuxSeccompAction = required "defaultAction",
        /// Its error number.
        pub default_errno_ret: Option<u32> = "defaultErrnoRet",
        /// Architectures whose calls are filtered.
        pub architectures: Vec<SeccompArch> = "architectures",
        /// Flags of `seccomp(2)`.
        pub flags: Vec<LinuxSeccompFilterFlag> = "flags",
        /// The socket of the program that answers calls.
        pub listener_path: Option<PathBuf> = "listenerPath",
        /// What it is told besides the state.
        pub listener_metadata: Option<String> = "listenerMetadata",
        /// The rules.
        pub syscalls: Vec<LinuxSyscall> = "syscalls",
    }

    /// A rule about system calls.
    #[derive(Eq)]
    pub struct LinuxSyscall {
        /// The calls' names.
        pub names: Vec<String> = required "names",
        /// The answer.
        pub action: LinuxSeccompAction = required "action",
        /// Its error number.
        pub errno_ret: Option<u32> = "errnoRet",
        /// What their arguments must be.
        pub args: Vec<LinuxSeccompArg> = "args",
    }

    /// A condition on an argument.
    #[derive(Copy, Eq)]
    pub struct LinuxSeccompArg {
        /// Which one, 0 to 5.
        pub index: u64 = required "index",
        /// The value to compare with, or the mask of a masked comparison.
        pub value: u64 = required "value",
        /// The value of a masked comparison.
        pub value_two: Option<u64> = "valueTwo",
        /// The comparison.
        pub op: LinuxSeccompOperator = required "op",
    }
}

shape::words! {
    /// The answer to a system call (`seccomp(2)`).
    pub enum LinuxSeccompAction {
        /// The old name of `KillThread`.
        Kill = "SCMP_ACT_KILL",
        /// The process is ended.
        KillProcess = "SCMP_ACT_KILL_PROCESS",
        /// The thread is ended.
        KillThread = "SCMP_ACT_KILL_THREAD",
        /// `SIGSYS`.
        Trap = "SCMP_ACT_TRAP",
        /// An error number.
        Errno = "SCMP_ACT_ERRNO",
        /// A tracer is asked.
        Trace = "SCMP_ACT_TRACE",
        /// The call is made.
        Allow = "SCMP_ACT_ALLOW",
        /// The call is made and noted.
        Log = "SCMP_ACT_LOG",
        /// The program at `listenerPath` is asked.
        Notify = "SCMP_ACT_NOTIFY",
    }

    /// A comparison.
    pub enum LinuxSeccompOperator {
        /// Not equal.
        Ne = "SCMP_CMP_NE",
        /// Less.
        Lt = "SCMP_CMP_LT",
        /// Less or equal.
        Le = "SCMP_CMP_LE",
        /// Equal.
        Eq = "SCMP_CMP_EQ",
        /// Greater or equal.
        Ge = "SCMP_CMP_GE",
        /// Greater.
        Gt = "SCMP_CMP_GT",
        /// Equal in the bits of a mask.
        MaskedEq = "SCMP_CMP_MASKED_EQ",
    }

    /// A flag of `seccomp(2)`.
    #[expect(missing_docs, reason = "the names of seccomp(2)")]
    pub enum LinuxSeccompFilterFlag {
        Tsync = "SECCOMP_FILTER_FLAG_TSYNC",
        Log = "SECCOMP_FILTER_FLAG_LOG",
        SpecAllow = "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        WaitKillableRecv = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    }

    /// An architecture.
    #[expect(missing_docs, reason = "the specification's names")]
    pub enum SeccompArch {
        Native = "SCMP_ARCH_NATIVE",
        X86 = "SCMP_ARCH_X86",
        X86_64 = "SCMP_ARCH_X86_64",
        X32 = "SCMP_ARCH_X32",
        Arm = "SCMP_ARCH_ARM",
        Aarch64 = "SCMP_ARCH_AARCH64",
        Loongarch64 = "SCMP_ARCH_LOONGARCH64",
        M68k = "SCMP_ARCH_M68K",
        Mips = "SCMP_ARCH_MIPS",
        Mips64 = "SCMP_ARCH_MIPS64",
        Mips64n32 = "SCMP_ARCH_MIPS64N32",
        Mipsel = "SCMP_ARCH_MIPSEL",
        Mipsel64 = "SCMP_ARCH_MIPSEL64",
        Mipsel64n32 = "SCMP_ARCH_MIPSEL64N32",
        Ppc = "SCMP_ARCH_PPC",
        Ppc64 = "SCMP_ARCH_PPC64",
        Ppc64le = "SCMP_ARCH_PPC64LE",
        S390 = "SCMP_ARCH_S390",
        S390x = "SCMP_ARCH_S390X",
        Parisc = "SCMP_ARCH_PARISC",
        Parisc64 = "SCMP_ARCH_PARISC64",
        Riscv64 = "SCMP_ARCH_RISCV64",
        Sh = "SCMP_ARCH_SH",
        Sheb = "SCMP_ARCH_SHEB",
    }
}
