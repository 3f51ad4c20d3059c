//! The text form of `getcap(8)` and `setcap(8)`: `cap_net_raw=ep`.
//!
//! The grammar is that of `cap_from_text(3)`: clauses with blanks between, each a list of names and one or
//! more actions, each an operator (`=`, `+`, `-`) and flags (`e`, `i`, `p`). Here a root id may follow, as
//! `getcap -n` prints it: `cap_net_raw=ep [rootid=1000]`.

use std::fmt;
use std::str::FromStr;

use super::FileCaps;
use crate::{Cap, CapSet, Error, ErrorKind};

/// The three sets while the clauses change them.
#[derive(Default, Clone, Copy)]
struct Three {
    effective: CapSet,
    inheritable: CapSet,
    permitted: CapSet,
}

impl Three {
    fn act(mut self, operator: u8, flags: &str, caps: CapSet) -> Self {
        let sets = [('e', &mut self.effective), ('i', &mut self.inheritable), ('p', &mut self.permitted)];
        for (flag, set) in sets {
            let named = flags.contains(flag);
            *set = match (operator, named) {
                (b'=' | b'+', true) => set.union(caps),
                (b'=', false) | (b'-', true) => set.difference(caps),
                _ => *set,
            };
        }
        self
    }
}

impl FromStr for FileCaps {
    type Err = Error;

    /// Reads `cap_net_raw,cap_net_admin=ep cap_chown+i`, and `=` for no capability at all.
    ///
    /// Names are read as [`Cap`]'s are, and plain numbers too; `all`, or no name before `=`, is every capability
    /// that has a name. The effective flag of a file is one bit, so `e` must be given to all or to none of what
    /// is permitted or inheritable.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownName`] with the name, [`ErrorKind::Malformed`] with the clause.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (clauses, rootid) = split_rootid(text)?;
        let mut clauses = clauses.split_ascii_whitespace().peekable();
        if clauses.peek().is_none() {
            let error =
                Error::new(ErrorKind::Malformed, "there is no clause in the text of file capabilities");
            return Err(error.with_hint("`=` says that there are none"));
        }
        let three = clauses.try_fold(Three::default(), clause)?;
        let given = three.permitted.union(three.inheritable);
        if !three.effective.is_empty() && three.effective != given {
            let odd = three.effective.difference(given).union(given.difference(three.effective));
            let what = format!(
                "`{}`: {odd} is effective alone, or not effective beside others",
                text.escape_default()
            );
            return Err(Error::new(ErrorKind::Malformed, what).with_hint(
                "a file has one effective flag: give `e` to every capability with `p` or `i`, or to none",
            ));
        }
        let effective = !three.effective.is_empty();
        Ok(Self { permitted: three.permitted, inheritable: three.inheritable, effective, rootid })
    }
}

/// Cuts `[rootid=N]` off the end.
fn split_rootid(text: &str) -> Result<(&str, Option<u32>), Error> {
    let Some((clauses, end)) = text.split_once('[') else { return Ok((text, None)) };
    let number = end.trim_end().strip_prefix("rootid=").and_then(|end| end.strip_suffix(']'));
    let digits = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    if let Some(id) = digits.and_then(|digits| digits.parse().ok()) {
        return Ok((clauses, Some(id)));
    }
    let what = format!("`[{}` is no root id", end.escape_default());
    Err(Error::new(ErrorKind::Malformed, what).with_hint("it is written [rootid=1000]"))
}

/// Reads one clause and does what it says.
fn clause(mut three: Three, clause: &str) -> Result<Three, Error> {
    let malformed = |what: &str| {
        let what = format!("the clause `{}` {what}", clause.escape_default());
        Error::new(ErrorKind::Malformed, what).with_hint("a clause is written cap_net_raw,cap_chown=ep")
    };
    let is_operator = |c: char| matches!(c, '=' | '+' | '-');
    let start = clause.find(is_operator).ok_or_else(|| malformed("has no `=`, `+` or `-`"))?;
    let (names, mut actions) = clause.split_at_checked(start).ok_or_else(|| malformed("has no action"))?;
    if names.is_empty() && !actions.starts_with('=') {
        return Err(malformed("names no capability: only `=` can stand alone"));
    }
    let caps = if names.is_empty() { CapSet::ALL } else { list(names)? };
    while let Some(operator) = actions.bytes().next() {
        let rest = actions.get(1..).unwrap_or_default();
        let (flags, next) =
            rest.split_at_checked(rest.find(is_operator).unwrap_or(rest.len())).unwrap_or((rest, ""));
        if !flags.chars().all(|flag| matches!(flag, 'e' | 'i' | 'p')) {
            return Err(malformed("has a flag that is none of `e`, `i`, `p`"));
        }
        if flags.is_empty() && operator != b'=' {
            return Err(malformed("has an operator without a flag"));
        }
        three = three.act(operator, flags, caps);
        actions = next;
    }
    Ok(three)
}

