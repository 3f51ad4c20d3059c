//! `start`.

use std::ffi::OsString;

use clap::Parser;

use super::arguments;
use super::context::{Context, id};
use crate::Result;

#[derive(Debug, Parser)]
#[command(name = "cofferdam start", about = "Run the program of a created container")]
struct Start {
    /// The container's name.
    id: String,
}

pub(super) fn act(context: &Context, words: &[OsString]) -> Result<u8> {
    let Start { id: name } = arguments(words)?;
    context.runtime()?.start(&id(&name)?, &mut |warning| context.warn(warning)).map(|()| 0)
}
