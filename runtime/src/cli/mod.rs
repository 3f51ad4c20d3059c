//! The command line: global options, then one command with its own.
//!
//! Only the command that was asked for is built, since an engine starts this program for every single step.

mod checkpoint;
mod context;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod hardened;
mod image;
mod kill;
mod list;
mod log;
mod pause;
mod plan;
mod ps;
mod restore;
mod run;
mod spec;
mod start;
mod state;
mod update;
mod version;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind as ErrorKindOfClap;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{Error, ErrorKind, Result};
use context::Context;

/// An OCI container runtime composed of small isolation crates.
#[derive(Debug, Parser)]
#[command(name = "cofferdam", disable_version_flag = true, disable_help_subcommand = true)]
struct Globals {
    /// Where the state of containers is kept [default: `/run/cofferdam`, or `$XDG_RUNTIME_DIR/cofferdam`].
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Write warnings and errors to this file too.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// How the log is written.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: log::Format,
    /// Write what is done step by step too.
    #[arg(long)]
    debug: bool,
    /// Have systemd make control groups, as `--cgroup-manager systemd`.
    #[arg(long)]
    systemd_cgroup: bool,
    /// Who makes control groups: `cgroupfs` (this program), `systemd`, or nobody: `disabled`.
    #[arg(long, value_name = "NAME")]
    cgroup_manager: Option<String>,
    /// Ignored: what the caller may do is found out.
    #[arg(long, value_name = "BOOL", hide = true)]
    rootless: Option<String>,
    /// The program that checkpoints and restores [default: `criu` of `PATH`].
    #[arg(long, value_name = "FILE")]
    criu: Option<PathBuf>,
    /// Print the version.
    #[arg(short, short_alias = 'V', long)]
    version: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(external_subcommand)]
    Named(Vec<OsString>),
}

/// What acts on a command's words, its name first; gives the exit status.
type Act = fn(&Context, &[OsString]) -> Result<u8>;

/// Every command with its one line of help.
const COMMANDS: &[(&str, &str, Act)] = &[
    ("create", "Make a container that waits to be started", create::act),
    ("start", "Run the program of a created container", start::act),
    ("run", "Create, start and wait for a container; ends with its exit status", run::act),
    ("state", "Print the state of a container as JSON", state::act),
    ("list", "Print all containers", list::act),
    ("kill", "Send a signal to a container", kill::act),
    ("delete", "Remove a container that has ended", delete::act),
    ("exec", "Run another program in a container", exec::act),
    ("ps", "Print the processes of a container", ps::act),
    ("pause", "Stop all processes of a container", pause::pause),
    ("resume", "Let the processes of a paused container go on", pause::resume),
    ("update", "Change the limits of a container", update::act),
    ("events", "Print what a container uses", events::act),
    ("spec", "Write a config.json to begin with", spec::act),
    ("features", "Print what this build and this kernel can do, as JSON", features::act),
    ("plan", "Print what `run` would do, and do nothing", plan::act),
    ("checkpoint", "Write a container's processes to an image, with criu", checkpoint::act),
    ("restore", "Make a container of an image, with criu", restore::act),
];

/// The program: parses the command line, acts, and turns a failure into one line and a status.
pub fn main() -> ExitCode {
    let globals = match globals() {
        Ok(globals) => globals,
        Err(status) => return status,
    };
    if globals.version {
        return finish(version::print().map(|()| 0), None);
    }
    let Some(Command::Named(words)) = &globals.command else {
        let _ = writeln!(std::io::stderr(), "cofferdam: no command is given; see --help");
        return ExitCode::from(2);
    };
    let context = match Context::new(&globals) {
        Ok(context) => context,
        Err(error) => return finish(Err(error), None),
    };
    finish(act(&context, words), Some(&context))
}

fn act(context: &Context, words: &[OsString]) -> Result<u8> {
    let name = words.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match COMMANDS.iter().find(|(known, ..)| *known == name) {
        Some((.., act)) => {
            context.debug(&format!("{name}: begins"));
            let outcome = act(context, words);
            if let Ok(status) = &outcome {
                context.debug(&format!("{name}: ends with status {status}"));
            }
            outcome
        }
        None => Err(Error::new(ErrorKind::Usage, format!("`{}` is no command", name.escape_debug()))
            .with_hint("`cofferdam --help` lists them")),
    }
}

fn finish(outcome: Result<u8>, context: Option<&Context>) -> ExitCode {
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            if let Some(context) = context {
                context.log.write(log::Level::Error, &error.to_string());
            }
            let _ = writeln!(std::io::stderr(), "cofferdam: {error}");
            ExitCode::from(error.exit_status())
        }
    }
}

/// Parses the global options, or prints help or what is wrong and gives the status to end with.
fn globals() -> std::result::Result<Globals, ExitCode> {
    // The list of commands is made only when it may be shown.
    let parsed = Globals::command()
        .try_get_matches()
        .or_else(|_| Globals::command().after_help(help()).try_get_matches())
        .and_then(|mut matches| Globals::from_arg_matches_mut(&mut matches));
    parsed.map_err(|error| {
        // A closed pipe to the reader of the help is no failure of ours.
        let _ = error.print();
        ExitCode::from(if error.use_stderr() { 2 } else { 0 })
    })
}

/// Parses the words of a command. Help and faults end the program here.
fn arguments<P: Parser>(words: &[OsString]) -> Result<P> {
    P::try_parse_from(words).map_err(|error| {
        if error.use_stderr() {
            let text = error.to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            // The words that an engine asks for options with: it gives one without its value.
            let valueless =
                error.kind() == ErrorKindOfClap::InvalidValue && text.contains("none was supplied");
            let text = if valueless { &format!("flag needs an argument: {text}") } else { text };
            return Error::new(ErrorKind::Usage, text.trim_end().replace("\n\n", "\n").replace('\n', " "));
        }
        let _ = error.print();
        std::process::exit(0)
    })
}

fn help() -> String {
    let lines = COMMANDS.iter().map(|(name, about, _)| format!("  {name:<11} {about}\n"));
    let lines: String = lines.collect();
    format!("Commands:\n{lines}\n`cofferdam COMMAND --help` has the options of each.")
}
