//! Which member may depend on which, from `cargo metadata`.

use anyhow::{Context as _, Result};
use cargo_metadata::DependencyKind;

use super::Finding;
use crate::workspace::Workspace;

const RULE: &str = "arrows";
const SYS: &str = "cofferdam-sys";
const SIBLINGS: [&str; 7] = [
    "cofferdam-ns",
    "cofferdam-cgroup",
    "cofferdam-caps",
    "cofferdam-mountfs",
    "cofferdam-netbridge",
    "cofferdam-seccomp",
    "cofferdam-lsm",
];
/// What only the runtime, the guest and this program may know.
const ABOVE: [&str; 5] = ["oci-spec", "serde_json", "clap", "tracing-subscriber", "cofferdam"];

/// A member and what it depends on.
#[derive(Debug, Clone)]
pub(super) struct Member {
    name: String,
    manifest: String,
    /// The name, and whether only tests use it.
    dependencies: Vec<(String, bool)>,
}

/// Reads the members.
pub(super) fn members(workspace: &Workspace) -> Result<Vec<Member>> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(&workspace.root)
        .no_deps()
        .exec()
        .context("run cargo metadata")?;
    let relative = |path: &cargo_metadata::camino::Utf8Path| {
        path.strip_prefix(&metadata.workspace_root).unwrap_or(path).to_string()
    };
    Ok(metadata
        .packages
        .iter()
        .map(|package| Member {
            name: package.name.to_string(),
            manifest: relative(&package.manifest_path),
            dependencies: package
                .dependencies
                .iter()
                .map(|dependency| (dependency.name.clone(), dependency.kind == DependencyKind::Development))
                .collect(),
        })
        .collect())
}

/// Checks the arrows.
pub(super) fn check(members: &[Member]) -> Vec<Finding> {
    members
        .iter()
        .flat_map(|member| {
            member.dependencies.iter().filter_map(move |(name, test_only)| {
                let message = forbidden(members, &member.name, name, *test_only)?;
                Some(Finding { rule: RULE, path: member.manifest.clone(), line: 0, message })
            })
        })
        .collect()
}

fn forbidden(members: &[Member], from: &str, to: &str, test_only: bool) -> Option<String> {
    let is_member = members.iter().any(|member| member.name == to);
    let sibling = SIBLINGS.contains(&from);
    if from == "xtask" && is_member {
        return Some(format!("xtask depends on {to}: it runs outside the guest and knows no member"));
    }
    // A crate's tests may take itself, with a feature that is only for them.
    if from == to && test_only {
        return None;
    }
    if from == SYS && is_member {
        return Some(format!("{SYS} depends on {to}: it is below all members"));
    }
    if sibling && is_member && to != SYS {
        return Some(format!("{from} depends on {to}: members of this layer know only {SYS}"));
    }
    if (sibling || from == SYS) && !test_only && ABOVE.contains(&to) {
        return Some(format!("{from} depends on {to}: nothing below the runtime knows OCI, JSON or clap"));
    }
    if from == "cofferdam" && ["cofferdam-vm-tests", "xtask"].contains(&to) {
        return Some(format!("the runtime depends on {to}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(from: &str, to: &str, test_only: bool) -> Vec<Finding> {
        let member = |name: &str| Member {
            name: name.into(),
            manifest: format!("{name}/Cargo.toml"),
            dependencies: vec![],
        };
        let mut members: Vec<Member> =
            SIBLINGS.iter().chain(&[SYS, "cofferdam", "xtask"]).map(|name| member(name)).collect();
        for each in &mut members {
            if each.name == from {
                each.dependencies.push((to.into(), test_only));
            }
        }
        check(&members)
    }

    #[test]
    fn siblings_know_only_sys() {
        assert!(findings("cofferdam-ns", "cofferdam-sys", false).is_empty());
        assert_eq!(findings("cofferdam-ns", "cofferdam-caps", false).len(), 1);
        assert_eq!(findings("cofferdam-ns", "cofferdam-caps", true).len(), 1);
        assert_eq!(findings("cofferdam-sys", "cofferdam-ns", false).len(), 1);
        assert!(findings("cofferdam-sys", "cofferdam-sys", true).is_empty());
    }

    #[test]
    fn json_is_for_the_runtime_and_for_tests() {
        assert_eq!(findings("cofferdam-cgroup", "serde_json", false).len(), 1);
        assert!(findings("cofferdam-cgroup", "serde_json", true).is_empty());
        assert!(findings("cofferdam", "serde_json", false).is_empty());
        assert_eq!(findings("cofferdam-sys", "clap", false).len(), 1);
    }

    #[test]
    fn xtask_knows_no_member() {
        assert_eq!(findings("xtask", "cofferdam-sys", false)[0].path, "xtask/Cargo.toml");
        assert!(findings("xtask", "clap", false).is_empty());
    }
}
