//! A child that walks a [`Plan`] and executes a program.
//!
//! ```text
//! parent                                child
//! ------                                -----
//! spawn() ──────────── clone3 ────────▶ walks its steps
//!         ◀─────────────── pidfd ────── Fork: goes on in a new process, a child of the parent too
//!   writes id maps, limits, …           WaitForParent … reads the "go" pipe
//! release() ─────── its pid ──────────▶ goes on
//! reached() ◀────── a record ────────── TellParent
//!                                       closes what is open, the last steps, execve
//! finish() ◀── end of file ──────────── the "report" pipe is closed by execve
//!          ◀── a record ─────────────── or something failed
//! ```
//! The pipes are close-on-exec. A parent that dies closes "go", and a child that waits for it ends without
//! a trace.
//!
//! A child may also outlive its parent and be started by another process, which connects to a socket that
//! the child listens on. From then on that connection is where it reports:
//! ```text
//! starter                               child
//! -------                               -----
//!                                       Listen, TellParent (the parent may go now)
//! connect(), start() ── one byte ─────▶ AcceptStart
//!                    ◀── end of file ── execve, or a record of what failed
//! ```
//!
//! Where a seccomp filter hides `clone3(2)`, `clone(2)` is used: the child then waits until its parent has
//! moved it to its cgroup, and forks once more into a time namespace, which the older call cannot make.

mod arrays;
mod child;
mod failure;
mod placeholder;
mod report;

pub(crate) use child::{execute, make_ready, reset_signals};
pub(crate) use report::announce;

pub use failure::Failure;
pub use placeholder::Placeholder;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use crate::call::check_int;
use crate::clone::Namespaces;
use crate::fork::{Call, Fork, Side, fork};
use crate::plan::Plan;
use crate::process::Exit;
use crate::record::Record;
use crate::{Errno, Result, file, process};
pub(crate) use arrays::{Arrays, Home};
use child::Start;
use report::{Message, Receiver};

/// What `clone3(2)` is asked for besides the plan.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'fd> {
    /// The namespaces that the child gets anew from its first instruction.
    pub namespaces: Namespaces,
    /// The v2 cgroup that it is born in (`CLONE_INTO_CGROUP`, Linux 5.7).
    ///
    /// Without `clone3(2)` it is moved there before its first step.
    pub cgroup: Option<BorrowedFd<'fd>>,
    /// The signal that its end raises in the parent: `SIGCHLD` when `None`, none at all for 0.
    ///
    /// `execve(2)` makes it `SIGCHLD` again. Until then another signal keeps a child that fails from a
    /// handler, or a `waitpid(-1)`, of the program around this library.
    pub exit_signal: Option<i32>,
}

/// A child between `clone3(2)` and `execve(2)`. Dropping it kills the child.
#[derive(Debug)]
pub struct Spawning<'plan> {
    plan: &'plan Plan,
    child: Option<Child>,
    go: Option<OwnedFd>,
    report: Receiver,
    /// How many forks behind the first wait are known already.
    heard: usize,
}

/// A child that executes its program.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    pidfd: OwnedFd,
}

impl Child {
    /// A child of the caller's that another process has made for it (`CLONE_PARENT`).
    ///
    /// It must not have been waited for, or its number may be another process's by now.
    ///
    /// # Errors
    /// `ESRCH` when there is no such process; `EMFILE` for want of descriptors.
    pub fn adopt(pid: i32) -> Result<Self> {
        Ok(Self { pid, pidfd: process::pidfd_open(pid)? })
    }

    /// Its process id in the caller's PID namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its pidfd (`pidfd_open(2)`).
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Kills and reaps it; both fail only when it is gone already, which is what is wanted.
    fn give_up(self) {
        let _ = process::pidfd_send_signal(self.pidfd(), libc::SIGKILL);
        let _ = self.wait();
    }

    /// Waits for its end and reaps it.
    ///
    /// # Errors
    /// `ECHILD` when it was waited for before.
    pub fn wait(&self) -> Result<Exit> {
        process::wait(self.pidfd())
    }
}

/// One thread at a time is between a pipe's making and the closing of the child's ends.
///
/// Otherwise a child that another thread makes then, and lets wait, would hold our child's end of "report" open,
/// and [`Spawning::finish`] would wait for that stranger.
static CLONING: Mutex<()> = Mutex::new(());

