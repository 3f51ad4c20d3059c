//! Counting what checks and tests did.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::output;

/// How many checks and tests went well, and what did not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Those that went well.
    pub(super) passed: usize,
    /// Those that did not.
    pub(super) failed: usize,
    /// What those that did not said, as far as it is known: said again at the end, where it is looked for.
    pub(super) failures: Vec<String>,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for failure in &self.failures {
            writeln!(f, "{}\n", failure.trim_end())?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Runs a part and says how it went.
pub(super) fn step(name: &str, tally: &mut Tally, run: impl FnOnce() -> Result<Tally>) -> Result<()> {
    let started = Instant::now();
    eprintln!("test: {name} …");
    let mut result = run().with_context(|| format!("test: {name}"))?;
    let Tally { passed, failed, .. } = result;
    if failed > 0 && result.failures.is_empty() {
        result.failures.push("see above".to_owned());
    }
    for failure in &mut result.failures {
        failure.insert_str(0, &format!("failed in {name}: "));
    }
    eprintln!("test: {name}: {passed} passed, {failed} failed, {} s", started.elapsed().as_secs());
    *tally += result;
    Ok(())
}

/// A command that passes or fails as a whole.
pub(super) fn check(mut command: Command) -> Result<Tally> {
    let ok = command.stdin(Stdio::null()).status().context("run cargo")?.success();
    Ok(Tally { passed: usize::from(ok), failed: usize::from(!ok), ..Tally::default() })
}

/// A `cargo test`, whose tests are counted from its summary lines.
pub(super) fn count(mut command: Command) -> Result<Tally> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("run cargo test")?;
    let mut tally = Tally::default();
    if let Some(output) = child.stdout.take() {
        let mut in_failure = false;
        for line in BufReader::new(output).lines() {
            let line = line.context("read the output of cargo test")?;
            output::print(&line)?;
            add_summary(&mut tally, &line);
            in_failure = add_failure(&mut tally, &line, in_failure);
        }
    }
    let status = child.wait().context("wait for cargo test")?;
    // A program that does not compile or crashes has no summary line.
    if !status.success() && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

/// Adds a line such as `test result: ok. 12 passed; 0 failed; 0 ignored; …`.
fn add_summary(tally: &mut Tally, line: &str) {
    let Some(rest) = line.strip_prefix("test result: ") else { return };
    for part in rest.split(['.', ';']) {
        match part.trim().split_once(' ') {
            Some((count, "passed")) => tally.passed += count.parse::<usize>().unwrap_or(0),
            Some((count, "failed")) => tally.failed += count.parse::<usize>().unwrap_or(0),
            _ => {}
        }
    }
}

/// Takes what a failed test said: from `---- NAME stdout ----` to the list of all that failed. Gives whether the
/// next line belongs to it.
fn add_failure(tally: &mut Tally, line: &str, in_failure: bool) -> bool {
    if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
        tally.failures.push(name.to_owned());
        return true;
    }
    let ends = line == "failures:" || line.starts_with("test result: ");
    if let (true, false, Some(failure)) = (in_failure, ends, tally.failures.last_mut()) {
        failure.push('\n');
        failure.push_str(line);
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_add_up() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s",
        ] {
            add_summary(&mut tally, line);
        }
        assert_eq!(tally, Tally { passed: 15, failed: 2, failures: vec![] });
    }

    #[test]
    fn what_failed_tests_said_is_kept() {
        let output = "test a ... FAILED\n\nfailures:\n\n---- a stdout ----\nat a.rs:1:\n  left: 1\n\n---- b::c stdout ----\n\
                      why\n\nfailures:\n    a\n    b::c\n\ntest result: FAILED. 0 passed; 2 failed; 0 ignored\nrest";
        let mut tally = Tally::default();
        let mut in_failure = false;
        for line in output.lines() {
            add_summary(&mut tally, line);
            in_failure = add_failure(&mut tally, line, in_failure);
        }
        assert_eq!(tally.failures, ["a\nat a.rs:1:\n  left: 1\n", "b::c\nwhy\n"]);
        assert_eq!(tally.to_string(), "a\nat a.rs:1:\n  left: 1\n\nb::c\nwhy\n\n0 passed, 2 failed");
    }

    #[test]
    fn a_command_without_a_summary_that_fails_is_one_failure() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo compile error; exit 101"]);
        let tally = count(command).unwrap();
        assert_eq!((tally.passed, tally.failed), (0, 1));
    }
}
