//! An action with its data: what a filter says to one call.

use std::fmt;

use crate::Action;

/// The largest error number that a call can give (`MAX_ERRNO` of the kernel).
pub const MAX_ERRNO: u16 = 4095;

/// What a filter answers to a call: an [`Action`] with its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Answer {
    /// The whole process is killed by `SIGSYS`.
    KillProcess,
    /// The thread is killed by `SIGSYS`.
    KillThread,
    /// The thread gets `SIGSYS`, which it can handle.
    Trap,
    /// The call fails with this error number, at most [`MAX_ERRNO`].
    Errno(u16),
    /// A supervisor is asked (`seccomp_unotify(2)`).
    Notify,
    /// A tracer gets this message (`PTRACE_EVENT_SECCOMP`); without one the call fails with `ENOSYS`.
    Trace(u16),
    /// The call goes through and is logged.
    Log,
    /// The call goes through.
    Allow,
}

impl Answer {
    /// The action without its data.
    pub fn action(self) -> Action {
        match self {
            Answer::KillProcess => Action::KillProcess,
            Answer::KillThread => Action::KillThread,
            Answer::Trap => Action::Trap,
            Answer::Errno(_) => Action::Errno,
            Answer::Notify => Action::Notify,
            Answer::Trace(_) => Action::Trace,
            Answer::Log => Action::Log,
            Answer::Allow => Action::Allow,
        }
    }

    /// What the filter returns: `SECCOMP_RET_*` with the data in the lower 16 bits.
    pub fn value(self) -> u32 {
        let data = match self {
            Answer::Errno(data) | Answer::Trace(data) => data,
            _ => 0,
        };
        self.action().value() | u32::from(data)
    }

    /// The answer that a filter's value stands for; the kernel takes an unknown one for `KILL_PROCESS`.
    pub fn from_value(value: u32) -> Self {
        let data = u16::try_from(value & 0xffff).unwrap_or(u16::MAX);
        let action = Action::all().find(|action| action.value() == value & 0xffff_0000);
        match action {
            Some(Action::KillThread) => Answer::KillThread,
            Some(Action::Trap) => Answer::Trap,
            Some(Action::Errno) => Answer::Errno(data),
            Some(Action::Notify) => Answer::Notify,
            Some(Action::Trace) => Answer::Trace(data),
            Some(Action::Log) => Answer::Log,
            Some(Action::Allow) => Answer::Allow,
            Some(Action::KillProcess) | None => Answer::KillProcess,
        }
    }

    /// Whether calls that the profile does not know go through, or go to a tracer that knows what it does.
    pub(crate) fn lets_pass(self) -> bool {
        matches!(self, Answer::Allow | Answer::Log | Answer::Trace(_))
    }
}

impl fmt::Display for Answer {
    /// The action as an OCI config has it, with its data: `SCMP_ACT_ERRNO(1)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Errno(data) | Answer::Trace(data) => write!(f, "{}({data})", self.action()),
            _ => self.action().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_back() {
        let answers = [
            Answer::KillProcess,
            Answer::KillThread,
            Answer::Trap,
            Answer::Errno(38),
            Answer::Notify,
            Answer::Trace(7),
            Answer::Log,
            Answer::Allow,
        ];
        for answer in answers {
            assert_eq!(Answer::from_value(answer.value()), answer);
        }
        assert_eq!(Answer::Errno(1).value(), 0x0005_0001);
        assert_eq!(Answer::from_value(0x1234_0000), Answer::KillProcess);
        assert_eq!(Answer::Trace(3).to_string(), "SCMP_ACT_TRACE(3)");
    }
}
