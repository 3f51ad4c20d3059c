//! Which memory nodes a thread's memory comes from (`numa(7)`, `set_mempolicy(2)`).

use crate::call::check;
use crate::{Errno, Result};

/// `MPOL_DEFAULT`: that of the process or the system; takes no nodes.
pub const DEFAULT: i32 = 0;
/// `MPOL_PREFERRED`: one node, others when it is full.
pub const PREFERRED: i32 = 1;
/// `MPOL_BIND`: these nodes only.
pub const BIND: i32 = 2;
/// `MPOL_INTERLEAVE`: in turn.
pub const INTERLEAVE: i32 = 3;
/// `MPOL_LOCAL`: the node of the processor (Linux 3.8).
pub const LOCAL: i32 = 4;
/// `MPOL_PREFERRED_MANY`: these nodes, others when they are full (Linux 5.15).
pub const PREFERRED_MANY: i32 = 5;
/// `MPOL_WEIGHTED_INTERLEAVE`: in turn, by weights of the system (Linux 6.9).
pub const WEIGHTED_INTERLEAVE: i32 = 6;

/// How many words hold the greatest number of nodes that a kernel is built for.
const WORDS: usize = 16;

/// `long set_mempolicy(int mode, const unsigned long *nodes, unsigned long max)` of the calling thread (Linux 2.6.7).
///
/// Bit N of the words, lowest first, is node N; `mode` may have `MPOL_F_*` flags.
///
/// # Errors
/// `EINVAL` for an unknown mode, nodes that do not fit it, or nodes without memory; `ENOSYS` on a kernel
/// without NUMA.
pub fn set(mode: i32, nodes: &[u64]) -> Result<()> {
    // The kernel looks at one bit less than it is told of.
    let bits = nodes.len().saturating_mul(64);
    let (pointer, max) =
        if bits == 0 { (std::ptr::null(), 0) } else { (nodes.as_ptr(), bits.saturating_add(1)) };
    // SAFETY: the pointer is null with length 0, or the words' own with their length in bits.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, max) }).map(drop)
}

/// `long get_mempolicy(int *mode, unsigned long *nodes, unsigned long max, NULL, 0)` of the calling thread (`get_mempolicy(2)`).
///
/// # Errors
/// `ENOSYS` on a kernel without NUMA.
pub fn get() -> Result<(i32, Vec<u64>)> {
    let mut mode: libc::c_int = 0;
    let mut nodes = [0u64; WORDS];
    let max = WORDS.saturating_mul(64).saturating_add(1);
    let none = std::ptr::null::<u8>();
    // As wide as the kernel reads it.
    let flags: libc::c_ulong = 0;
    // SAFETY: the mode is valid for writing, and so are the words, whose length in bits is given.
    check(unsafe {
        libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, nodes.as_mut_ptr(), max, none, flags)
    })?;
    Ok((mode, nodes.to_vec()))
}

/// The number of a mode by its name in `set_mempolicy(2)`, such as `MPOL_BIND`.
///
/// # Errors
/// `EINVAL` for another name.
pub fn mode_by_name(name: &str) -> Result<i32> {
    Ok(match name {
        "MPOL_DEFAULT" => DEFAULT,
        "MPOL_PREFERRED" => PREFERRED,
        "MPOL_BIND" => BIND,
        "MPOL_INTERLEAVE" => INTERLEAVE,
        "MPOL_LOCAL" => LOCAL,
        "MPOL_PREFERRED_MANY" => PREFERRED_MANY,
        "MPOL_WEIGHTED_INTERLEAVE" => WEIGHTED_INTERLEAVE,
        _ => return Err(Errno::EINVAL),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_bound_to_a_node() {
        let bound = std::thread::spawn(|| set(BIND, &[1]).and_then(|()| get())).join().unwrap();
        // A kernel without NUMA, or a filter.
        if matches!(bound, Err(Errno::ENOSYS | Errno::EPERM)) {
            return;
        }
        let (mode, nodes) = bound.unwrap();
        assert_eq!((mode, nodes[0], nodes[1..].iter().all(|word| *word == 0)), (BIND, 1, true));
        assert_eq!(set(DEFAULT, &[1]), Err(Errno::EINVAL));
        assert_eq!(set(99, &[]), Err(Errno::EINVAL));
        assert_eq!(get().unwrap().0, DEFAULT);
    }

    #[test]
    fn names_are_those_of_the_manual() {
        assert_eq!(mode_by_name("MPOL_BIND"), Ok(2));
        assert_eq!(mode_by_name("BIND"), Err(Errno::EINVAL));
    }
}
