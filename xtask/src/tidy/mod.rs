//! The repository's own rules, checked without building anything.

mod arrows;
mod crates;
mod hosts;
mod lints;
mod text;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::workspace::Workspace;

/// One place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule.
    pub rule: &'static str,
    /// The file, relative to the workspace.
    pub path: String,
    /// The line, counted from one; zero when the file as a whole is meant.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {} [{}]", self.message, self.rule)
    }
}

/// Checks every rule.
///
/// # Errors
/// A rule that cannot be checked: no `cargo metadata`, an unreadable file.
pub fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = arrows::check(&arrows::members(workspace)?);
    findings.extend(lints::check(&workspace.root)?);
    findings.extend(crates::check(&workspace.root)?);
    for path in files(&workspace.root)? {
        // A file that git lists may be deleted in the work tree; binary files have no lines.
        let Ok(text) = std::fs::read_to_string(workspace.root.join(&path)) else { continue };
        let path = path.to_string_lossy();
        findings.extend(text::check(&path, &text));
        findings.extend(hosts::check(&path, &text));
    }
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    Ok(findings)
}

/// The files of the repository: tracked ones, and new ones that are not ignored.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("run git to list the files: is git installed?")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    Ok(text.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect())
}
