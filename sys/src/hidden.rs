//! Calls that a thread cannot see any more, as inside a container whose filter is older than they are.
//!
//! Behind the feature `attempts`: a way to run fallbacks on a kernel that needs none.

use crate::call::check;
use crate::{Errno, Result, process};

/// `clone3(2)`, for [`hide`]; the same number on every architecture.
pub const CLONE3: u32 = 435;

/// Makes these calls give `ENOSYS` to the calling thread and to all that it starts; for good.
///
/// Sets `no_new_privs` too, as a filter without privilege needs it. Numbers are the native architecture's.
///
/// # Errors
/// `EINVAL` for more calls than fit into one jump, `ENOSYS` on a kernel without seccomp filters.
pub fn hide(calls: &[u32]) -> Result<()> {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    const SET_MODE_FILTER: u32 = 1;
    let line = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = vec![line(LOAD_NUMBER, 0, 0, 0)];
    for (number, call) in calls.iter().enumerate() {
        let left = calls.len().saturating_sub(number);
        program.push(line(JUMP_EQUAL, u8::try_from(left).map_err(|_| Errno::EINVAL)?, 0, *call));
    }
    program.push(line(RETURN, 0, 0, ALLOW));
    program.push(line(RETURN, 0, 0, ERRNO | (Errno::ENOSYS as i32).unsigned_abs()));
    let len = u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    process::set_no_new_privs()?;
    // SAFETY: the kernel copies the program, which is valid for the call.
    check(unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, 0, &raw const program) }).map(drop)
}

/// Whether this program runs without that call, under `examples/enosys`: tests that compare with and without
/// it have the one side only, and assert that.
pub fn by_the_runner(call: &str) -> bool {
    std::env::var("COFFERDAM_ENOSYS").is_ok_and(|calls| calls.split(',').any(|hidden| hidden == call))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facility;

    #[test]
    fn a_hidden_call_is_hidden_from_one_thread() {
        let before = Ok(!by_the_runner("clone3"));
        assert_eq!(facility::has_clone3(), before);
        assert_eq!(libc::c_long::from(CLONE3), libc::SYS_clone3);
        let inside = std::thread::spawn(|| {
            hide(&[CLONE3, 1_000_000]).unwrap();
            (facility::has_clone3(), facility::has_statmount())
        });
        assert_eq!(inside.join().unwrap(), (Ok(false), facility::has_statmount()));
        assert_eq!(facility::has_clone3(), before);
    }
}
