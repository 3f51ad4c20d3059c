//! What calls a program may make, as plain data.

use cofferdam_sys::Errno;
pub use cofferdam_sys::seccomp::FilterFlags;

use crate::answer::MAX_ERRNO;
use crate::arch::unknown;
use crate::{Answer, Arch, Error, ErrorKind};

/// What calls a program may make.
///
/// # What a profile means
/// For a call made as one of the [`architectures`](Self::architectures):
/// 1. A rule without conditions decides, also when it stands behind rules with conditions. The first one does
///    when there are several.
/// 2. Otherwise the first rule whose conditions all hold decides.
/// 3. Otherwise, when the number is above the newest call that any rule names, [`newer`](Self::newer) does.
/// 4. Otherwise [`default`](Self::default) does.
///
/// Rules that answer as the default does are left out before all this: they change nothing, also where they
/// stand before others. Any other architecture, and x32 numbers where x32 is not listed, get
/// [`bad_arch`](Self::bad_arch). The number -1 is no call: it gets what an unknown number gets.
///
/// All of this is as libseccomp has it, with one difference: where several rules *with* conditions hold and
/// differ in their answer, libseccomp's order is that of the arguments' numbers and values, not the profile's.
/// Conditions compare 64 bits, or the lower 32 on [`Arch::X86`] and [`Arch::Arm`], whose arguments have no
/// more. On x86 a rule without conditions for a socket or System V call also covers `socketcall` and `ipc`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Profile {
    /// The architectures; none means [`Arch::native`].
    pub architectures: Vec<Arch>,
    /// The answer where no rule gives one.
    pub default: Answer,
    /// The answer to calls of other architectures.
    pub bad_arch: Answer,
    /// The answer to calls that are newer than all that the profile names, where the default would not let
    /// them pass. `ENOSYS` lets a C library fall back, where `EPERM` would break programs.
    pub newer: Option<Answer>,
    /// How the filter is installed.
    pub flags: FilterFlags,
    /// What happens to names that no architecture has.
    pub unknown: Unknown,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// What happens to a rule's names that no architecture has a call for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Unknown {
    /// They are left out and listed by [`Profile::unknown_names`]: what runc and crun do.
    #[default]
    Skip,
    /// The profile is refused.
    Refuse,
}

/// One answer for some calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The calls by name.
    pub names: Vec<String>,
    /// The answer.
    pub answer: Answer,
    /// What must all hold; nothing means that the answer is unconditional.
    pub conditions: Vec<Condition>,
}

/// A comparison of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Condition {
    /// Which argument, from 0 to 5.
    pub argument: u8,
    /// How much of it.
    pub width: Width,
    /// The comparison.
    pub compare: Compare,
}

/// How much of an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// All 64 bits: for pointers, lengths and what the kernel takes as a `long`.
    Whole,
    /// The lower 32 bits: for what the kernel takes as an `int`, and so looks at no more of. With the whole,
    /// a program could pass a forbidden value with a bit above.
    Low,
}

/// How an argument is compared with a value; both are unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compare {
    /// It is not the value.
    Ne(u64),
    /// It is below the value.
    Lt(u64),
    /// It is the value or below.
    Le(u64),
    /// It is the value.
    Eq(u64),
    /// It is the value or above.
    Ge(u64),
    /// It is above the value.
    Gt(u64),
    /// In the bits of the mask it is the value; other bits of the value do not matter.
    MaskedEq {
        /// The bits that are compared.
        mask: u64,
        /// The value.
        value: u64,
    },
}

/// The error number that an answer gives, as the kernel's `u16`.
pub(crate) const fn number(errno: Errno) -> u16 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "error numbers are 1 to 133")]
    let number = errno as i32 as u16;
    number
}

impl Profile {
    /// A profile without rules for the native architecture; foreign ones kill the thread, newer calls give
    /// `ENOSYS`, as runc and crun have it.
    pub fn new(default: Answer) -> Self {
        Self {
            architectures: Vec::new(),
            default,
            bad_arch: Answer::KillThread,
            newer: Some(Answer::Errno(number(Errno::ENOSYS))),
            flags: FilterFlags::empty(),
            unknown: Unknown::Skip,
            rules: Vec::new(),
        }
    }

