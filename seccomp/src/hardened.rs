//! The hardened profile: an allow-list for programs that have no business with the machine.
//!
//! What is refused fails with `EPERM`, or with `ENOSYS` where programs then fall back to something older; each
//! has its reason in [`REFUSED`]. Some calls depend on their arguments: [`CONDITIONAL`]. Calls that are newer
//! than the profile fail with `ENOSYS`, other architectures than those listed kill the process.

mod allowed;
mod conditional;
mod refused;

use cofferdam_sys::Errno;

pub use allowed::ALLOWED;
pub use conditional::{CONDITIONAL, Conditional};
pub use refused::{REFUSED, Refused};

use crate::profile::number;
use crate::{Answer, Profile, Rule};

impl Profile {
    /// The hardened profile for the native architecture.
    ///
    /// The lists are in [`crate::hardened`] and, as a page, in `docs/seccomp.md` of the repository. What a
    /// program needs beyond it is added with [`Profile::allow`].
    pub fn hardened() -> Self {
        let eperm = Answer::Errno(number(Errno::EPERM));
        let mut profile = Self { bad_arch: Answer::KillProcess, ..Self::new(eperm) };
        profile = profile.rule(Answer::Allow, ALLOWED);
        for conditional in CONDITIONAL {
            profile.rules.extend(conditional.rules());
        }
        // Rules that answer as the default does say that the profile knows the call: it is not a newer one.
        let names = |errno: Errno| {
            REFUSED.iter().filter(move |refused| refused.errno == errno).flat_map(|refused| refused.names)
        };
        for errno in [Errno::EPERM, Errno::ENOSYS] {
            let names = names(errno).map(|&name| name.to_owned()).collect();
            profile.rules.push(Rule { names, answer: Answer::Errno(number(errno)), conditions: Vec::new() });
        }
        profile
    }
}

/// The lists as a page in Markdown.
pub fn page() -> String {
    use std::fmt::Write as _;
    let mut text = String::from(
        "# The hardened profile\n\n\
         Generated from `seccomp/src/hardened/` by `cargo run -p cofferdam-seccomp --example hardened_page`; \
         a test compares.\n\n\
         Calls that are neither refused nor conditional below are allowed. Numbers above the newest call that \
         the profile names give `ENOSYS`. Other architectures than those listed (32-bit calls and x32 numbers on \
         x86-64, unless the profile lists `X86` and `X32`) kill the process.\n\n\
         ## Calls that depend on their arguments\n\n| call | allowed | otherwise | why |\n|---|---|---|---|\n",
    );
    // Writing to a string does not fail.
    for entry in CONDITIONAL {
        let calls = code(entry.names);
        let _ = writeln!(text, "| {calls} | {} | `{:?}` | {} |", entry.allowed, entry.otherwise, entry.why);
    }
    text.push_str("\n## Refused\n\n| call | error | why |\n|---|---|---|\n");
    for entry in REFUSED {
        for name in entry.names {
            let _ = writeln!(text, "| `{name}` | `{:?}` | {} |", entry.errno, entry.why);
        }
    }
    text
}

fn code(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
