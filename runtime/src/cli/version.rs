//! `--version`.

use super::state::print_text;
use crate::Result;

/// The newest version of the OCI runtime specification whose fields are known.
pub(super) const SPEC: &str = "1.3.0";

/// Prints the lines that engines look for.
pub(super) fn print() -> Result<()> {
    let commit = option_env!("COFFERDAM_COMMIT").unwrap_or("unknown");
    print_text(&format!("cofferdam version {}\ncommit: {commit}\nspec: {SPEC}", env!("CARGO_PKG_VERSION")))
}
