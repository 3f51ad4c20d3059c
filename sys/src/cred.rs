//! Credentials: ids, the capability sets, secure bits (`credentials(7)`, `capabilities(7)`).

use crate::call::check;
use crate::process::{prctl, prctl_value};
use crate::{Errno, Result};

/// The three capability sets of a thread that `capset(2)` takes, bit N for capability N.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapSets {
    /// Effective.
    pub effective: u64,
    /// Permitted.
    pub permitted: u64,
    /// Inheritable.
    pub inheritable: u64,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`: two words a set.
const VERSION: u32 = 0x2008_0522;

/// `capget(2)` of a thread; 0 is the caller.
///
/// # Errors
/// `ESRCH` when there is no such thread.
pub fn capget(tid: i32) -> Result<CapSets> {
    let mut header = Header { version: VERSION, pid: tid };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 makes the kernel write two structures, which is what the array holds.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) })?;
    let [low, high] = data;
    let join = |low: u32, high: u32| u64::from(low) | (u64::from(high) << 32);
    Ok(CapSets {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// `capset(2)` of the calling thread.
///
/// # Errors
/// `EPERM` for a set that the rules of `capabilities(7)` do not allow.
pub fn capset(sets: CapSets) -> Result<()> {
    let mut header = Header { version: VERSION, pid: 0 };
    let low = |bits: u64| u32::try_from(bits & 0xffff_ffff).unwrap_or(0);
    let high = |bits: u64| u32::try_from(bits >> 32).unwrap_or(0);
    let part = |half: &dyn Fn(u64) -> u32| Data {
        effective: half(sets.effective),
        permitted: half(sets.permitted),
        inheritable: half(sets.inheritable),
    };
    let data = [part(&low), part(&high)];
    // SAFETY: version 3 makes the kernel read two structures, which is what the array holds.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) }).map(drop)
}

/// `prctl(PR_CAPBSET_READ, cap)`: whether the bounding set holds a capability (`prctl(2)`).
///
/// # Errors
/// `EINVAL` for a number that the kernel does not know.
pub fn bounding_has(cap: u8) -> Result<bool> {
    Ok(prctl_value(libc::PR_CAPBSET_READ, cap.into(), 0)? == 1)
}

/// `prctl(PR_CAPBSET_DROP, cap)` (`prctl(2)`).
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`, `EINVAL` for a number that the kernel does not know.
pub fn bounding_drop(cap: u8) -> Result<()> {
    prctl(libc::PR_CAPBSET_DROP, cap.into(), 0)
}

/// `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap)` (`prctl(2)`, Linux 4.3).
///
/// # Errors
/// `EINVAL` for a number that the kernel does not know.
pub fn ambient_has(cap: u8) -> Result<bool> {
    let is_set = libc::PR_CAP_AMBIENT_IS_SET.unsigned_abs();
    Ok(prctl_value(libc::PR_CAP_AMBIENT, is_set.into(), cap.into())? == 1)
}

/// `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap)` (`prctl(2)`, Linux 4.3).
///
/// # Errors
/// `EPERM` unless the capability is permitted and inheritable.
pub fn ambient_raise(cap: u8) -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE.unsigned_abs().into(), cap.into())
}

/// `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, cap)` (`prctl(2)`, Linux 4.3).
///
/// # Errors
/// `EINVAL` for a number that the kernel does not know.
pub fn ambient_lower(cap: u8) -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_LOWER.unsigned_abs().into(), cap.into())
}

/// `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)` (`prctl(2)`, Linux 4.3).
///
/// # Errors
/// None in practice.
pub fn ambient_clear() -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL.unsigned_abs().into(), 0)
}

/// `prctl(PR_SET_KEEPCAPS, 1 or 0)`: whether permitted capabilities survive a change from uid 0 (`prctl(2)`).
///
/// # Errors
/// `EPERM` when the secure bits lock it.
pub fn set_keepcaps(keep: bool) -> Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, keep.into(), 0)
}

