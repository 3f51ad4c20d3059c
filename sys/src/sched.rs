//! How a thread is scheduled: policy and priority, processors, I/O priority, core scheduling (`sched(7)`).

use crate::call::{check, check_int};
use crate::{Errno, Result};

/// What `sched_setattr(2)` sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes {
    /// `SCHED_OTHER` (0), `SCHED_FIFO` (1), `SCHED_RR` (2), `SCHED_BATCH` (3), `SCHED_IDLE` (5), `SCHED_DEADLINE` (6).
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// Nice value, -20 to 19, for `SCHED_OTHER` and `SCHED_BATCH`.
    pub nice: i32,
    /// Static priority, 1 to 99, for `SCHED_FIFO` and `SCHED_RR`; 0 otherwise.
    pub priority: u32,
    /// Nanoseconds a period, for `SCHED_DEADLINE`.
    pub runtime: u64,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    pub deadline: u64,
    /// Nanoseconds, for `SCHED_DEADLINE`; 0 is the deadline.
    pub period: u64,
    /// Least utilization, 0 to 1024, with `SCHED_FLAG_UTIL_CLAMP_MIN`.
    pub util_min: u32,
    /// Greatest utilization, 0 to 1024, with `SCHED_FLAG_UTIL_CLAMP_MAX`.
    pub util_max: u32,
}

/// The kernel's `struct sched_attr`, as of Linux 5.3 (`SCHED_ATTR_SIZE_VER1`).
#[repr(C)]
#[derive(Default)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
    util_min: u32,
    util_max: u32,
}

/// The size of [`SchedAttr`] as its own field has it.
const SIZE: u32 = 56;

/// The number of a policy by its name in `sched(7)`, such as `SCHED_BATCH`.
pub fn policy_by_name(name: &str) -> Option<u32> {
    let number = match name {
        "SCHED_OTHER" => 0,
        "SCHED_FIFO" => 1,
        "SCHED_RR" => 2,
        "SCHED_BATCH" => 3,
        "SCHED_IDLE" => 5,
        "SCHED_DEADLINE" => 6,
        _ => return None,
    };
    Some(number)
}

/// `int sched_setattr(pid_t tid, struct sched_attr *, 0)` (`sched_setattr(2)`, Linux 3.14); tid 0 is the caller.
///
/// # Errors
/// `EPERM` for more than the caller has without `CAP_SYS_NICE`, `EINVAL` for a policy or a value that does not
/// fit it, `EBUSY` when the deadlines of all threads would not fit, `E2BIG` before Linux 5.3.
pub fn set(tid: i32, attributes: &Attributes) -> Result<()> {
    let Attributes { policy, flags, nice, priority, runtime, deadline, period, util_min, util_max } =
        *attributes;
    let attr = SchedAttr {
        size: SIZE,
        policy,
        flags,
        nice,
        priority,
        runtime,
        deadline,
        period,
        util_min,
        util_max,
    };
    // SAFETY: the structure is valid for the call and says its own size.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, tid, &raw const attr, 0) }).map(drop)
}

/// `int sched_getattr(pid_t tid, struct sched_attr *, unsigned size, 0)` (`sched_setattr(2)`); tid 0 is the caller.
///
/// # Errors
/// `ESRCH` when there is no such thread.
pub fn get(tid: i32) -> Result<Attributes> {
    let mut attr = SchedAttr::default();
    // SAFETY: the kernel writes at most the size that is given, which is the structure's.
    check(unsafe { libc::syscall(libc::SYS_sched_getattr, tid, &raw mut attr, SIZE, 0) })?;
    let SchedAttr { policy, flags, nice, priority, runtime, deadline, period, util_min, util_max, .. } = attr;
    Ok(Attributes { policy, flags, nice, priority, runtime, deadline, period, util_min, util_max })
}

/// `int sched_setaffinity(pid_t tid, size_t length, unsigned long *mask)` (`sched_setaffinity(2)`); tid 0 is the caller.
///
/// Bit N of the words, lowest first, is processor N.
///
/// # Errors
/// `EINVAL` when no processor is left that is online and in the thread's cpuset, `EPERM` for another user's
/// thread without `CAP_SYS_NICE`.
pub fn set_affinity(tid: i32, mask: &[u64]) -> Result<()> {
    // SAFETY: pointer and length in bytes are those of one slice.
    check(unsafe { libc::syscall(libc::SYS_sched_setaffinity, tid, size_of_val(mask), mask.as_ptr()) })
        .map(drop)
}

