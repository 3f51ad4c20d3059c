//! Work over a number of threads; a piece of work may queue more work.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What one guest takes of the host's memory beside its own: QEMU's translation cache and tables.
const OVERHEAD_MIB: u64 = 200;

/// How many guests of `guest_mib` run at once by default: one a core, at most what memory allows.
pub fn default_jobs(guest_mib: u64) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    jobs_for(cores, available_mib(&meminfo), guest_mib)
}

fn jobs_for(cores: usize, available_mib: Option<u64>, guest_mib: u64) -> usize {
    let Some(available) = available_mib else { return cores };
    let fit = usize::try_from(available / (guest_mib + OVERHEAD_MIB)).unwrap_or(usize::MAX);
    cores.min(fit).max(1)
}

fn available_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}

/// The work that is left.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    active: usize,
}

impl<T: Send> Queue<T> {
    /// A queue of this work.
    pub fn new(work: Vec<T>) -> Self {
        Self { state: Mutex::new(State { waiting: work.into(), active: 0 }), changed: Condvar::new() }
    }

    /// Adds work that is taken before what waits.
    pub fn add(&self, work: impl IntoIterator<Item = T>) {
        let mut state = self.lock();
        for (at, piece) in work.into_iter().enumerate() {
            state.waiting.insert(at, piece);
        }
        self.changed.notify_all();
    }

    /// Works on `jobs` threads until nothing waits and nobody works.
    pub fn run(&self, jobs: usize, work: impl Fn(T) + Sync) {
        std::thread::scope(|scope| {
            for _ in 0..jobs.max(1) {
                scope.spawn(|| {
                    while let Some(piece) = self.take() {
                        let done = Working(self);
                        work(piece);
                        drop(done);
                    }
                });
            }
        });
    }

    /// The next piece; waits while somebody who works may still add some.
    fn take(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(piece) = state.waiting.pop_front() {
                state.active += 1;
                return Some(piece);
            }
            if state.active == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a worker off, also when its work panics: the others must not wait for it.
struct Working<'a, T: Send>(&'a Queue<T>);

impl<T: Send> Drop for Working<'_, T> {
    fn drop(&mut self) {
        self.0.lock().active -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_limits_the_jobs() {
        assert_eq!(jobs_for(8, Some(16_000), 256), 8);
        assert_eq!(jobs_for(8, Some(1000), 256), 2);
        assert_eq!(jobs_for(8, Some(100), 256), 1);
        assert_eq!(jobs_for(3, None, 256), 3);
    }

    #[test]
    fn meminfo_is_read() {
        assert_eq!(available_mib("MemTotal: 9 kB\nMemAvailable:   2048000 kB\n"), Some(2000));
        assert_eq!(available_mib("MemTotal: 9 kB\n"), None);
    }

    #[test]
    fn all_work_is_done_and_work_may_add_work() {
        let queue = Queue::new((0..20).collect());
        let done = Mutex::new(Vec::new());
        queue.run(3, |piece: u32| {
            if piece < 20 {
                queue.add([piece + 100]);
            }
            done.lock().unwrap().push(piece);
        });
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert_eq!(done, (0..20).chain(100..120).collect::<Vec<_>>());
    }

    #[test]
    fn added_work_comes_first_and_in_order() {
        let queue = Queue::new(vec![1, 2]);
        let done = Mutex::new(Vec::new());
        queue.run(1, |piece| {
            if piece == 1 {
                queue.add([10, 11]);
            }
            done.lock().unwrap().push(piece);
        });
        assert_eq!(done.into_inner().unwrap(), [1, 10, 11, 2]);
    }
}
