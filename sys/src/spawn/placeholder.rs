//! A process that does nothing but be there.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::{Child, SignalMask, pipe};
use crate::fork::{Call, Fork, Side, fork};
use crate::process::close_range;
use crate::{Errno, Result};

/// A child that holds a place for others, as in a control group which is removed when it is empty.
///
/// It has no descriptor of the caller's open, so that it keeps nothing else alive, and ends when this is dropped or
/// the caller dies.
#[derive(Debug)]
pub struct Placeholder {
    child: Option<Child>,
    /// Never written to. Its end is what the child waits for.
    _life: OwnedFd,
}

impl Placeholder {
    /// Makes the child (`clone3(2)`; `clone(2)` where that is `ENOSYS`). Its end raises no signal.
    ///
    /// # Errors
    /// `EAGAIN` at a limit of processes, `EMFILE` for want of descriptors.
    pub fn spawn() -> Result<Self> {
        match Self::attempt(Call::Clone3) {
            Err(Errno::ENOSYS) => Self::attempt(Call::Clone),
            other => other,
        }
    }

    fn attempt(call: Call) -> Result<Self> {
        let (wait, life) = pipe()?;
        // No handler of the caller may run in the child, whose memory is a copy.
        let mask = SignalMask::block_all()?;
        // SAFETY: the child runs `be_there` only, which is async-signal-safe and does not return.
        match unsafe { fork(call, &Fork::default()) } {
            Ok(Side::Child) => be_there(wait.as_raw_fd()),
            Ok(Side::Maker { pid, pidfd }) => {
                drop(mask);
                Ok(Self { child: Some(Child { pid, pidfd }), _life: life })
            }
            Err(errno) => Err(errno),
        }
    }

    /// Its process id in the caller's PID namespace.
    pub fn pid(&self) -> i32 {
        self.child.as_ref().map_or(0, Child::pid)
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            child.give_up();
        }
    }
}

/// All that the child does, with every signal blocked. Does not return.
fn be_there(wait: RawFd) -> ! {
    let number = wait.unsigned_abs();
    let closed = close_range(0, number.saturating_sub(1))
        .and_then(|()| close_range(number.saturating_add(1), u32::MAX));
    if closed.is_ok() {
        let mut byte = 0_u8;
        // SAFETY: one byte is given and it is valid for writing. The end of the pipe comes with the caller's.
        unsafe { libc::read(wait, (&raw mut byte).cast(), 1) };
    }
    // SAFETY: takes no pointer, runs no handler, does not return.
    unsafe { libc::_exit(0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ends_within;
    use std::time::Duration;

    #[test]
    fn it_holds_nothing_and_ends_with_its_owner() {
        let (mut read, write) = std::io::pipe().unwrap();
        let placeholder = Placeholder::spawn().unwrap();
        let open = format!("/proc/{}/fd", placeholder.pid());
        // Once the pipe is at its end the child has closed its copy.
        drop(write);
        assert_eq!(std::io::Read::read(&mut read, &mut [0]).unwrap(), 0);
        assert_eq!(std::fs::read_dir(&open).unwrap().count(), 1);
        let pidfd = crate::process::pidfd_open(placeholder.pid()).unwrap();
        drop(placeholder);
        assert!(!std::path::Path::new(&open).exists());
        assert!(ends_within(std::os::fd::AsFd::as_fd(&pidfd), Some(Duration::ZERO)).unwrap());
    }

    #[test]
    fn the_end_of_the_pipe_ends_it() {
        let mut placeholder = Placeholder::spawn().unwrap();
        let child = placeholder.child.take().unwrap();
        drop(placeholder);
        assert_eq!(child.wait(), Ok(crate::process::Exit::Code(0)));
    }
}
