//! A kernel facility that a crate uses where it is there: its name, its history, and the question.
//!
//! Each crate has a table `PROBES` of these. The lab asks all of them on every kernel and holds the answers
//! against `docs/kernel-features.md`, on both sides: there where the page says so, absent where it says not.

use crate::Result;

/// One facility.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// The name that tests and the page of kernel features call it by: `mount_setattr`.
    pub name: &'static str,
    /// The first release of Linux that has it: `5.12`.
    pub since: &'static str,
    /// What it is used for, in a few words.
    pub used_for: &'static str,
    /// What is done, or refused, without it.
    pub without: &'static str,
    /// Asks the running kernel.
    ///
    /// `Ok(false)` only for the one answer that means "not there": a question that was blocked is an error
    /// and is not taken for an old kernel.
    pub ask: fn() -> Result<bool>,
}

/// The facilities that this crate asks for.
pub const PROBES: &[Probe] = &[
    Probe {
        name: "clone3",
        since: "5.3",
        used_for: "a child born in its namespaces and cgroup, with a pidfd",
        without: "clone(2): a child is moved to its cgroup before its first step, and forks into a time namespace",
        ask: crate::facility::has_clone3,
    },
    Probe {
        name: "mount_setattr",
        since: "5.12",
        used_for: "attributes of a whole tree of mounts at once; idmapped mounts",
        without: "one mount at a time is remounted",
        ask: crate::facility::has_mount_setattr,
    },
    Probe {
        name: "statmount",
        since: "6.8",
        used_for: "reading back what was mounted",
        without: "mountinfo is read",
        ask: crate::facility::has_statmount,
    },
];
