//! `plan`.

use std::ffi::OsString;

use clap::Parser;

use super::arguments;
use super::context::{Context, id};
use super::create::Target;
use super::state::print_text;
use crate::Result;
use crate::bundle::Bundle;

#[derive(Debug, Parser)]
#[command(name = "cofferdam plan", about = "Print what `run` would do, and do nothing")]
struct Plan {
    #[command(flatten)]
    target: Target,
    /// A config in place of the bundle's config.json.
    #[arg(short = 'f', long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
}

pub(super) fn act(_: &Context, words: &[OsString]) -> Result<u8> {
    let Plan { target, config } = arguments(words)?;
    let id = id(&target.id)?;
    let container = crate::lower(&Bundle::load(&target.bundle, config.as_deref())?, &id)?;
    print_text(&format!("{container:#?}")).map(|()| 0)
}
