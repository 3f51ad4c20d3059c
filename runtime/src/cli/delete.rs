//! `delete`.

use std::ffi::{CString, OsString};

use clap::Parser;
use cofferdam_sys::pattern::Pattern;

use super::arguments;
use super::context::{Context, id};
use crate::{ContainerId, Error, ErrorKind, Result};

#[derive(Debug, Parser)]
#[command(name = "cofferdam delete", about = "Remove a container that has ended")]
struct Delete {
    /// Kill a container that runs; one that is not there is no failure.
    #[arg(short, long)]
    force: bool,
    /// The name is an extended regular expression: every container whose name it is found in.
    #[arg(short, long)]
    regex: bool,
    /// The container's name.
    id: String,
}

pub(super) fn act(context: &Context, words: &[OsString]) -> Result<u8> {
    let delete: Delete = arguments(words)?;
    let mut warn = |warning: &str| context.warn(warning);
    let runtime = context.runtime()?;
    if !delete.regex {
        return runtime.delete(&id(&delete.id)?, delete.force, &mut warn).map(|()| 0);
    }
    let mut failed = None;
    for id in matching(&runtime.ids()?, &delete.id)? {
        // One that cannot be deleted keeps none of the others.
        if let Err(error) = runtime.delete(&id, delete.force, &mut warn)
            && let Some(earlier) = failed.replace(error)
        {
            warn(&earlier.to_string());
        }
    }
    failed.map_or(Ok(0), Err)
}

/// The names that an expression is found in.
fn matching(ids: &[ContainerId], expression: &str) -> Result<Vec<ContainerId>> {
    let text = |text: &str| CString::new(text).map_err(|error| refuse(expression, &error));
    let pattern = Pattern::new(&text(expression)?).map_err(|why| refuse(expression, &why))?;
    let mut found = Vec::new();
    for id in ids {
        if pattern.is_in(&text(id.as_str())?) {
            found.push(id.clone());
        }
    }
    Ok(found)
}

fn refuse(expression: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Usage, format!("--regex `{}`: {why}", expression.escape_debug()))
}
