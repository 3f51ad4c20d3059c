//! `seccomp(2)`: installing a filter, and the supervisor's side of `seccomp_unotify(2)`.

use std::fmt;
use std::ops::Deref;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use crate::call::{check, check_int};
use crate::{Errno, Result};

/// One instruction of classic BPF: the kernel's `struct sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How many instructions to leave out when a comparison holds.
    pub jump_true: u8,
    /// How many instructions to leave out when it does not.
    pub jump_false: u8,
    /// Operand.
    pub operand: u32,
}

/// A filter's instructions, cheap to copy.
#[derive(Clone, PartialEq, Eq)]
pub struct Program(Arc<[Instruction]>);

impl<T: Into<Arc<[Instruction]>>> From<T> for Program {
    fn from(instructions: T) -> Self {
        Self(instructions.into())
    }
}

impl Deref for Program {
    type Target = [Instruction];

    fn deref(&self) -> &[Instruction] {
        &self.0
    }
}

impl fmt::Debug for Program {
    /// How long it is: nobody wants to see more in the middle of a plan or an error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} instructions", self.0.len())
    }
}

/// The most instructions that the kernel takes in one filter (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

bitflags::bitflags! {
    /// `SECCOMP_FILTER_FLAG_*`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct FilterFlags: u32 {
        /// All threads of the process get the filter, or none does (Linux 3.17).
        const TSYNC = 1;
        /// What is not allowed is logged, as `/proc/sys/kernel/seccomp/actions_logged` says (Linux 4.14).
        const LOG = 2;
        /// Speculative store bypass is not mitigated (Linux 4.17).
        const SPEC_ALLOW = 4;
        /// The call gives a descriptor for a supervisor (Linux 5.0).
        const NEW_LISTENER = 8;
        /// With [`Self::TSYNC`]: `ESRCH` instead of a thread's number (Linux 5.7).
        const TSYNC_ESRCH = 16;
        /// A thread whose notification was received waits so that only a fatal signal ends it (Linux 5.19).
        const WAIT_KILLABLE_RECV = 32;
    }
}

const SET_MODE_FILTER: libc::c_int = 1;
const GET_NOTIF_SIZES: libc::c_int = 3;

/// The kernel's `struct sock_fprog`.
#[repr(C)]
struct FilterProgram {
    length: u16,
    instructions: *const Instruction,
}

/// `seccomp(SECCOMP_SET_MODE_FILTER, …)`: adds a filter to the calling thread, for good.
///
/// [`FilterFlags::NEW_LISTENER`] is refused here; see [`set_filter_with_listener`].
///
/// # Errors
/// `EACCES` without `no_new_privs` and without `CAP_SYS_ADMIN` in the caller's user namespace; `EINVAL` for a
/// program or a flag that the kernel does not take; `ENOMEM` when all filters of the thread together are too
/// long; `ESRCH` when a thread could not be given the filter ([`FilterFlags::TSYNC`]).
pub fn set_filter(program: &[Instruction], flags: FilterFlags) -> Result<()> {
    if flags.contains(FilterFlags::NEW_LISTENER) {
        return Err(Errno::EINVAL);
    }
    match install(program, flags)? {
        0 => Ok(()),
        // TSYNC without TSYNC_ESRCH: the number of a thread that has filters of its own.
        _ => Err(Errno::ESRCH),
    }
}

/// The same with [`FilterFlags::NEW_LISTENER`]: gives the supervisor's descriptor, which is close-on-exec.
///
/// # Errors
/// As [`set_filter`], and `EBUSY` when the thread has a filter with a listener already.
pub fn set_filter_with_listener(program: &[Instruction], flags: FilterFlags) -> Result<OwnedFd> {
    let mut flags = flags | FilterFlags::NEW_LISTENER;
    if flags.contains(FilterFlags::TSYNC) {
        // Otherwise a thread's number could not be told from a descriptor: the kernel refuses that.
        flags |= FilterFlags::TSYNC_ESRCH;
    }
    let raw = RawFd::try_from(install(program, flags)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: with NEW_LISTENER the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

fn install(program: &[Instruction], flags: FilterFlags) -> Result<libc::c_long> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
    let program = FilterProgram { length, instructions: program.as_ptr() };
    // SAFETY: the program's pointer and length are those of a slice that is borrowed for the call; the kernel
    // copies it. A filter restricts the thread's own system calls and touches no memory.
    check(unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags.bits(), &raw const program) })
}

