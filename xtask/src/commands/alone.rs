//! `cargo xtask alone`: each crate in a project of its own, as a stranger would take it.
//!
//! A project outside the workspace, `cargo add --path`, and the examples of the crate's README as programs,
//! which are built and run: as this user, and when that is root, as nobody too.

mod readme;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::tally::Tally;
use crate::cli::Alone;
use crate::fail;
use crate::workspace::Workspace;
use readme::Example;

/// The crates, by the folder that they are in.
const CRATES: [&str; 8] = ["sys", "ns", "cgroup", "caps", "mountfs", "netbridge", "seccomp", "lsm"];
const NOBODY: u32 = 65534;

/// Tries the crates that are named, or all; exit 1 when one cannot stand alone.
///
/// # Errors
/// A name that is no crate.
pub(super) fn run(workspace: &Workspace, args: &Alone) -> Result<u8> {
    if let Some(wrong) = args.crates.iter().find(|name| !CRATES.contains(&name.as_str())) {
        return Err(fail::usage(format!("no crate `{wrong}`: known are {}", CRATES.join(", "))));
    }
    let chosen =
        CRATES.into_iter().filter(|name| args.crates.is_empty() || args.crates.iter().any(|c| c == name));
    let tally = each(workspace, chosen);
    Ok(u8::from(tally.failed > 0))
}

/// Tries all crates.
pub(super) fn all(workspace: &Workspace) -> Tally {
    each(workspace, CRATES.into_iter())
}

fn each(workspace: &Workspace, crates: impl Iterator<Item = &'static str>) -> Tally {
    let mut tally = Tally::default();
    for folder in crates {
        match alone(workspace, folder) {
            Ok(said) => {
                eprintln!("alone: {folder}: {said}");
                tally.passed += 1;
            }
            Err(error) => {
                eprintln!("alone: {folder}: {error:#}");
                tally.failed += 1;
            }
        }
    }
    tally
}

/// Makes the project of a crate, builds and runs it; says what was run.
fn alone(workspace: &Workspace, folder: &str) -> Result<String> {
    let path = workspace.root.join(folder).join("README.md");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let examples = readme::examples(&text);
    anyhow::ensure!(!examples.is_empty(), "{} has no example in Rust", path.display());

    let project = Project::new(workspace)?;
    project.take(workspace, folder, &examples)?;
    project.cargo(workspace, &["build", "--quiet"])?;
    let packages = project.packages()?;
    for (at, example) in examples.iter().enumerate().filter(|(_, example)| example.run) {
        project.run(at, None).with_context(|| format!("the example of line {}", example.line))?;
        if nix::unistd::geteuid().is_root() {
            project
                .run(at, Some(NOBODY))
                .with_context(|| format!("the example of line {}, as nobody", example.line))?;
        }
    }
    let who = if nix::unistd::geteuid().is_root() { "root and nobody" } else { "this user" };
    Ok(format!("{} examples built, run as {who}; {packages} packages in all", examples.len()))
}

/// A project in a folder of its own, removed when dropped.
struct Project {
    dir: TempDir,
}

impl Project {
    fn new(workspace: &Workspace) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("cofferdam-alone-").tempdir().context("make a folder")?;
        // Nobody has to get at the program.
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755))?;
        let project = Self { dir };
        project.cargo(workspace, &["init", "--quiet", "--bin", "--vcs", "none", "--name", "alone"])?;
        std::fs::remove_file(project.dir.path().join("src/main.rs")).context("remove the first program")?;
        // The versions that the workspace was tested with; what the crate does not need is left out.
        std::fs::copy(workspace.root.join("Cargo.lock"), project.dir.path().join("Cargo.lock"))
            .context("copy Cargo.lock")?;
        Ok(project)
    }

    /// Depends on the crate, and on others of ours that an example names, and has a program for each example.
    fn take(&self, workspace: &Workspace, folder: &str, examples: &[Example]) -> Result<()> {
        let bins = self.dir.path().join("src/bin");
        std::fs::create_dir_all(&bins)?;
        for (at, example) in examples.iter().enumerate() {
            std::fs::write(bins.join(format!("example{at}.rs")), &example.program)?;
        }
        let named = |other: &str| {
            let name = format!("cofferdam_{other}::");
            other == folder || examples.iter().any(|example| example.program.contains(&name))
        };
        for other in CRATES.into_iter().filter(|other| named(other)) {
            let path = workspace.root.join(other);
            let path = path.to_str().context("the workspace's path is not UTF-8")?;
            self.cargo(workspace, &["add", "--quiet", "--path", path])?;
        }
        Ok(())
    }

    fn cargo(&self, workspace: &Workspace, words: &[&str]) -> Result<()> {
        let mut command = workspace.cargo();
        command
            .args(words)
            .current_dir(self.dir.path())
            .env("CARGO_TARGET_DIR", workspace.target.join("alone"));
        let output = command.stdin(Stdio::null()).output().context("run cargo")?;
        anyhow::ensure!(output.status.success(), "cargo {}: {}", words.join(" "), said(&output));
        // The programs lie beside the project, where anyone may read them.
        if words.first() == Some(&"build") {
            for entry in std::fs::read_dir(self.dir.path().join("src/bin"))? {
                let name =
                    entry?.path().file_stem().map(ToOwned::to_owned).context("a program without a name")?;
                std::fs::copy(workspace.target.join("alone/debug").join(&name), self.dir.path().join(&name))?;
            }
        }
        Ok(())
    }

    fn packages(&self) -> Result<usize> {
        let lock = std::fs::read_to_string(self.dir.path().join("Cargo.lock")).context("read Cargo.lock")?;
        // The project itself is one.
        Ok(lock.matches("[[package]]").count() - 1)
    }

    fn run(&self, at: usize, user: Option<u32>) -> Result<()> {
        let mut command = Command::new(self.dir.path().join(format!("example{at}")));
        command.current_dir("/").env_clear().stdin(Stdio::null());
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let output = command.output().context("run it")?;
        anyhow::ensure!(output.status.success(), "{}: {}", output.status, said(&output));
        Ok(())
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// The folders of the workspace that have a README of a crate, for a test of the list above.
#[cfg(test)]
fn with_readme(root: &std::path::Path) -> Vec<String> {
    let folders = std::fs::read_dir(root).unwrap().flatten();
    let crates = folders.filter(|entry| {
        entry.path().join("README.md").is_file() && entry.path().join("Cargo.toml").is_file()
    });
    crates.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_crate_with_a_readme_is_forgotten() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for name in with_readme(root).iter().filter(|name| *name != "runtime" && *name != "fuzz") {
            assert!(CRATES.contains(&name.as_str()), "{name}");
        }
    }
}
