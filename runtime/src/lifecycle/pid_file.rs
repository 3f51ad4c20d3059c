//! `--pid-file`: the process id for whoever watches over the container.

use std::fs;
use std::path::Path;

use crate::{Error, ErrorKind, Result};

/// Writes the number without a newline. A reader sees all of it or no file.
pub(super) fn write(path: &Path, pid: i32) -> Result<()> {
    let fail = |error: std::io::Error| {
        Error::new(ErrorKind::System, format!("--pid-file {}: {error}", path.display()))
    };
    let name = path.file_name().ok_or_else(|| fail(std::io::ErrorKind::InvalidInput.into()))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    let new = path.with_file_name(hidden);
    fs::write(&new, pid.to_string()).and_then(|()| fs::rename(&new, path)).map_err(|error| {
        // Ours, and of no use to anybody.
        let _ = fs::remove_file(&new);
        fail(error)
    })
}
