//! The kernel facilities that this crate asks for.

pub use cofferdam_sys::probe::Probe;
use cofferdam_sys::seccomp::{self, FilterFlags, Instruction};
use cofferdam_sys::{Errno, Result, facility, process};

use crate::{Action, Answer};

/// Each facility with its history and its question.
pub const PROBES: &[Probe] = &[
    Probe {
        name: "seccomp_kill_process",
        since: "4.14",
        used_for: "killing a whole process, not one of its threads",
        without: "a filter with that action is refused",
        ask: || facility::seccomp_action(Action::KillProcess.value()),
    },
    Probe {
        name: "seccomp_log",
        since: "4.14",
        used_for: "letting a call through and logging it; logging what is refused",
        without: "a filter with that action or flag is refused",
        ask: || Ok(facility::seccomp_action(Action::Log.value())? && seccomp::has_flags(FilterFlags::LOG)?),
    },
    Probe {
        name: "seccomp_spec_allow",
        since: "4.17",
        used_for: "leaving speculative store bypass on",
        without: "a filter with that flag is refused",
        ask: || seccomp::has_flags(FilterFlags::SPEC_ALLOW),
    },
    Probe {
        name: "seccomp_user_notif",
        since: "5.0",
        used_for: "asking a supervisor about a call",
        without: "a filter with that action is refused",
        ask: || facility::seccomp_action(Action::Notify.value()),
    },
    Probe {
        name: "seccomp_tsync_listener",
        since: "5.7",
        used_for: "one filter with a supervisor for all threads",
        without: "such a filter is refused",
        ask: || {
            let both = FilterFlags::TSYNC | FilterFlags::NEW_LISTENER | FilterFlags::TSYNC_ESRCH;
            seccomp::has_flags(both)
        },
    },
    Probe {
        name: "seccomp_addfd_send",
        since: "5.14",
        used_for: "a supervisor's descriptor and its answer in one step",
        without: "the descriptor and the answer are two steps",
        ask: addfd_send,
    },
    Probe {
        name: "seccomp_wait_killable",
        since: "5.19",
        used_for: "a call that a supervisor has taken on is not interrupted by a signal",
        without: "a filter with that flag is refused",
        ask: || seccomp::has_flags(FilterFlags::NEW_LISTENER | FilterFlags::WAIT_KILLABLE_RECV),
    },
];

/// Asks on a thread of its own, which has a filter that allows everything and ends with it.
fn addfd_send() -> Result<bool> {
    let ask = || {
        // Of this thread alone.
        process::set_no_new_privs()?;
        let allow = Instruction { code: 0x06, jump_true: 0, jump_false: 0, operand: Answer::Allow.value() };
        let listener = seccomp::set_filter_with_listener(&[allow], FilterFlags::empty())?;
        seccomp::has_add_fd(std::os::fd::AsFd::as_fd(&listener), true)
    };
    match std::thread::Builder::new().spawn(ask).map(std::thread::JoinHandle::join) {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(Errno::EIO),
        Err(error) => Err(cofferdam_sys::errno::from_io(&error)),
    }
}
