//! `memory.current`, `memory.stat` and their like.

use crate::file::{In, keyed};
use crate::{MemoryEvents, Result};

/// `memory.current` and its like, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryStats {
    /// In use.
    pub current: u64,
    /// The most that was in use; `None` before Linux 5.19.
    pub peak: Option<u64>,
    /// Swap in use; `None` on a kernel that does not count it.
    pub swap_current: Option<u64>,
    /// The most swap that was in use; `None` before Linux 6.5.
    pub swap_peak: Option<u64>,
    /// Compressed swap cache in use; `None` before Linux 5.19 or without `CONFIG_ZSWAP`.
    pub zswap_current: Option<u64>,
    /// How often the limit was hit with nothing to reclaim.
    pub oom: u64,
    /// How many processes the OOM killer has killed.
    pub oom_kill: u64,
    /// What the memory is, and what has happened to it.
    pub stat: MemoryStat,
}

macro_rules! memory_stat {
    ($($(#[$doc:meta])* $field:ident = $key:literal,)*) => {
        /// `memory.stat`: bytes where nothing else is said; 0 for what the kernel does not count.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct MemoryStat {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl MemoryStat {
            /// Every field with the key that the file has for it.
            pub fn fields(&self) -> Vec<(&'static str, u64)> {
                vec![$(($key, self.$field),)*]
            }

            /// Reads the file's text.
            pub(crate) fn parse(text: &str) -> Result<Self> {
                let value = |key| keyed("memory.stat", text, key).map(Option::unwrap_or_default);
                Ok(Self { $($field: value($key)?,)* })
            }
        }
    };
}

memory_stat! {
    /// Anonymous memory, as of `brk(2)` and `mmap(MAP_ANONYMOUS)`.
    anon = "anon",
    /// The cache of files, tmpfs and shared memory included.
    file = "file",
    /// Kernel memory in all (Linux 5.18).
    kernel = "kernel",
    /// Kernel stacks.
    kernel_stack = "kernel_stack",
    /// Page tables.
    pagetables = "pagetables",
    /// Per-processor data of the kernel.
    percpu = "percpu",
    /// Buffers of sockets.
    sock = "sock",
    /// Memory of `vmalloc` (Linux 6.0).
    vmalloc = "vmalloc",
    /// The cache of swap-backed files: tmpfs, shared memory.
    shmem = "shmem",
    /// The compressed swap cache (Linux 5.19).
    zswap = "zswap",
    /// What the compressed swap cache stands for (Linux 5.19).
    zswapped = "zswapped",
    /// Mapped files.
    file_mapped = "file_mapped",
    /// Cache that is to be written.
    file_dirty = "file_dirty",
    /// Cache that is being written.
    file_writeback = "file_writeback",
    /// Anonymous memory that is in swap too.
    swapcached = "swapcached",
    /// Anonymous memory in huge pages.
    anon_thp = "anon_thp",
    /// Anonymous memory that was not used lately.
    inactive_anon = "inactive_anon",
    /// Anonymous memory that was used lately.
    active_anon = "active_anon",
    /// Cache that was not used lately.
    inactive_file = "inactive_file",
    /// Cache that was used lately.
    active_file = "active_file",
    /// Locked memory.
    unevictable = "unevictable",
    /// Kernel objects that can be taken away, as dentries.
    slab_reclaimable = "slab_reclaimable",
    /// Kernel objects that cannot.
    slab_unreclaimable = "slab_unreclaimable",
    /// Page faults, a count.
    pgfault = "pgfault",
    /// Page faults that read from a disk, a count.
    pgmajfault = "pgmajfault",
    /// Pages that were looked at to take them away, a count.
    pgscan = "pgscan",
    /// Pages that were taken away, a count.
    pgsteal = "pgsteal",
    /// Anonymous pages that came back soon after they were taken away, a count.
    workingset_refault_anon = "workingset_refault_anon",
    /// Pages of files that came back soon after they were taken away, a count.
    workingset_refault_file = "workingset_refault_file",
}

pub(super) fn read(files: In<'_>) -> Result<Option<MemoryStats>> {
    let Some(current) = files.number_if_there("memory.current")? else { return Ok(None) };
    let events = MemoryEvents::parse(&files.read_if_there("memory.events")?.unwrap_or_default())?;
    Ok(Some(MemoryStats {
        current,
        peak: files.number_if_there("memory.peak")?,
        swap_current: files.number_if_there("memory.swap.current")?,
        swap_peak: files.number_if_there("memory.swap.peak")?,
        zswap_current: files.number_if_there("memory.zswap.current")?,
        oom: events.oom,
        oom_kill: events.oom_kill,
        stat: MemoryStat::parse(&files.read_if_there("memory.stat")?.unwrap_or_default())?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn kinds_of_memory_are_read() {
        let stat = MemoryStat::parse("anon 4096\nfile 8192\nslab 7\npgfault 3\n").unwrap();
        assert_eq!((stat.anon, stat.file, stat.pgfault, stat.zswap), (4096, 8192, 3, 0));
        let error = MemoryStat::parse("anon x\n").unwrap_err().to_string();
        assert!(error.starts_with("memory.stat, anon: `x`"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "((anon|file|x)? ?[0-9-]{0,22}\n?){0,4}") {
            let _ = MemoryStat::parse(&text);
        }
    }
}
