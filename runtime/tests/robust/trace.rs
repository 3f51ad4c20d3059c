//! A command of the runtime, stopped by `ptrace(2)` at its system calls and killed at one of them.
//!
//! Nothing in the program helps: it is the one that is shipped.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::order::{HANG, RUNTIME, text};
use crate::steps::{self, Call};

/// Which process is killed, and by whose steps the moment is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    /// The runtime at a step of its own.
    Runtime,
    /// The process that is to become the container's (or of a hook), at one of its steps before `execve(2)`.
    Child,
    /// The runtime, while its child is at that step.
    RuntimeAtChild,
}

/// What counts as a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Steps {
    /// The end of each call that changes something outside of the process.
    Changes,
    /// The beginning of every call.
    All,
}

/// What became of the command.
#[derive(Debug)]
pub(crate) struct Traced {
    /// The call at which somebody was killed; `None` when the command ended before.
    pub(crate) killed_at: Option<String>,
    /// The exit status of the runtime, `None` after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

/// A process that is looked at.
#[derive(Debug, Default)]
struct Tracee {
    inside: Option<Call>,
}

struct Trace {
    main: Pid,
    tracees: BTreeMap<Pid, Tracee>,
    /// The runtime itself runs, not the shell before it.
    counting: bool,
    /// Steps of the victim so far.
    steps: usize,
    killed_at: Option<String>,
    /// How the runtime ended.
    end: Option<WaitStatus>,
}

/// Runs the runtime with these words and kills at step `number`, counted from 0. Those that are not killed run on
/// by themselves from then on.
pub(crate) fn run(words: &[String], victim: Victim, steps: Steps, number: usize) -> Traced {
    let mut stderr = tempfile::tempfile().unwrap();
    let main = begin(words, &stderr);
    let (done, watched) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        let hangs = watched.recv_timeout(HANG) == Err(RecvTimeoutError::Timeout);
        if hangs {
            // Its end is what the trace waits for.
            let _ = kill(main, Signal::SIGKILL);
        }
        hangs
    });
    let mut trace = Trace {
        main,
        tracees: BTreeMap::from([(main, Tracee::default())]),
        counting: false,
        steps: 0,
        killed_at: None,
        end: None,
    };
    while trace.end.is_none() || !trace.tracees.is_empty() {
        match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Ok(status) => trace.handle(status, victim, steps, number),
            // One that ended before its maker told of it was entered again.
            Err(Errno::ECHILD) if trace.end.is_some() => break,
            Err(error) => panic!("wait for {words:?}: {error}"),
        }
    }
    drop(done);
    assert!(
        !watch.join().unwrap(),
        "hangs: {words:?}, killed at {:?}: {}",
        trace.killed_at,
        text(&mut stderr)
    );
    let code = match trace.end {
        Some(WaitStatus::Exited(_, code)) => Some(code),
        _ => None,
    };
    Traced { killed_at: trace.killed_at, code, stderr: text(&mut stderr) }
}

/// Starts a shell that waits for a line and then becomes the runtime, so that it can be seized before.
fn begin(words: &[String], stderr: &File) -> Pid {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "read -r go && exec \"$@\" </dev/null", "sh", RUNTIME]).args(words);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(stderr.try_clone().unwrap());
    let mut shell = command.spawn().unwrap();
    let pid = Pid::from_raw(shell.id().try_into().unwrap());
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options).unwrap();
    ptrace::interrupt(pid).unwrap();
    shell.stdin.take().unwrap().write_all(b"\n").unwrap();
    // Reaped by the trace.
    drop(shell);
    pid
}

impl Trace {
    fn handle(&mut self, status: WaitStatus, victim: Victim, steps: Steps, number: usize) {
        match status {
            WaitStatus::PtraceSyscall(pid) => self.stopped_at_call(pid, victim, steps, number),
            WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_EXEC) if pid == self.main => {
                self.counting = true;
                self.go_on(pid, None);
            }
            // The container's program, or a hook: no longer what is looked at.
            WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_EXEC) => self.let_go(pid, None),
            WaitStatus::PtraceEvent(
                pid,
                _,
                libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE,
            ) => {
                if let Ok(new) = ptrace::getevent(pid) {
                    self.tracees.entry(Pid::from_raw(new.try_into().unwrap())).or_default();
                }
                self.go_on(pid, None);
            }
            WaitStatus::PtraceEvent(pid, ..) => {
                // A new one may come to its first stop before its maker tells of it.
                self.tracees.entry(pid).or_default();
                self.go_on(pid, None);
            }
            WaitStatus::Stopped(pid, signal) => self.go_on(pid, Some(signal)),
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => self.ended(pid, status),
            other => panic!("unexpected: {other:?}"),
        }
    }

    fn stopped_at_call(&mut self, pid: Pid, victim: Victim, steps: Steps, number: usize) {
        let Some(tracee) = self.tracees.get_mut(&pid) else { return self.go_on(pid, None) };
        let (entered, call) = match tracee.inside.take() {
            None => {
                // A process that was killed meanwhile has none.
                let Some(call) = Call::of(pid) else { return self.go_on(pid, None) };
                tracee.inside = Some(call.clone());
                (true, call)
            }
            Some(call) => (false, call),
        };
        let counts = match steps {
            Steps::All => entered,
            Steps::Changes => !entered && call.changes(),
        };
        let of_victim = (pid == self.main) == (victim == Victim::Runtime);
        if self.counting && self.killed_at.is_none() && counts && of_victim {
            if self.steps == number {
                let place = if entered { "before" } else { "after" };
                self.killed_at = Some(format!("{place} {}", steps::name(&call)));
                let doomed = if victim == Victim::RuntimeAtChild { self.main } else { pid };
                let _ = kill(doomed, Signal::SIGKILL);
                self.stop_others(doomed);
            }
            self.steps += 1;
        }
        self.go_on(pid, None);
    }

    /// A process that is gone meanwhile is no failure: its end is told next.
    fn go_on(&mut self, pid: Pid, signal: Option<Signal>) {
        if self.killed_at.is_some() || self.end.is_some() {
            return self.let_go(pid, signal);
        }
        let _ = ptrace::syscall(pid, signal);
    }

    fn let_go(&mut self, pid: Pid, signal: Option<Signal>) {
        if ptrace::detach(pid, signal).is_ok() {
            self.tracees.remove(&pid);
        }
    }

    /// So that they can be let go: those that wait in a call do not stop by themselves.
    fn stop_others(&self, ending: Pid) {
        for other in self.tracees.keys().filter(|other| **other != ending) {
            let _ = ptrace::interrupt(*other);
        }
    }

    fn ended(&mut self, pid: Pid, end: WaitStatus) {
        self.tracees.remove(&pid);
        if pid == self.main {
            self.end = Some(end);
            self.stop_others(pid);
        }
    }
}
