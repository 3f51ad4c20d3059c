//! Standard output, whose reader may go away before the end: `cargo xtask kernels | head -1`.

use std::io::{ErrorKind, Write as _};

use anyhow::{Context as _, Result};

/// Prints a text and ends its last line; a reader that has seen enough is no error.
///
/// # Errors
/// Standard output cannot be written for another reason, such as a full disk.
pub fn print(text: impl AsRef<str>) -> Result<()> {
    let text = text.as_ref();
    let mut out = std::io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    match out.write_all(text.as_bytes()).and_then(|()| out.write_all(end.as_bytes())) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("write standard output"),
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
///
/// # Errors
/// See [`print()`].
pub fn json(value: &impl serde::Serialize) -> Result<()> {
    print(serde_json::to_string_pretty(value).context("print JSON")?)
}
