//! How a test says that it did not pass.

use std::error::Error;
use std::fmt::{self, Display};
use std::panic::Location;

/// Why a test did not pass. Any error turns into one by `?`, with the place of the `?`.
#[derive(Debug)]
pub enum Failure {
    /// Something that was asserted does not hold, or could not be found out.
    Failed {
        /// What, with the values.
        message: String,
        /// Where in the tests' source.
        place: &'static Location<'static>,
    },
    /// A need of the test is not met here.
    Skipped {
        /// Which one.
        reason: String,
    },
}

impl Failure {
    /// A failure at the caller's place.
    #[track_caller]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), place: Location::caller() }
    }

    /// A skip.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self::Skipped { reason: reason.into() }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { message, place } => write!(f, "{message} ({}:{})", place.file(), place.line()),
            Self::Skipped { reason } => f.write_str(reason),
        }
    }
}

impl<E: Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::failed(chain(&error))
    }
}

/// Says what was being done when a step of a test went wrong.
pub trait OrFail<T> {
    /// Turns the absence of a value into a [`Failure`] that begins with `what`.
    ///
    /// # Errors
    /// When there is no value.
    #[track_caller]
    fn or_fail(self, what: impl Display) -> super::Result<T>;
}

impl<T, E: Error> OrFail<T> for std::result::Result<T, E> {
    #[track_caller]
    fn or_fail(self, what: impl Display) -> super::Result<T> {
        match self {
            Ok(value) => Ok(value),
            Err(error) => Err(Failure::failed(format!("{what}: {}", chain(&error)))),
        }
    }
}

impl<T> OrFail<T> for Option<T> {
    #[track_caller]
    fn or_fail(self, what: impl Display) -> super::Result<T> {
        match self {
            Some(value) => Ok(value),
            None => Err(Failure::failed(format!("{what}: nothing found"))),
        }
    }
}

/// The error and its sources, as one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::registry::Result;

    fn asks() -> Result {
        std::fs::read("/does/not/exist")?;
        Ok(())
    }

    #[test]
    fn a_question_mark_gives_its_own_place() {
        let text = asks().unwrap_err().to_string();
        assert!(text.contains("failure.rs") && text.contains("No such file"), "{text}");
    }

    #[test]
    fn macros_show_both_values() {
        let run = || -> Result {
            ensure_eq!(1 + 1, 3, "the sum");
            Ok(())
        };
        let text = run().unwrap_err().to_string();
        assert!(text.starts_with("the sum: found 2, wanted 3"), "{text}");
    }
}
