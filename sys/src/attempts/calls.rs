//! System calls by number, past the C library: what a filter is tried with.

use std::os::fd::{BorrowedFd, OwnedFd};

use crate::call::{check, new_fd};
use crate::{Errno, Result};

/// A way to make a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// The one that this program was built for; on x86-64 numbers with bit 30 are those of x32.
    Native,
    /// `int 0x80`, the calls of i386, with the lower half of each argument.
    #[cfg(target_arch = "x86_64")]
    Int80,
}

/// Calls that are not made whatever their arguments: they end, fork, stop or unwind the caller, or are the
/// kernel's own (`uretprobe`, `uprobe`).
#[cfg(target_arch = "x86_64")]
const NATIVE_NEVER: &[u32] = &[15, 34, 57, 58, 60, 231, 335, 336];
#[cfg(target_arch = "aarch64")]
const NATIVE_NEVER: &[u32] = &[93, 94, 139];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const NATIVE_NEVER: &[u32] = &[];

/// The same of x32, without bit 30.
#[cfg(target_arch = "x86_64")]
const X32_NEVER: &[u32] = &[15, 34, 57, 58, 60, 231, 335, 336, 513];

/// The same of i386: `exit`, `fork`, `pause`, `sigsuspend`, `sigreturn`, `rt_sigreturn`, `vfork`, `exit_group`.
#[cfg(target_arch = "x86_64")]
const INT80_NEVER: &[u32] = &[1, 2, 29, 72, 119, 173, 190, 252];

/// Whether [`with_ones`] does not make a call.
pub fn is_never_made(abi: Abi, number: u32) -> bool {
    match abi {
        #[cfg(target_arch = "x86_64")]
        Abi::Native if number & 0x4000_0000 != 0 => X32_NEVER.contains(&(number & !0x4000_0000)),
        Abi::Native => NATIVE_NEVER.contains(&number),
        #[cfg(target_arch = "x86_64")]
        Abi::Int80 => INT80_NEVER.contains(&number),
    }
}

/// Makes a call with six arguments of all ones and gives what the kernel gave, a negative error number or not.
///
/// `None` for the few that are not made. With all ones a pointer leads nowhere, a descriptor is none, a length
/// overflows and flags are unknown: no call reads or writes the caller's memory. Some change the caller all
/// the same, such as `umask`, or make a System V queue: for a process that is not needed any more, in an IPC
/// namespace of its own.
pub fn with_ones(abi: Abi, number: u32) -> Option<i64> {
    if is_never_made(abi, number) {
        return None;
    }
    // SAFETY: calls that would return twice or not at all are left out above. Others get addresses in the last
    // page of the address space, where nothing is mapped, and lengths beyond it: they touch no memory.
    Some(unsafe { raw(abi, number, [u64::MAX; 6]) })
}

/// A call whose arguments are numbers; its pointers, where it has some, are null here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    /// `socket(family, type, protocol)`.
    Socket,
    /// `socketpair(family, type, protocol, NULL)`.
    SocketPair,
    /// `personality(persona)`.
    Personality,
    /// `unshare(flags)`.
    Unshare,
    /// `ioctl(descriptor, request, NULL)`.
    Ioctl,
    /// `mknodat(descriptor, NULL, mode, device)`: the first number is the mode.
    Mknodat,
    /// `dup(descriptor)`.
    Dup,
}

/// Makes such a call by its number and gives what the kernel gave.
///
/// The number is the caller's, so that it can be one of i386 or x32; it must be that of the call.
pub fn plain(abi: Abi, call: Plain, number: u32, [a, b, c]: [u64; 3]) -> i64 {
    let arguments = match call {
        Plain::Socket | Plain::SocketPair => [a, b, c, 0, 0, 0],
        Plain::Personality | Plain::Unshare | Plain::Dup => [a, 0, 0, 0, 0, 0],
        Plain::Ioctl => [a, b, 0, 0, 0, 0],
        Plain::Mknodat => [u64::MAX, 0, a, b, 0, 0],
    };
    // SAFETY: none of the calls takes another pointer than null, which the kernel refuses.
    unsafe { raw(abi, number, arguments) }
}

