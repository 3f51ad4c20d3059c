//! A child that walks a [`Plan`] and executes a program.
//!
//! ```text
//! parent                                child
//! ------                                -----
//! spawn() ──────────── clone3 ────────▶ walks its steps
//!   writes id maps, limits, …           WaitForParent … reads the "go" pipe
//! release() ─────── one byte ─────────▶ goes on
//!                                       closes what is open, the last steps, execve
//! finish() ◀── end of file ──────────── the "report" pipe is closed by execve
//!          ◀── step, errno, detail ──── or something failed
//! ```
//! The pipes are close-on-exec. A parent that dies closes "go", and the child ends without a trace.

use std::ffi::{CStr, CString};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::call::check_int;
use crate::clone::Namespaces;
use crate::plan::{At, Entry, Exec, Plan, Step};
use crate::process::{Exit, close_range};
use crate::walk::Walk;
use crate::{Errno, Result, errno, file, process};

/// What `clone3(2)` is asked for besides the plan.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'fd> {
    /// The namespaces that the child gets anew from its first instruction.
    pub namespaces: Namespaces,
    /// The v2 cgroup that it is born in (`CLONE_INTO_CGROUP`, Linux 5.7).
    pub cgroup: Option<BorrowedFd<'fd>>,
}

/// The kernel's `struct clone_args` as of Linux 5.7.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// The number that stands for `execve(2)` where a step's number is expected.
const EXECVE: u32 = u32::MAX;

/// A report's bytes: the step's number in the upper half of a word, the error number in the lower.
const REPORT: usize = size_of::<u64>();

/// A child between `clone3(2)` and `execve(2)`. Dropping it kills the child.
#[derive(Debug)]
pub struct Spawning<'plan> {
    plan: &'plan Plan,
    child: Option<Child>,
    go: Option<OwnedFd>,
    report: OwnedFd,
}

/// A child that executes its program.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    pidfd: OwnedFd,
}

impl Child {
    /// Its process id in the caller's PID namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its pidfd (`pidfd_open(2)`).
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Waits for its end and reaps it.
    ///
    /// # Errors
    /// `ECHILD` when it was waited for before.
    pub fn wait(&self) -> Result<Exit> {
        process::wait(self.pidfd())
    }
}

/// Why a child did not come to execute its program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// A step failed.
    Step {
        /// What the step is for.
        about: String,
        /// The step as data.
        step: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// `execve(2)` failed.
    Exec {
        /// The program.
        program: CString,
        /// The kernel's answer; as `execvp(3)`, `EACCES` is preferred over `ENOENT`.
        errno: Errno,
    },
    /// The child ended without a word: something killed it.
    Died(Exit),
    /// The parent's own calls on the child failed.
    Parent(Errno),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Step { about, step, errno } => {
                write!(f, "{about}: {} [{step}]", errno::describe(*errno))
            }
            Failure::Exec { program, errno } => {
                write!(f, "execute {}: {}", program.to_string_lossy(), errno::describe(*errno))
            }
            Failure::Died(Exit::Signal(signal)) => write!(f, "the child was killed by signal {signal}"),
            Failure::Died(Exit::Code(code)) => write!(f, "the child ended with status {code} before execve"),
            Failure::Parent(errno) => write!(f, "speak with the child: {}", errno::describe(*errno)),
        }
    }
}

impl std::error::Error for Failure {}

