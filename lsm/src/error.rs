//! What can go wrong with security modules, and what to do about it.

use std::borrow::Cow;
use std::fmt;
use std::io;

use cofferdam_sys::{Errno, errno};

/// A failure with its step, the kernel's answer where there is one, and a likely remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    what: String,
    hint: Option<Cow<'static, str>>,
}

/// The classes of failure that a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// securityfs is not mounted, so what the kernel says there cannot be read.
    NoSecurityfs,
    /// What the caller gave, or what the kernel printed, is not what it should be.
    Invalid,
    /// The security module is not active on this machine.
    NotActive,
    /// The kernel lacks a facility that was asked for; the message says which release or option brings it.
    Unsupported,
    /// The kernel or the loaded policy does not know the profile or context.
    Unknown,
    /// A procfs, securityfs or selinuxfs is none, or something was put in its way.
    Untrusted,
    /// What was read back is not what was asked for.
    Mismatch,
    /// A program such as `apparmor_parser` is not installed.
    NoTool,
    /// A program such as `apparmor_parser` failed; the message has what it printed.
    Tool,
    /// A system call failed.
    Os(Errno),
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), hint: None }
    }

    /// Input that is not what it should be.
    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, what)
    }

    /// A failed call.
    pub(crate) fn os(what: impl Into<String>, number: Errno) -> Self {
        Self::new(ErrorKind::Os(number), what)
    }

    /// A failed call of the standard library.
    pub(crate) fn io(what: impl Into<String>, error: &io::Error) -> Self {
        Self::os(what, errno::from_io(error))
    }

    /// Says what to do about it.
    pub(crate) fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What most likely causes this and how to mend it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref().or(match self.kind {
            ErrorKind::NoSecurityfs => {
                Some("mount -t securityfs none /sys/kernel/security (needs CONFIG_SECURITYFS)")
            }
            ErrorKind::Os(Errno::EPERM | Errno::EACCES) => Some(
                "a container, a seccomp filter or another security module around this program forbids it",
            ),
            _ => None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let ErrorKind::Os(number) = self.kind {
            write!(f, ": {}", errno::describe(number))?;
        }
        match self.hint() {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// Text of others in a message: cut, and without control characters.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text.chars().take(LONGEST).collect::<String>().escape_debug().to_string();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_step_answer_and_remedy() {
        let error = Error::os("write the label", Errno::EACCES);
        assert!(error.to_string().starts_with("write the label: EACCES (Permission denied); a container"));
        let error = error.with_hint("ask the administrator");
        assert_eq!(error.to_string(), "write the label: EACCES (Permission denied); ask the administrator");
        assert_eq!(Error::invalid("x").to_string(), "x");
    }

    #[test]
    fn text_of_others_is_cut_and_harmless() {
        assert_eq!(shown("a\n\u{1b}[1m\u{e9}"), "a\\n\\u{1b}[1m\u{e9}");
        assert_eq!(shown(&"x".repeat(61)), format!("{}…", "x".repeat(60)));
        assert_eq!(shown(&"x".repeat(60)), "x".repeat(60));
    }
}
