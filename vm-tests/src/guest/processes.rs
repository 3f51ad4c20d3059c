//! The guest's processes: PID 1 reaps them all, and ends what a case leaves.

use super::cgroups::{self, Layout};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

/// `PF_KTHREAD` of the kernel's `include/linux/sched.h`, as `/proc/PID/stat` shows it.
const KERNEL_THREAD: u64 = 0x0020_0000;
/// How long killed processes may take to go.
const DYING: Duration = Duration::from_secs(10);

/// Tells when children end.
#[derive(Debug)]
pub struct Children {
    signals: SignalFd,
}

impl Children {
    /// Blocks `SIGCHLD` in this process, its children start with an empty mask, and listens for it.
    ///
    /// # Errors
    /// What `signalfd(2)` says.
    pub fn watch() -> io::Result<Self> {
        let set = SigSet::from_iter([Signal::SIGCHLD]);
        set.thread_block()?;
        Ok(Self { signals: SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)? })
    }

    /// Readable when a child has ended.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }

    /// Whether there is none, dead or alive: what a case starts descends from PID 1, whose children orphans become.
    ///
    /// What the kernel itself starts (`core_pattern`, a release agent) does not: [`all`] has it.
    pub fn none(&self) -> bool {
        let quietly =
            WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT | WaitPidFlag::WEXITED | WaitPidFlag::__WALL;
        waitid(Id::All, quietly) == Err(Errno::ECHILD)
    }

    /// Reaps every child that has ended, orphans of the cases among them; the status of `wanted`, if it was one.
    pub fn reap(&self, wanted: Pid) -> Option<WaitStatus> {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        let mut found = None;
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(_) => return found,
                Ok(status) if status.pid() == Some(wanted) => found = Some(status),
                Ok(_) => {}
            }
        }
    }
}

/// One process of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its `comm`.
    pub name: String,
}

/// Every process but PID 1 and the kernel's threads; zombies are left out.
///
/// A process that ends as soon as it has a successor may be missed between the two; [`Children::none`] is not misled.
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    // Threads of the kernel, by far the most, have no program, which is quicker seen than what the kernel says of each.
    pids.filter(|pid| *pid != 1 && fs::read_link(format!("/proc/{pid}/exe")).is_ok())
        .filter_map(|pid| parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

fn parse_stat(pid: i32, stat: &str) -> Option<Process> {
    // The name is in parentheses and may hold any character, parentheses too.
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let mut fields = after.split_whitespace();
    let state = fields.next()?;
    let flags: u64 = fields.nth(5)?.parse().ok()?;
    let counts = flags & KERNEL_THREAD == 0 && !matches!(state, "Z" | "X");
    counts.then(|| Process { pid, name: name.to_owned() })
}

/// Kills everything but PID 1, and reaps it; the processes that did not go in time.
pub fn kill_all(children: &Children, layout: Layout) -> Vec<Process> {
    let deadline = Instant::now() + DYING;
    loop {
        if children.none() && all().is_empty() {
            return Vec::new();
        }
        thaw(layout);
        // In the kernel one walk under a lock: a fork bomb cannot outrun it.
        match kill(Pid::from_raw(-1), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => eprintln!("lab: cannot kill what a case left: {errno}"),
        }
        children.reap(Pid::from_raw(0));
        if Instant::now() >= deadline {
            return all();
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A process frozen by cgroup v1 takes no signal.
fn thaw(layout: Layout) {
    if layout != Layout::V2 {
        for cgroup in cgroups::all(layout) {
            let state = cgroup.join("freezer.state");
            if state.exists() {
                // A cgroup that vanishes meanwhile needs no thawing.
                let _ = fs::write(state, "THAWED");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_are_parsed() {
        let line = "42 (a) (b) S 1 42 42 0 -1 4194560 99 0 0 0 0 0 0 0 20 0 1 0 123";
        assert_eq!(parse_stat(42, line).unwrap().name, "a) (b");
        assert_eq!(parse_stat(2, "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0"), None);
        assert_eq!(parse_stat(7, "7 (gone) Z 1 7 7 0 -1 4194560 0 0 0 0"), None);
    }

    #[test]
    fn this_process_is_listed() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(all().iter().any(|process| process.pid == own));
    }
}
