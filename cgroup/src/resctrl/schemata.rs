//! The text of `schemata`: a line for each resource, with the share of each of its domains.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Error, ErrorKind, Result};

/// Shares, such as `L3:0=7f0;1=1f` and `MB:0=20;1=70`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schemata {
    lines: Vec<(String, BTreeMap<u32, String>)>,
}

impl Schemata {
    /// Reads lines. Blanks around a line, as the kernel aligns them, say nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with the line that is none.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let parse = |line: &str| {
            let wrong = || {
                let what = format!("`{}` is no line of schemata such as L3:0=ff;1=f", line.escape_default());
                Error::new(ErrorKind::Invalid, what)
            };
            let (resource, domains) = line.split_once(':').ok_or_else(wrong)?;
            let domain = |text: &str| {
                let (id, share) = text.split_once('=')?;
                let share = share.trim();
                let plain = !share.is_empty() && share.bytes().all(|byte| byte.is_ascii_graphic());
                plain.then_some((id.trim().parse().ok()?, share.to_owned()))
            };
            let domains: Option<Vec<_>> = domains.split(';').map(domain).collect();
            let domains = domains.ok_or_else(wrong)?;
            let count = domains.len();
            let domains: BTreeMap<u32, String> = domains.into_iter().collect();
            let name = resource.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if resource.is_empty() || !name || domains.len() != count {
                return Err(wrong());
            }
            Ok((resource.to_owned(), domains))
        };
        Ok(Self { lines: lines.map(parse).collect::<Result<_>>()? })
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The lines of one resource, such as `MB`.
    #[must_use]
    pub fn of(&self, resource: &str) -> Self {
        self.kept(|name| name == resource)
    }

    /// The lines of all other resources.
    #[must_use]
    pub fn without(&self, resource: &str) -> Self {
        self.kept(|name| name != resource)
    }

    fn kept(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self { lines: self.lines.iter().filter(|(name, _)| keep(name)).cloned().collect() }
    }

    /// These lines and then those.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.lines.extend(other.lines);
        self
    }

    /// The first share of `wanted` that is another here; what it does not name may be anything.
    pub fn differs_from(&self, wanted: &Self) -> Option<String> {
        for (resource, domains) in &wanted.lines {
            let here = self.lines.iter().find(|(name, _)| name == resource).map(|(_, domains)| domains);
            for (domain, share) in domains {
                let found = here.and_then(|here| here.get(domain));
                if !found.is_some_and(|found| same(resource, found, share)) {
                    let found = found.map_or("nothing", String::as_str);
                    return Some(format!("{resource}:{domain} is {found}, not {share}"));
                }
            }
        }
        None
    }
}

/// Bandwidth is a decimal number, everything else a mask in hexadecimal, with zeros in front or not.
fn same(resource: &str, left: &str, right: &str) -> bool {
    let base = if resource == "MB" || resource == "SMBA" { 10 } else { 16 };
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), base).ok();
    left == right || number(left).is_some_and(|left| Some(left) == number(right))
}

impl fmt::Display for Schemata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (resource, domains) in &self.lines {
            let shares: Vec<_> = domains.iter().map(|(domain, share)| format!("{domain}={share}")).collect();
            writeln!(f, "{resource}:{}", shares.join(";"))?;
        }
        Ok(())
    }
}
