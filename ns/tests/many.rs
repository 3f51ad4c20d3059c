//! Ten thousand contained children of a program whose threads allocate without pause: no hang, no leak.
//!
//! What it is against: code that runs between clone and exec and takes a lock which a thread of the parent held at
//! that moment waits for ever. Here every child is made at a moment when some thread is in the allocator.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use cofferdam_ns::{Exit, IdMaps, Namespaces, Spawn, Stdio};

const CHILDREN: usize = 10_000;
const ALLOCATING: usize = 8;
const SPAWNING: usize = 4;
/// No child may take longer than this on the slowest machine.
const HANG: Duration = Duration::from_mins(2);

/// New network namespaces cost the kernel some 20 ms of one lock each; the five that are in every container do not.
const NAMESPACES: Namespaces = Namespaces::USER
    .union(Namespaces::PID)
    .union(Namespaces::MOUNT)
    .union(Namespaces::UTS)
    .union(Namespaces::IPC);

fn child() -> Spawn {
    Spawn::new("/bin/true").ids(IdMaps::caller_as_root()).unshare(NAMESPACES).stdin(Stdio::Null).env_clear()
}

/// Keeps the allocator's locks busy, and a lock of its own too.
fn allocate(stop: &AtomicBool, shared: &Mutex<BTreeMap<usize, Vec<u8>>>, seed: usize) {
    let mut size = seed;
    while !stop.load(Ordering::Relaxed) {
        size = size.wrapping_mul(31).wrapping_add(17) % 40_000;
        let piece = vec![1u8; size];
        let mut shared = shared.lock().unwrap();
        shared.insert(size, piece);
        if shared.len() > 300 {
            shared.clear();
        }
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Children of any thread of this process, zombies included.
fn children() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok())
        .map(|list| list.split_whitespace().count())
        .sum()
}

/// Runs this test again in a process whose allocator has one lock for all threads.
///
/// glibc gives each thread an arena of its own otherwise, and what the child must not do would go well by luck.
fn with_one_arena(name: &str) {
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("GLIBC_TUNABLES", "glibc.malloc.arena_max=1:glibc.malloc.tcache_count=0")
        .env("MANY_CHILDREN", "here")
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn ten_thousand_children_of_a_busy_program() {
    if std::env::var_os("MANY_CHILDREN").is_none() {
        return with_one_arena("ten_thousand_children_of_a_busy_program");
    }
    if let Err(error) = child().spawn().and_then(|mut child| child.wait()) {
        return eprintln!("skipped, this host lets nobody have these namespaces: {error}");
    }
    let before = (descriptors(), children());
    let stop = AtomicBool::new(false);
    let shared = Mutex::new(BTreeMap::new());
    let left = AtomicUsize::new(CHILDREN);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for seed in 0..ALLOCATING {
            let (stop, shared) = (&stop, &shared);
            scope.spawn(move || allocate(stop, shared, seed));
        }
        let (done, progress) = mpsc::channel();
        for _ in 0..SPAWNING {
            let (done, left) = (done.clone(), &left);
            scope.spawn(move || {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                    let exit = child().spawn().and_then(|mut child| child.wait());
                    done.send(exit.map_err(|error| error.to_string())).unwrap();
                }
            });
        }
        drop(done);
        for number in 1..=CHILDREN {
            match progress.recv_timeout(HANG) {
                Ok(Ok(Exit::Code(0))) => {}
                // A scope would wait for the threads that hang.
                Ok(other) => abort(&format!("child {number} ended with {other:?}")),
                Err(error) => abort(&format!("no child came to its end after number {number}: {error}")),
            }
            if number % 1000 == 0 {
                eprintln!("{number} children, {:.1} s", start.elapsed().as_secs_f32());
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!((descriptors(), children()), before, "descriptors and children, before and after");
}

fn abort(why: &str) -> ! {
    eprintln!("{why}");
    std::process::abort()
}