/// Makes a child that walks `plan` (`clone3(2)`, Linux 5.5; `clone(2)` where that is `ENOSYS`).
///
/// Safe in a threaded program: the child runs nothing but this crate's walk over plain data. It starts
/// with default signal dispositions and no signal blocked.
///
/// Comes back when the child exists; when the plan forks before it waits, when the last of those forks is made.
///
/// # Errors
/// [`Failure::Clone`] with the kernel's answer: `EPERM` without the right to a namespace, `ENOSPC` at a limit of
/// namespaces, `EBUSY` or `EOPNOTSUPP` for a cgroup that takes no processes; [`Failure::Parent`] with `EMFILE`
/// for want of descriptors; and the child's own report when it failed before it waited for its parent.
pub fn spawn<'plan>(
    plan: &'plan Plan,
    request: &Request<'_>,
) -> std::result::Result<Spawning<'plan>, Failure> {
    match attempt(plan, request, Call::Clone3) {
        Err(Failure::Clone { errno: Errno::ENOSYS, .. }) => attempt(plan, request, Call::Clone),
        other => other,
    }
}

fn attempt<'plan>(
    plan: &'plan Plan,
    request: &Request<'_>,
    call: Call,
) -> std::result::Result<Spawning<'plan>, Failure> {
    let exit_signal = request.exit_signal.unwrap_or(libc::SIGCHLD);
    let new3 = Fork { namespaces: request.namespaces, cgroup: request.cgroup, exit_signal, sibling: false };
    let (new, first) = match call {
        Call::Clone3 => (new3, None),
        // All at once and later, since a process that is in its PID namespace cannot fork a sibling.
        Call::Clone if request.namespaces.contains(Namespaces::TIME) => {
            (Fork { exit_signal, ..Fork::default() }, Some(request.namespaces))
        }
        Call::Clone => (Fork { cgroup: None, ..new3 }, None),
    };
    let moved = request.cgroup.filter(|_| call == Call::Clone);
    let mut spawning = make(plan, call, &new, first, moved.is_some()).map_err(|errno| match errno {
        Errno::EMFILE | Errno::ENFILE => Failure::Parent(errno),
        _ => Failure::Clone { namespaces: request.namespaces, errno },
    })?;
    if let Some(cgroup) = moved {
        // The child is ours and was not waited for, so its number is nobody else's.
        move_into(cgroup, spawning.pid()).map_err(Failure::Cgroup)?;
        spawning.release()?;
    }
    for _ in 0..plan.forks_before_wait().saturating_add(first.iter().len()) {
        match spawning.report.receive().map_err(Failure::Parent)? {
            Message::Forked { pid, pidfd } => spawning.succeed(Child { pid, pidfd })?,
            message => return Err(spawning.end(&message)),
        }
    }
    Ok(spawning)
}

/// The clone itself; both sides come out of it.
fn make<'plan>(
    plan: &'plan Plan,
    call: Call,
    new: &Fork<'_>,
    first: Option<Namespaces>,
    wait: bool,
) -> Result<Spawning<'plan>> {
    let arrays = Arrays::of_plan(plan);
    let of_step = |entry| Arrays::of_step(entry, &arrays);
    let programs: Vec<Arrays> = plan.entries().iter().filter_map(of_step).collect();
    let forks = first.is_some() || plan.forks();

    let _alone = CLONING.lock().unwrap_or_else(PoisonError::into_inner);
    let (go_read, go_write) = pipe()?;
    let (report, report_write) = report::channel(forks)?;
    let start = Start {
        go: go_read.as_raw_fd(),
        report: report_write.as_raw_fd(),
        parents: [go_write.as_raw_fd(), report.fd()],
        call,
        wait,
        fork: first,
    };
    // No handler of the caller may run in the child, whose memory is a copy.
    let mask = SignalMask::block_all()?;
    // SAFETY: the child runs `child::run` only, which is async-signal-safe and does not return.
    match unsafe { fork(call, new) } {
        Ok(Side::Child) => child::run(plan, &start, &arrays, &programs),
        Ok(Side::Maker { pid, pidfd }) => {
            drop(mask);
            Ok(Spawning { plan, child: Some(Child { pid, pidfd }), go: Some(go_write), report, heard: 0 })
        }
        Err(errno) => Err(errno),
    }
}

/// Writes a process's number to `cgroup.procs` below a cgroup's descriptor.
fn move_into(cgroup: BorrowedFd<'_>, pid: i32) -> Result<()> {
    // Not openat2(2), which the same filter may hide.
    let flags = libc::O_WRONLY | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    // SAFETY: the path is a C string; the descriptor is borrowed for the call.
    let file = check_int(unsafe { libc::openat(cgroup.as_raw_fd(), c"cgroup.procs".as_ptr(), flags) })?;
    // SAFETY: the kernel just gave us this descriptor.
    let file = unsafe { OwnedFd::from_raw_fd(file) };
    file::write_once(file.as_fd(), pid.to_string().as_bytes())
}

