//! `cargo xtask tidy`.

use anyhow::{Context as _, Result};

use crate::cli::Tidy;
use crate::tidy::check;
use crate::workspace::Workspace;

/// Checks the repository's own rules and prints what breaks them.
///
/// # Errors
/// A rule that cannot be checked.
pub(super) fn run(workspace: &Workspace, args: &Tidy) -> Result<u8> {
    let findings = check(workspace)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&findings).context("print the findings")?);
    } else {
        for finding in &findings {
            println!("{finding}");
        }
        println!("tidy: {} findings", findings.len());
    }
    Ok(u8::from(!findings.is_empty()))
}
