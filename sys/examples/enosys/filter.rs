//! The filter of seccomp that makes system calls unknown, in a few instructions of classic BPF.

use std::io::{Error, Result};

/// Calls by name that a kernel may lack: those since Linux 3.17 that this project has a use for.
pub(crate) const CALLS: &[(&str, libc::c_long)] = &[
    ("seccomp", libc::SYS_seccomp),
    ("memfd_create", libc::SYS_memfd_create),
    ("bpf", libc::SYS_bpf),
    ("execveat", libc::SYS_execveat),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
    ("open_tree", libc::SYS_open_tree),
    ("move_mount", libc::SYS_move_mount),
    ("fsopen", libc::SYS_fsopen),
    ("fsconfig", libc::SYS_fsconfig),
    ("fsmount", libc::SYS_fsmount),
    ("fspick", libc::SYS_fspick),
    ("pidfd_open", libc::SYS_pidfd_open),
    ("clone3", libc::SYS_clone3),
    ("close_range", libc::SYS_close_range),
    ("openat2", libc::SYS_openat2),
    ("pidfd_getfd", libc::SYS_pidfd_getfd),
    ("faccessat2", libc::SYS_faccessat2),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("landlock_create_ruleset", libc::SYS_landlock_create_ruleset),
    ("landlock_add_rule", libc::SYS_landlock_add_rule),
    ("landlock_restrict_self", libc::SYS_landlock_restrict_self),
    ("process_mrelease", libc::SYS_process_mrelease),
    ("fchmodat2", libc::SYS_fchmodat2),
    // The same on every architecture, and not in the libc crate yet.
    ("statmount", 457),
    ("listmount", 458),
    ("mseal", 462),
    ("open_tree_attr", 467),
    ("listns", 470),
];

#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// `BPF_LD | BPF_W | BPF_ABS`, `BPF_JMP | BPF_JEQ | BPF_K` and `BPF_RET | BPF_K` of `linux/bpf_common.h`.
const LOAD: u16 = 0x20;
const EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// Makes the calls fail with `ENOSYS` for this thread and everything that it starts.
///
/// Without the privilege to install a filter, `no_new_privs` is set first.
pub(crate) fn install(numbers: &[libc::c_long]) -> Result<()> {
    let mut program = vec![
        op(LOAD, 0, 0, ARCHITECTURE),
        op(EQUAL, 1, 0, ARCH),
        op(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        op(LOAD, 0, 0, NUMBER),
    ];
    for number in numbers {
        let number = u32::try_from(*number).map_err(Error::other)?;
        program.push(op(EQUAL, 0, 1, number));
        program.push(op(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()));
    }
    program.push(op(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    match load(&mut program) {
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            // SAFETY: takes no pointer.
            check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())?;
            load(&mut program)
        }
        loaded => loaded,
    }
}

/// Whether a call fails with `ENOSYS` now; its arguments are all ones, which no call accepts.
pub(crate) fn is_refused(number: libc::c_long) -> bool {
    // SAFETY: under the filter the call is not entered; without it, no pointer of all ones is valid.
    let value = unsafe { libc::syscall(number, -1_i64, -1_i64, -1_i64, -1_i64, -1_i64, -1_i64) };
    value == -1 && Error::last_os_error().raw_os_error() == Some(libc::ENOSYS)
}

fn load(program: &mut [libc::sock_filter]) -> Result<()> {
    let len = u16::try_from(program.len()).map_err(Error::other)?;
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies `len` instructions, which live for the call.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) })
}

fn check(value: libc::c_long) -> Result<()> {
    if value == -1 { Err(Error::last_os_error()) } else { Ok(()) }
}

const fn op(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}
