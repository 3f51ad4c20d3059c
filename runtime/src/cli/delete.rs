//! `delete`.

use std::ffi::OsString;

use clap::Parser;

use super::arguments;
use super::context::{Context, id};
use crate::Result;

#[derive(Debug, Parser)]
#[command(name = "cofferdam delete", about = "Remove a container that has ended")]
struct Delete {
    /// Kill a container that runs; one that is not there is no failure.
    #[arg(short, long)]
    force: bool,
    /// The container's name.
    id: String,
}

pub(super) fn act(context: &Context, words: &[OsString]) -> Result<u8> {
    let delete: Delete = arguments(words)?;
    let mut warn = |warning: &str| context.warn(warning);
    context.runtime()?.delete(&id(&delete.id)?, delete.force, &mut warn).map(|()| 0)
}
