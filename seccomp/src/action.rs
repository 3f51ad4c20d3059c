//! What a filter can answer to a system call.

use std::fmt;
use std::str::FromStr;

use cofferdam_sys::facility;

use crate::{Error, ErrorKind};

/// What happens to a system call (`seccomp(2)`); ordered from the most to the least severe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Action {
    /// The whole process is killed (Linux 4.14).
    KillProcess,
    /// The thread is killed.
    KillThread,
    /// The thread gets `SIGSYS`.
    Trap,
    /// The call fails with an errno that the filter gives.
    Errno,
    /// A supervisor is asked (Linux 5.0).
    Notify,
    /// A tracer is asked.
    Trace,
    /// The call goes through and is logged (Linux 4.14).
    Log,
    /// The call goes through.
    Allow,
}

/// The actions with the kernel's value, the kernel's name and the name in an OCI config.
const TABLE: [(Action, u32, &str, &str); 8] = [
    (Action::KillProcess, 0x8000_0000, "kill_process", "SCMP_ACT_KILL_PROCESS"),
    (Action::KillThread, 0x0000_0000, "kill_thread", "SCMP_ACT_KILL_THREAD"),
    (Action::Trap, 0x0003_0000, "trap", "SCMP_ACT_TRAP"),
    (Action::Errno, 0x0005_0000, "errno", "SCMP_ACT_ERRNO"),
    (Action::Notify, 0x7fc0_0000, "user_notif", "SCMP_ACT_NOTIFY"),
    (Action::Trace, 0x7ff0_0000, "trace", "SCMP_ACT_TRACE"),
    (Action::Log, 0x7ffc_0000, "log", "SCMP_ACT_LOG"),
    (Action::Allow, 0x7fff_0000, "allow", "SCMP_ACT_ALLOW"),
];

impl Action {
    /// Every action, from the most to the least severe.
    pub fn all() -> impl Iterator<Item = Action> {
        TABLE.into_iter().map(|(action, ..)| action)
    }

    /// The kernel's `SECCOMP_RET_*` value without data.
    pub fn value(self) -> u32 {
        self.row().map_or(0, |(_, value, ..)| value)
    }

    /// The kernel's name, as in `/proc/sys/kernel/seccomp/actions_avail`.
    pub fn kernel_name(self) -> &'static str {
        self.row().map_or("", |(_, _, name, _)| name)
    }

    fn row(self) -> Option<(Action, u32, &'static str, &'static str)> {
        TABLE.into_iter().find(|(action, ..)| *action == self)
    }
}

impl fmt::Display for Action {
    /// The name as an OCI config has it: `SCMP_ACT_ERRNO`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().map_or("", |(.., name)| name))
    }
}

impl FromStr for Action {
    type Err = Error;

    /// Reads the OCI's name or the kernel's; `SCMP_ACT_KILL` is the old name of `SCMP_ACT_KILL_THREAD`.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "SCMP_ACT_KILL" {
            return Ok(Action::KillThread);
        }
        let known = TABLE.into_iter().find(|(_, _, kernel, oci)| *kernel == text || *oci == text);
        known.map(|(action, ..)| action).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            Error::new(ErrorKind::UnknownName, format!("`{}` is no seccomp action", shown.escape_default()))
        })
    }
}

/// Whether the running kernel's filters know an action.
///
/// Asked of the kernel (`SECCOMP_GET_ACTION_AVAIL`), so it needs no procfs and no privilege.
///
/// # Errors
/// [`ErrorKind::Os`] for anything but yes and no: a question that was blocked is not taken for a no.
pub fn available(action: Action) -> Result<bool, Error> {
    facility::seccomp_action(action.value()).map_err(|number| {
        Error::new(ErrorKind::Os(number), format!("ask the kernel for the seccomp action {action}"))
    })
}

/// The actions that the running kernel's filters know, from the most to the least severe.
///
/// # Errors
/// As [`available`].
pub fn available_actions() -> Result<Vec<Action>, Error> {
    Action::all()
        .filter_map(|action| available(action).map(|there| there.then_some(action)).transpose())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_the_same_in_procfs() {
        let text = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap();
        let named: Vec<Action> = text.split_ascii_whitespace().map(|name| name.parse().unwrap()).collect();
        assert_eq!(available_actions().unwrap(), named);
    }

    #[test]
    fn names_are_read_back() {
        for action in Action::all() {
            assert_eq!(action.to_string().parse::<Action>().unwrap(), action);
            assert_eq!(action.kernel_name().parse::<Action>().unwrap(), action);
        }
        // As the runtime specification has them (config-linux, "Seccomp").
        let names = ["KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "NOTIFY", "TRACE", "LOG", "ALLOW"];
        assert!(
            Action::all().map(|action| action.to_string()).eq(names.map(|name| format!("SCMP_ACT_{name}")))
        );
        assert_eq!("SCMP_ACT_KILL".parse::<Action>().unwrap(), Action::KillThread);
        let error = "SCMP_ACT_EAT".parse::<Action>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownName);
        assert_eq!(
            error.to_string(),
            "`SCMP_ACT_EAT` is no seccomp action; seccomp(2) lists the actions, such as SCMP_ACT_ERRNO"
        );
    }

    #[test]
    fn severity_is_the_kernels_order() {
        // The kernel takes the smallest of several filters' answers, as a signed number.
        let signed = |action: Action| action.value().cast_signed();
        assert!(Action::all().zip(Action::all().skip(1)).all(|(a, b)| signed(a) < signed(b) && a < b));
    }
}
