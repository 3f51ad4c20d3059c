//! `pause` and `resume`.

use std::ffi::OsString;

use clap::Parser;

use super::arguments;
use super::context::{Context, id};
use crate::Result;

#[derive(Debug, Parser)]
#[command(name = "cofferdam pause, resume", about = "Stop all processes of a container, or let them go on")]
struct Target {
    /// The container's name.
    id: String,
}

pub(super) fn pause(context: &Context, words: &[OsString]) -> Result<u8> {
    let Target { id: name } = arguments(words)?;
    context.runtime()?.pause(&id(&name)?).map(|()| 0)
}

pub(super) fn resume(context: &Context, words: &[OsString]) -> Result<u8> {
    let Target { id: name } = arguments(words)?;
    context.runtime()?.resume(&id(&name)?).map(|()| 0)
}
