//! One module a command.

mod alone;
mod check;
mod dist;
mod enosys;
mod features;
mod fuzz;
mod kernels;
mod runner;
mod sanitize;
mod support;
mod tally;
mod tidy;
mod vm_shell;
mod vm_test;

use anyhow::Result;

use crate::cli::{Cli, Command};
use crate::workspace::Workspace;

/// Runs a command; the number is its exit status.
///
/// # Errors
/// What stopped the command; [`crate::fail::exit_code`] knows the status it stands for.
pub fn run(cli: Cli) -> Result<u8> {
    let workspace = Workspace::locate()?;
    match cli.command {
        Command::VmTest(args) => vm_test::run(&workspace, &args),
        Command::Kernels(args) => kernels::run(&args),
        Command::Test(args) => check::test(&workspace, &args),
        Command::Ci => check::ci(&workspace),
        Command::Bench(args) => crate::bench::run(&workspace, &args),
        Command::Soak(args) => crate::bench::soak::run(&workspace, &args),
        Command::Dist => dist::run(&workspace),
        Command::Tidy(args) => tidy::run(&workspace, &args),
        Command::VmShell(args) => vm_shell::run(&workspace, &args),
        Command::Features(args) => features::run(&workspace, &args),
        Command::Alone(args) => alone::run(&workspace, &args),
        Command::Fuzz(args) => fuzz::run(&workspace, &args),
        Command::Sanitize => sanitize::run(&workspace),
        Command::Runner(args) => runner::run(&workspace, &args),
    }
}