/// Makes a child that walks `plan` (`clone3(2)`, Linux 5.5).
///
/// Safe in a threaded program: the child runs nothing but this crate's walk over plain data. It starts
/// with default signal dispositions and no signal blocked.
///
/// # Errors
/// The kernel's answer to `clone3`: `EPERM` without the right to a namespace, `ENOSPC` at a limit of
/// namespaces, `ENOSYS` where a seccomp filter hides the call, `EBUSY` or `EOPNOTSUPP` for a cgroup that
/// takes no processes; `EMFILE` for want of descriptors.
pub fn spawn<'plan>(plan: &'plan Plan, request: &Request<'_>) -> Result<Spawning<'plan>> {
    let (go_read, go_write) = pipe()?;
    let (report_read, report_write) = pipe()?;
    let argv = pointers(&plan.exec().args);
    let envp = pointers(&plan.exec().env);
    let mut pidfd: RawFd = -1;
    let mut clone = CloneArgs {
        flags: request.namespaces.bits() | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        pidfd: address(&raw mut pidfd),
        exit_signal: libc::SIGCHLD.unsigned_abs().into(),
        ..CloneArgs::default()
    };
    if let Some(cgroup) = request.cgroup {
        clone.flags |= CLONE_INTO_CGROUP;
        clone.cgroup = u64::try_from(cgroup.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    }

    // No handler of the caller may run in the child, whose memory is a copy.
    let mask = SignalMask::block_all()?;
    // SAFETY: the structure has the size that is given. Without CLONE_VM the child has its own copy of
    // memory and stack; it runs `child` only, which is async-signal-safe and never returns.
    let value = unsafe { libc::syscall(libc::SYS_clone3, &raw mut clone, size_of::<CloneArgs>()) };
    if value == 0 {
        let ends = ChildEnds {
            go: go_read.as_raw_fd(),
            report: report_write.as_raw_fd(),
            parents: [go_write.as_raw_fd(), report_read.as_raw_fd()],
        };
        child(plan, &ends, &argv, &envp)
    }
    drop(mask);
    let pid = i32::try_from(crate::call::check(value)?).map_err(|_| Errno::EINVAL)?;
    // SAFETY: CLONE_PIDFD made the kernel store a new descriptor here.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Spawning { plan, child: Some(Child { pid, pidfd }), go: Some(go_write), report: report_read })
}

impl Spawning<'_> {
    /// The child's process id in the caller's PID namespace.
    pub fn pid(&self) -> i32 {
        self.child.as_ref().map_or(0, Child::pid)
    }

    /// The child's pidfd, which becomes readable at its end.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.child.as_ref().map(Child::pidfd)
    }

    /// Lets a child that waits in [`crate::plan::Step::WaitForParent`] go on.
    ///
    /// # Errors
    /// [`Failure`] with the child's own report when it has ended, which is the more useful half.
    pub fn release(&mut self) -> std::result::Result<(), Failure> {
        let Some(go) = &self.go else { return Ok(()) };
        match file::write_once(go.as_fd(), &[1]) {
            Ok(()) | Err(Errno::EPIPE) => Ok(()),
            Err(errno) => Err(Failure::Parent(errno)),
        }
    }

    /// Waits until the program runs or something has failed.
    ///
    /// # Errors
    /// [`Failure`] as the child reported it; the child is reaped.
    pub fn finish(mut self) -> std::result::Result<Child, Failure> {
        let mut report = [0u8; REPORT];
        let mut have = 0usize;
        while have < report.len() {
            let room = report.get_mut(have..).unwrap_or_default();
            match file::read(self.report.as_fd(), room).map_err(Failure::Parent)? {
                0 => break,
                count => have = have.saturating_add(count),
            }
        }
        let child = self.child.take().ok_or(Failure::Parent(Errno::ECHILD))?;
        if have == 0 {
            // Also when it was killed in its walk: `Child::wait` then says by what.
            return Ok(child);
        }
        let exit = child.wait();
        if have < report.len() {
            return Err(exit.map_or_else(Failure::Parent, Failure::Died));
        }
        let word = u64::from_ne_bytes(report);
        let number = u32::try_from(word >> 32).unwrap_or(EXECVE);
        let errno = i32::try_from(word & 0xffff_ffff).map_or(Errno::EIO, Errno::from_raw);
        Err(self.failure(number, errno))
    }

    fn failure(&self, number: u32, errno: Errno) -> Failure {
        if number == EXECVE {
            let exec = self.plan.exec();
            let program = exec.args.first().or(exec.candidates.first());
            return Failure::Exec { program: program.cloned().unwrap_or_default(), errno };
        }
        let entry = usize::try_from(number)
            .ok()
            .and_then(|number| self.plan.entries().iter().chain(self.plan.last()).nth(number));
        let about = entry.map_or("unknown step", |entry| &entry.about).to_owned();
        let step = entry.map_or_else(String::new, |entry| format!("{:?}", entry.step));
        Failure::Step { about, step, errno }
    }
}

impl Drop for Spawning<'_> {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            // Both fail only when the child is gone already, which is what is wanted.
            let _ = process::pidfd_send_signal(child.pidfd(), libc::SIGKILL);
            let _ = child.wait();
        }
    }
}

/// The descriptors of the child's side.
struct ChildEnds {
    go: RawFd,
    report: RawFd,
    /// The parent's ends, which the child must not keep open: "go" would never reach its end of file.
    parents: [RawFd; 2],
}