/// Whether the running kernel takes these flags.
///
/// The kernel looks at the flags before it reads the program, so that none is installed.
///
/// # Errors
/// Anything but yes (`EFAULT`) and no (`EINVAL`), such as `ENOSYS` on a kernel without seccomp.
pub fn has_flags(flags: FilterFlags) -> Result<bool> {
    let none = std::ptr::null::<FilterProgram>();
    // SAFETY: the kernel checks the null pointer and gives EFAULT.
    match check(unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags.bits(), none) }) {
        Ok(_) => Err(Errno::EIO),
        Err(Errno::EFAULT) => Ok(true),
        Err(Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// What a filter sees of a call: the kernel's `struct seccomp_data`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallData {
    /// The number of the call.
    pub number: i32,
    /// `AUDIT_ARCH_*` of the way that the call was made.
    pub arch: u32,
    /// The address of the instruction.
    pub instruction_pointer: u64,
    /// The six arguments.
    pub arguments: [u64; 6],
}

/// The kernel's `struct seccomp_notif`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notification {
    /// Names the call in every answer.
    pub id: u64,
    /// The thread, as the supervisor's PID namespace numbers it; 0 when it is not in there.
    pub pid: u32,
    /// Unused so far.
    pub flags: u32,
    /// The call.
    pub data: CallData,
}

/// The kernel's `struct seccomp_notif_resp`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Response {
    /// The notification's.
    pub id: u64,
    /// What the call gives when `error` is 0.
    pub value: i64,
    /// A negative error number.
    pub error: i32,
    /// [`RESPONSE_CONTINUE`] or 0.
    pub flags: u32,
}

