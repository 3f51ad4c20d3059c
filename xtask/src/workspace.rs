//! Where the workspace and what cargo builds of it are.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

/// The folders of the workspace.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The folder of the workspace's manifest.
    pub root: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    /// `cargo metadata` cannot run or fails.
    pub fn locate() -> Result<Self> {
        // The manifest that this program was run from, wherever the current folder is.
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
        let mut command = cargo_metadata::MetadataCommand::new();
        // A cargo test inside another package sets the variable to that package, which is a member too.
        command.manifest_path(PathBuf::from(manifest).join("Cargo.toml")).no_deps();
        let metadata = command.exec().context("run cargo metadata on the workspace")?;
        Ok(Self { root: metadata.workspace_root.into(), target: metadata.target_directory.into() })
    }

    /// A cargo command in the workspace's root, with the cargo that runs us.
    pub fn cargo(&self) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.current_dir(&self.root);
        // Set by the cargo that runs us, for us; the inner build must not see them.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(name);
        }
        command
    }
}
