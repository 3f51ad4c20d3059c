//! Every member inherits the workspace's lints; `sys`, which may hold unsafe code, repeats them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Finding;

const RULE: &str = "lints";

/// Checks the manifests of the workspace at `root`.
pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("read the manifest {}", path.display()))
    };
    let workspace = read(&root.join("Cargo.toml"))?;
    let mut findings = compare(&workspace, &read(&root.join("sys/Cargo.toml"))?);
    for entry in std::fs::read_dir(root).context("list the members")? {
        let manifest = entry.context("list the members")?.path().join("Cargo.toml");
        let name = manifest.strip_prefix(root).unwrap_or(&manifest).to_string_lossy().into_owned();
        // The fuzz targets are a workspace of their own.
        if !["sys/Cargo.toml", "fuzz/Cargo.toml"].contains(&name.as_str()) && manifest.is_file() {
            findings.extend(inherits(&name, &read(&manifest)?));
        }
    }
    Ok(findings)
}

fn inherits(path: &str, manifest: &str) -> Option<Finding> {
    let inherits = section(manifest, "lints").get("workspace").is_some_and(|value| value == "true");
    let message = "does not inherit the workspace's lints".to_owned();
    (!inherits).then(|| Finding { rule: RULE, path: path.into(), line: 0, message })
}

/// The table of `sys` must be the workspace's without `unsafe_code`.
fn compare(workspace: &str, sys: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for table in ["rust", "clippy"] {
        let mut expected = section(workspace, &format!("workspace.lints.{table}"));
        expected.remove("unsafe_code");
        let found = section(sys, &format!("lints.{table}"));
        for (lint, level) in &expected {
            if found.get(lint) != Some(level) {
                let message = format!("[lints.{table}] lacks `{lint} = {level}` of the workspace");
                findings.push(Finding { rule: RULE, path: "sys/Cargo.toml".into(), line: 0, message });
            }
        }
        for lint in found.keys().filter(|lint| !expected.contains_key(*lint)) {
            let message = format!("[lints.{table}] has `{lint}`, which the workspace has not");
            findings.push(Finding { rule: RULE, path: "sys/Cargo.toml".into(), line: 0, message });
        }
    }
    findings
}

/// The `key = value` lines of one table; enough for tables without values of several lines.
fn section(manifest: &str, name: &str) -> BTreeMap<String, String> {
    let header = format!("[{name}]");
    manifest
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != header)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKSPACE: &str = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\nmissing_docs = \"warn\"\n\n\
                             [workspace.lints.clippy]\n# why\npanic = \"deny\"\n[profile.x]\ny = 1\n";

    #[test]
    fn equal_but_for_unsafe_is_right() {
        let sys = "[lints.rust]\nmissing_docs = \"warn\"\n\n[lints.clippy]\npanic = \"deny\"\n";
        assert_eq!(compare(WORKSPACE, sys), []);
    }

    #[test]
    fn a_missing_and_an_extra_lint_are_found() {
        let sys = "[lints.rust]\nmissing_docs = \"warn\"\nunsafe_code = \"allow\"\n[lints.clippy]\n";
        let messages: Vec<String> =
            compare(WORKSPACE, sys).into_iter().map(|finding| finding.message).collect();
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert!(messages[0].contains("has `unsafe_code`"), "{messages:?}");
        assert!(messages[1].contains("lacks `panic = \"deny\"`"), "{messages:?}");
    }

    #[test]
    fn a_member_inherits() {
        assert_eq!(inherits("ns/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n"), None);
        assert!(inherits("ns/Cargo.toml", "[package]\nname = \"x\"\n").is_some());
    }
}
