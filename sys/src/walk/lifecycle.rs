//! Steps that end the child's walk for a while: telling the parent, waiting for it, waiting for the start.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, RawFd};

use super::Walk;
use crate::plan::{At, Entry, Step};
use crate::record::{REACHED, Record};
use crate::{Errno, Result, file, process, socket};

impl Walk<'_> {
    /// Reads the parent's word: its number for this process.
    pub(crate) fn wait_for_parent(&mut self) -> Result<()> {
        // SAFETY: the descriptor was opened by the parent for this child and is closed by nobody else.
        let go = unsafe { BorrowedFd::borrow_raw(self.go) };
        let mut pid = [0u8; size_of::<i32>()];
        // A pipe gives so few bytes whole.
        if file::read(go, &mut pid)? != pid.len() {
            return Err(Errno::EPIPE);
        }
        self.pid = i32::from_ne_bytes(pid);
        Ok(())
    }

    pub(super) fn tell_parent(&self) -> Result<()> {
        Record::new(REACHED, 0, 0, b"").send(self.report())
    }

    /// Waits for who starts the container, and reports to them from then on.
    ///
    /// A caller that goes away without a word is one that was killed, or one that only asked whether
    /// somebody waits here.
    pub(super) fn accept_start(&mut self, listener: &At) -> Result<()> {
        let listener = self.fd(listener)?;
        let connection = loop {
            let connection = socket::accept(listener)?;
            let mut word = [0u8; 1];
            if matches!(file::read(connection.as_fd(), &mut word), Ok(1)) {
                break connection;
            }
        };
        let old = std::mem::replace(&mut self.report, connection.into_raw_fd());
        close(old);
        // From now on nobody else can connect, which is how the others see that it was started.
        close(listener.as_raw_fd());
        Ok(())
    }

    /// Closes all but 0, 1, 2, what the program is to inherit, the two ends to the parent, and what the rest
    /// of the steps uses.
    pub(super) fn close_others(&self, rest: &[Entry]) -> Result<()> {
        let mut first = 3;
        loop {
            let used = rest.iter().chain(self.plan.last()).flat_map(|entry| entry.step.uses()).flatten();
            // A slot that is empty so far has nothing to keep.
            let used = used.filter_map(|at| self.fd(at).ok()).map(|fd| fd.as_raw_fd());
            // One that is closed by a step must be open until then.
            let closed = rest.iter().filter_map(|entry| match entry.step {
                Step::Close(slot) => self.slot(slot).ok().map(|fd| fd.as_raw_fd()),
                _ => None,
            });
            let kept = [self.go, self.report].into_iter().chain(used).chain(closed);
            let kept =
                kept.filter_map(|fd| u32::try_from(fd).ok()).chain(self.plan.inherited().iter().copied());
            let next = kept.filter(|fd| *fd >= first).min();
            let Some(next) = next else { break };
            process::close_range(first, next.saturating_sub(1))?;
            first = next.saturating_add(1);
        }
        process::close_range(first, u32::MAX)
    }

    pub(super) fn report(&self) -> BorrowedFd<'static> {
        // SAFETY: the report's end stays open until execve or _exit.
        unsafe { BorrowedFd::borrow_raw(self.report) }
    }
}

/// Closes a number whose Rust owner never runs in this process.
pub(super) fn close(fd: RawFd) {
    // SAFETY: the caller is the child, where no owner of the number will use or close it again.
    unsafe { libc::close(fd) };
}
