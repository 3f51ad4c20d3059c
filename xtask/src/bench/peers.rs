//! The runtimes that are compared.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::cli::Bench;
use crate::tools::Tool;
use crate::{fail, tools};

/// One runtime.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Peer {
    /// What it is called in the table.
    pub name: String,
    /// Its program.
    pub path: PathBuf,
    /// The first line of `--version`.
    pub version: String,
}

/// The name of this project's runtime in the table.
pub(super) const OURS: &str = "cofferdam";

/// Ours first, then the peers that were named or, with `--peers`, those of the distribution.
///
/// # Errors
/// A program that is not there or does not answer `--version`.
pub(super) fn all(ours: &Path, args: &Bench) -> Result<Vec<Peer>> {
    let mut peers = vec![peer(OURS.to_owned(), ours)?];
    if args.peers {
        tools::ensure(&[Tool::Crun, Tool::Runc])?;
        for tool in [Tool::Crun, Tool::Runc] {
            let path = tools::path(tool).with_context(|| format!("find {}", tool.name()))?;
            peers.push(peer(tool.name().to_owned(), &path)?);
        }
    }
    for path in &args.runtimes {
        let name =
            path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into());
        peers.push(peer(name, path)?);
    }
    Ok(peers)
}

/// Asks a program for its version.
///
/// # Errors
/// A program that is not there or does not answer.
pub(super) fn peer(name: String, path: &Path) -> Result<Peer> {
    let output = Command::new(path).arg("--version").stdin(Stdio::null()).output().map_err(|error| {
        fail::usage(format!("{}: {error}: --runtime names the program of an OCI runtime", path.display()))
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.lines().next().unwrap_or_default().to_owned();
    if version.is_empty() {
        return Err(fail::usage(format!("{} --version says nothing: is it an OCI runtime?", path.display())));
    }
    Ok(Peer { name, path: path.to_owned(), version })
}
