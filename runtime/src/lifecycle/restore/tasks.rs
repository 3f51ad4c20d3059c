//! The tasks that were restored: every thread of the first process and of its descendants.
//!
//! criu dumps the tree below the first process, and makes that again. `/proc/PID/task/TID/children` is there where
//! criu works (`CONFIG_CHECKPOINT_RESTORE` selects it).

use std::fs;

use crate::{Error, ErrorKind, Result};

/// More than can be numbered at once.
const MOST: usize = 1 << 22;

/// A thread, and the process it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) pid: i32,
    pub(super) tid: i32,
}

/// All tasks of the tree.
pub(super) fn below(init: i32) -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    let mut left = vec![init];
    while let Some(pid) = left.pop() {
        let fail = |error: std::io::Error| {
            Error::new(ErrorKind::System, format!("look at the threads of process {pid}: {error}"))
        };
        for entry in fs::read_dir(format!("/proc/{pid}/task")).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            let Some(tid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            tasks.push(Task { pid, tid });
            let children = fs::read_to_string(format!("/proc/{pid}/task/{tid}/children")).map_err(fail)?;
            left.extend(children.split_whitespace().filter_map(|child| child.parse::<i32>().ok()));
        }
        if tasks.len() > MOST {
            return Err(Error::new(ErrorKind::System, "the restored processes have no end"));
        }
    }
    Ok(tasks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_and_children_are_found() {
        let own = std::process::id().cast_signed();
        let mut child = std::process::Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let (say, hear) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || hear.recv());
        let pid = child.id().cast_signed();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let grandchild = loop {
            let tasks = below(pid).unwrap();
            if let Some(task) = tasks.iter().find(|task| task.pid != pid) {
                break task.pid;
            }
            assert!(std::time::Instant::now() < deadline);
        };
        let tasks = below(own).unwrap();
        assert!(tasks.contains(&Task { pid, tid: pid }) && tasks.iter().any(|task| task.pid == grandchild));
        assert!(tasks.iter().filter(|task| task.pid == own).count() > 1, "{tasks:?}");
        drop(say);
        let _ = thread.join();
        let all = std::process::Command::new("kill").args([pid.to_string(), grandchild.to_string()]).status();
        assert!(all.unwrap().success());
        child.wait().unwrap();
        assert!(below(i32::MAX).is_err());
    }
}
