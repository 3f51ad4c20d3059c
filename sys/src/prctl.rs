//! What a process says of itself: name, inspection, orphans, memory that is both written and executed (`prctl(2)`).
//!
//! The setters that a plan has steps for are in [`crate::process`] and [`crate::cred`].

use std::ffi::CStr;

use crate::call::check_int;
use crate::process::{prctl, prctl_value};
use crate::{Errno, Result};

/// `prctl(PR_GET_DUMPABLE)`: 0 nobody may inspect the process, 1 its user may, 2 only root may (`prctl(2)`).
///
/// # Errors
/// None in practice.
pub fn dumpable() -> Result<i32> {
    prctl_value(libc::PR_GET_DUMPABLE, 0, 0)
}

/// `prctl(PR_GET_PDEATHSIG, &signal)`: the signal for when the thread that made the caller ends; 0 for none (`prctl(2)`).
///
/// # Errors
/// None in practice.
pub fn parent_death_signal() -> Result<i32> {
    let mut signal: libc::c_int = 0;
    // SAFETY: the kernel writes one int, whose address is valid.
    check_int(unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal) })?;
    Ok(signal)
}

/// `prctl(PR_GET_CHILD_SUBREAPER, &flag)`: whether orphans below the caller become its children (`prctl(2)`).
///
/// # Errors
/// None in practice.
pub fn child_subreaper() -> Result<bool> {
    let mut flag: libc::c_int = 0;
    // SAFETY: the kernel writes one int, whose address is valid.
    check_int(unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut flag) })?;
    Ok(flag != 0)
}

/// `prctl(PR_SET_NAME, name)`: the name of the calling thread in `/proc/TID/comm`; 15 bytes of it count (`prctl(2)`).
///
/// # Errors
/// None in practice.
pub fn set_name(name: &CStr) -> Result<()> {
    // SAFETY: the name is a valid C string, of which the kernel reads at most 16 bytes.
    check_int(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) }).map(drop)
}

/// `prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN)`: memory of the process is not made executable any more
/// (Linux 6.3); for good, and for its children. `execve(2)` begins anew.
///
/// # Errors
/// `EINVAL` before Linux 6.3.
pub fn refuse_exec_gain() -> Result<()> {
    prctl(SET_MDWE, REFUSE_EXEC_GAIN, 0)
}

/// `prctl(PR_GET_MDWE)`: whether [`refuse_exec_gain`] is in force (Linux 6.3).
///
/// # Errors
/// `EINVAL` before Linux 6.3.
pub fn refuses_exec_gain() -> Result<bool> {
    Ok(prctl_value(GET_MDWE, 0, 0)?.cast_unsigned() & 1 == 1)
}

/// Whether there is [`refuse_exec_gain`] (Linux 6.3).
///
/// # Errors
/// `EPERM` where a seccomp filter hides the answer.
pub fn has_mdwe() -> Result<bool> {
    match refuses_exec_gain() {
        Ok(_) => Ok(true),
        Err(Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

const SET_MDWE: libc::c_int = 65;
const GET_MDWE: libc::c_int = 66;
const REFUSE_EXEC_GAIN: libc::c_ulong = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gets_a_name() {
        let name = || {
            set_name(c"cofferdam-test-of-names").unwrap();
            std::fs::read_to_string("/proc/thread-self/comm").unwrap()
        };
        assert_eq!(std::thread::spawn(name).join().unwrap(), "cofferdam-test-\n");
    }

    #[test]
    fn questions_are_answered() {
        assert!((0..=2).contains(&dumpable().unwrap()));
        assert_eq!(parent_death_signal().unwrap(), 0);
        assert!(!child_subreaper().unwrap());
        assert_eq!(has_mdwe().unwrap(), refuses_exec_gain().is_ok());
    }
}
