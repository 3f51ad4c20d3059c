//! The kernel facilities that this crate asks for.

use cofferdam_sys::facility;
pub use cofferdam_sys::probe::Probe;

use crate::Action;

/// Each facility with its history and its question.
pub const PROBES: &[Probe] = &[Probe {
    name: "seccomp_user_notif",
    since: "5.0",
    used_for: "asking a supervisor about a call",
    without: "a filter with that action is refused",
    ask: || facility::seccomp_action(Action::Notify.value()),
}];
