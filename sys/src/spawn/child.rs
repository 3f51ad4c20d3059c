//! The child's side: the walk, the last preparations, `execve(2)`. Allocates nothing, takes no lock.

use std::os::fd::{BorrowedFd, RawFd};

use super::report::{self, EXECVE, PRELUDE};
use crate::call::check_int;
use crate::clone::Namespaces;
use crate::fork::{Call, clear_handlers};
use crate::plan::{Exec, Plan};
use crate::process::close_range;
use crate::walk::Walk;
use crate::{Errno, Result};

/// The descriptors of the child's side, and what the call that made it could not do.
pub(super) struct Start {
    pub(super) go: RawFd,
    pub(super) report: RawFd,
    /// The parent's ends, which the child must not keep open: "go" would never reach its end of file.
    pub(super) parents: [RawFd; 2],
    pub(super) call: Call,
    /// Wait until the parent has moved us to our cgroup.
    pub(super) wait: bool,
    /// Fork into these namespaces first.
    pub(super) fork: Option<Namespaces>,
}

/// All that the child does. Does not return.
pub(super) fn run(
    plan: &Plan,
    start: &Start,
    argv: &[*const libc::c_char],
    envp: &[*const libc::c_char],
) -> ! {
    for fd in start.parents {
        // SAFETY: these are the child's copies, whose Rust owner never runs here.
        unsafe { libc::close(fd) };
    }
    let mut walk = Walk::new(start.go, start.report, start.call);
    let outcome = prelude(&mut walk, start).map_err(|errno| (PRELUDE, errno));
    let (number, errno) = match outcome.and_then(|()| walk.run(plan.entries())) {
        Err(failure) => failure,
        Ok(()) => (EXECVE, execute(plan.exec(), start.report, argv, envp)),
    };
    // SAFETY: the report's end is open until here.
    report::fail(unsafe { BorrowedFd::borrow_raw(start.report) }, number, errno);
    // SAFETY: takes no pointer, runs no handler, does not return.
    unsafe { libc::_exit(127) }
}

/// What `clone3(2)` would have done.
fn prelude(walk: &mut Walk, start: &Start) -> Result<()> {
    if start.call == Call::Clone {
        clear_handlers()?;
    }
    if start.wait {
        walk.wait_for_parent()?;
    }
    start.fork.map_or(Ok(()), |namespaces| walk.fork(namespaces))
}

/// Leaves nothing open but 0, 1, 2 and the report, then tries each candidate. Returns only on failure.
fn execute(exec: &Exec, report: RawFd, argv: &[*const libc::c_char], envp: &[*const libc::c_char]) -> Errno {
    let Ok(report) = u32::try_from(report) else { return Errno::EBADF };
    // Closing instead of marking close-on-exec works on every kernel since 5.9.
    if let Err(errno) = close_range(3, report.saturating_sub(1)) {
        return errno;
    }
    if let Err(errno) = close_range(report.saturating_add(1).max(3), u32::MAX) {
        return errno;
    }
    if let Err(errno) = reset_signals() {
        return errno;
    }
    let mut answer = Errno::ENOENT;
    for candidate in &exec.candidates {
        // SAFETY: the path is a C string; both arrays end in null and their strings live in the plan.
        unsafe { libc::execve(candidate.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
        match Errno::last() {
            Errno::ENOENT | Errno::ENOTDIR => {}
            Errno::EACCES => answer = Errno::EACCES,
            errno => return errno,
        }
    }
    answer
}

/// Default `SIGPIPE` (Rust ignores it) and an empty mask, as a program expects at its start.
fn reset_signals() -> Result<()> {
    // SAFETY: all-zero is a valid sigset; sigemptyset only writes to it.
    let mut empty: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is valid for writing.
    check_int(unsafe { libc::sigemptyset(&raw mut empty) })?;
    // SAFETY: SIG_DFL is a disposition, not a handler that could run.
    if unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) } == libc::SIG_ERR {
        return Err(Errno::last());
    }
    // SAFETY: the set is valid, and no old set is asked for.
    check_int(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut()) })
        .map(drop)
}
