//! Attempts to get more than one's share.

use super::files::{read, write_once};
use crate::probe::{Steps, Tried, io, number};
use cofferdam_sys::{Errno, rlimit};
use serde_json::{Value, json};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const MEBIBYTE: usize = 1 << 20;

/// Starts threads and keeps them all; says when there are more than 100.
pub(super) fn threads(steps: &Steps, count: &str) -> Tried {
    let count: usize = number(count)?;
    let gate = Arc::new((Mutex::new(()), Condvar::new()));
    let mut running = 0;
    while running < count {
        let gate = Arc::clone(&gate);
        let hold = move || {
            let (lock, bell) = &*gate;
            if let Ok(guard) = lock.lock() {
                // The process ends first; the bound is for the day when it does not.
                let _ = bell.wait_timeout(guard, Duration::from_mins(1));
            }
        };
        io(std::thread::Builder::new().stack_size(64 << 10).spawn(hold))?;
        running += 1;
        if running == 101 {
            steps.say("more than 100", Ok(Value::Null));
        }
    }
    Ok(json!(running))
}

/// Takes memory and uses all of it.
pub(super) fn memory(mebibytes: &str) -> Tried {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    for _ in 0..number::<usize>(mebibytes)? {
        let mut block: Vec<u8> = Vec::new();
        block.try_reserve_exact(MEBIBYTE).map_err(|_| Errno::ENOMEM)?;
        block.resize(MEBIBYTE, 1);
        taken.push(block);
    }
    // Asked of each page, so that the filling is not optimised away.
    let pages =
        taken.iter().flat_map(|block| block.chunks(4096)).filter(|page| page.first() == Some(&1)).count();
    Ok(json!(pages))
}

/// Raises a hard limit.
pub(super) fn raise_limit(name: &str) -> Tried {
    let resource = rlimit::by_name(name).ok_or(Errno::EINVAL)?;
    let limit = rlimit::get(0, resource)?;
    let more = limit.hard.checked_add(1).ok_or(Errno::EINVAL)?;
    rlimit::set(0, resource, rlimit::Rlimit { soft: limit.soft, hard: more })?;
    Ok(json!(more))
}

/// Goes before everybody else.
pub(super) fn nice(value: &str) -> Tried {
    rustix::process::setpriority_process(None, number(value)?)
        .map_err(|error| Errno::from_raw(error.raw_os_error()))
        .map(|()| Value::Null)
}

/// Moves itself into another cgroup.
pub(super) fn join_cgroup(steps: &Steps, dir: &str) -> Tried {
    steps.step("write", write_once(&format!("{dir}/cgroup.procs"), "0"))?;
    read("/proc/self/cgroup")
}

/// Sets a file of the cgroup filesystem and reads it again.
pub(super) fn set_file(steps: &Steps, path: &str, text: &str) -> Tried {
    steps.step("write", write_once(path, text))?;
    read(path)
}
