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

/// `BPF_F_REPLACE`: in place of one of them (Linux 5.6); set by [`cgroup_attach`].
const ATTACH_REPLACE: u32 = 4;

/// `BPF_F_QUERY_EFFECTIVE`: with the programs of the cgroups above.
const QUERY_EFFECTIVE: u32 = 1;

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;

/// The longest name of a program, with its NUL (`BPF_OBJ_NAME_LEN`).
const NAME: usize = 16;

/// The fields of `union bpf_attr` for `BPF_PROG_LOAD`, up to the name.
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
    prog_name: [u8; NAME],
}

/// The fields of `union bpf_attr` for `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// The fields of `union bpf_attr` for `BPF_PROG_QUERY`.
///
/// All of them: from Linux 6.17 the kernel writes the revision, whatever size it is told.
#[repr(C)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// The fields of `union bpf_attr` for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct IdAttr {
    prog_id: u32,
    next_id: u32,
    open_flags: u32,
}

/// The fields of `union bpf_attr` for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct InfoAttr {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// The kernel's `struct bpf_prog_info`, up to the name.
#[repr(C)]
#[derive(Default)]
struct RawInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_prog_len: u32,
    xlated_prog_len: u32,
    jited_prog_insns: u64,
    xlated_prog_insns: u64,
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; NAME],
}

/// What the kernel says of a loaded program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Its type, as [`PROG_TYPE_CGROUP_DEVICE`].
    pub kind: u32,
    /// Its number, unique for as long as it is loaded.
    pub id: u32,
    /// The digest of its instructions as they were given: the same for the same program.
    pub tag: [u8; 8],
    /// Its name, ending in NUL.
    pub name: [u8; NAME],
}

/// `bpf(BPF_PROG_LOAD, …)`: has the kernel check and take a program.
///
/// The name has up to 15 letters, digits, `_` and `.`. A `log` that is not empty is filled with the
/// verifier's words, ending in NUL.
///
/// # Errors
/// `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN` (or `CAP_SYS_ADMIN`) in the initial user namespace, and
/// before Linux 5.11 also at the limit `RLIMIT_MEMLOCK`; `EINVAL` for a program that the verifier refuses,
/// a name that is none or a kernel without that type, `ENOSPC` for a log that is too small, `ENOSYS` without
/// `bpf(2)`.
pub fn prog_load(
    prog_type: u32,
    program: &[Instruction],
    name: &CStr,
    license: &CStr,
    log: &mut [u8],
) -> Result<OwnedFd> {
    let log_size = u32::try_from(log.len()).map_err(|_| Errno::EINVAL)?;
    let mut prog_name = [0; NAME];
    let room = prog_name.get_mut(..name.to_bytes_with_nul().len()).ok_or(Errno::EINVAL)?;
    room.copy_from_slice(name.to_bytes_with_nul());
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
        prog_name,
    };
    // SAFETY: the size is that of the structure; program, licence and log are valid for the call, with
    // the lengths that are given, and only the log, which is borrowed mutably, is written to.
    new_fd(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attr, size_of::<LoadAttr>()) })
}

/// `bpf(BPF_PROG_ATTACH, …)`: attaches a program to a v2 cgroup, or puts it in the place of another in one
/// step (`BPF_F_REPLACE`, Linux 5.6): at every moment one of the two is in force.
///
/// # Errors
/// `EPERM` without the capabilities of [`prog_load`], or where a parent's program forbids others below;
/// `EBADF` when `cgroup` is no v2 cgroup; `ENOENT` when the other is not attached; `E2BIG` beyond 64
/// programs; `EINVAL` on a kernel without `CONFIG_CGROUP_BPF`.
pub fn cgroup_attach(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    attach_type: u32,
    flags: u32,
    replaced: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let attr = AttachAttr {
        target_fd: number(cgroup)?,
        attach_bpf_fd: number(program)?,
        attach_type,
        attach_flags: flags | if replaced.is_some() { ATTACH_REPLACE } else { 0 },
        replace_bpf_fd: replaced.map_or(Ok(0), number)?,
    };
    // SAFETY: the size is that of the structure, which holds numbers only.
    check(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const attr, size_of::<AttachAttr>()) })
        .map(drop)
}

/// `bpf(BPF_PROG_DETACH, …)`: takes a program off a v2 cgroup.
///
/// # Errors
/// `EPERM` without the capabilities of [`prog_load`]; `ENOENT` when it is not attached.
pub fn cgroup_detach(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>, attach_type: u32) -> Result<()> {
    let attr = AttachAttr {
        target_fd: number(cgroup)?,
        attach_bpf_fd: number(program)?,
        attach_type,
        attach_flags: 0,
        replace_bpf_fd: 0,
    };
    // SAFETY: the size is that of the structure, which holds numbers only.
    check(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_DETACH, &raw const attr, size_of::<AttachAttr>()) })
        .map(drop)
}

