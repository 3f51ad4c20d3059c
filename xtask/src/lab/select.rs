//! Which tests of the guest's registry a run takes, and how `--list` shows them.

use std::fmt::Write as _;

use crate::cli::Suite;
use crate::protocol::{Case, Needs, TestInfo};

/// What the command line asks for.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    /// Which suites.
    pub suite: Suite,
    /// A part of the name.
    pub filter: Option<&'a str>,
    /// Another runtime stands in, so only tests that reach it through OCI can run.
    pub foreign_runtime: bool,
}

/// The tests that fit, in the registry's order.
pub fn select(tests: &[TestInfo], selection: &Selection<'_>) -> Vec<TestInfo> {
    tests.iter().filter(|test| fits(test, selection)).cloned().collect()
}

fn fits(test: &TestInfo, selection: &Selection<'_>) -> bool {
    let suite = match selection.suite {
        // By themselves: they take packages that nothing else needs, and longer than all else.
        Suite::Systemd => test.needs.systemd,
        _ if test.needs.systemd => false,
        Suite::All => !matches!(test.suite.as_str(), "selftest" | "checkpoint"),
        Suite::Integration => test.suite == "integration",
        Suite::Escape => test.suite == "escape",
        Suite::Checkpoint => test.suite == "checkpoint",
        Suite::Selftest => test.suite == "selftest",
    };
    suite
        && selection.filter.is_none_or(|text| test.name.contains(text))
        && (test.oci || !selection.foreign_runtime)
}

/// The cases of a test, in the order of its modes.
pub fn cases(test: &TestInfo) -> impl Iterator<Item = Case> + '_ {
    test.modes.iter().map(|mode| Case { test: test.name.clone(), mode: mode.clone() })
}

/// The text of `--list`.
pub fn listing(tests: &[TestInfo]) -> String {
    let width = tests.iter().map(|test| test.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for test in tests {
        let modes = test.modes.join(" ");
        let needs = needs(&test.needs);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:11}  {:width$}  {modes}", test.suite, test.name);
        let _ = writeln!(text, "{:11}  {:width$}    {}", "", "", test.about);
        if !needs.is_empty() {
            let _ = writeln!(text, "{:11}  {:width$}    needs {needs}", "", "");
        }
    }
    let count = tests.iter().map(|test| test.modes.len()).sum::<usize>();
    let _ = writeln!(text, "{} tests, {count} cases", tests.len());
    text
}

fn needs(needs: &Needs) -> String {
    let mut parts = Vec::new();
    if !needs.modules.is_empty() {
        parts.push(format!("modules {}", needs.modules.join(" ")));
    }
    if let Some(cgroup) = &needs.cgroup {
        parts.push(format!("cgroup {cgroup}"));
    }
    if let Some(lsm) = &needs.lsm {
        parts.push(format!("LSM {lsm}"));
    }
    if let Some(level) = &needs.lockdown {
        parts.push(format!("lockdown {level}"));
    }
    if !needs.facilities.is_empty() {
        parts.push(format!("facilities {}", needs.facilities.join(" ")));
    }
    if needs.systemd {
        parts.push("systemd".into());
    }
    if needs.disk {
        parts.push("a scratch disk".into());
    }
    if needs.fresh {
        parts.push("a guest of its own".into());
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(suite: &str, name: &str, oci: bool) -> TestInfo {
        TestInfo {
            suite: suite.into(),
            name: name.into(),
            about: "About.".into(),
            modes: vec!["full".into()],
            oci,
            needs: Needs::default(),
        }
    }

    fn names(suite: Suite, filter: Option<&str>, foreign_runtime: bool) -> Vec<String> {
        let tests = [
            test("integration", "ns::pid", false),
            test("integration", "oci::exit", true),
            test("escape", "mask-peel", true),
            test("checkpoint", "criu::all", true),
            test("selftest", "panic", false),
        ];
        let selection = Selection { suite, filter, foreign_runtime };
        select(&tests, &selection).into_iter().map(|test| test.name).collect()
    }

    #[test]
    fn a_suite_takes_its_own_tests() {
        assert_eq!(names(Suite::Integration, None, false), ["ns::pid", "oci::exit"]);
        assert_eq!(names(Suite::Escape, None, false), ["mask-peel"]);
        assert_eq!(names(Suite::Checkpoint, None, false), ["criu::all"]);
        assert_eq!(names(Suite::Selftest, None, false), ["panic"]);
    }

    #[test]
    fn what_needs_systemd_is_a_suite_of_its_own() {
        let mut one = test("integration", "systemd::life", true);
        one.needs.systemd = true;
        let count = |suite| {
            let selection = Selection { suite, filter: None, foreign_runtime: false };
            select(std::slice::from_ref(&one), &selection).len()
        };
        assert_eq!([Suite::All, Suite::Integration, Suite::Systemd].map(count), [0, 0, 1]);
        assert!(listing(&[one.clone()]).contains("needs systemd"));
    }

    #[test]
    fn all_leaves_the_self_tests_out() {
        assert_eq!(names(Suite::All, None, false), ["ns::pid", "oci::exit", "mask-peel"]);
    }

    #[test]
    fn a_filter_is_a_part_of_the_name() {
        assert_eq!(names(Suite::All, Some("::"), false), ["ns::pid", "oci::exit"]);
        assert!(names(Suite::All, Some("nothing"), false).is_empty());
    }

    #[test]
    fn another_runtime_takes_only_what_goes_through_oci() {
        assert_eq!(names(Suite::All, None, true), ["oci::exit", "mask-peel"]);
    }

    #[test]
    fn the_listing_names_needs() {
        let mut one = test("escape", "disk-mknod", true);
        one.needs = Needs { disk: true, modules: vec!["overlay".into()], ..Needs::default() };
        let text = listing(&[one]);
        assert!(text.contains("needs modules overlay, a scratch disk"), "{text}");
        assert!(text.ends_with("1 tests, 1 cases\n"), "{text}");
    }
}