/// # Safety
/// The call must not break the caller's memory.
unsafe fn raw(abi: Abi, number: u32, arguments: [u64; 6]) -> i64 {
    match abi {
        // SAFETY: passed on.
        Abi::Native => unsafe { native(number, arguments) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: passed on.
        Abi::Int80 => unsafe { int80(number, arguments) },
    }
}

/// Not `syscall(3)`: that sign-extends nothing, but hides negative values behind `errno`.
#[cfg(target_arch = "x86_64")]
unsafe fn native(number: u32, arguments: [u64; 6]) -> i64 {
    let [rdi, rsi, rdx, r10, r8, r9] = arguments;
    let mut value = u64::from(number);
    // SAFETY: the registers are those of the x86-64 calling convention of system calls; memory is in the
    // caller's care.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") value,
            in("rdi") rdi, in("rsi") rsi, in("rdx") rdx, in("r10") r10, in("r8") r8, in("r9") r9,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    value.cast_signed()
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn native(number: u32, arguments: [u64; 6]) -> i64 {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    let number = libc::c_long::from(number);
    // SAFETY: in the caller's care.
    let value = unsafe { libc::syscall(number, first, second, third, fourth, fifth, sixth) };
    if value == -1 { -i64::from(crate::Errno::last() as i32) } else { value }
}

/// The sixth argument is left as it is: its register holds the frame.
#[cfg(target_arch = "x86_64")]
unsafe fn int80(number: u32, arguments: [u64; 6]) -> i64 {
    let [ebx, ecx, edx, esi, edi, _] = arguments;
    let mut value = u64::from(number);
    // SAFETY: the registers are those of i386; `rbx`, which the compiler keeps for itself, is exchanged and
    // put back. Old kernels clear r8 to r11. Memory is in the caller's care.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {first}",
            "int 0x80",
            "xchg rbx, {first}",
            first = inout(reg) ebx => _,
            inlateout("rax") value,
            in("rcx") ecx, in("rdx") edx, in("rsi") esi, in("rdi") edi,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    // i386 has 32 bits; the kernel extends an error's sign or not, as it likes.
    let low = u32::try_from(value & 0xffff_ffff).unwrap_or(u32::MAX);
    i64::from(low.cast_signed())
}

/// `add_key("user", name, payload, KEY_SPEC_SESSION_KEYRING)`: puts a key into the session keyring.
///
/// # Errors
/// `EDQUOT` at the user's limit.
pub fn add_session_key(name: &std::ffi::CStr, payload: &[u8]) -> Result<i64> {
    const SESSION: libc::c_long = -3;
    let kind = c"user".as_ptr();
    let (data, length) = (payload.as_ptr(), payload.len());
    // SAFETY: both strings end in NUL, and payload and length are those of one slice.
    check(unsafe { libc::syscall(libc::SYS_add_key, kind, name.as_ptr(), data, length, SESSION) })
}

/// `userfaultfd(UFFD_USER_MODE_ONLY | O_CLOEXEC)` (`userfaultfd(2)`), before Linux 5.11 without the first flag.
///
/// # Errors
/// `ENOSYS` where the kernel has none.
pub fn userfaultfd() -> Result<OwnedFd> {
    const USER_MODE_ONLY: libc::c_int = 1;
    // SAFETY: takes no pointer, and gives a new descriptor.
    match new_fd(unsafe { libc::syscall(libc::SYS_userfaultfd, USER_MODE_ONLY | libc::O_CLOEXEC) }) {
        // SAFETY: as above.
        Err(Errno::EINVAL) => new_fd(unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) }),
        other => other,
    }
}

/// `io_uring_setup(1, …)`: a ring (`io_uring_setup(2)`, Linux 5.1).
///
/// # Errors
/// `ENOSYS` where the kernel has none, `EPERM` where `kernel.io_uring_disabled` says so.
pub fn io_uring() -> Result<OwnedFd> {
    // `struct io_uring_params` has 120 bytes; zero asks for nothing special.
    let mut parameters = [0u64; 15];
    // SAFETY: the kernel reads and fills 120 bytes, which there are.
    new_fd(unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) })
}

/// `ioctl(terminal, TIOCSTI, byte)`: as if the byte had been typed (`ioctl_tty(2)`), with bits above the
/// request's 32.
///
/// # Errors
/// `EIO` where `dev.tty.legacy_tiocsti` is off (Linux 6.2), `EPERM` when it is not the controlling terminal.
pub fn type_into(terminal: BorrowedFd<'_>, byte: u8, above: u32) -> Result<()> {
    use std::os::fd::AsRawFd;
    const TIOCSTI: u64 = 0x5412;
    let request = TIOCSTI | (u64::from(above) << 32);
    // SAFETY: the kernel looks at the lower 32 bits of the request and reads one byte, which is valid.
    check(unsafe { libc::syscall(libc::SYS_ioctl, terminal.as_raw_fd(), request, &raw const byte) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Errno;

    #[test]
    fn a_native_call_gives_what_the_kernel_gives() {
        let pid = with_ones(Abi::Native, u32::try_from(libc::SYS_getpid).unwrap()).unwrap();
        assert_eq!(u32::try_from(pid), Ok(std::process::id()));
        let closed = with_ones(Abi::Native, u32::try_from(libc::SYS_close).unwrap()).unwrap();
        assert_eq!(closed, -i64::from(Errno::EBADF as i32));
        assert_eq!(with_ones(Abi::Native, u32::try_from(libc::SYS_exit).unwrap()), None);
    }

    #[test]
    fn plain_calls_reach_the_kernel() {
        let dup = u32::try_from(libc::SYS_dup).unwrap();
        assert_eq!(plain(Abi::Native, Plain::Dup, dup, [u64::MAX, 0, 0]), -i64::from(Errno::EBADF as i32));
        let ioctl = u32::try_from(libc::SYS_ioctl).unwrap();
        assert_eq!(
            plain(Abi::Native, Plain::Ioctl, ioctl, [u64::MAX, 0, 0]),
            -i64::from(Errno::EBADF as i32)
        );
    }
}
