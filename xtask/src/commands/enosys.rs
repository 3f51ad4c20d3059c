//! The crates' tests on a kernel that seems older: `cargo xtask test --enosys clone3,openat2`.
//!
//! A program of `sys` (`sys/examples/enosys`) refuses the calls by a filter of seccomp and becomes the test
//! program; it is cargo's runner here.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result};

use super::tally::{Tally, count};
use crate::fail;
use crate::lab::build::TARGET;
use crate::workspace::Workspace;

/// What the crates can do without: in each run of the tests all calls of one line are refused.
///
/// Who writes a fallback adds its call here, and `cargo xtask test` runs it. What has nothing to do with each other
/// shares a line, since a line takes minutes. A test that compares with and without a call learns from
/// `COFFERDAM_ENOSYS` that it has the one side only.
///
/// Not here, and without a fallback by design, as the oldest kernel has them (5.10): `openat2`, `close_range`,
/// `faccessat2`, `pidfd_open`, `pidfd_send_signal`, `pidfd_getfd`, `memfd_create`, `bpf`, `seccomp`.
/// Without them a function fails with `ENOSYS` and the name of the step: resolving a path below a root, closing
/// descriptors and signalling a process have no substitute that is as safe.
pub(super) const FALLBACKS: &[&str] = &[
    // mountinfo; clone(2), as where a filter hides the call; no Landlock.
    "statmount,listmount,clone3,landlock_create_ruleset,landlock_add_rule,landlock_restrict_self",
    // mount(2) alone.
    "open_tree,move_mount,fsopen,fsconfig,fsmount,fspick,mount_setattr,open_tree_attr",
];

const PROGRAM: &str = "enosys";
/// The status of that program when it does not know a call.
const USAGE: i32 = 2;

/// Refuses names that are no system call the filter knows.
///
/// # Errors
/// Exit 2 with the known names; a program that cannot be built or run.
pub(super) fn check(workspace: &Workspace, calls: &str) -> Result<()> {
    let program = build(workspace)?;
    let output = std::process::Command::new(&program)
        .args([calls, "true"])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().trim_start_matches("enosys: ");
    match output.status.code() {
        Some(0) => Ok(()),
        Some(USAGE) => Err(fail::usage(format!("--enosys: {said}"))),
        _ => Err(fail::lab(format!("--enosys: {said}"))),
    }
}

/// Runs the tests of these packages, or of all crates, without these calls.
///
/// # Errors
/// A build that cannot be started.
pub(super) fn run(workspace: &Workspace, calls: &str, packages: &[String]) -> Result<Tally> {
    let program = build(workspace)?;
    let runner = format!("target.{TARGET}.runner=[{:?}, {calls:?}]", program.display().to_string());
    let mut command = workspace.cargo();
    command.args(["--config", &runner, "test", "--tests", "--no-fail-fast"]);
    if packages.is_empty() {
        // These two run on the contributor's kernel, whichever it is, and have no fallbacks.
        command.args(["--workspace", "--exclude", "xtask", "--exclude", "cofferdam-vm-tests"]);
    }
    for package in packages {
        command.args(["--package", package]);
    }
    count(command)
}

/// Builds the program that refuses calls.
///
/// # Errors
/// The build fails.
pub(super) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = workspace.cargo();
    command.args(["build", "--quiet", "--package", "cofferdam-sys", "--example", PROGRAM]);
    let status = command.stdin(Stdio::null()).status().context("run cargo")?;
    if !status.success() {
        return Err(fail::failed(format!("sys/examples/{PROGRAM} cannot be built: {status}")));
    }
    Ok(workspace.target.join("debug/examples").join(PROGRAM))
}
