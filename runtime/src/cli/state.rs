//! `state`.

use std::ffi::OsString;
use std::io::Write;

use clap::Parser;
use serde::Serialize;

use super::arguments;
use super::context::{Context, id};
use crate::{Error, ErrorKind, Result};

#[derive(Debug, Parser)]
#[command(name = "cofferdam state", about = "Print the state of a container as JSON")]
struct State {
    /// The container's name.
    id: String,
}

pub(super) fn act(context: &Context, words: &[OsString]) -> Result<u8> {
    let State { id: name } = arguments(words)?;
    print(&context.runtime()?.state(&id(&name)?)?).map(|()| 0)
}

/// Prints a value as JSON that people can read too.
pub(super) fn print(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| fail(&error))?;
    print_text(&text)
}

/// Prints a text and a newline.
pub(super) fn print_text(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| fail(&error))
}

fn fail(error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::System, format!("print: {error}"))
}