fn list(names: &str) -> Result<CapSet, Error> {
    names.split(',').try_fold(CapSet::EMPTY, |set, name| {
        if name.eq_ignore_ascii_case("all") {
            return Ok(set.union(CapSet::ALL));
        }
        let digits = !name.is_empty() && name.len() < 3 && name.bytes().all(|byte| byte.is_ascii_digit());
        let numbered = name.parse().ok().filter(|_| digits).and_then(Cap::from_number);
        numbered.map_or_else(|| name.parse(), Ok).map(|cap| set.with(cap))
    })
}

impl fmt::Display for FileCaps {
    /// As `getcap -n` prints it: `cap_net_raw=ep`, one clause for each combination of flags; `=` for none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let both = self.permitted.intersection(self.inheritable);
        let clauses =
            [(both, "ip"), (self.inheritable.difference(both), "i"), (self.permitted.difference(both), "p")];
        let mut blank = "";
        for (set, flags) in clauses.into_iter().filter(|(set, _)| !set.is_empty()) {
            f.write_str(blank)?;
            if set != CapSet::ALL {
                for (place, cap) in set.iter().enumerate() {
                    write!(f, "{}{}", if place == 0 { "" } else { "," }, cap.lower_case())?;
                }
            }
            write!(f, "={}{flags}", if self.effective { "e" } else { "" })?;
            blank = " ";
        }
        if blank.is_empty() {
            // With the flag and no capability there is nothing that could be effective.
            f.write_str("=")?;
        }
        match self.rootid {
            Some(id) => write!(f, " [rootid={id}]"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{any_file_caps, hex};
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> FileCaps {
        text.parse().unwrap()
    }

    /// What `setcap` of libcap 2.66 made of each text.
    const MADE: [(&str, &str); 9] = [
        ("=", "0000000200000000000000000000000000000000"),
        ("=ep", "01000002ffffffff00000000ff01000000000000"),
        ("cap_net_raw=ep", "0100000200200000000000000000000000000000"),
        ("cap_chown,cap_bpf=p", "0000000201000000000000008000000000000000"),
        ("cap_net_raw=eip", "0100000200200000002000000000000000000000"),
        ("cap_net_raw=i", "0000000200000000002000000000000000000000"),
        ("cap_kill=eip cap_net_raw=ep", "0100000220200000200000000000000000000000"),
        ("cap_kill=i cap_net_raw=p", "0000000200200000200000000000000000000000"),
        ("41=ep", "0100000200000000000000000002000000000000"),
    ];

    #[test]
    fn text_and_bytes_are_those_of_libcap() {
        for (text, bytes) in MADE {
            assert_eq!(parse(text).to_bytes(), hex(bytes), "{text}");
            assert_eq!(parse(text).to_string(), text);
        }
        let owned = parse("cap_net_raw=ep [rootid=1000]");
        assert_eq!((owned.rootid, owned.to_string().as_str()), (Some(1000), "cap_net_raw=ep [rootid=1000]"));
    }

    #[test]
    fn all_forms_are_read() {
        let raw = FileCaps::effective(Cap::NET_RAW.into());
        for text in [
            "cap_net_raw=ep",
            "CAP_NET_RAW=pe",
            "net_raw+ep",
            "13=ep",
            " cap_net_raw=p cap_net_raw+e ",
            "cap_net_raw=p+e",
            "cap_net_raw=eip-i",
            "all=ep all= cap_net_raw+ep",
            "=ep = cap_net_raw=ep",
        ] {
            assert_eq!(parse(text), raw, "{text}");
        }
        assert_eq!(parse("=p").permitted, CapSet::ALL);
        assert_eq!(parse("cap_chown="), FileCaps::default());
        assert_eq!(parse("cap_chown=i cap_kill+p [rootid=0]").rootid, Some(0));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| text.parse::<FileCaps>().unwrap_err().to_string();
        for (text, wanted) in [
            ("", "there is no clause"),
            ("cap_net_raw", "the clause `cap_net_raw` has no `=`"),
            ("cap_net_rwa=ep", "`cap_net_rwa` is no capability; did you mean CAP_NET_RAW?"),
            ("64=p", "`64` is no capability"),
            ("cap_kill=x", "the clause `cap_kill=x` has a flag that is none of `e`, `i`, `p`"),
            ("cap_kill+", "has an operator without a flag"),
            ("+ep", "only `=` can stand alone"),
            ("cap_kill=ep cap_chown=p", "CAP_CHOWN is effective alone, or not effective beside others"),
            ("cap_kill=e", "CAP_KILL is effective alone"),
            ("cap_kill=p [rootid=x]", "`[rootid=x]` is no root id"),
            ("cap_kill=p [rootid=4294967296]", "is no root id"),
            ("cap_kill=p [rootid=1] x", "is no root id"),
            ("cap_kill,,cap_chown=p", "`` is no capability"),
        ] {
            assert!(error(text).contains(wanted), "{text}: {}", error(text));
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(caps in any_file_caps()) {
            let empty = caps.permitted.is_empty() && caps.inheritable.is_empty();
            let caps = FileCaps { effective: caps.effective && !empty, ..caps };
            prop_assert_eq!(parse(&caps.to_string()), caps);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(cap_kill|all|chown|41|é|[-+=,eip \\[\\]0-9]){0,12}") {
            let _ = text.parse::<FileCaps>();
        }
    }
}
