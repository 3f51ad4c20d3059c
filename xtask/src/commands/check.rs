//! `cargo xtask test` and `cargo xtask ci`.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::cli::{Command as Xtask, Test};
use crate::lab::build::TARGET;
use crate::workspace::Workspace;

/// How many checks and tests went well, and what did not.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: usize,
    failed: usize,
}

/// Runs everything that needs no VM, then the lab's self-tests.
///
/// # Errors
/// A check that cannot be started.
pub(super) fn test(workspace: &Workspace, args: &Test) -> Result<u8> {
    let mut tally = Tally::default();
    let checks: [(&str, &[&str]); 3] = [
        ("fmt", &["fmt", "--all", "--check"]),
        ("clippy", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]),
        ("doc", &["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]),
    ];
    for (name, cargo) in checks {
        let mut command = workspace.cargo();
        command.args(cargo).env("RUSTDOCFLAGS", "--deny warnings");
        step(name, &mut tally, || check(command))?;
    }
    step("tidy", &mut tally, || {
        let findings = crate::tidy::check(workspace)?;
        for finding in &findings {
            eprintln!("{finding}");
        }
        Ok(Tally { passed: usize::from(findings.is_empty()), failed: findings.len() })
    })?;
    let mut command = workspace.cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    step("tests", &mut tally, || count(command))?;
    if !args.no_vm {
        step("tests for a machine to throw away, in a guest", &mut tally, || in_guests(workspace))?;
        let mut command = workspace.cargo();
        // Guests compete for the cores, and the limits are in seconds: one test after the other.
        command.args(["test", "--package", "xtask", "--test", "selftest", "--"]);
        command.args(["--ignored", "--test-threads=1"]);
        step("self-tests of the lab", &mut tally, || count(command))?;
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(u8::from(tally.failed > 0))
}

/// Runs `test`, then `vm-test` on the default kernels; the worst status of the two.
///
/// # Errors
/// A command that cannot be started.
pub(super) fn ci(workspace: &Workspace) -> Result<u8> {
    let started = Instant::now();
    let test = test(workspace, &Test { no_vm: false })?;
    eprintln!("ci: test: exit {test} after {} s", started.elapsed().as_secs());
    let started = Instant::now();
    let cli = <crate::cli::Cli as clap::Parser>::try_parse_from(["xtask", "vm-test"])?;
    let Xtask::VmTest(args) = cli.command else { return Ok(3) };
    let vm_test = super::vm_test::run(workspace, &args)?;
    eprintln!("ci: vm-test: exit {vm_test} after {} s", started.elapsed().as_secs());
    Ok(test.max(vm_test))
}

fn step(name: &str, tally: &mut Tally, run: impl FnOnce() -> Result<Tally>) -> Result<()> {
    let started = Instant::now();
    eprintln!("test: {name} …");
    let result = run().with_context(|| format!("test: {name}"))?;
    tally.passed += result.passed;
    tally.failed += result.failed;
    let Tally { passed, failed } = result;
    eprintln!("test: {name}: {passed} passed, {failed} failed, {} s", started.elapsed().as_secs());
    Ok(())
}

/// The ignored tests that act on a whole machine as root, each program in a guest of its own.
fn in_guests(workspace: &Workspace) -> Result<Tally> {
    const PROGRAMS: [&[&str]; 2] = [
        &["--package", "cofferdam-cgroup", "--lib", "--test", "scratch", "--test", "oracle"],
        &["--package", "cofferdam-mountfs", "--test", "rootfs"],
    ];
    // Through cargo: building the tests may have replaced this program's file.
    let runner = format!("target.{TARGET}.runner=\"cargo xtask runner --\"");
    let mut tally = Tally::default();
    for program in PROGRAMS {
        let mut command = workspace.cargo();
        command.args(["--config", &runner, "test", "--target", TARGET, "--no-fail-fast"]);
        command.args(program).args(["--", "--ignored", "--test-threads=1"]);
        let Tally { passed, failed } = count(command)?;
        tally.passed += passed;
        tally.failed += failed;
    }
    Ok(tally)
}

/// A command that passes or fails as a whole.
fn check(mut command: Command) -> Result<Tally> {
    let ok = command.stdin(Stdio::null()).status().context("run cargo")?.success();
    Ok(Tally { passed: usize::from(ok), failed: usize::from(!ok) })
}

/// A `cargo test`, whose tests are counted from its summary lines.
fn count(mut command: Command) -> Result<Tally> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("run cargo test")?;
    let mut tally = Tally::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line.context("read the output of cargo test")?;
            println!("{line}");
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
