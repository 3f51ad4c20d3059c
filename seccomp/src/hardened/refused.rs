//! What is refused whatever the arguments, with the reason.

use cofferdam_sys::Errno::{self, ENOSYS, EPERM};

/// Calls that are refused for one reason.
#[derive(Debug, Clone, Copy)]
pub struct Refused {
    /// The calls.
    pub names: &'static [&'static str],
    /// What they give.
    pub errno: Errno,
    /// Why.
    pub why: &'static str,
}

const fn refused(names: &'static [&'static str], errno: Errno, why: &'static str) -> Refused {
    Refused { names, errno, why }
}

/// Calls that are refused.
pub const REFUSED: &[Refused] = &[
    refused(
        &["clone3"],
        ENOSYS,
        "its flags are behind a pointer, where a filter cannot look; C libraries fall back to `clone`",
    ),
    refused(&["setns"], EPERM, "enters namespaces of others"),
    refused(&["listns"], ENOSYS, "lists namespaces, which the program has no use for"),
    refused(
        &[
            "mount",
            "umount",
            "umount2",
            "pivot_root",
            "fsopen",
            "fsconfig",
            "fsmount",
            "fspick",
            "move_mount",
            "open_tree",
            "open_tree_attr",
            "mount_setattr",
        ],
        EPERM,
        "changes mounts, on which the container's confinement rests",
    ),
    refused(
        &["statmount", "listmount"],
        ENOSYS,
        "new ways to look at mounts; programs fall back to `/proc/self/mountinfo`",
    ),
    refused(&["name_to_handle_at"], EPERM, "gives handles of files, which only `open_by_handle_at` takes"),
    refused(
        &["open_by_handle_at"],
        EPERM,
        "opens files of a whole file system by guessing (the \"Shocker\" escape)",
    ),
    refused(&["quotactl", "quotactl_fd"], EPERM, "sets quotas of file systems of the host"),
    refused(
        &["file_setattr"],
        EPERM,
        "sets immutable and project flags, which lock the host out of its own files",
    ),
    refused(&["fanotify_init", "fanotify_mark"], EPERM, "watches whole file systems; inotify is allowed"),
    refused(&["sysfs", "ustat", "lookup_dcookie"], EPERM, "obsolete ways to ask about file systems"),
    refused(&["swapon", "swapoff"], EPERM, "changes the host's swap"),
    refused(&["acct"], EPERM, "writes the host's process accounting to a file of the program's choice"),
    refused(&["vhangup"], EPERM, "hangs up the terminal of whoever started the container"),
    refused(
        &["io_uring_setup", "io_uring_enter", "io_uring_register"],
        ENOSYS,
        "does what other calls do without their filter, and has been the kernel's richest source of escalations",
    ),
    refused(&["keyctl", "add_key", "request_key"], EPERM, "keyrings are not fully confined by namespaces"),
    refused(&["bpf"], EPERM, "loads programs into the kernel"),
    refused(
        &["perf_event_open"],
        EPERM,
        "measures the kernel and other processes, through code with a long list of bugs",
    ),
    refused(
        &["userfaultfd"],
        EPERM,
        "stops the kernel in the middle of a copy, which turns races into certainties",
    ),
    refused(&["ptrace"], EPERM, "takes over other processes"),
    refused(
        &["process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease"],
        EPERM,
        "reaches into the memory of other processes",
    ),
    refused(&["pidfd_getfd"], EPERM, "takes descriptors out of other processes"),
    refused(&["kcmp"], EPERM, "tells where objects of the kernel lie"),
    refused(&["memfd_secret"], EPERM, "hides memory from whoever inspects the container"),
    refused(
        &["vmsplice"],
        EPERM,
        "gives pages of a program to a pipe; a rarely used way to other pages' content",
    ),
    refused(&["remap_file_pages"], EPERM, "obsolete and emulated, in code of its own"),
    refused(
        &[
            "mbind",
            "set_mempolicy",
            "set_mempolicy_home_node",
            "get_mempolicy",
            "migrate_pages",
            "move_pages",
        ],
        EPERM,
        "memory placement belongs to the host; programs go on without it",
    ),
    refused(&["init_module", "finit_module", "delete_module"], EPERM, "loads or removes parts of the kernel"),
    refused(&["kexec_load", "kexec_file_load", "reboot"], EPERM, "replaces or stops the kernel"),
    refused(&["syslog"], EPERM, "reads and clears the kernel's log"),
    refused(&["iopl", "ioperm"], EPERM, "gives access to the machine's ports"),
    refused(
        &["pciconfig_iobase", "pciconfig_read", "pciconfig_write"],
        EPERM,
        "gives access to the machine's buses",
    ),
    refused(
        &["modify_ldt", "vm86", "vm86old"],
        EPERM,
        "16-bit code and segments: old, rarely tested entries into the kernel",
    ),
    refused(
        &[
            "settimeofday",
            "stime",
            "clock_settime",
            "clock_settime64",
            "adjtimex",
            "clock_adjtime",
            "clock_adjtime64",
        ],
        EPERM,
        "sets or steers the host's clock",
    ),
    refused(&["sethostname", "setdomainname"], EPERM, "names are given by whoever starts the container"),
    refused(&["lsm_set_self_attr"], EPERM, "changes the program's own security label"),
    refused(
        &["socketcall"],
        ENOSYS,
        "hides the address family behind a pointer, where a filter cannot look; `socket` is there since Linux 4.3",
    ),
    refused(&["uselib"], EPERM, "obsolete loading of libraries"),
    refused(&["nfsservctl"], EPERM, "controlled the host's NFS server until Linux 3.1"),
    refused(&["_sysctl"], EPERM, "read and set parameters of the kernel until Linux 5.5"),
    refused(&["create_module", "get_kernel_syms", "query_module"], EPERM, "loaded modules until Linux 2.6"),
    refused(
        &["breakpoint", "usr26", "usr32"],
        EPERM,
        "switches the processor's mode or breaks, for debuggers of old ARM programs",
    ),
    refused(
        &["oldstat", "oldfstat", "oldlstat", "oldolduname", "olduname", "readdir", "sgetmask", "ssetmask"],
        EPERM,
        "obsolete; C libraries have not used it for twenty years",
    ),
    refused(
        &[
            "afs_syscall",
            "bdflush",
            "break",
            "epoll_ctl_old",
            "epoll_wait_old",
            "ftime",
            "getpmsg",
            "gtty",
            "idle",
            "lock",
            "mpx",
            "prof",
            "profil",
            "putpmsg",
            "security",
            "stty",
            "tuxcall",
            "ulimit",
            "vserver",
        ],
        ENOSYS,
        "a reserved number: no kernel does anything there",
    ),
];
