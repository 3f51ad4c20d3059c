//! The child's side: the walk, the last preparations, `execve(2)`. Allocates nothing, takes no lock.

use std::os::fd::{AsRawFd, RawFd};

use super::Arrays;
use crate::call::check_int;
use crate::clone::Namespaces;
use crate::fork::{Call, clear_handlers};
use crate::plan::{At, Entry, Exec, Plan, Step};
use crate::process::close_range;
use crate::record::{EXECVE, PRELUDE};
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
pub(super) fn run(plan: &Plan, start: &Start, arrays: &Arrays, programs: &[Arrays]) -> ! {
    for fd in start.parents {
        // SAFETY: these are the child's copies, whose Rust owner never runs here.
        unsafe { libc::close(fd) };
    }
    let mut walk = Walk::new(start.go, start.report, start.call, plan, programs, arrays.home());
    let outcome = prelude(&mut walk, start).map_err(|errno| (PRELUDE, errno));
    let (number, errno) = match outcome.and_then(|()| walk.run(plan.entries())) {
        Err(failure) => failure,
        Ok(()) => match walk.make_ready(plan.inherited()) {
            Err(errno) => (EXECVE, errno),
            // Only these steps and execve come under a filter that one of them sets.
            Ok(()) => match walk.run_last(plan) {
                Err(failure) => failure,
                Ok(()) => (EXECVE, execute(plan.exec(), arrays)),
            },
        },
    };
    let entry = usize::try_from(number).ok().and_then(|number| plan.all().nth(number));
    let program = plan.exec().args.first().map_or(&[][..], |program| program.as_bytes());
    walk.fail(number, errno, entry.map_or(program, |entry| entry.about.as_bytes()));
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

/// Leaves nothing open but 0, 1, 2, what the program inherits, the report and what the last steps use, and resets
/// signals.
pub(crate) fn make_ready(plan: &Plan, report: RawFd, inherited: &[u32]) -> Result<()> {
    let mut first = 3;
    // Closing instead of marking close-on-exec works on every kernel since 5.9.
    while let Some(open) = kept(plan, report).chain(inherited.iter().copied()).filter(|fd| *fd >= first).min()
    {
        close_range(first, open.saturating_sub(1))?;
        if !inherited.contains(&open) {
            let raw = RawFd::try_from(open).map_err(|_| Errno::EBADF)?;
            // SAFETY: takes no pointer. Whatever the caller gave is gone after execve.
            check_int(unsafe { libc::fcntl(raw, libc::F_SETFD, libc::FD_CLOEXEC) })?;
        }
        first = open.saturating_add(1);
    }
    close_range(first, u32::MAX)?;
    reset_signals()
}

/// The report and the descriptors of the last steps, in no order.
fn kept(plan: &Plan, report: RawFd) -> impl Iterator<Item = u32> {
    let of_step = |entry: &Entry| match &entry.step {
        Step::SendDescriptor { socket: At::Fd(fd), .. } | Step::LeaveOpen(At::Fd(fd)) => Some(fd.as_raw_fd()),
        _ => None,
    };
    let last = plan.last().iter().filter_map(of_step);
    last.chain(std::iter::once(report)).filter_map(|fd| u32::try_from(fd).ok())
}

/// Tries each candidate. Returns only on failure.
pub(crate) fn execute(exec: &Exec, arrays: &Arrays) -> Errno {
    let mut answer = Errno::ENOENT;
    arrays.complete();
    for candidate in &exec.candidates {
        // SAFETY: the path is a C string; both arrays end in null and their strings live in the plan.
        unsafe { libc::execve(candidate.as_ptr(), arrays.argv.as_ptr(), arrays.envp.as_ptr()) };
        match Errno::last() {
            Errno::ENOENT | Errno::ENOTDIR => {}
            Errno::EACCES => answer = Errno::EACCES,
            errno => return errno,
        }
    }
    answer
}

/// No signal ignored (Rust ignores `SIGPIPE`, the caller's caller may others) and an empty mask, as a program expects
/// at its start.
pub(crate) fn reset_signals() -> Result<()> {
    // SAFETY: all-zero is a valid sigset; sigemptyset only writes to it.
    let mut empty: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is valid for writing.
    check_int(unsafe { libc::sigemptyset(&raw mut empty) })?;
    crate::fork::heed_all()?;
    // SAFETY: the set is valid, and no old set is asked for.
    check_int(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut()) })
        .map(drop)
}
