//! `run`.

use std::ffi::OsString;

use clap::Parser;

use super::arguments;
use super::context::{Context, id};
use super::create::{Options, Target};
use crate::Result;
use crate::lifecycle::RunMode;

#[derive(Debug, Parser)]
#[command(name = "cofferdam run", about = "Create, start and wait for a container")]
struct Run {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    options: Options,
    /// Return once the program runs.
    #[arg(short, long)]
    detach: bool,
    /// Keep the container when it has ended.
    #[arg(long)]
    keep: bool,
}

pub(super) fn act(context: &Context, words: &[OsString]) -> Result<u8> {
    Context::seal()?;
    let run: Run = arguments(words)?;
    let id = id(&run.target.id)?;
    let (options, mode) = (run.options.lower(context)?, RunMode::new(run.detach, run.keep));
    let mut warn = |warning: &str| context.warn(warning);
    let exit = context.runtime()?.run(&id, &run.target.bundle, &options, mode, &mut warn)?;
    Ok(exit.status())
}
