//! Which system calls change something outside of the process that makes them.

use std::fs;

use nix::libc;
use nix::sys::ptrace;
use nix::unistd::Pid;

/// A system call of a process that is stopped in it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    number: i64,
    /// For those that open a file: whether it is made where there is none.
    creates: bool,
}

impl Call {
    /// The call that a stopped process has begun.
    pub(crate) fn of(pid: Pid) -> Option<Self> {
        // Its number and six arguments, in the same form on every machine.
        let text = fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
        let mut words = text.split_whitespace();
        let number = words.next()?.parse().ok()?;
        let third =
            words.nth(2).and_then(|word| usize::from_str_radix(word.trim_start_matches("0x"), 16).ok());
        let flags = match number {
            libc::SYS_openat => third,
            // `struct open_how` begins with the flags.
            libc::SYS_openat2 => third
                .and_then(|how| ptrace::read(pid, how as ptrace::AddressType).ok())
                .and_then(|word| usize::try_from(word).ok()),
            _ => None,
        };
        let creates = flags.is_some_and(|flags| flags & usize::try_from(libc::O_CREAT).unwrap() != 0);
        Some(Self { number, creates })
    }

    /// Whether somebody else could tell that it was made.
    pub(crate) fn changes(&self) -> bool {
        self.creates || !QUIET.contains(&self.number)
    }
}

/// Its number, as no table of names is the same for all machines; see `ausyscall NUMBER`.
pub(crate) fn name(call: &Call) -> String {
    match NAMES.iter().find(|(number, _)| *number == call.number) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("system call {}", call.number),
    }
}

/// Calls that change nothing but the process itself. An unknown one counts as a change.
#[rustfmt::skip]
const QUIET: &[i64] = &[
    libc::SYS_read, libc::SYS_pread64, libc::SYS_readv, libc::SYS_close, libc::SYS_close_range,
    libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_statfs, libc::SYS_fstatfs,
    libc::SYS_lseek, libc::SYS_openat, libc::SYS_openat2, libc::SYS_faccessat, libc::SYS_faccessat2,
    libc::SYS_readlinkat, libc::SYS_getdents64, libc::SYS_getcwd, libc::SYS_fcntl, libc::SYS_dup,
    libc::SYS_dup3, libc::SYS_ioctl, libc::SYS_mmap, libc::SYS_mremap, libc::SYS_munmap, libc::SYS_mprotect,
    libc::SYS_madvise, libc::SYS_brk, libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_sigaltstack,
    libc::SYS_rt_sigreturn, libc::SYS_getpid, libc::SYS_getppid, libc::SYS_gettid, libc::SYS_getuid,
    libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid, libc::SYS_getgroups, libc::SYS_getresuid,
    libc::SYS_getresgid, libc::SYS_capget, libc::SYS_prctl, libc::SYS_prlimit64, libc::SYS_getrlimit,
    libc::SYS_set_tid_address, libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_futex,
    libc::SYS_sched_getaffinity, libc::SYS_sched_yield, libc::SYS_uname, libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep, libc::SYS_nanosleep, libc::SYS_getrandom, libc::SYS_ppoll, libc::SYS_waitid,
    libc::SYS_wait4, libc::SYS_pidfd_open, libc::SYS_memfd_create, libc::SYS_pipe2, libc::SYS_socket,
    libc::SYS_socketpair, libc::SYS_getsockopt, libc::SYS_setsockopt, libc::SYS_getsockname,
    libc::SYS_getpeername, libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait,
    libc::SYS_signalfd4, libc::SYS_fchdir, libc::SYS_chdir, libc::SYS_umask, libc::SYS_exit,
    libc::SYS_exit_group, libc::SYS_capset, libc::SYS_setuid, libc::SYS_setgid, libc::SYS_setresuid,
    libc::SYS_setresgid, libc::SYS_setgroups,
    #[cfg(target_arch = "x86_64")] libc::SYS_access,
    #[cfg(target_arch = "x86_64")] libc::SYS_arch_prctl,
    #[cfg(target_arch = "x86_64")] libc::SYS_poll,
    #[cfg(target_arch = "x86_64")] libc::SYS_stat,
    #[cfg(target_arch = "x86_64")] libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")] libc::SYS_open,
    #[cfg(target_arch = "x86_64")] libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")] libc::SYS_pipe,
    #[cfg(target_arch = "x86_64")] libc::SYS_dup2,
    #[cfg(target_arch = "x86_64")] libc::SYS_epoll_wait,
];

