//! Device rules in the words of v1: a default, and exceptions to it.
//!
//! The kernel keeps for each cgroup whether devices are allowed or denied by default, and a list of
//! exceptions that is a set, not a sequence. A use is allowed with the default "deny" only when **one**
//! exception covers all of it, and refused with the default "allow" when an exception covers any of it. So a
//! list in which the last rule wins is lowered here to a set that means the same, and what has no such set is
//! refused: "all of major 1 but not 1:3" is one.

use std::collections::BTreeMap;

use super::Group;
use crate::devices::{Access, Kind, Rule};
use crate::{Error, ErrorKind, Result};

/// Devices that an exception is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pattern {
    block: bool,
    major: Option<u32>,
    minor: Option<u32>,
}

impl Pattern {
    /// The devices that both are about.
    fn meet(self, other: Pattern) -> Option<Pattern> {
        let both = |one: Option<u32>, two: Option<u32>| match (one, two) {
            (Some(one), Some(two)) => (one == two).then_some(Some(one)),
            (one, two) => Some(one.or(two)),
        };
        (self.block == other.block).then_some(())?;
        let (major, minor) = (both(self.major, other.major)?, both(self.minor, other.minor)?);
        Some(Pattern { block: self.block, major, minor })
    }

    fn covers(self, other: Pattern) -> bool {
        self.meet(other) == Some(other)
    }
}

/// Exceptions to a default.
#[derive(Debug, Default, PartialEq, Eq)]
struct Exceptions {
    allowed_by_default: bool,
    list: BTreeMap<Pattern, u8>,
}

/// More than any sane list has; a bound for what intersections of wildcards could grow to.
const MOST: usize = 4096;

/// The file (`devices.allow` or `devices.deny`) and the line to write, in order, for rules of which the last
/// that fits wins and nothing that fits is no.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a rule that takes a part out of what an earlier one is about.
pub fn lower(rules: &[Rule]) -> Result<Vec<(&'static str, String)>> {
    let exceptions = exceptions(rules)?;
    let (reset, except) = if exceptions.allowed_by_default {
        ("devices.allow", "devices.deny")
    } else {
        ("devices.deny", "devices.allow")
    };
    let lines = exceptions.list.iter().map(|(pattern, access)| (except, line(*pattern, *access)));
    Ok(std::iter::once((reset, "a".to_owned())).chain(lines).collect())
}

fn exceptions(rules: &[Rule]) -> Result<Exceptions> {
    let mut state = Exceptions::default();
    for rule in rules {
        let all = (None, None, None, Access::ALL);
        if (rule.kind, rule.major, rule.minor, rule.access) == all {
            state = Exceptions { allowed_by_default: rule.allow, list: BTreeMap::new() };
            continue;
        }
        for block in [true, false] {
            let other = if block { Kind::Char } else { Kind::Block };
            if rule.kind == Some(other) {
                continue;
            }
            let pattern = Pattern { block, major: rule.major, minor: rule.minor };
            if rule.allow == state.allowed_by_default {
                take(&mut state.list, pattern, rule)?;
            } else {
                *state.list.entry(pattern).or_default() |= rule.access.bits();
            }
        }
    }
    if !state.allowed_by_default {
        close(&mut state.list)?;
    }
    Ok(state)
}

/// Takes the ways of use of a rule out of the exceptions that it covers.
fn take(list: &mut BTreeMap<Pattern, u8>, pattern: Pattern, rule: &Rule) -> Result<()> {
    let bits = rule.access.bits();
    for (other, access) in list.iter_mut() {
        if pattern.covers(*other) {
            *access &= !bits;
        } else if pattern.meet(*other).is_some() && *access & bits != 0 {
            let what = format!(
                "device rule `{} {}`: cgroup v1 cannot take it out of `{}`",
                if rule.allow { "allow" } else { "deny" },
                line(pattern, bits),
                line(*other, *access)
            );
            return Err(Error::new(ErrorKind::Unsupported, what)
                .with_hint("name the devices one by one, or boot with v2 (or the hybrid layout)"));
        }
    }
    list.retain(|_, access| *access != 0);
    Ok(())
}

/// Adds the meets of exceptions, so that one exception covers what several allow together.
fn close(list: &mut BTreeMap<Pattern, u8>) -> Result<()> {
    loop {
        let known: Vec<(Pattern, u8)> = list.iter().map(|(pattern, access)| (*pattern, *access)).collect();
        let mut grown = false;
        for (number, (one, access)) in known.iter().enumerate() {
            for (two, other) in known.iter().skip(number.saturating_add(1)) {
                let Some(both) =
                    one.meet(*two).filter(|_| access | other != *access || access | other != *other)
                else {
                    continue;
                };
                let entry = list.entry(both).or_default();
                grown |= *entry | access | other != *entry;
                *entry |= access | other;
            }
        }
        if list.len() > MOST {
            let what = "the device rules have too many overlapping wildcards for cgroup v1";
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        if !grown {
            return Ok(());
        }
    }
}

/// `c 1:3 rwm`, as the files take and print it.
fn line(pattern: Pattern, access: u8) -> String {
    let number = |value: Option<u32>| value.map_or("*".to_owned(), |value| value.to_string());
    let letters = [(Access::READ, 'r'), (Access::WRITE, 'w'), (Access::MKNOD, 'm')];
    let access: String =
        letters.iter().filter(|(bit, _)| access & bit.bits() != 0).map(|(_, letter)| *letter).collect();
    let kind = if pattern.block { 'b' } else { 'c' };
    format!("{kind} {}:{} {access}", number(pattern.major), number(pattern.minor))
}

impl Group {
    /// Allows its processes only the devices that `rules` allow, and reads the list back; for a cgroup of
    /// `devices`. Between the writes less is allowed than before and after, or, with rules that allow by
    /// default, more: see [`crate::AnyCgroup::set_devices`].
    pub(crate) fn set_devices(&self, rules: &[Rule]) -> Result<()> {
        for (file, line) in lower(rules)? {
            self.files().write(file, &line).map_err(|error| match error.errno() {
                Some(cofferdam_sys::Errno::EPERM) => error.with_hint(
                    "its parent does not allow this device, or the caller has no CAP_SYS_ADMIN in the initial \
                     user namespace",
                ),
                _ => error,
            })?;
        }
        let exceptions = exceptions(rules)?;
        let mut wanted: Vec<String> =
            exceptions.list.iter().map(|(pattern, access)| line(*pattern, *access)).collect();
        if exceptions.allowed_by_default {
            // Then the list says no more than that.
            wanted = vec!["a *:* rwm".to_owned()];
        }
        let found = self.files().read("devices.list")?;
        let mut found: Vec<&str> = found.lines().map(str::trim_end).collect();
        wanted.sort();
        found.sort_unstable();
        if wanted != found {
            let what = format!(
                "{}/devices.list is `{}` and not what was written",
                self.path().display(),
                found.join(", ")
            );
            return Err(Error::new(ErrorKind::System, what).with_hint("somebody else writes it too"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
