//! How often calls are made, roughly: those that programs make by the million stand higher in the tree.

use super::decisions::Range;
use crate::Arch;

/// Calls of loops that do nothing else. Which ones comes from tracing servers, compilers and shells; that
/// they are few matters more than which they are.
const HOT: [&str; 28] = [
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "futex",
    "epoll_wait",
    "epoll_pwait",
    "epoll_ctl",
    "poll",
    "ppoll",
    "openat",
    "close",
    "fstat",
    "newfstatat",
    "lseek",
    "mmap",
    "munmap",
    "mprotect",
    "ioctl",
    "fcntl",
    "rt_sigprocmask",
    "clock_nanosleep",
];

/// How many ordinary calls a hot one weighs.
const HEAVY: u64 = 12;

/// Gives each range the weight of its calls, at least 1.
pub(super) fn weigh(ranges: &mut [Range], group: &[Arch]) {
    let mut numbers: Vec<(u32, u64)> = Vec::new();
    // x32 is hardly ever used: it weighs nothing beside x86-64.
    let arch = group.iter().find(|arch| **arch != Arch::X32).or(group.first());
    for (name, number) in arch.into_iter().flat_map(|arch| arch.calls()) {
        numbers.push((number, if HOT.contains(&name) { HEAVY } else { 1 }));
    }
    numbers.sort_unstable();
    let mut rest = numbers.as_slice();
    let ends: Vec<u32> =
        ranges.iter().skip(1).map(|range| range.start).chain(std::iter::once(u32::MAX)).collect();
    for (range, end) in ranges.iter_mut().zip(ends) {
        let here = rest.partition_point(|(number, _)| *number < end);
        let (mine, others) = rest.split_at(here);
        rest = others;
        range.weight = mine.iter().map(|(_, weight)| weight).sum::<u64>().max(1);
    }
}