/// The names of the others, for messages.
#[rustfmt::skip]
const NAMES: &[(i64, &str)] = &[
    (libc::SYS_mkdirat, "mkdirat"), (libc::SYS_unlinkat, "unlinkat"), (libc::SYS_renameat, "renameat"),
    (libc::SYS_renameat2, "renameat2"), (libc::SYS_bind, "bind"), (libc::SYS_listen, "listen"),
    (libc::SYS_accept4, "accept4"), (libc::SYS_connect, "connect"), (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_recvmsg, "recvmsg"), (libc::SYS_sendto, "sendto"), (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_write, "write"), (libc::SYS_pwrite64, "pwrite64"), (libc::SYS_writev, "writev"),
    (libc::SYS_clone, "clone"), (libc::SYS_clone3, "clone3"), (libc::SYS_execve, "execve"),
    (libc::SYS_setns, "setns"), (libc::SYS_unshare, "unshare"), (libc::SYS_setsid, "setsid"),
    (libc::SYS_sethostname, "sethostname"), (libc::SYS_mount, "mount"), (libc::SYS_umount2, "umount2"),
    (libc::SYS_fsopen, "fsopen"), (libc::SYS_fsconfig, "fsconfig"), (libc::SYS_fsmount, "fsmount"),
    (libc::SYS_open_tree, "open_tree"), (libc::SYS_move_mount, "move_mount"),
    (libc::SYS_mount_setattr, "mount_setattr"), (libc::SYS_pivot_root, "pivot_root"),
    (libc::SYS_chroot, "chroot"), (libc::SYS_bpf, "bpf"), (libc::SYS_kill, "kill"),
    (libc::SYS_tgkill, "tgkill"), (libc::SYS_pidfd_send_signal, "pidfd_send_signal"),
    (libc::SYS_flock, "flock"), (libc::SYS_fchmod, "fchmod"), (libc::SYS_fchown, "fchown"),
    (libc::SYS_fchmodat, "fchmodat"), (libc::SYS_fchownat, "fchownat"), (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_symlinkat, "symlinkat"), (libc::SYS_linkat, "linkat"), (libc::SYS_mknodat, "mknodat"),
    (libc::SYS_keyctl, "keyctl"), (libc::SYS_seccomp, "seccomp"), (libc::SYS_openat, "openat"),
    (libc::SYS_openat2, "openat2"),
    #[cfg(target_arch = "x86_64")] (libc::SYS_mkdir, "mkdir"),
    #[cfg(target_arch = "x86_64")] (libc::SYS_rmdir, "rmdir"),
    #[cfg(target_arch = "x86_64")] (libc::SYS_unlink, "unlink"),
    #[cfg(target_arch = "x86_64")] (libc::SYS_rename, "rename"),
    #[cfg(target_arch = "x86_64")] (libc::SYS_symlink, "symlink"),
    #[cfg(target_arch = "x86_64")] (libc::SYS_link, "link"),
    #[cfg(target_arch = "x86_64")] (libc::SYS_mknod, "mknod"),
    #[cfg(target_arch = "x86_64")] (libc::SYS_chmod, "chmod"),
    #[cfg(target_arch = "x86_64")] (libc::SYS_fork, "fork"),
    #[cfg(target_arch = "x86_64")] (libc::SYS_vfork, "vfork"),
];
