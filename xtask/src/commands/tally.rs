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
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Runs a part and says how it went.
pub(super) fn step(name: &str, tally: &mut Tally, run: impl FnOnce() -> Result<Tally>) -> Result<()> {
    let started = Instant::now();
    eprintln!("test: {name} …");
    let result = run().with_context(|| format!("test: {name}"))?;
    let Tally { passed, failed } = result;
    eprintln!("test: {name}: {passed} passed, {failed} failed, {} s", started.elapsed().as_secs());
    *tally += result;
    Ok(())
}

/// A command that passes or fails as a whole.
pub(super) fn check(mut command: Command) -> Result<Tally> {
    let ok = command.stdin(Stdio::null()).status().context("run cargo")?.success();
    Ok(Tally { passed: usize::from(ok), failed: usize::from(!ok) })
}

/// A `cargo test`, whose tests are counted from its summary lines.
pub(super) fn count(mut command: Command) -> Result<Tally> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("run cargo test")?;
    let mut tally = Tally::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line.context("read the output of cargo test")?;
            output::print(&line)?;
            add_summary(&mut tally, &line);
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
        assert_eq!(tally, Tally { passed: 15, failed: 2 });
    }

    #[test]
    fn a_command_without_a_summary_that_fails_is_one_failure() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo compile error; exit 101"]);
        assert_eq!(count(command).unwrap(), Tally { passed: 0, failed: 1 });
    }
}
