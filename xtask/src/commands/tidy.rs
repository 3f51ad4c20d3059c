//! `cargo xtask tidy`.

use anyhow::Result;

use crate::cli::Tidy;
use crate::output;
use crate::tidy::check;
use crate::workspace::Workspace;

/// Checks the repository's own rules and prints what breaks them.
///
/// # Errors
/// A rule that cannot be checked.
pub(super) fn run(workspace: &Workspace, args: &Tidy) -> Result<u8> {
    let findings = check(workspace)?;
    if args.json {
        output::json(&findings)?;
    } else {
        for finding in &findings {
            output::print(finding.to_string())?;
        }
        output::print(format!("tidy: {} findings", findings.len()))?;
    }
    Ok(u8::from(!findings.is_empty()))
}
