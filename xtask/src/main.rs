//! The repository's own commands: `cargo xtask COMMAND`.

pub mod bench;
pub mod cli;
pub mod commands;
pub mod engines;
pub mod fail;
pub mod image;
pub mod kernels;
pub mod lab;
pub mod output;
#[path = "../../vm-tests/src/protocol.rs"]
pub mod protocol;
pub mod qemu;
pub mod tidy;
pub mod tools;
pub mod workspace;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // This program is also what becomes QEMU, so that no guest outlives it.
    // And what an engine's box starts, which is not to know the workspace.
    if let Some(code) = qemu::guard::intercept().or_else(engines::intercept) {
        return code;
    }
    match commands::run(cli::Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(fail::exit_code(&error))
        }
    }
}
