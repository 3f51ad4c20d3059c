//! buildah: it runs the steps of builds, and single commands in a working container.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::cli::Cli;
use super::engine::{Ask, Engine, Output, lacks};
use super::image::{self, Image};
use super::place::Place;
use super::podman;
use super::process::{output, said, success, terminal};

/// buildah as root; its options are podman's.
#[derive(Debug)]
pub(super) struct Buildah {
    cli: Cli,
    runtime: String,
}

impl Buildah {
    /// Loads the image.
    ///
    /// # Errors
    /// It cannot be set up.
    pub(super) fn start(place: &Place, image: &Image) -> Result<Self> {
        let cli = podman::client("buildah", place, &place.dir.join("buildah"), "overlay", Vec::new())?;
        let archive = format!("docker-archive:{}", image.archive.display());
        success(&mut cli.command(&["pull", &archive])).context("load the image")?;
        Ok(Self { cli, runtime: place.runtime.display().to_string() })
    }

    fn with_runtime(&self, words: &[&str]) -> Command {
        let (first, rest) = words.split_first().unwrap_or((&"", &[]));
        let mut command = self.cli.command(&[first, "--isolation", "oci", "--runtime", &self.runtime]);
        command.args(rest);
        command
    }
}

impl Engine for Buildah {
    fn version(&self) -> Result<String> {
        let text = success(&mut self.cli.command(&["--version"]))?;
        Ok(text.split_whitespace().nth(2).unwrap_or_default().to_owned())
    }

    fn run(&self, ask: &Ask<'_>) -> Result<Output> {
        for (wanted, what) in [
            (ask.read_only, "it has no read-only root"),
            (ask.privileged, "it has no --privileged"),
            (ask.init, "it has no --init"),
            (ask.publish.is_some(), "it publishes no ports"),
            (ask.memory.is_some() || ask.processes.is_some(), "it limits the steps of a build only"),
        ] {
            if wanted {
                return lacks(what);
            }
        }
        let mut from = self.cli.command(&["from", "--name", ask.name, "--pull-never"]);
        if ask.user_namespace {
            from.args(["--userns-uid-map", "0:100000:65536", "--userns-gid-map", "0:100000:65536"]);
        }
        success(from.arg(image::NAME))?;
        let mut command = self.with_runtime(&["run"]);
        if let Some(user) = ask.user {
            command.args(["--user", user]);
        }
        if let Some((outside, inside)) = ask.volume {
            command.args(["--volume", &format!("{outside}:{inside}:ro")]);
        }
        command.args(ask.terminal.then_some("--tty")).args([ask.name, "--"]).args(&ask.args);
        let ran = if ask.terminal { output(&mut terminal(&command)) } else { output(&mut command) };
        success(&mut self.cli.command(&["rm", ask.name]))?;
        ran
    }

    fn filters(&self) -> bool {
        true
    }

    fn build(&self, folder: &str) -> Result<Output> {
        let built = output(&mut self.with_runtime(&["build", "--tag", "localhost/built:1", folder]))?;
        anyhow::ensure!(built.status == 0, "`build`: exit {}: {}", built.status, said(&built));
        success(&mut self.cli.command(&["from", "--name", "built", "--pull-never", "localhost/built:1"]))?;
        let ran = output(&mut self.with_runtime(&["run", "built", "--", "cat", "/built"]));
        success(&mut self.cli.command(&["rm", "built"]))?;
        ran
    }
}
