//! `cargo xtask sanitize`: the tests of the one crate with unsafe code, under LLVM's address sanitizer.
//!
//! It sees what the code does to memory while it makes real system calls, which Miri cannot. The flag is not
//! stable yet; the compiler takes it when it is told that it bootstraps, for this build alone.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::tally::{Tally, count};
use crate::fail;
use crate::lab::build::TARGET;
use crate::workspace::Workspace;

const CRATE: &str = "cofferdam-sys";

/// Runs the tests; exit 1 when one fails or the sanitizer finds something.
///
/// # Errors
/// A toolchain without the sanitizer's runtime (exit 3).
pub(super) fn run(workspace: &Workspace) -> Result<u8> {
    if !is_there(workspace)? {
        return Err(fail::lab(format!(
            "this toolchain has no runtime of the address sanitizer for {TARGET}: rustup's toolchains have it"
        )));
    }
    let tally = tests(workspace)?;
    Ok(u8::from(tally.failed > 0))
}

/// Runs the tests, or says why not.
///
/// # Errors
/// A cargo that cannot be started.
pub(super) fn part(workspace: &Workspace) -> Result<Tally> {
    if is_there(workspace)? {
        return tests(workspace);
    }
    eprintln!("left out: this toolchain has no runtime of the address sanitizer");
    Ok(Tally::default())
}

fn tests(workspace: &Workspace) -> Result<Tally> {
    let mut command = workspace.cargo();
    command.args(["test", "--package", CRATE, "--lib", "--tests", "--target", TARGET, "--no-fail-fast"]);
    command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_ENCODED_RUSTFLAGS", "-Zsanitizer=address");
    command.env("CARGO_TARGET_DIR", workspace.target.join("sanitize"));
    count(command)
}

/// Whether the toolchain has the sanitizer's runtime.
fn is_there(workspace: &Workspace) -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(&workspace.root)
        .output()
        .context("ask rustc for its libraries")?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    Ok(names.into_iter().any(|name| name.to_string_lossy().ends_with("_rt.asan.a")))
}
