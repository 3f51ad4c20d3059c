//! Guests that misbehave on purpose: what the lab must tell apart and never take for a pass.
//!
//! `pass`, `skip` and `warn` are the controls: a lab that cries wolf at them is as broken.

mod kernel;
mod process;

pub use process::{multiply, sleep};

use crate::protocol::Case;
use crate::registry::{Context, Result, Test};

/// The tables of this folder.
pub const TESTS: &[&[Test]] = &[PID_1, kernel::TESTS, process::TESTS];

/// What PID 1 itself does wrong; the cases do nothing.
const PID_1: &[Test] = &[
    Test::selftest("selftest-none", "PID 1 reports no outcome: the lab failed", nothing),
    Test::selftest("selftest-twice", "PID 1 reports an outcome twice: the lab failed", nothing),
    Test::selftest("selftest-hang", "PID 1 falls silent: the lab failed", nothing).fresh(),
    Test::selftest("selftest-exit", "PID 1 exits, so the kernel panics: the lab failed", nothing).fresh(),
];

/// What PID 1 does wrong with a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misbehaviour {
    /// Reports no outcome.
    SayNothing,
    /// Reports the outcome twice.
    SayTwice,
    /// Answers nothing any more.
    Hang,
    /// Ends.
    Exit,
}

impl Misbehaviour {
    /// What is to go wrong with this case.
    pub(crate) fn of(case: &Case) -> Option<Self> {
        match case.test.as_str() {
            "selftest-none" => Some(Self::SayNothing),
            "selftest-twice" => Some(Self::SayTwice),
            "selftest-hang" => Some(Self::Hang),
            "selftest-exit" => Some(Self::Exit),
            _ => None,
        }
    }

    /// How often the outcome is said.
    pub(crate) fn times(self) -> usize {
        match self {
            Self::SayTwice => 2,
            Self::SayNothing | Self::Hang | Self::Exit => 0,
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a test is a function that can fail")]
fn nothing(_: &mut Context) -> Result {
    Ok(())
}

/// Writes a line to the kernel's log, and so to the console: `<LEVEL>TEXT`.
fn log(line: &str) -> Result {
    Ok(std::fs::write("/dev/kmsg", line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_misbehaviour_is_in_the_table() {
        for test in PID_1 {
            let case = Case { test: test.name.to_owned(), mode: "full".to_owned() };
            assert!(Misbehaviour::of(&case).is_some(), "{}", test.name);
        }
        assert_eq!(Misbehaviour::of(&Case { test: "selftest-pass".into(), mode: "full".into() }), None);
    }
}
