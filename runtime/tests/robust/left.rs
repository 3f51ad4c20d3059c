//! What is left behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How long what was left alone may take to end by itself.
const SETTLE: Duration = Duration::from_secs(20);

/// Waits until no child is left but `kept`, reaping those that end; gives the ones that do not.
pub(crate) fn settle(kept: &[Pid]) -> Result<(), String> {
    let end = Instant::now() + SETTLE;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)) {
            Err(Errno::ECHILD) => return Ok(()),
            Ok(WaitStatus::StillAlive) => {}
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(error) => panic!("wait for what is left: {error}"),
        }
        let others: Vec<Pid> = children(Pid::this()).into_iter().filter(|pid| !kept.contains(pid)).collect();
        // With none kept, the call above is the one to believe: the lists may miss a process that changes its parent.
        if others.is_empty() && !kept.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            let what = |pid: &Pid| {
                let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
                let state = read("stat").rsplit(") ").next().and_then(|rest| rest.chars().next());
                format!("{pid} {state:?} {}; ", read("cmdline").replace('\0', " "))
            };
            return Err(others.iter().map(what).collect());
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The children of all threads of a process.
pub(crate) fn children(of: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{of}/task")).into_iter().flatten();
    let lists: Vec<String> =
        tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok()).collect();
    let pids = lists.iter().flat_map(|list| list.split_whitespace());
    pids.map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}

/// The mounts of the calling thread.
pub(crate) fn mounts() -> String {
    fs::read_to_string("/proc/thread-self/mountinfo").unwrap()
}

/// Every path below a directory.
pub(crate) fn listing(dir: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            }
            found.insert(entry.path());
        }
    }
    found
}