/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`: the kernel goes on with the call (Linux 5.5).
pub const RESPONSE_CONTINUE: u32 = 1;

/// The kernel's `struct seccomp_notif_addfd`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AddFd {
    /// The notification's.
    pub id: u64,
    /// [`ADDFD_SETFD`], [`ADDFD_SEND`] or 0.
    pub flags: u32,
    /// The supervisor's descriptor.
    pub source: u32,
    /// The number that it gets, with [`ADDFD_SETFD`].
    pub number: u32,
    /// `O_CLOEXEC` or 0.
    pub number_flags: u32,
}

/// `SECCOMP_ADDFD_FLAG_SETFD`: at a number of the supervisor's choice (Linux 5.9).
pub const ADDFD_SETFD: u32 = 1;
/// `SECCOMP_ADDFD_FLAG_SEND`: and answer the call with that number in one step (Linux 5.14).
pub const ADDFD_SEND: u32 = 2;

/// `_IOC(direction, '!', number, size)` of `linux/seccomp.h`.
const fn ioctl_number(direction: u32, number: u32, size: usize) -> libc::c_ulong {
    #[expect(clippy::cast_possible_truncation, reason = "the sizes of the structures above are below 100")]
    let size = size as u32;
    let number: u32 = (direction << 30) | (size << 16) | ((b'!' as u32) << 8) | number;
    number as libc::c_ulong
}

const WRITE: u32 = 1;
const READ_WRITE: u32 = 3;
const NOTIF_RECV: libc::c_ulong = ioctl_number(READ_WRITE, 0, size_of::<Notification>());
const NOTIF_SEND: libc::c_ulong = ioctl_number(READ_WRITE, 1, size_of::<Response>());
const NOTIF_ID_VALID: libc::c_ulong = ioctl_number(WRITE, 2, size_of::<u64>());
const NOTIF_ADDFD: libc::c_ulong = ioctl_number(WRITE, 3, size_of::<AddFd>());

/// Whether the kernel's structures are not longer than those above (`SECCOMP_GET_NOTIF_SIZES`, Linux 5.0).
///
/// # Errors
/// `EINVAL` before Linux 5.0.
pub fn structures_fit() -> Result<bool> {
    let mut sizes = [0u16; 3];
    // SAFETY: the kernel stores three 16-bit sizes, for which there is room.
    check(unsafe { libc::syscall(libc::SYS_seccomp, GET_NOTIF_SIZES, 0, sizes.as_mut_ptr()) })?;
    let [notification, response, data] = sizes.map(usize::from);
    Ok(notification <= size_of::<Notification>()
        && response <= size_of::<Response>()
        && data <= size_of::<CallData>())
}

/// `ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, …)`: waits for the next call.
///
/// # Errors
/// `ENOENT` when the thread was killed meanwhile or nobody has the filter any more, `EINTR` for a signal.
pub fn receive(listener: BorrowedFd<'_>) -> Result<Notification> {
    // The kernel wants it all zero.
    let mut notification = Notification::default();
    // SAFETY: the kernel fills a structure of the size that the request's number names.
    check_int(unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_RECV, &raw mut notification) })?;
    Ok(notification)
}

/// `ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, …)`: answers a call.
///
/// # Errors
/// `ENOENT` when the call is not waiting any more, `EINPROGRESS` when it was answered already.
pub fn respond(listener: BorrowedFd<'_>, response: Response) -> Result<()> {
    // SAFETY: the kernel reads a structure of the size that the request's number names.
    check_int(unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_SEND, &raw const response) }).map(drop)
}

/// `ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, …)`: whether a call still waits for its answer.
///
/// # Errors
/// Anything but yes and no.
pub fn id_valid(listener: BorrowedFd<'_>, id: u64) -> Result<bool> {
    // SAFETY: the kernel reads one 64-bit word.
    match check_int(unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_ID_VALID, &raw const id) }) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// `ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, …)`: puts a descriptor into the calling process (Linux 5.9).
///
/// Gives its number there.
///
/// # Errors
/// `ENOENT` when the call is not waiting any more, `EMFILE` at the process's limit, `EINVAL` for a flag that
/// the kernel does not know.
pub fn add_fd(listener: BorrowedFd<'_>, add: AddFd) -> Result<RawFd> {
    // SAFETY: the kernel reads a structure of the size that the request's number names.
    check_int(unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_ADDFD, &raw const add) })
}

/// Whether the kernel takes [`add_fd`], with [`ADDFD_SEND`] when `send` is set. Asked of any listener.
///
/// # Errors
/// Anything but yes and no.
pub fn has_add_fd(listener: BorrowedFd<'_>, send: bool) -> Result<bool> {
    let add = AddFd { flags: if send { ADDFD_SEND } else { 0 }, source: u32::MAX, ..AddFd::default() };
    match add_fd(listener, add) {
        // The flags are looked at first, then the descriptor.
        Err(Errno::EBADF) => Ok(true),
        Err(Errno::EINVAL | Errno::ENOTTY) => Ok(false),
        Err(errno) => Err(errno),
        Ok(_) => Err(Errno::EIO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_kernels_sizes() {
        assert_eq!(size_of::<Instruction>(), 8);
        assert_eq!(size_of::<Notification>(), 80);
        assert_eq!(size_of::<Response>(), 24);
        assert_eq!(size_of::<AddFd>(), 24);
        assert_eq!(structures_fit(), Ok(true));
        // As `strace` prints them.
        assert_eq!(
            [NOTIF_RECV, NOTIF_SEND, NOTIF_ID_VALID, NOTIF_ADDFD],
            [0xc050_2100, 0xc018_2101, 0x4008_2102, 0x4018_2103]
        );
    }

    #[test]
    fn flags_are_asked_for() {
        assert_eq!(has_flags(FilterFlags::LOG), Ok(true));
        assert_eq!(has_flags(FilterFlags::from_bits_retain(1 << 30)), Ok(false));
    }

    #[test]
    fn an_empty_program_is_refused() {
        assert_eq!(set_filter(&[], FilterFlags::empty()), Err(Errno::EINVAL));
        assert_eq!(set_filter(&[], FilterFlags::NEW_LISTENER), Err(Errno::EINVAL));
    }
}
