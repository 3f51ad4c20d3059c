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

/// `prctl(PR_CAPBSET_READ, cap)`: whether the bounding set holds a capability.
///
/// # Errors
/// `EINVAL` for a number that the kernel does not know.
pub fn bounding_has(cap: u8) -> Result<bool> {
    Ok(prctl_value(libc::PR_CAPBSET_READ, cap.into(), 0)? == 1)
}

/// `prctl(PR_CAPBSET_DROP, cap)`.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`, `EINVAL` for a number that the kernel does not know.
pub fn bounding_drop(cap: u8) -> Result<()> {
    prctl(libc::PR_CAPBSET_DROP, cap.into(), 0)
}

/// `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap)`.
///
/// # Errors
/// `EINVAL` for a number that the kernel does not know.
pub fn ambient_has(cap: u8) -> Result<bool> {
    let is_set = libc::PR_CAP_AMBIENT_IS_SET.unsigned_abs();
    Ok(prctl_value(libc::PR_CAP_AMBIENT, is_set.into(), cap.into())? == 1)
}

/// `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap)`.
///
/// # Errors
/// `EPERM` unless the capability is permitted and inheritable.
pub fn ambient_raise(cap: u8) -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE.unsigned_abs().into(), cap.into())
}

/// `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)`.
///
/// # Errors
/// None in practice.
pub fn ambient_clear() -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL.unsigned_abs().into(), 0)
}

/// `prctl(PR_SET_KEEPCAPS, 1 or 0)`: whether permitted capabilities survive a change from uid 0.
///
/// # Errors
/// `EPERM` when the secure bits lock it.
pub fn set_keepcaps(keep: bool) -> Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, keep.into(), 0)
}

/// `prctl(PR_SET_SECUREBITS, bits)`.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP` or for a locked bit.
pub fn set_securebits(bits: u32) -> Result<()> {
    prctl(libc::PR_SET_SECUREBITS, bits.into(), 0)
}

/// `prctl(PR_GET_SECUREBITS)`.
///
/// # Errors
/// None in practice.
pub fn securebits() -> Result<u32> {
    Ok(prctl_value(libc::PR_GET_SECUREBITS, 0, 0)?.unsigned_abs())
}

/// `setgroups(2)` of the calling thread.
///
/// The raw call: libc's would change every thread, and allocate and lock for it.
///
/// # Errors
/// `EPERM` without `CAP_SETGID` or where the user namespace denies it, `EINVAL` for an unmapped group.
pub(crate) fn setgroups(groups: &[u32]) -> Result<()> {
    // SAFETY: pointer and length are those of one slice.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// `setresgid(gid, gid, gid)` of the calling thread.
pub(crate) fn setgid(gid: u32) -> Result<()> {
    refuse_overflow(gid)?;
    // SAFETY: takes no pointer.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// `setresuid(uid, uid, uid)` of the calling thread.
pub(crate) fn setuid(uid: u32) -> Result<()> {
    refuse_overflow(uid)?;
    // SAFETY: takes no pointer.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
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
    fn minus_one_is_no_id() {
        assert_eq!(setuid(u32::MAX).unwrap_err(), Errno::EINVAL);
        assert_eq!(setgid(u32::MAX).unwrap_err(), Errno::EINVAL);
    }
}
