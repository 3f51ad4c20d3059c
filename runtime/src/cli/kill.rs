//! `kill`.

use std::ffi::OsString;

use clap::Parser;

use super::arguments;
use super::context::{Context, id};
use crate::Result;
use crate::lifecycle::Signal;

#[derive(Debug, Parser)]
#[command(name = "cofferdam kill", about = "Send a signal to a container")]
struct Kill {
    /// Send it to every process of the container.
    #[arg(short, long)]
    all: bool,
    /// The container's name.
    id: String,
    /// A name, with or without SIG, or a number.
    #[arg(default_value = "TERM")]
    signal: String,
}

pub(super) fn act(context: &Context, words: &[OsString]) -> Result<u8> {
    let kill: Kill = arguments(words)?;
    let signal: Signal = kill.signal.parse()?;
    context.runtime()?.kill(&id(&kill.id)?, signal, kill.all).map(|()| 0)
}
