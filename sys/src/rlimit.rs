//! Resource limits (`getrlimit(2)`).

use crate::call::check;
use crate::{Errno, Result};

/// A soft and a hard limit; `u64::MAX` is `RLIM_INFINITY`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// The limit that is enforced.
    pub soft: u64,
    /// The ceiling of the soft limit.
    pub hard: u64,
}

/// The number of a resource by its name in `getrlimit(2)`, such as `RLIMIT_NOFILE`.
pub fn by_name(name: &str) -> Option<u32> {
    let number = match name {
        "RLIMIT_AS" => libc::RLIMIT_AS,
        "RLIMIT_CORE" => libc::RLIMIT_CORE,
        "RLIMIT_CPU" => libc::RLIMIT_CPU,
        "RLIMIT_DATA" => libc::RLIMIT_DATA,
        "RLIMIT_FSIZE" => libc::RLIMIT_FSIZE,
        "RLIMIT_LOCKS" => libc::RLIMIT_LOCKS,
        "RLIMIT_MEMLOCK" => libc::RLIMIT_MEMLOCK,
        "RLIMIT_MSGQUEUE" => libc::RLIMIT_MSGQUEUE,
        "RLIMIT_NICE" => libc::RLIMIT_NICE,
        "RLIMIT_NOFILE" => libc::RLIMIT_NOFILE,
        "RLIMIT_NPROC" => libc::RLIMIT_NPROC,
        "RLIMIT_RSS" => libc::RLIMIT_RSS,
        "RLIMIT_RTPRIO" => libc::RLIMIT_RTPRIO,
        "RLIMIT_RTTIME" => libc::RLIMIT_RTTIME,
        "RLIMIT_SIGPENDING" => libc::RLIMIT_SIGPENDING,
        "RLIMIT_STACK" => libc::RLIMIT_STACK,
        _ => return None,
    };
    Some(number)
}

/// `prlimit64(pid, resource, limit, NULL)` (`prlimit(2)`); pid 0 is the caller.
///
/// # Errors
/// `EPERM` for a hard limit above the current one without `CAP_SYS_RESOURCE`, `EINVAL` for a soft limit
/// above the hard one.
pub fn set(pid: i32, resource: u32, limit: Rlimit) -> Result<()> {
    let none = std::ptr::null_mut::<Rlimit>();
    // SAFETY: the structure has the kernel's shape of two 64-bit words and is valid for the call.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, &raw const limit, none) }).map(drop)
}

/// `prlimit64(pid, resource, NULL, &limit)` (`prlimit(2)`); pid 0 is the caller.
///
/// # Errors
/// `ESRCH` when there is no such process.
pub fn get(pid: i32, resource: u32) -> Result<Rlimit> {
    let mut limit = Rlimit { soft: 0, hard: 0 };
    let none = std::ptr::null::<Rlimit>();
    // SAFETY: the kernel fills the structure, which has its shape.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, none, &raw mut limit) })?;
    if limit.soft > limit.hard { Err(Errno::EINVAL) } else { Ok(limit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_what_it_reads() {
        let resource = by_name("RLIMIT_CORE").unwrap();
        let limit = get(0, resource).unwrap();
        set(0, resource, limit).unwrap();
        assert_eq!(get(0, resource).unwrap(), limit);
        assert_eq!(set(0, resource, Rlimit { soft: 2, hard: 1 }).unwrap_err(), Errno::EINVAL);
    }

    #[test]
    fn names_are_those_of_the_manual() {
        assert_eq!(by_name("RLIMIT_NOFILE"), Some(libc::RLIMIT_NOFILE));
        assert_eq!(by_name("NOFILE"), None);
    }
}