/// `prctl(PR_SET_SECUREBITS, bits)`, each bit as [`securebits`] gives it (`prctl(2)`).
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`, for a locked bit, and for one that the kernel does not know.
pub fn set_securebits(bits: u32) -> Result<()> {
    prctl(libc::PR_SET_SECUREBITS, bits.into(), 0)
}

/// `prctl(PR_GET_SECUREBITS)` (`prctl(2)`).
///
/// # Errors
/// None in practice.
pub fn securebits() -> Result<u32> {
    Ok(prctl_value(libc::PR_GET_SECUREBITS, 0, 0)?.unsigned_abs())
}

/// A thread's user or group ids, in the order of `/proc/PID/status` (`credentials(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quad {
    /// Who owns the process.
    pub real: u32,
    /// Whose rights count.
    pub effective: u32,
    /// What may become effective again.
    pub saved: u32,
    /// Whose rights count for files.
    pub filesystem: u32,
}

impl Quad {
    /// The same id four times.
    pub const fn all(id: u32) -> Self {
        Self { real: id, effective: id, saved: id, filesystem: id }
    }
}

/// `getresuid(2)` and `setfsuid(-1)`: the calling thread's user ids.
///
/// # Errors
/// None in practice.
pub fn uids() -> Result<Quad> {
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // SAFETY: the kernel writes one id to each of the three addresses, which are valid.
    check(unsafe { libc::syscall(libc::SYS_getresuid, &raw mut real, &raw mut effective, &raw mut saved) })?;
    Ok(Quad { real, effective, saved, filesystem: setfsuid(u32::MAX) })
}

/// `getresgid(2)` and `setfsgid(-1)`: the calling thread's group ids.
///
/// # Errors
/// None in practice.
pub fn gids() -> Result<Quad> {
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // SAFETY: the kernel writes one id to each of the three addresses, which are valid.
    check(unsafe { libc::syscall(libc::SYS_getresgid, &raw mut real, &raw mut effective, &raw mut saved) })?;
    Ok(Quad { real, effective, saved, filesystem: setfsgid(u32::MAX) })
}

/// `getgroups(2)`: the calling thread's supplementary groups.
///
/// # Errors
/// None in practice: no other thread can change this one's.
pub fn groups() -> Result<Vec<u32>> {
    let none = std::ptr::null_mut::<u32>();
    // SAFETY: with size 0 nothing is written.
    let count = check(unsafe { libc::syscall(libc::SYS_getgroups, 0, none) })?;
    let mut groups = vec![0u32; usize::try_from(count).map_err(|_| Errno::EINVAL)?];
    // SAFETY: pointer and length are those of one vector that we may write.
    let count = check(unsafe { libc::syscall(libc::SYS_getgroups, groups.len(), groups.as_mut_ptr()) })?;
    groups.truncate(usize::try_from(count).map_err(|_| Errno::EINVAL)?);
    Ok(groups)
}

/// `setresuid(2)` of the calling thread alone; `None` leaves an id as it is.
///
/// The raw call: libc's would change every thread, and allocate and lock for it. A process whose threads
/// have different ids is not safe from its own weaker threads: meant for a thread that ends or executes.
///
/// # Errors
/// `EPERM` for an id that is none of the three that the thread has, without `CAP_SETUID`; `EINVAL` for one
/// that the user namespace does not map, or for `Some(u32::MAX)`, which would mean "leave it".
pub fn setresuid(real: Option<u32>, effective: Option<u32>, saved: Option<u32>) -> Result<()> {
    let [real, effective, saved] = [id_or_leave(real)?, id_or_leave(effective)?, id_or_leave(saved)?];
    // SAFETY: takes no pointer.
    check(unsafe { libc::syscall(libc::SYS_setresuid, real, effective, saved) }).map(drop)
}

/// `setresgid(2)` of the calling thread alone; `None` leaves an id as it is.
///
/// # Errors
/// As [`setresuid`], with `CAP_SETGID`.
pub fn setresgid(real: Option<u32>, effective: Option<u32>, saved: Option<u32>) -> Result<()> {
    let [real, effective, saved] = [id_or_leave(real)?, id_or_leave(effective)?, id_or_leave(saved)?];
    // SAFETY: takes no pointer.
    check(unsafe { libc::syscall(libc::SYS_setresgid, real, effective, saved) }).map(drop)
}

/// `setfsuid(2)` of the calling thread; gives the one before, and no error: ask again to see whether it took.
pub fn setfsuid(uid: u32) -> u32 {
    // SAFETY: takes no pointer.
    let before = unsafe { libc::syscall(libc::SYS_setfsuid, uid) };
    u32::try_from(before & 0xffff_ffff).unwrap_or(u32::MAX)
}

/// `setfsgid(2)` of the calling thread; gives the one before, and no error: ask again to see whether it took.
pub fn setfsgid(gid: u32) -> u32 {
    // SAFETY: takes no pointer.
    let before = unsafe { libc::syscall(libc::SYS_setfsgid, gid) };
    u32::try_from(before & 0xffff_ffff).unwrap_or(u32::MAX)
}

/// The kernel's "leave it" for `None`, and never for an id that was asked for.
fn id_or_leave(id: Option<u32>) -> Result<u32> {
    let Some(id) = id else { return Ok(u32::MAX) };
    refuse_overflow(id).map(|()| id)
}

/// `setgroups(2)` of the calling thread alone.
///
/// The raw call: libc's would change every thread, and allocate and lock for it.
///
/// # Errors
/// `EPERM` without `CAP_SETGID` or where the user namespace denies it, `EINVAL` for an unmapped group.
pub fn setgroups(groups: &[u32]) -> Result<()> {
    // SAFETY: pointer and length are those of one slice.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// `setresgid(gid, gid, gid)` of the calling thread.
pub(crate) fn setgid(gid: u32) -> Result<()> {
    setresgid(Some(gid), Some(gid), Some(gid))
}

/// `setresuid(uid, uid, uid)` of the calling thread.
pub(crate) fn setuid(uid: u32) -> Result<()> {
    setresuid(Some(uid), Some(uid), Some(uid))
}

/// -1 means "leave it", which would keep root where an id was asked for.
fn refuse_overflow(id: u32) -> Result<()> {
    if id == u32::MAX { Err(Errno::EINVAL) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_proc_says() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        };
        let sets = capget(0).unwrap();
        assert_eq!(sets.effective, field("CapEff:"));
        assert_eq!(sets.permitted, field("CapPrm:"));
        assert_eq!(sets.inheritable, field("CapInh:"));
        assert_eq!(bounding_has(0).unwrap(), field("CapBnd:") & 1 == 1);
        assert_eq!(ambient_has(0).unwrap(), field("CapAmb:") & 1 == 1);
    }

    #[test]
    fn setting_what_is_set_changes_nothing() {
        let sets = capget(0).unwrap();
        capset(sets).unwrap();
        assert_eq!(capget(0).unwrap(), sets);
    }

    #[test]
    fn ids_are_those_of_proc() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<u32>>()
        };
        let listed = |quad: Quad| vec![quad.real, quad.effective, quad.saved, quad.filesystem];
        assert_eq!(listed(uids().unwrap()), field("Uid:"));
        assert_eq!(listed(gids().unwrap()), field("Gid:"));
        assert_eq!(groups().unwrap(), field("Groups:"));
        setresuid(None, None, None).unwrap();
        setresgid(None, None, None).unwrap();
        assert_eq!(listed(uids().unwrap()), field("Uid:"));
    }

    #[test]
    fn minus_one_is_no_id() {
        assert_eq!(setresuid(None, Some(u32::MAX), None).unwrap_err(), Errno::EINVAL);
        assert_eq!(setresgid(None, Some(u32::MAX), None).unwrap_err(), Errno::EINVAL);
        assert_eq!(setuid(u32::MAX).unwrap_err(), Errno::EINVAL);
        assert_eq!(setgid(u32::MAX).unwrap_err(), Errno::EINVAL);
    }
}