/// All that the child does. Allocates nothing, takes no lock, does not return.
fn child(plan: &Plan, ends: &ChildEnds, argv: &[*const libc::c_char], envp: &[*const libc::c_char]) -> ! {
    for fd in ends.parents {
        // SAFETY: these are the child's copies, whose Rust owner never runs here.
        unsafe { libc::close(fd) };
    }
    let mut walk = Walk::new(ends.go);
    let (number, errno) = match walk.run(plan.entries()) {
        Err(failure) => failure,
        Ok(()) => match make_ready(plan, ends.report) {
            Err(errno) => (EXECVE, errno),
            // Only these steps and execve come under a filter that one of them sets.
            Ok(()) => match walk.run(plan.last()) {
                Err((number, errno)) => (number.saturating_add(count(plan.entries())), errno),
                Ok(()) => (EXECVE, execute(plan.exec(), argv, envp)),
            },
        },
    };
    let word = (u64::from(number) << 32) | u64::from((errno as i32).unsigned_abs());
    // SAFETY: the report's end is open until here.
    let report = unsafe { BorrowedFd::borrow_raw(ends.report) };
    let _ = file::write_once(report, &word.to_ne_bytes());
    // SAFETY: takes no pointer, runs no handler, does not return.
    unsafe { libc::_exit(127) }
}

fn count(entries: &[Entry]) -> u32 {
    u32::try_from(entries.len()).unwrap_or(EXECVE)
}

/// Leaves nothing open but 0, 1, 2, the report and what the last steps use, and resets signals.
fn make_ready(plan: &Plan, report: RawFd) -> Result<()> {
    let mut first: u32 = 3;
    // Closing instead of marking close-on-exec works on every kernel since 5.9.
    while let Some(kept) = kept(plan, report).filter(|fd| *fd >= first).min() {
        close_range(first, kept.saturating_sub(1))?;
        let raw = RawFd::try_from(kept).map_err(|_| Errno::EBADF)?;
        // SAFETY: takes no pointer. Whatever the caller gave is gone after execve.
        check_int(unsafe { libc::fcntl(raw, libc::F_SETFD, libc::FD_CLOEXEC) })?;
        first = kept.saturating_add(1);
    }
    close_range(first, u32::MAX)?;
    reset_signals()
}

/// The report and the descriptors of the last steps, in no order.
fn kept(plan: &Plan, report: RawFd) -> impl Iterator<Item = u32> {
    let of_step = |entry: &Entry| match &entry.step {
        Step::SendDescriptor { socket: At::Fd(fd), .. } => Some(fd.as_raw_fd()),
        _ => None,
    };
    let last = plan.last().iter().filter_map(of_step);
    last.chain(std::iter::once(report)).filter_map(|fd| u32::try_from(fd).ok())
}

/// Tries each candidate. Returns only on failure.
fn execute(exec: &Exec, argv: &[*const libc::c_char], envp: &[*const libc::c_char]) -> Errno {
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

/// All signals blocked in the calling thread until it is dropped.
struct SignalMask {
    old: libc::sigset_t,
}

impl SignalMask {
    fn block_all() -> Result<Self> {
        // SAFETY: all-zero is a valid sigset for the calls below to fill.
        let (mut all, mut old): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
        // SAFETY: the set is valid for writing.
        check_int(unsafe { libc::sigfillset(&raw mut all) })?;
        // SAFETY: both sets are valid.
        match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut old) } {
            0 => Ok(Self { old }),
            number => Err(Errno::from_raw(number)),
        }
    }
}

impl Drop for SignalMask {
    fn drop(&mut self) {
        // SAFETY: the set is the one that was in force before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.old, std::ptr::null_mut()) };
    }
}

/// A pipe whose ends are close-on-exec and above the standard descriptors.
fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: the kernel stores two descriptors in the array.
    check_int(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    let [read, write] = ends;
    // SAFETY: the kernel just gave us both.
    let (read, write) = unsafe { (OwnedFd::from_raw_fd(read), OwnedFd::from_raw_fd(write)) };
    Ok((above_standard(read)?, above_standard(write)?))
}

/// A caller that was started with 0, 1 or 2 closed would otherwise have the pipe taken for its output.
fn above_standard(fd: OwnedFd) -> Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    // SAFETY: takes no pointer.
    let copy = check_int(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// The array of pointers that `execve(2)` takes: each string, then null.
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(CString::as_c_str).map(CStr::as_ptr).chain(std::iter::once(std::ptr::null())).collect()
}

fn address<T>(pointer: *mut T) -> u64 {
    pointer.expose_provenance() as u64
}

#[cfg(test)]
mod tests;
