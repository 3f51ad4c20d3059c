//! The command line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::bundle::Bundle;
use crate::{ContainerId, Error, ErrorKind};

/// An OCI container runtime composed of small isolation crates.
#[derive(Debug, Parser)]
#[command(name = "cofferdam", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create, start and wait for a container; ends with its exit status.
    Run {
        #[command(flatten)]
        target: Target,
    },
    /// Print what `run` would do, and do nothing.
    Plan {
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Debug, clap::Args)]
struct Target {
    /// The directory that holds config.json.
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    bundle: PathBuf,
    /// The container's name.
    id: String,
}

/// The program: parses the command line, acts, and turns a failure into one line and a status.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no failure; a closed pipe to their reader is none of ours either.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match act(&cli.command) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "cofferdam: {error}");
            ExitCode::from(error.exit_status())
        }
    }
}

fn act(command: &Command) -> Result<u8, Error> {
    match command {
        Command::Run { target } => {
            let (container, id) = load(target)?;
            let mut warn = |warning: &str| {
                let _ = writeln!(std::io::stderr(), "cofferdam: warning: {warning}");
            };
            crate::run(&container, &id, &mut warn).map(cofferdam_sys::process::Exit::status)
        }
        Command::Plan { target } => {
            let (container, _) = load(target)?;
            writeln!(std::io::stdout(), "{container:#?}")
                .map_err(|error| Error::new(ErrorKind::Start, format!("print the plan: {error}")))?;
            Ok(0)
        }
    }
}

fn load(target: &Target) -> Result<(crate::Container, ContainerId), Error> {
    let id: ContainerId = target.id.parse()?;
    let bundle = Bundle::load(&target.bundle)?;
    Ok((crate::lower(&bundle, &id)?, id))
}