impl Spawning<'_> {
    /// The child's process id in the caller's PID namespace.
    ///
    /// A plan that forks after it waited goes on under another one, which [`Spawning::finish`] gives.
    pub fn pid(&self) -> i32 {
        self.child.as_ref().map_or(0, Child::pid)
    }

    /// The child's pidfd, which becomes readable at its end; `None` once it has failed.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.child.as_ref().map(Child::pidfd)
    }

    /// Lets a child that waits in [`crate::plan::Step::WaitForParent`] go on; once for each such step.
    ///
    /// # Errors
    /// [`Failure`] with the child's own report when it has ended, which is the more useful half.
    pub fn release(&mut self) -> std::result::Result<(), Failure> {
        let Some(go) = &self.go else { return Ok(()) };
        // Its own number as others see it, which a child in a PID namespace cannot ask for.
        match file::write_once(go.as_fd(), &self.pid().to_ne_bytes()) {
            Ok(()) | Err(Errno::EPIPE) => Ok(()),
            Err(errno) => Err(Failure::Parent(errno)),
        }
    }

    /// Waits until the child has come to its next [`crate::plan::Step::TellParent`].
    ///
    /// # Errors
    /// [`Failure`] as the child reported it; the child is reaped.
    pub fn reached(&mut self) -> std::result::Result<(), Failure> {
        loop {
            match self.report.receive().map_err(Failure::Parent)? {
                Message::Reached => return Ok(()),
                Message::Forked { pid, pidfd } => {
                    self.succeed(Child { pid, pidfd })?;
                    self.heard = self.heard.saturating_add(1);
                }
                message => return Err(self.end(&message)),
            }
        }
    }

    /// Lets the child live on its own from here. One that waits for its parent ends.
    pub fn keep(mut self) -> Option<Child> {
        self.child.take()
    }

    /// Waits until the program runs or something has failed.
    ///
    /// # Errors
    /// [`Failure`] as the child reported it; the child is reaped.
    pub fn finish(mut self) -> std::result::Result<Child, Failure> {
        let mut forks = self.plan.forks_after_wait().saturating_sub(self.heard);
        loop {
            match self.report.receive().map_err(Failure::Parent)? {
                Message::Forked { pid, pidfd } => {
                    self.succeed(Child { pid, pidfd })?;
                    forks = forks.saturating_sub(1);
                }
                // Also when it was killed in its walk: `Child::wait` then says by what.
                Message::End if forks == 0 => return self.child.take().ok_or(Failure::Parent(Errno::ECHILD)),
                Message::Reached => {}
                message => return Err(self.end(&message)),
            }
        }
    }

    /// The child has forked and ended: another one goes on.
    fn succeed(&mut self, next: Child) -> std::result::Result<(), Failure> {
        match self.child.replace(next) {
            Some(before) => before.wait().map(drop).map_err(Failure::Parent),
            None => Ok(()),
        }
    }

    /// Reaps a child that has come to its end before its program, and says why.
    fn end(&mut self, message: &Message) -> Failure {
        let exit = self.child.take().ok_or(Errno::ECHILD).and_then(|child| child.wait());
        match (message, exit) {
            (Message::Failed(record), _) => Failure::of(record, Some(self.plan)),
            (_, Ok(exit)) => Failure::Died(exit),
            (_, Err(errno)) => Failure::Parent(errno),
        }
    }
}

/// Starts a child that waits in [`Step::AcceptStart`](crate::plan::Step::AcceptStart) at the other end of `connection`, and waits until its
/// program runs.
///
/// # Errors
/// [`Failure`] as the child reported it; [`Failure::Parent`] with `EPIPE` or `ECONNRESET` for one that ended.
pub fn start(connection: BorrowedFd<'_>) -> std::result::Result<(), Failure> {
    file::write_once(connection, &[1]).map_err(Failure::Parent)?;
    match Record::receive(connection).map_err(Failure::Parent)? {
        Some(record) => Err(Failure::of(&record, None)),
        None => Ok(()),
    }
}

impl Drop for Spawning<'_> {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else { return };
        drop(self.go.take());
        child.give_up();
        // It may have made its successor before it was killed, which announces itself before anything else.
        while self.report.hears_of_forks() {
            match self.report.receive() {
                Ok(Message::Forked { pid, pidfd }) => Child { pid, pidfd }.give_up(),
                Ok(Message::Failed(_) | Message::Reached) => {}
                Ok(Message::End | Message::Torn) | Err(_) => break,
            }
        }
    }
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

#[cfg(test)]
mod tests;
#[cfg(test)]
mod without_clone3;
