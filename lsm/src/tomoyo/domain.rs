//! Names of domains, and their policy as text.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

use crate::Error;
use crate::error::shown;

/// A domain: `<kernel>` and the programs that were executed since, such as `<kernel> /sbin/init /bin/sh`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(String);

impl Domain {
    /// The longest name in bytes that the kernel takes.
    pub const LONGEST: usize = 4000;

    /// The domain of the kernel's own threads, where all begins.
    pub fn kernel() -> Self {
        Self("<kernel>".to_owned())
    }

    /// The domain after this one has executed a program.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for a path that is not absolute.
    pub fn after(&self, program: &Path) -> Result<Self, Error> {
        format!("{} {}", self.0, escape_path(program)?).parse()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Domain {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::invalid(format!("TOMOYO domain `{}`: {why}", shown(text)));
        if text.len() > Self::LONGEST {
            return Err(refuse("it is longer than 4000 bytes"));
        }
        let mut words = text.split(' ');
        let first = words.next().unwrap_or_default();
        let namespace = first.strip_prefix('<').and_then(|name| name.strip_suffix('>'));
        if namespace.is_none_or(|name| name.is_empty() || !name.bytes().all(plain)) {
            return Err(refuse("it does not begin with a namespace such as <kernel>"));
        }
        // A program is its path, or `TYPE:PATH` where the file system has no path to it.
        if words.any(|word| !word.contains('/') || !word.bytes().all(plain)) {
            return Err(refuse("it has a word that is no path, or what is not escaped"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What TOMOYO's text has as it is: printable ASCII without blanks.
fn plain(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

/// A path as TOMOYO writes it: a backslash doubled, and `\ooo` for what is not printable ASCII.
///
/// # Errors
/// [`crate::ErrorKind::Invalid`] for a path that is not absolute.
pub fn escape_path(path: &Path) -> Result<String, Error> {
    if !path.is_absolute() {
        return Err(Error::invalid(format!("path `{}` is not absolute", shown(&path.to_string_lossy()))));
    }
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'\\' => text.push_str("\\\\"),
            byte if plain(*byte) => text.push(char::from(*byte)),
            byte => text.extend(format!("\\{byte:03o}").chars()),
        }
    }
    Ok(text)
}

/// The policy of one domain, as plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainPolicy {
    /// The domain.
    pub domain: Domain,
    /// The number of its profile, at most 255.
    pub profile: u8,
    /// What it may do, each a line such as `file read /etc/\*`; patterns are `\*`, `\{dir\}` and the like.
    pub allow: Vec<String>,
}

impl DomainPolicy {
    /// The text for `domain_policy`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for a rule of several lines, or one that would begin another domain.
    pub fn text(&self) -> Result<String, Error> {
        let mut text = format!("{}\nuse_profile {}\n", self.domain, self.profile);
        for rule in &self.allow {
            let begins = ["file ", "misc ", "network ", "task "].iter().any(|kind| rule.starts_with(kind));
            if !begins || !rule.bytes().all(|byte| plain(byte) || byte == b' ') || rule.ends_with(' ') {
                return Err(Error::invalid(format!("TOMOYO rule `{}`: not one line of rules", shown(rule))));
            }
            text.push_str(rule);
            text.push('\n');
        }
        Ok(text)
    }

    /// Fails with the first line that is not in the kernel's text of all domains.
    pub(super) fn found_in(&self, all: &str) -> Result<(), String> {
        let mut lines = all.lines().skip_while(|line| *line != self.domain.as_str());
        if lines.next().is_none() {
            return Err(self.domain.to_string());
        }
        let own: Vec<&str> = lines.take_while(|line| !line.starts_with('<')).collect();
        let profile = format!("use_profile {}", self.profile);
        let mut wanted = std::iter::once(&profile).chain(&self.allow);
        match wanted.find(|rule| !is_listed(rule, &own)) {
            Some(rule) => Err(rule.clone()),
            None => Ok(()),
        }
    }
}

/// Whether a rule is among the kernel's lines, which has its own order of operations and joins rules of one path.
fn is_listed(rule: &str, lines: &[&str]) -> bool {
    if lines.contains(&rule) {
        return true;
    }
    let Some((kind, operations, rest)) = cut(rule) else { return false };
    let same = |line: &&&str| cut(line).is_some_and(|(other, _, at)| (other, at) == (kind, rest));
    let listed: Vec<&str> = lines
        .iter()
        .filter(same)
        .filter_map(|line| cut(line))
        .flat_map(|(_, all, _)| all.split('/'))
        .collect();
    operations.split('/').all(|operation| listed.contains(&operation))
}

/// `file read/write /a` as its kind, its operations, and what they are on.
fn cut(rule: &str) -> Option<(&str, &str, &str)> {
    let (kind, rest) = rule.split_once(' ')?;
    let (operations, rest) = rest.split_once(' ')?;
    Some((kind, operations, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsStr;

    #[test]
    fn domains_grow_by_what_is_executed() {
        let domain = Domain::kernel().after(Path::new("/bin/a b")).unwrap();
        assert_eq!(domain.as_str(), "<kernel> /bin/a\\040b");
        assert!(domain.after(Path::new("c")).is_err());
        assert!("<kernel> proc:/self/exe".parse::<Domain>().is_ok());
        for text in ["", "kernel", "<>", "<kernel", "<kernel>  /a", "<kernel> a", "<kernel> /a\n", "<a b> /c"]
        {
            assert!(text.parse::<Domain>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn policies_are_one_line_a_rule() {
        let mut policy = DomainPolicy {
            domain: "<kernel> /a".parse().unwrap(),
            profile: 3,
            allow: vec!["file read /etc/\\*".into()],
        };
        assert_eq!(policy.text().unwrap(), "<kernel> /a\nuse_profile 3\nfile read /etc/\\*\n");
        for bad in
            ["<kernel> /b", "file read /a\nuse_profile 0", "use_profile 0", "", "file read ", "delete file"]
        {
            policy.allow = vec![bad.into()];
            assert!(policy.text().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_line_that_the_kernel_left_out_is_named() {
        let policy = DomainPolicy {
            domain: "<kernel> /a".parse().unwrap(),
            profile: 3,
            allow: vec!["file read /x".into(), "file write /y".into()],
        };
        let all = "<kernel>\nuse_profile 0\n\n<kernel> /a\nuse_profile 3\nuse_group 0\n\nfile read /x\n\
                   <kernel> /b\nuse_profile 3\nfile write /y\n";
        assert_eq!(policy.found_in(all), Err("file write /y".to_owned()));
        assert_eq!(policy.found_in("<kernel> /ab\n"), Err("<kernel> /a".to_owned()));
    }

    #[test]
    fn the_kernels_order_of_operations_is_the_same_rule() {
        let own = ["file execute/read /a", "file write /a", "file read /b"];
        assert!(is_listed("file read/execute /a", &own) && is_listed("file write/read /a", &own));
        assert!(!is_listed("file write /b", &own) && !is_listed("file read /ab", &own));
        assert!(!is_listed("network read /a", &own) && !is_listed("file", &own));
    }

    proptest! {
        #[test]
        fn any_path_is_one_word(bytes in proptest::collection::vec(1u8.., 0..20)) {
            let path = [b"/", bytes.as_slice()].concat();
            let text = escape_path(Path::new(OsStr::from_bytes(&path))).unwrap();
            prop_assert!(text.bytes().all(plain));
            let domain = format!("<kernel> {text}").parse::<Domain>();
            prop_assert!(domain.is_ok(), "{:?}", domain);
        }
    }
}
