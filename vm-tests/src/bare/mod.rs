//! The program of the bench: `bare true`, `bare sleep`, `bare floor RUNS ROOT`, `bare rss PROGRAM ARGUMENT…`.

mod floor;

use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};

/// Runs one command of the bench.
pub fn main(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["true"] => return ExitCode::SUCCESS,
        ["sleep"] => {
            std::thread::sleep(Duration::from_hours(24));
            return ExitCode::SUCCESS;
        }
        ["floor", runs, root] => floor::print(runs, root),
        ["rss", program, rest @ ..] => rss(program, rest),
        _ => {
            eprintln!("bare: unknown command {words:?}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the peak resident memory, in KiB, of a program and of all that it waited for.
///
/// A child is charged with its parent's memory until it executes: this program is small for that.
fn rss(program: &str, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.status().with_context(|| format!("start {program}"))?;
    if !status.success() {
        bail!("{program}: {status}");
    }
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN).context("ask for the usage")?.max_rss());
    Ok(())
}