/// `int sched_getaffinity(pid_t tid, size_t length, unsigned long *mask)` (`sched_setaffinity(2)`); tid 0 is the caller.
///
/// # Errors
/// `ESRCH` when there is no such thread, `EINVAL` for a kernel of more than 8192 processors.
pub fn affinity(tid: i32) -> Result<Vec<u64>> {
    let mut mask = vec![0u64; 128];
    let room = size_of_val(mask.as_slice());
    // SAFETY: pointer and length in bytes are those of one vector that we may write.
    let bytes = check(unsafe { libc::syscall(libc::SYS_sched_getaffinity, tid, room, mask.as_mut_ptr()) })?;
    mask.truncate(usize::try_from(bytes).map_err(|_| Errno::EINVAL)?.div_ceil(size_of::<u64>()));
    Ok(mask)
}

/// `IOPRIO_CLASS_*` of `ioprio_set(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoClass {
    /// None of its own: it follows the nice value.
    None = 0,
    /// First of all; needs `CAP_SYS_ADMIN` or `CAP_SYS_NICE`.
    RealTime = 1,
    /// As most are.
    BestEffort = 2,
    /// When nobody else asks.
    Idle = 3,
}

/// `int ioprio_set(IOPRIO_WHO_PROCESS, tid, class << 13 | level)` (`ioprio_set(2)`); tid 0 is the caller.
///
/// `level` is 0, the highest, to 7.
///
/// # Errors
/// `EPERM` for [`IoClass::RealTime`] without `CAP_SYS_ADMIN` or (Linux 5.14) `CAP_SYS_NICE`, `EINVAL` for a
/// level above 7 or beside [`IoClass::None`].
pub fn set_io_priority(tid: i32, class: IoClass, level: u8) -> Result<()> {
    if level > 7 {
        return Err(Errno::EINVAL);
    }
    let priority = (class as u32) << 13 | u32::from(level);
    // SAFETY: takes no pointer.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, tid, priority) }).map(drop)
}

/// `int ioprio_get(IOPRIO_WHO_PROCESS, tid)` (`ioprio_set(2)`): the class's number and the level; tid 0 is the caller.
///
/// A thread that never set one is shown as best effort by newer kernels.
///
/// # Errors
/// `ESRCH` when there is no such thread.
pub fn io_priority(tid: i32) -> Result<(u8, u8)> {
    // SAFETY: takes no pointer.
    let value = check(unsafe { libc::syscall(libc::SYS_ioprio_get, WHO_PROCESS, tid) })?;
    let part = |value: libc::c_long| u8::try_from(value & 7).map_err(|_| Errno::EINVAL);
    Ok((part(value >> 13)?, part(value)?))
}

const WHO_PROCESS: libc::c_int = 1;

/// `prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, PIDTYPE_TGID, 0)`: the caller's process shares a core's threads
/// with nobody else (`prctl(2)`, Linux 5.14). Its children are in the same group.
///
/// # Errors
/// `EINVAL` where the kernel has no core scheduling, `ENODEV` where no core has several threads.
pub fn own_core() -> Result<()> {
    const SCHED_CORE: libc::c_int = 62;
    const CREATE: libc::c_ulong = 1;
    const PROCESS: libc::c_ulong = 1;
    let zero: libc::c_ulong = 0;
    // SAFETY: this command takes integers only.
    check_int(unsafe { libc::prctl(SCHED_CORE, CREATE, zero, PROCESS, zero) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_has_the_kernels_size() {
        assert_eq!(size_of::<SchedAttr>(), usize::try_from(SIZE).unwrap());
    }

    #[test]
    fn a_thread_becomes_nicer() {
        let changed = std::thread::spawn(|| {
            let before = get(0).unwrap();
            let wanted = Attributes { policy: policy_by_name("SCHED_BATCH").unwrap(), nice: 19, ..before };
            set(0, &wanted).unwrap();
            set_io_priority(0, IoClass::Idle, 0).unwrap();
            (get(0).unwrap(), io_priority(0).unwrap())
        });
        let (attributes, io) = changed.join().unwrap();
        assert_eq!((attributes.policy, attributes.nice, io.0), (3, 19, 3));
        assert_eq!(set(0, &Attributes { policy: 99, ..Attributes::default() }), Err(Errno::EINVAL));
        assert_eq!(set_io_priority(0, IoClass::BestEffort, 8), Err(Errno::EINVAL));
        assert_eq!(policy_by_name("BATCH"), None);
    }

    #[test]
    fn a_thread_stays_where_it_is_put() {
        let mask = affinity(0).unwrap();
        assert!(mask.iter().any(|word| *word != 0));
        set_affinity(0, &mask).unwrap();
        assert_eq!(affinity(0).unwrap(), mask);
        assert_eq!(set_affinity(0, &[0]), Err(Errno::EINVAL));
    }
}
