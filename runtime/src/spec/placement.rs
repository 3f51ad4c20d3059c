//! `linux.personality`, `linux.intelRdt` and `linux.memoryPolicy`.

use super::shape;

shape::objects! {
    /// The execution domain (`personality(2)`).
    #[derive(Eq)]
    pub struct LinuxPersonality {
        /// The domain.
        pub domain: LinuxPersonalityDomain = required "domain",
        /// Flags; the specification has none yet.
        pub flags: Vec<String> = "flags",
    }

    /// Shares of caches and memory bandwidth (`/sys/fs/resctrl`).
    #[derive(Eq, Default)]
    pub struct LinuxIntelRdt {
        /// The group.
        pub clos_id: Option<String> = "closID",
        /// Lines for its `schemata`.
        pub schemata: Vec<String> = "schemata",
        /// A line about the L3 cache.
        pub l3_cache_schema: Option<String> = "l3CacheSchema",
        /// A line about memory bandwidth.
        pub mem_bw_schema: Option<String> = "memBwSchema",
        /// Whether cache use is measured; of versions before 1.3.
        pub enable_cmt: Option<bool> = "enableCMT",
        /// Whether bandwidth is measured; of versions before 1.3.
        pub enable_mbm: Option<bool> = "enableMBM",
        /// Whether a group for measuring is made.
        pub enable_monitoring: Option<bool> = "enableMonitoring",
    }

    /// On which NUMA nodes memory is (`set_mempolicy(2)`).
    #[derive(Eq)]
    pub struct LinuxMemoryPolicy {
        /// The policy.
        pub mode: MemoryPolicyMode = required "mode",
        /// The nodes, as a list such as `0-3,7`.
        pub nodes: Option<String> = "nodes",
        /// Flags.
        pub flags: Vec<MemoryPolicyFlag> = "flags",
    }
}

shape::words! {
    /// An execution domain.
    pub enum LinuxPersonalityDomain {
        /// The machine's own.
        Linux = "LINUX",
        /// 32 bits: `uname(2)` names the smaller machine.
        Linux32 = "LINUX32",
    }

    /// A memory policy.
    #[expect(missing_docs, reason = "the names of set_mempolicy(2)")]
    pub enum MemoryPolicyMode {
        Default = "MPOL_DEFAULT",
        Bind = "MPOL_BIND",
        Interleave = "MPOL_INTERLEAVE",
        WeightedInterleave = "MPOL_WEIGHTED_INTERLEAVE",
        Preferred = "MPOL_PREFERRED",
        PreferredMany = "MPOL_PREFERRED_MANY",
        Local = "MPOL_LOCAL",
    }

    /// A flag of a memory policy.
    #[expect(missing_docs, reason = "the names of set_mempolicy(2)")]
    pub enum MemoryPolicyFlag {
        NumaBalancing = "MPOL_F_NUMA_BALANCING",
        RelativeNodes = "MPOL_F_RELATIVE_NODES",
        StaticNodes = "MPOL_F_STATIC_NODES",
    }
}
