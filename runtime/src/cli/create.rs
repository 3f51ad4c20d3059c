//! `create`, and the options that it shares with `run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use super::arguments;
use super::context::{Context, id};
use crate::lifecycle::CreateOptions;
use crate::{Error, ErrorKind, Result};

#[derive(Debug, Parser)]
#[command(name = "cofferdam create", about = "Make a container that waits to be started")]
struct Create {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    options: Options,
}

/// Which container, made from what.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// The directory that holds config.json.
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    pub(super) bundle: PathBuf,
    /// The container's name.
    pub(super) id: String,
}

/// The options of `create` and `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// A unix socket that is sent the master of the container's terminal.
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// A file that gets the id of the container's first process.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// How many descriptors from number 3 on the container inherits.
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
    /// Leave the container in the caller's session keyring.
    #[arg(long)]
    no_new_keyring: bool,
    /// A config in place of the bundle's config.json.
    #[arg(short = 'f', long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A unix socket that is sent a pidfd of the container's first process.
    #[arg(long, value_name = "SOCKET")]
    pidfd_socket: Option<PathBuf>,
    /// Ignored: orphans are never this program's to reap.
    #[arg(long, hide = true)]
    no_subreaper: bool,
    /// Refused: without `pivot_root(2)` the old root stays in reach.
    #[arg(long, hide = true)]
    no_pivot: bool,
}

impl Options {
    pub(super) fn lower(&self, context: &Context) -> Result<CreateOptions> {
        if self.no_pivot {
            return Err(Error::new(ErrorKind::Unsupported, "--no-pivot: not supported")
                .with_hint("without pivot_root(2) a container can reach the host's root"));
        }
        let mut options = CreateOptions::default();
        options.console_socket.clone_from(&self.console_socket);
        options.pid_file.clone_from(&self.pid_file);
        options.preserve_fds = self.preserve_fds;
        options.listen_fds = context.listen_fds()?;
        options.no_new_keyring = self.no_new_keyring;
        options.config.clone_from(&self.config);
        options.pidfd_socket.clone_from(&self.pidfd_socket);
        options.cgroup_manager = context.cgroup_manager;
        Ok(options)
    }
}

pub(super) fn act(context: &Context, words: &[OsString]) -> Result<u8> {
    Context::seal()?;
    let Create { target, options } = arguments(words)?;
    let id = id(&target.id)?;
    let options = options.lower(context)?;
    context.runtime()?.create(&id, &target.bundle, &options, &mut |warning| context.warn(warning))?;
    context.debug(&format!("container {id} is created"));
    Ok(0)
}
