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
    // x32 is hardly ever used: it weighs nothing beside x86-64.
    let arch = group.iter().find(|arch| **arch != Arch::X32).or(group.first());
    let mut hot: Vec<u32> =
        arch.map_or_else(Vec::new, |arch| HOT.iter().filter_map(|name| arch.number(name)).collect());
    hot.sort_unstable();
    let all: Vec<u32> = arch.into_iter().flat_map(|arch| arch.in_order()).collect();
    let (mut hot, mut all) = (hot.as_slice(), all.as_slice());
    let ends: Vec<u32> =
        ranges.iter().skip(1).map(|range| range.start).chain(std::iter::once(u32::MAX)).collect();
    for (range, end) in ranges.iter_mut().zip(ends) {
        let heavy = take_below(&mut hot, end).saturating_mul(HEAVY - 1);
        range.weight = take_below(&mut all, end).saturating_add(heavy).max(1);
    }
}

/// How many of the first numbers are below `end`; they are taken off.
fn take_below(numbers: &mut &[u32], end: u32) -> u64 {
    let (below, rest) = numbers.split_at(numbers.partition_point(|number| *number < end));
    *numbers = rest;
    u64::try_from(below.len()).unwrap_or(u64::MAX)
}