    /// Adds a rule without conditions.
    #[must_use]
    pub fn rule(self, answer: Answer, names: &[&str]) -> Self {
        self.rule_if(answer, names, &[])
    }

    /// Adds a rule with conditions that must all hold.
    ///
    /// It has no effect on a call that a rule without conditions names: see what a profile means, above.
    #[must_use]
    pub fn rule_if(mut self, answer: Answer, names: &[&str], conditions: &[Condition]) -> Self {
        self.rules.push(Rule {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            answer,
            conditions: conditions.to_vec(),
        });
        self
    }

    /// Allows calls whatever the other rules say: the rule is put before all others.
    #[must_use]
    pub fn allow(mut self, names: &[&str]) -> Self {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        self.rules.insert(0, Rule { names, answer: Answer::Allow, conditions: Vec::new() });
        self
    }

    /// The architectures without repetition; the native one where none is listed.
    ///
    /// # Errors
    /// [`ErrorKind::Architecture`] when none is listed and this program's own has no table.
    pub fn architectures(&self) -> Result<Vec<Arch>, Error> {
        let mut list: Vec<Arch> = Vec::new();
        for arch in &self.architectures {
            if !list.contains(arch) {
                list.push(*arch);
            }
        }
        if list.is_empty() {
            list.push(Arch::native().ok_or_else(|| {
                Error::new(ErrorKind::Architecture, "there is no table of this machine's system calls")
            })?);
        }
        Ok(list)
    }

    /// Whether any answer asks a supervisor.
    pub fn notifies(&self) -> bool {
        let answers = [Some(self.default), Some(self.bad_arch), self.newer];
        answers
            .into_iter()
            .flatten()
            .chain(self.rules.iter().map(|rule| rule.answer))
            .any(|answer| answer == Answer::Notify)
    }

    /// Names that no architecture has a call for, sorted and without repetition.
    pub fn unknown_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            unknown(self.rules.iter().flat_map(|rule| &rule.names)).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Checks what the types do not: arguments, error numbers and, with [`Unknown::Refuse`], names.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] with the rule's number, [`ErrorKind::UnknownCall`] with the name.
    pub fn validate(&self) -> Result<(), Error> {
        let fixed =
            [("the default", Some(self.default)), ("bad_arch", Some(self.bad_arch)), ("newer", self.newer)];
        for (place, answer) in fixed {
            check_errno(place, answer)?;
        }
        for (number, rule) in self.rules.iter().enumerate() {
            let place = format!("rule {number}");
            check_errno(&place, Some(rule.answer))?;
            if let Some(condition) = rule.conditions.iter().find(|condition| condition.argument > 5) {
                let argument = condition.argument;
                return Err(Error::new(
                    ErrorKind::Profile,
                    format!("{place}: argument {argument}: calls have 0 to 5"),
                ));
            }
            if self.unknown == Unknown::Refuse
                && let Some(name) = unknown(rule.names.iter()).next()
            {
                let shown: String = name.chars().take(60).collect();
                return Err(Error::new(
                    ErrorKind::UnknownCall,
                    format!("{place}: `{}` is no system call", shown.escape_default()),
                ));
            }
        }
        Ok(())
    }
}

fn check_errno(place: &str, answer: Option<Answer>) -> Result<(), Error> {
    match answer {
        Some(Answer::Errno(errno)) if errno > MAX_ERRNO => Err(Error::new(
            ErrorKind::Profile,
            format!("{place}: error number {errno}: the largest is {MAX_ERRNO}"),
        )),
        _ => Ok(()),
    }
}

impl Condition {
    /// A condition on all 64 bits of an argument.
    pub const fn whole(argument: u8, compare: Compare) -> Self {
        Self { argument, width: Width::Whole, compare }
    }

    /// A condition on the lower 32 bits of an argument, which the kernel takes as an `int`.
    pub const fn low(argument: u8, compare: Compare) -> Self {
        Self { argument, width: Width::Low, compare }
    }
}
