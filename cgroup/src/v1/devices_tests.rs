//! The exceptions, as the kernel takes them, against the meaning of the rules.

use super::*;
use crate::devices::tests::{Use, any_rule, any_use, meaning};
use proptest::prelude::*;

/// The kernel's own look at its exceptions (`security/device_cgroup.c`).
fn kernel(writes: &[(&str, String)], what: Use) -> bool {
    let (mut allow, mut list) = (true, Vec::new());
    for (file, line) in writes {
        if line == "a" {
            (allow, list) = (*file == "devices.allow", Vec::new());
            continue;
        }
        // A write in favour of the default would take an exception away, which is never asked for.
        assert_eq!(*file == "devices.allow", !allow, "{line}");
        list.push(line.clone());
    }
    let mut access = String::new();
    for (bit, letter) in [(1, 'm'), (2, 'r'), (4, 'w')] {
        if what.access & bit != 0 {
            access.push(letter);
        }
    }
    let fits = |line: &str, any: bool| {
        let words: Vec<&str> = line.split(' ').collect();
        let (major, minor) = words[1].split_once(':').unwrap();
        let same = |text: &str, number: u32| text == "*" || text == number.to_string();
        let kind = if what.kind == Kind::Block { "b" } else { "c" };
        let covered = |letter: char| words[2].contains(letter);
        words[0] == kind
            && same(major, what.major)
            && same(minor, what.minor)
            && if any { access.chars().any(covered) } else { access.chars().all(covered) }
    };
    if allow { !list.iter().any(|line| fits(line, true)) } else { list.iter().any(|line| fits(line, false)) }
}

#[test]
fn a_usual_list_is_written_as_it_is() {
    let rule = |allow, kind, major, minor, access| Rule::new(allow, kind, major, minor, access).unwrap();
    let rules = [
        Rule::DENY_ALL,
        rule(true, "c", None, None, "m"),
        rule(true, "b", None, None, "m"),
        rule(true, "c", Some(1), Some(3), "rwm"),
        rule(true, "c", Some(136), None, "rw"),
    ];
    let lines: Vec<String> =
        lower(&rules).unwrap().into_iter().map(|(file, line)| format!("{file} {line}")).collect();
    assert_eq!(
        lines,
        [
            "devices.deny a",
            "devices.allow c *:* m",
            "devices.allow c 1:3 rwm",
            // Together with the first: opening a new node is one thing, and making it another.
            "devices.allow c 136:* rwm",
            "devices.allow b *:* m",
        ]
    );
}

#[test]
fn a_part_cannot_be_taken_out() {
    let rule = |allow, minor, access| Rule::new(allow, "c", Some(1), minor, access).unwrap();
    let error = lower(&[rule(true, None, "rw"), rule(false, Some(3), "w")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error
            .to_string()
            .starts_with("device rule `deny c 1:3 w`: cgroup v1 cannot take it out of `c 1:* rw`"),
        "{error}"
    );
    // Another way of use, or another device, is no part of it.
    lower(&[rule(true, None, "r"), rule(false, Some(3), "w")]).unwrap();
    // The whole can.
    let all = lower(&[rule(true, Some(3), "rw"), rule(false, None, "w")]).unwrap();
    assert_eq!(all.last().unwrap().1, "c 1:3 r");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn the_exceptions_mean_what_the_rules_mean(
        rules in prop::collection::vec(any_rule(), 0..6), what in any_use(),
    ) {
        // Nobody uses a device in no way.
        prop_assume!(what.access != 0);
        if let Ok(writes) = lower(&rules) {
            prop_assert_eq!(kernel(&writes, what), meaning(&rules, what), "{:?}", writes);
        }
    }
}
