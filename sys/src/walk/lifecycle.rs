//! Steps that end the child's walk for a while: telling the parent, waiting for it, waiting for the start.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, RawFd};

use super::Walk;
use crate::call::check_int;
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
        let blocked = end_by_signals()?;
        let connection = loop {
            let connection = socket::accept(listener)?;
            let mut word = [0u8; 1];
            if matches!(file::read(connection.as_fd(), &mut word), Ok(1)) {
                break connection;
            }
        };
        back_to_default(&blocked)?;
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

/// Signals that end a process which does nothing about them.
const ENDING: [i32; 7] =
    [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2, libc::SIGALRM, libc::SIGTERM];

/// Has signals end this process, which are blocked since it was made; gives the mask to go back to. That is nothing
/// to the first process of a PID namespace by default, and who signals its container means to end it.
fn end_by_signals() -> Result<libc::sigset_t> {
    set_actions(end as extern "C" fn(libc::c_int) as usize)?;
    // SAFETY: all-zero bytes are a valid sigset_t.
    let (mut ending, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
    for signal in ENDING {
        // SAFETY: the set is valid for the call.
        unsafe { libc::sigaddset(&raw mut ending, signal) };
    }
    // SAFETY: both sets are valid for the call.
    check_int(unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &raw const ending, &raw mut before) })?;
    Ok(before)
}

/// Back to the mask, and to what these signals do by default.
fn back_to_default(blocked: &libc::sigset_t) -> Result<()> {
    // SAFETY: the set is valid for the call.
    check_int(unsafe {
        libc::sigprocmask(libc::SIG_SETMASK, std::ptr::from_ref(blocked), std::ptr::null_mut())
    })?;
    set_actions(libc::SIG_DFL)
}

fn set_actions(handler: libc::sighandler_t) -> Result<()> {
    // SAFETY: all-zero bytes are a valid sigaction: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    ENDING.into_iter().try_for_each(|signal| {
        // SAFETY: the action is valid for the call, and its handler may be called at any point.
        check_int(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) }).map(drop)
    })
}

extern "C" fn end(signal: libc::c_int) {
    // SAFETY: takes no pointer and may be called in a handler; 128 and the number is what shells have for it.
    unsafe { libc::_exit(128_i32.wrapping_add(signal)) };
}

/// Closes a number whose Rust owner never runs in this process.
pub(super) fn close(fd: RawFd) {
    // SAFETY: the caller is the child, where no owner of the number will use or close it again.
    unsafe { libc::close(fd) };
}
