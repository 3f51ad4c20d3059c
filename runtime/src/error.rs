//! The runtime's error: an answer that names step, object, cause and remedy.

use std::fmt;

/// The result of the runtime's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, in one line; a failed clean-up is reported beside it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    what: String,
    hint: Option<String>,
    cleanup: Option<String>,
    status: Option<u8>,
}

/// The classes of failure that a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's arguments are wrong.
    Usage,
    /// The bundle or its `config.json` is wrong.
    Config,
    /// The config asks for what this build does not enforce.
    Unsupported,
    /// The id is in use.
    Exists,
    /// There is no such container.
    NotFound,
    /// The container is not in a state in which this can be done.
    WrongStatus,
    /// What is kept of the container, or where it is kept, is not in order.
    State,
    /// A hook failed.
    Hook,
    /// A call on the machine failed that has nothing to do with a config.
    System,
    /// The container's program is not there.
    ProgramNotFound,
    /// The container's program cannot be executed.
    ProgramNotExecutable,
    /// A step of the start failed.
    Start,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), hint: None, cleanup: None, status: None }
    }

    /// A fault of the config at a JSON path such as `linux.namespaces[2].path`.
    pub(crate) fn config(field: &str, why: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Config, format!("config.json: {field}: {why}"))
    }

    /// A field that is understood but that this build does not enforce.
    pub(crate) fn unsupported(field: &str) -> Self {
        Self::new(ErrorKind::Unsupported, format!("config.json: {field}: not supported by this build"))
            .with_hint("what a config asks for is enforced or refused; remove the field to run without it")
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what is known beside it.
    pub(crate) fn with_detail(mut self, detail: &str) -> Self {
        self.what = format!("{}: {detail}", self.what);
        self
    }

    /// Adds what could not be undone after the failure.
    pub(crate) fn with_cleanup(mut self, failure: impl fmt::Display) -> Self {
        let failures = self.cleanup.take().into_iter().chain([failure.to_string()]);
        self.cleanup = Some(failures.collect::<Vec<_>>().join("; and "));
        self
    }

    /// Has the program end with another status than the kind's.
    #[cfg(feature = "cli")]
    pub(crate) fn with_status(mut self, status: u8) -> Self {
        self.status = Some(status);
        self
    }

    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The program's exit status for this failure: 127 and 126 as a shell has them, 2 for usage, else 1.
    pub fn exit_status(&self) -> u8 {
        if let Some(status) = self.status {
            return status;
        }
        match self.kind {
            ErrorKind::Usage => 2,
            ErrorKind::ProgramNotFound => 127,
            ErrorKind::ProgramNotExecutable => 126,
            _ => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        one_line(f, &self.what)?;
        if let Some(hint) = &self.hint {
            f.write_str("; ")?;
            one_line(f, hint)?;
        }
        if let Some(cleanup) = &self.cleanup {
            f.write_str("; then cleaning up failed: ")?;
            one_line(f, cleanup)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Writes a text with its control characters escaped: keys and values of a config must not forge lines of a
/// log or move a terminal's cursor.
fn one_line(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.chars().try_for_each(|c| {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            write!(f, "{}", c.escape_default())
        } else {
            fmt::Write::write_char(f, c)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_is_in_it() {
        let error = Error::config("a\nb", "c\r\u{1b}[2J\u{2028}é").with_hint("d\te").with_cleanup("f\0");
        assert_eq!(
            error.to_string(),
            "config.json: a\\nb: c\\r\\u{1b}[2J\\u{2028}é; d\\te; then cleaning up failed: f\\u{0}"
        );
    }
}
