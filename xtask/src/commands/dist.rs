//! `cargo xtask dist`.

use anyhow::{Context as _, Result};

use crate::lab::build;
use crate::output;
use crate::workspace::Workspace;

/// Builds the static release program and says how big it is.
///
/// # Errors
/// The build fails, or the program is not static.
pub(super) fn run(workspace: &Workspace) -> Result<u8> {
    let path = build::dist(workspace)?;
    let size = std::fs::metadata(&path).with_context(|| format!("look at {}", path.display()))?.len();
    // One decimal, in whole numbers.
    let tenths = size * 10 / (1 << 20);
    output::print(format!("{}: {size} bytes ({}.{} MiB), static", path.display(), tenths / 10, tenths % 10))?;
    Ok(0)
}
