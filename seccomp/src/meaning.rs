//! What a profile says about one call, worked out directly: the definition that compiled filters are held to.

use cofferdam_sys::seccomp::CallData;

use crate::arch::X32_BIT;
use crate::{Answer, Arch, Compare, Condition, Error, Profile, Width, multiplex};

impl Profile {
    /// The answer to a call, as the text of [`Profile`] defines it.
    ///
    /// Slow and simple, for questions and tests; a [`crate::Filter`] gives the same answers.
    ///
    /// # Errors
    /// As [`Profile::validate`].
    pub fn answer(&self, call: &CallData) -> Result<Answer, Error> {
        self.validate()?;
        let number = call.number.cast_unsigned();
        let listed = self.architectures()?;
        let Some(arch) = listed.iter().copied().find(|arch| is_made_as(*arch, call.arch, number, &listed))
        else {
            return Ok(self.bad_arch);
        };
        let rules = self.rules.iter().filter(|rule| rule.answer != self.default);
        let mut first = None;
        for rule in rules {
            for name in &rule.names {
                let direct = arch.number(name) == Some(number);
                let through = rule.conditions.is_empty()
                    && multiplex::of(arch, name).is_some_and(|entry| entry.number(arch) == Some(number));
                if direct && rule.conditions.is_empty() {
                    return Ok(rule.answer);
                }
                let holds = if direct {
                    rule.conditions.iter().all(|condition| condition.holds(arch, &call.arguments))
                } else {
                    through
                        && multiplex::of(arch, name)
                            .is_some_and(|entry| entry.condition().holds(arch, &call.arguments))
                };
                if holds && first.is_none() {
                    first = Some(rule.answer);
                }
            }
        }
        Ok(first.unwrap_or_else(|| self.answer_to_unnamed(arch, number)))
    }

    fn answer_to_unnamed(&self, arch: Arch, number: u32) -> Answer {
        match self.newer {
            Some(newer)
                if self.newest(arch).is_some_and(|newest| number > newest) && !self.default.lets_pass() =>
            {
                if arch.numbers().contains(&number) || number == u32::MAX {
                    newer
                } else {
                    self.default
                }
            }
            _ => self.default,
        }
    }

    /// The newest call of an architecture that any rule names.
    fn newest(&self, arch: Arch) -> Option<u32> {
        let names = self.rules.iter().flat_map(|rule| &rule.names);
        names.filter_map(|name| arch.number(name)).filter(|number| arch.numbers().contains(number)).max()
    }
}

/// Whether a call was made as one of that architecture. The number -1 is not x32's.
fn is_made_as(arch: Arch, audit: u32, number: u32, listed: &[Arch]) -> bool {
    let x32 = number >= X32_BIT;
    arch.audit() == audit
        && match arch {
            Arch::X86_64 => !x32 || number == u32::MAX,
            Arch::X32 => x32 && !(number == u32::MAX && listed.contains(&Arch::X86_64)),
            _ => true,
        }
}

impl Condition {
    /// Whether it holds for a call's arguments.
    pub fn holds(&self, arch: Arch, arguments: &[u64; 6]) -> bool {
        let bits = if arch.has_short_arguments() || self.width == Width::Low {
            u64::from(u32::MAX)
        } else {
            u64::MAX
        };
        let argument = arguments.get(usize::from(self.argument)).copied().unwrap_or_default() & bits;
        match self.compare {
            Compare::Ne(value) => argument != value & bits,
            Compare::Lt(value) => argument < value & bits,
            Compare::Le(value) => argument <= value & bits,
            Compare::Eq(value) => argument == value & bits,
            Compare::Ge(value) => argument >= value & bits,
            Compare::Gt(value) => argument > value & bits,
            Compare::MaskedEq { mask, value } => argument & mask == value & mask & bits,
        }
    }
}
