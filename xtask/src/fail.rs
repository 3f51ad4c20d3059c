//! Failures that know which exit status of `xtask` they stand for.

use std::fmt;

/// Exit statuses of `xtask` other than success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A test, check or build failed.
    Failed = 1,
    /// The command line or its input was wrong.
    Usage = 2,
    /// The lab itself failed: nothing was learnt about the code under test.
    Lab = 3,
}

/// An error with the exit status it stands for.
#[derive(Debug)]
pub struct Fail {
    /// The status `xtask` exits with.
    pub exit: Exit,
    /// What went wrong and what to do about it.
    pub message: String,
}

impl fmt::Display for Fail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Fail {}

/// An error for input that can be corrected on the command line (exit 2).
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    with(Exit::Usage, message)
}

/// An error for a lab that could not do its work (exit 3).
pub fn lab(message: impl Into<String>) -> anyhow::Error {
    with(Exit::Lab, message)
}

/// An error for a test, check or build that failed (exit 1).
pub fn failed(message: impl Into<String>) -> anyhow::Error {
    with(Exit::Failed, message)
}

/// The exit status for `error`: that of the first [`Fail`] in its chain, or [`Exit::Lab`].
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let exit =
        error.chain().find_map(|cause| cause.downcast_ref::<Fail>()).map_or(Exit::Lab, |fail| fail.exit);
    exit as u8
}

fn with(exit: Exit, message: impl Into<String>) -> anyhow::Error {
    Fail { exit, message: message.into() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn status_survives_context() {
        assert_eq!(exit_code(&usage("no such thing").context("outer")), 2);
        assert_eq!(exit_code(&failed("red").context("a").context("b")), 1);
        assert_eq!(exit_code(&lab("no kernel")), 3);
        let plain: anyhow::Result<()> = Err(std::io::Error::other("x")).context("reading");
        assert_eq!(plain.map_err(|error| exit_code(&error)), Err(3));
    }
}