/// `bpf(BPF_PROG_QUERY, …)`: the ids of the programs that are attached to a v2 cgroup, with those of the
/// cgroups above when `effective`.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN`; `EBADF` when `cgroup` is no v2 cgroup; `EINVAL` on a kernel without
/// `CONFIG_CGROUP_BPF`.
pub fn cgroup_query(cgroup: BorrowedFd<'_>, attach_type: u32, effective: bool) -> Result<Vec<u32>> {
    // At most 64 programs a cgroup; more with those above, which are few in practice.
    let mut room = 64usize;
    loop {
        let mut ids = vec![0u32; room];
        let mut attr = QueryAttr {
            target_fd: number(cgroup)?,
            attach_type,
            query_flags: if effective { QUERY_EFFECTIVE } else { 0 },
            attach_flags: 0,
            prog_ids: address(ids.as_mut_ptr()),
            prog_cnt: u32::try_from(room).map_err(|_| Errno::E2BIG)?,
            padding: 0,
            prog_attach_flags: 0,
            link_ids: 0,
            link_attach_flags: 0,
            revision: 0,
        };
        // SAFETY: the size is that of the structure, to whose own fields the kernel writes; the array has
        // the length that is given and is not used otherwise meanwhile.
        let value =
            unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut attr, size_of::<QueryAttr>()) };
        match check(value) {
            Err(Errno::ENOSPC) if room < 1 << 16 => room = room.saturating_mul(4),
            Err(errno) => return Err(errno),
            Ok(_) => {
                ids.truncate(usize::try_from(attr.prog_cnt).map_err(|_| Errno::EIO)?);
                return Ok(ids);
            }
        }
    }
}

/// `bpf(BPF_PROG_GET_FD_BY_ID, …)`: a descriptor of a loaded program.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`; `ENOENT` when there is no such program any more.
pub fn prog_by_id(id: u32) -> Result<OwnedFd> {
    let attr = IdAttr { prog_id: id, next_id: 0, open_flags: 0 };
    // SAFETY: the size is that of the structure, which holds numbers only.
    new_fd(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_GET_FD_BY_ID, &raw const attr, size_of::<IdAttr>())
    })
}

/// `bpf(BPF_OBJ_GET_INFO_BY_FD, …)`: what the kernel says of a loaded program.
///
/// # Errors
/// `EBADF` for a descriptor of something else.
pub fn prog_info(program: BorrowedFd<'_>) -> Result<Info> {
    let mut info = RawInfo::default();
    let attr = InfoAttr {
        bpf_fd: number(program)?,
        info_len: u32::try_from(size_of::<RawInfo>()).map_err(|_| Errno::EINVAL)?,
        info: address(&raw mut info),
    };
    // SAFETY: the sizes are those of the structures. The kernel writes the information, which is borrowed
    // by nobody else; its pointers are null, so nothing is written beyond it.
    check(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &raw const attr, size_of::<InfoAttr>())
    })?;
    Ok(Info { kind: info.kind, id: info.id, tag: info.tag, name: info.name })
}

fn number(fd: BorrowedFd<'_>) -> Result<u32> {
    u32::try_from(fd.as_raw_fd()).map_err(|_| Errno::EBADF)
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
        assert_eq!(size_of::<LoadAttr>(), 64);
        assert_eq!(size_of::<AttachAttr>(), 20);
        assert_eq!(size_of::<QueryAttr>(), 64);
        assert_eq!(size_of::<InfoAttr>(), 16);
        assert_eq!(std::mem::offset_of!(RawInfo, name), 64);
    }

    #[test]
    fn an_empty_program_is_refused() {
        let error = prog_load(PROG_TYPE_CGROUP_DEVICE, &[], c"x", c"", &mut []).unwrap_err();
        assert!(matches!(error, Errno::E2BIG | Errno::EPERM | Errno::ENOSYS), "{error}");
    }

    #[test]
    fn only_a_cgroup_takes_a_program() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let error = cgroup_attach(null.as_fd(), null.as_fd(), ATTACH_CGROUP_DEVICE, ATTACH_ALLOW_MULTI, None)
            .unwrap_err();
        let refused = [Errno::EINVAL, Errno::EBADF, Errno::EPERM, Errno::ENOSYS];
        assert!(refused.contains(&error), "{error}");
        let error = cgroup_query(null.as_fd(), ATTACH_CGROUP_DEVICE, false).unwrap_err();
        assert!(refused.contains(&error), "{error}");
        let error = prog_info(null.as_fd()).unwrap_err();
        assert!(refused.contains(&error), "{error}");
    }

    #[test]
    fn a_name_has_an_end() {
        let name = c"sixteen_letters_";
        let error = prog_load(PROG_TYPE_CGROUP_DEVICE, &[], name, c"", &mut []).unwrap_err();
        assert_eq!(error, Errno::EINVAL);
    }
}
