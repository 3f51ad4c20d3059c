//! `bpf(2)`, as far as a device filter on a cgroup needs it.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::call::{check, new_fd};
use crate::{Errno, Result};

/// One instruction: the kernel's `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// Destination register in the lower four bits, source register in the upper four.
    pub registers: u8,
    /// Signed offset of a jump or of a memory access.
    pub offset: i16,
    /// Immediate operand.
    pub immediate: i32,
}

/// `BPF_PROG_TYPE_CGROUP_DEVICE`: a program that is asked about each use of a device node.
pub const PROG_TYPE_CGROUP_DEVICE: u32 = 15;

/// `BPF_CGROUP_DEVICE`: where such a program is attached.
pub const ATTACH_CGROUP_DEVICE: u32 = 6;

/// `BPF_F_ALLOW_MULTI`: beside the programs that are there, which all have to agree.
pub const ATTACH_ALLOW_MULTI: u32 = 2;

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;

/// The fields of `union bpf_attr` for `BPF_PROG_LOAD`, up to the flags.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The fields of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// `bpf(BPF_PROG_LOAD, …)`: has the kernel check and take a program.
///
/// A `log` that is not empty is filled with the verifier's words, ending in NUL.
///
/// # Errors
/// `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN` (or `CAP_SYS_ADMIN`) in the initial user namespace, and
/// before Linux 5.11 also at the limit `RLIMIT_MEMLOCK`; `EINVAL` for a program that the verifier refuses
/// or a kernel without that type, `ENOSPC` for a log that is too small, `ENOSYS` without `bpf(2)`.
pub fn prog_load(prog_type: u32, program: &[Instruction], license: &CStr, log: &mut [u8]) -> Result<OwnedFd> {
    let log_size = u32::try_from(log.len()).map_err(|_| Errno::EINVAL)?;
    let attr = LoadAttr {
        prog_type,
        insn_cnt: u32::try_from(program.len()).map_err(|_| Errno::E2BIG)?,
        insns: address(program.as_ptr()),
        license: address(license.as_ptr()),
        log_level: u32::from(log_size > 0),
        log_size,
        log_buf: if log_size > 0 { address(log.as_mut_ptr()) } else { 0 },
        kern_version: 0,
        prog_flags: 0,
    };
    // SAFETY: the size is that of the structure; program, licence and log are valid for the call, with
    // the lengths that are given, and only the log, which is borrowed mutably, is written to.
    new_fd(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attr, size_of::<LoadAttr>()) })
}

/// `bpf(BPF_PROG_ATTACH, …)`: attaches a program to a v2 cgroup.
///
/// # Errors
/// `EPERM` without the capabilities of [`prog_load`], or where a parent's program forbids others below;
/// `EBADF` when `cgroup` is no v2 cgroup; `EINVAL` on a kernel without `CONFIG_CGROUP_BPF`.
pub fn cgroup_attach(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    attach_type: u32,
    flags: u32,
) -> Result<()> {
    let number = |fd: BorrowedFd<'_>| u32::try_from(fd.as_raw_fd()).map_err(|_| Errno::EBADF);
    let attr = AttachAttr {
        target_fd: number(cgroup)?,
        attach_bpf_fd: number(program)?,
        attach_type,
        attach_flags: flags,
    };
    // SAFETY: the size is that of the structure, which holds numbers only.
    check(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const attr, size_of::<AttachAttr>()) })
        .map(drop)
}

fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn structures_have_the_kernels_sizes() {
        assert_eq!(size_of::<Instruction>(), 8);
        assert_eq!(size_of::<LoadAttr>(), 48);
        assert_eq!(size_of::<AttachAttr>(), 16);
    }

    #[test]
    fn an_empty_program_is_refused() {
        let error = prog_load(PROG_TYPE_CGROUP_DEVICE, &[], c"", &mut []).unwrap_err();
        assert!(matches!(error, Errno::E2BIG | Errno::EPERM | Errno::ENOSYS), "{error}");
    }

    #[test]
    fn only_a_cgroup_takes_a_program() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let error =
            cgroup_attach(null.as_fd(), null.as_fd(), ATTACH_CGROUP_DEVICE, ATTACH_ALLOW_MULTI).unwrap_err();
        assert!(matches!(error, Errno::EINVAL | Errno::EBADF | Errno::EPERM | Errno::ENOSYS), "{error}");
    }
}
