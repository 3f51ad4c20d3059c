//! The execution domain of a process (`personality(2)`).

use crate::call::check_int;
use crate::{Errno, Result};

/// `PER_LINUX`: as every program begins.
pub const LINUX: u32 = 0;
/// `PER_LINUX32`: a kernel that says it is one of 32 bits.
pub const LINUX32: u32 = 8;
/// `ADDR_NO_RANDOMIZE`: the same addresses in every run. Weakens the process.
pub const NO_RANDOMIZE: u32 = 0x0004_0000;

/// The number that asks and changes nothing.
const ASK: u32 = u32::MAX;

/// `int personality(unsigned long persona)`: sets it for the calling thread; execve(2) of a set-id program clears
/// its dangerous bits.
///
/// # Errors
/// `EINVAL` for the number that only asks.
pub fn set(persona: u32) -> Result<()> {
    if persona == ASK {
        return Err(Errno::EINVAL);
    }
    // SAFETY: takes no pointer.
    check_int(unsafe { libc::personality(persona.into()) }).map(drop)
}

/// `int personality(0xffffffff)`: the calling thread's (`personality(2)`).
///
/// # Errors
/// `EPERM` where a seccomp filter refuses the question.
pub fn get() -> Result<u32> {
    // SAFETY: takes no pointer, and this number changes nothing.
    check_int(unsafe { libc::personality(ASK.into()) }).map(i32::cast_unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_its_own() {
        let own = std::thread::spawn(|| set(LINUX32).and_then(|()| get())).join().unwrap();
        // A filter, as in many containers.
        if own == Err(Errno::EPERM) {
            return;
        }
        assert_eq!(own, Ok(LINUX32));
        assert_eq!(get().unwrap() & LINUX32, 0);
        assert_eq!(set(ASK), Err(Errno::EINVAL));
    }
}
