//! `/etc/subuid` and `/etc/subgid`: which host ids a user may map (`subuid(5)`).

use std::path::Path;

use crate::idmap::id;
use crate::{Error, IdMap};

/// A range of host ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdRange {
    /// The first id.
    pub first: u32,
    /// How many; at least 1.
    pub count: u32,
}

impl IdRange {
    /// A range; `None` when it is empty or holds 2^32 - 1, which is no id.
    pub fn new(first: u32, count: u32) -> Option<Self> {
        let end = first.checked_add(count)?;
        (count > 0 && end > first).then_some(Self { first, count })
    }

    /// The id after the last.
    pub fn end(self) -> u32 {
        self.first.saturating_add(self.count)
    }

    /// Whether an id is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.first < other.end() && other.first < self.end()
    }

    /// The ids from 0 on, mapped to this range.
    pub fn map(self) -> IdMap {
        IdMap::new(0, self.first, self.count)
    }
}

/// The ranges of one user in a text as `/etc/subuid` has it: lines of `name-or-uid:first:count`.
///
/// Lines of other users are not looked at, so that one of them cannot break this user's.
///
/// # Errors
/// [`crate::ErrorKind::Invalid`] with the line of this user that is wrong.
pub fn parse(text: &str, name: Option<&str>, uid: u32) -> Result<Vec<IdRange>, Error> {
    let number = uid.to_string();
    let mut found = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let mut fields = text.trim().split(':');
        let owner = fields.next().unwrap_or_default();
        if owner.starts_with('#') || !(Some(owner) == name || owner == number) {
            continue;
        }
        let first = fields.next().and_then(id);
        let count = fields.next().and_then(id);
        match (first, count, fields.next()) {
            (Some(first), Some(count), None) => {
                let refuse = || Error::invalid(format!("line {line}: the range is empty or too large"));
                found.push(IdRange::new(first, count).ok_or_else(refuse)?);
            }
            _ => return Err(Error::invalid(format!("line {line}: it is not of the form name:first:count"))),
        }
    }
    Ok(found)
}

/// The ranges that a user has in a file such as `/etc/subuid`; none when there is no such file.
///
/// The name is looked up in `/etc/passwd`. Ranges that only a name service knows (`subid:` in
/// `nsswitch.conf(5)`) are not seen.
///
/// # Errors
/// [`crate::ErrorKind::Invalid`] as [`parse`], [`crate::ErrorKind::Os`] when the file cannot be read.
pub fn of_user(file: &Path, uid: u32) -> Result<Vec<IdRange>, Error> {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(&error, format!("read {}", file.display()))),
    };
    let name = std::fs::read("/etc/passwd").ok().and_then(|passwd| user_name(&passwd, uid));
    parse(&String::from_utf8_lossy(&text), name.as_deref(), uid)
        .map_err(|error| Error::new(error.kind(), format!("{}: {error}", file.display())))
}

/// The first name of a user in a text as `/etc/passwd` has it.
fn user_name(passwd: &[u8], uid: u32) -> Option<String> {
    let passwd = String::from_utf8_lossy(passwd);
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1).and_then(id) == Some(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "alice:100000:65536\nbroken\n# alice:1:1\n1000:300000:10\nbob:200000:65536\n\
                        alice:165536:1";

    #[test]
    fn lines_by_name_and_by_number_are_found() {
        let range = |first, count| IdRange::new(first, count).unwrap();
        let found = parse(TEXT, Some("alice"), 1000).unwrap();
        assert_eq!(found, [range(100_000, 65_536), range(300_000, 10), range(165_536, 1)]);
        assert_eq!(parse(TEXT, None, 7).unwrap(), []);
        let error = parse("alice:1:x", Some("alice"), 1).unwrap_err();
        assert_eq!(error.to_string(), "line 1: it is not of the form name:first:count");
        let error = parse("\nalice:1:4294967295", Some("alice"), 1).unwrap_err();
        assert_eq!(error.to_string(), "line 2: the range is empty or too large");
    }

    #[test]
    fn names_are_those_of_passwd() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\nalice:x:1000:100::/:\nalias:x:1000:1::/:\n:x:7:7\n";
        assert_eq!(user_name(passwd, 1000).as_deref(), Some("alice"));
        assert_eq!(user_name(passwd, 7), None);
        assert_eq!(user_name(b"\xff\xfe:x:9:9", 9).as_deref(), Some("\u{fffd}\u{fffd}"));
        assert_eq!(of_user(Path::new("/nowhere"), 0).unwrap(), []);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(alice|[0-9]{1,11}|:|\n|\\PC){0,20}") {
            for range in parse(&text, Some("alice"), 0).unwrap_or_default() {
                prop_assert!(range.count > 0 && range.end() > range.first);
            }
            let _ = user_name(text.as_bytes(), 0);
        }

        #[test]
        fn overlap_is_mutual(a in 0..50u32, b in 1..50u32, c in 0..50u32, d in 1..50u32) {
            let (one, two) = (IdRange::new(a, b).unwrap(), IdRange::new(c, d).unwrap());
            let shared = (a..a + b).any(|id| (c..c + d).contains(&id));
            prop_assert_eq!(one.overlaps(two), shared);
            prop_assert_eq!(two.overlaps(one), shared);
        }
    }
}
