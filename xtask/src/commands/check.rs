//! `cargo xtask test` and `cargo xtask ci`.

use std::time::Instant;

use anyhow::Result;

use super::tally::{Tally, check, count, step};
use super::{alone, enosys, fuzz, sanitize};
use crate::cli::{Command as Xtask, Test};
use crate::lab::build::TARGET;
use crate::output;
use crate::workspace::Workspace;

/// Runs everything that needs no VM, then the lab's self-tests.
///
/// # Errors
/// A check that cannot be started.
pub(super) fn test(workspace: &Workspace, args: &Test) -> Result<u8> {
    report(&tests(workspace, args)?)
}

fn tests(workspace: &Workspace, args: &Test) -> Result<Tally> {
    let mut tally = Tally::default();
    if let Some(calls) = &args.enosys {
        enosys::check(workspace, calls)?;
        step(&format!("tests without {calls}"), &mut tally, || {
            enosys::run(workspace, calls, &args.packages)
        })?;
        return Ok(tally);
    }
    let checks: [(&str, &[&str]); 5] = [
        ("fmt", &["fmt", "--all", "--check"]),
        ("fmt of the fuzz targets", &["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]),
        ("clippy", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]),
        ("doc", &["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]),
        // As users see it: a link from a public page to a private item is broken only here.
        ("doc of the public items", &["doc", "--workspace", "--no-deps", "--quiet"]),
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
        let failures = findings.iter().map(ToString::to_string).collect();
        Ok(Tally { passed: usize::from(findings.is_empty()), failed: findings.len(), failures })
    })?;
    let mut command = workspace.cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    step("tests", &mut tally, || count(command))?;
    for calls in enosys::FALLBACKS {
        step(&format!("tests without {calls}"), &mut tally, || enosys::run(workspace, calls, &[]))?;
    }
    step("each crate alone in a project", &mut tally, || Ok(alone::all(workspace)))?;
    step("sys under the address sanitizer", &mut tally, || sanitize::part(workspace))?;
    step("fuzz targets", &mut tally, || fuzz::all(workspace, fuzz::SHORT))?;
    if !args.no_vm {
        step("tests for a machine to throw away, in a guest", &mut tally, || in_guests(workspace))?;
        let mut command = workspace.cargo();
        // Guests compete for the cores, and the limits are in seconds: one test after the other.
        command.args(["test", "--package", "xtask", "--test", "selftest", "--"]);
        command.args(["--ignored", "--test-threads=1"]);
        step("self-tests of the lab", &mut tally, || count(command))?;
    }
    Ok(tally)
}

fn report(tally: &Tally) -> Result<u8> {
    output::print(tally.to_string())?;
    Ok(u8::from(tally.failed > 0))
}

/// Runs `test`, `vm-test` on the default kernels, and the quick scenarios on podman; the worst status of the three.
///
/// # Errors
/// A command that cannot be started.
pub(super) fn ci(workspace: &Workspace) -> Result<u8> {
    let started = Instant::now();
    let tally = tests(workspace, &Test::default())?;
    eprintln!("ci: test: {} failed after {} s", tally.failed, started.elapsed().as_secs());
    let started = Instant::now();
    let cli = <crate::cli::Cli as clap::Parser>::try_parse_from(["xtask", "vm-test"])?;
    let Xtask::VmTest(args) = cli.command else { return Ok(3) };
    let vm_test = super::vm_test::run(workspace, &args)?;
    eprintln!("ci: vm-test: exit {vm_test} after {} s", started.elapsed().as_secs());
    let started = Instant::now();
    let words = ["xtask", "engine-test", "--engine", "podman", "--fast"];
    let cli = <crate::cli::Cli as clap::Parser>::try_parse_from(words)?;
    let Xtask::EngineTest(args) = cli.command else { return Ok(3) };
    let engine_test = crate::engines::run(workspace, &args)?;
    eprintln!("ci: engine-test: exit {engine_test} after {} s", started.elapsed().as_secs());
    let test = report(&tally)?;
    Ok(test.max(vm_test).max(engine_test))
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
        tally += count(command)?;
    }
    Ok(tally)
}
