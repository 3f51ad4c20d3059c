//! `checkpoint`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use super::context::{Context, id};
use super::{arguments, image};
use crate::lifecycle::CheckpointOptions;
use crate::{Error, ErrorKind, Result};

#[derive(Debug, Parser)]
#[command(
    name = "cofferdam checkpoint",
    about = "Write a container's processes to an image, with criu",
    args_override_self = true
)]
struct Checkpoint {
    #[command(flatten)]
    image: image::Options,
    /// An earlier image, by its path from this one: leave out what has not changed since.
    #[arg(long, value_name = "DIR")]
    parent_path: Option<PathBuf>,
    /// Let the container go on.
    #[arg(long)]
    leave_running: bool,
    /// Write memory only, while the container goes on, for a later image to build upon.
    #[arg(long)]
    pre_dump: bool,
    /// Send the memory to a page server.
    #[arg(long, value_name = "ADDRESS:PORT")]
    page_server: Option<String>,
    /// A descriptor that gets a byte once memory can be fetched.
    #[arg(long, value_name = "FD")]
    status_fd: Option<i32>,
    /// Ignored: only a restore makes namespaces.
    #[arg(long, value_name = "KIND", hide = true)]
    empty_ns: Vec<String>,
    /// The container's name.
    id: String,
}

pub(super) fn act(context: &Context, words: &[OsString]) -> Result<u8> {
    let checkpoint: Checkpoint = arguments(words)?;
    let id = id(&checkpoint.id)?;
    let options = CheckpointOptions {
        image: checkpoint.image.lower(context),
        parent: checkpoint.parent_path,
        leave_running: checkpoint.leave_running,
        pre_dump: checkpoint.pre_dump,
        page_server: checkpoint.page_server.as_deref().map(server).transpose()?,
        status_fd: checkpoint.status_fd.filter(|fd| *fd >= 0),
    };
    context.runtime()?.checkpoint(&id, &options, &mut |warning| context.warn(warning))?;
    context.debug(&format!("container {id} is checkpointed"));
    Ok(0)
}

/// An address, which may hold colons itself, and a port.
fn server(text: &str) -> Result<(String, u16)> {
    let parts = text.rsplit_once(':').filter(|(address, _)| !address.is_empty());
    let parts = parts.and_then(|(address, port)| Some((address.to_owned(), port.parse().ok()?)));
    parts.ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("--page-server `{}`: is no ADDRESS:PORT", text.escape_debug()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_address_and_a_port() {
        assert_eq!(server("0.0.0.0:27277").unwrap(), ("0.0.0.0".to_owned(), 27277));
        assert_eq!(server("::1:80").unwrap(), ("::1".to_owned(), 80));
        for wrong in ["", "host", ":80", "host:", "host:65536", "host:x"] {
            assert!(server(wrong).is_err(), "{wrong}");
        }
    }
}
