//! The kernel facilities that this crate asks for.

use cofferdam_sys::facility;
pub use cofferdam_sys::probe::Probe;

/// Each facility with its history and its question.
pub const PROBES: &[Probe] = &[Probe {
    name: "landlock",
    since: "5.13",
    used_for: "confining a process by its own rules",
    without: "a ruleset is refused",
    ask: || facility::landlock_abi().map(|abi| abi.is_some()),
}];
