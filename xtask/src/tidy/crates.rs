//! What every crate that others can take has: a README with an example that is its front page, programs in
//! `examples/`, and its probes in the lab.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::Finding;

const CRATES: [&str; 8] = ["sys", "ns", "cgroup", "caps", "mountfs", "netbridge", "seccomp", "lsm"];
/// Where the lab's list of tables of probes is.
const TABLES: &str = "vm-tests/src/features/mod.rs";
const PROBES: &str = "src/probe.rs";
const FRONT: &str = "#![doc = include_str!(\"../README.md\")]";

/// Checks the crates of the workspace at `root`.
pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let tables = std::fs::read_to_string(root.join(TABLES)).with_context(|| format!("read {TABLES}"))?;
    Ok(CRATES.iter().flat_map(|name| one(root, name, &tables)).collect())
}

fn one(root: &Path, name: &str, tables: &str) -> Vec<Finding> {
    let read = |file: &str| std::fs::read_to_string(root.join(name).join(file)).unwrap_or_default();
    let programs =
        std::fs::read_dir(root.join(name).join("examples")).is_ok_and(|mut dir| dir.next().is_some());
    let has_probes = read(PROBES).contains("pub const PROBES: &[Probe]");
    let asked = tables.contains(&format!("(\"{name}\", cofferdam_{name}::probe::PROBES)"));
    let rules = [
        (
            read("README.md").contains("\n```\n") || read("README.md").contains("\n```rust"),
            "README.md",
            "has no example",
        ),
        (read("src/lib.rs").starts_with(FRONT), "src/lib.rs", "does not have the README as its front page"),
        (programs, "examples", "holds no program"),
        (
            has_probes == asked,
            PROBES,
            "its PROBES are not asked by the lab: add them to TABLES in vm-tests/src/features",
        ),
    ];
    let broken = rules.into_iter().filter(|(holds, _, _)| !holds);
    broken
        .map(|(_, file, message)| Finding {
            rule: "crate",
            path: format!("{name}/{file}"),
            line: 0,
            message: message.into(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)], tables: &str) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join("ns").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        one(root.path(), "ns", tables).into_iter().map(|finding| finding.path).collect()
    }

    #[test]
    fn a_whole_crate_passes() {
        let lib = format!("{FRONT}\n");
        let mut files =
            vec![("README.md", "x\n\n```\nlet a = 1;\n```\n"), ("src/lib.rs", &lib), ("examples/a.rs", "")];
        assert!(found(&files, "").is_empty());
        files.push((PROBES, "pub const PROBES: &[Probe] = &[];"));
        assert_eq!(found(&files, ""), ["ns/src/probe.rs"]);
        assert!(found(&files, "(\"ns\", cofferdam_ns::probe::PROBES)").is_empty());
    }

    #[test]
    fn each_part_is_missed() {
        let lib = "//! Doc.\n";
        assert_eq!(found(&[("README.md", "x"), ("src/lib.rs", lib)], "").len(), 3);
        assert_eq!(found(&[], "(\"ns\", cofferdam_ns::probe::PROBES)").len(), 4);
    }
}
