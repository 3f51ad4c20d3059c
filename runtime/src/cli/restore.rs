//! `restore`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use super::context::{Context, id};
use super::{arguments, image};
use crate::lifecycle::RestoreOptions;
use crate::{CgroupManager, Error, ErrorKind, Result};

#[derive(Debug, Parser)]
#[command(
    name = "cofferdam restore",
    about = "Make a container of an image, with criu",
    args_override_self = true
)]
struct Restore {
    #[command(flatten)]
    image: image::Options,
    /// The directory that holds config.json.
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    bundle: PathBuf,
    /// A unix socket that is sent the master of the container's terminal.
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// A file that gets the id of the container's first process.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Return once the container runs.
    #[arg(short, long)]
    detach: bool,
    /// Make a kind of namespace anew, without what the image has in it: `network`.
    #[arg(long, value_name = "KIND")]
    empty_ns: Vec<String>,
    /// The label of the processes, as `selinux:CONTEXT` or `apparmor:NAME`.
    #[arg(long, value_name = "LABEL")]
    lsm_profile: Option<String>,
    /// The SELinux label of the file systems.
    #[arg(long, value_name = "CONTEXT")]
    lsm_mount_context: Option<String>,
    /// Ignored: orphans are never this program's to reap.
    #[arg(long, hide = true)]
    no_subreaper: bool,
    /// Ignored: criu changes the root by itself.
    #[arg(long, hide = true)]
    no_pivot: bool,
    /// The container's name.
    id: String,
}

pub(super) fn act(context: &Context, words: &[OsString]) -> Result<u8> {
    Context::seal()?;
    let restore: Restore = arguments(words)?;
    let id = id(&restore.id)?;
    if let Some(kind) = restore.empty_ns.iter().find(|kind| *kind != "network") {
        let what = format!("--empty-ns {}: criu has this for network only", kind.escape_debug());
        return Err(Error::new(ErrorKind::Usage, what));
    }
    if context.cgroup_manager == CgroupManager::Systemd {
        let what = "restore: a control group of systemd's is not supported by this build";
        return Err(Error::new(ErrorKind::Unsupported, what)
            .with_hint("give a path in linux.cgroupsPath, and --cgroup-manager cgroupfs"));
    }
    if context.cgroup_manager == CgroupManager::Disabled {
        let what = "restore: a control group is needed, which --cgroup-manager disabled forbids";
        return Err(Error::new(ErrorKind::Unsupported, what));
    }
    let options = RestoreOptions {
        image: restore.image.lower(context),
        console_socket: restore.console_socket,
        pid_file: restore.pid_file,
        detach: restore.detach,
        empty_network: !restore.empty_ns.is_empty(),
        label: restore.lsm_profile,
        mount_label: restore.lsm_mount_context,
    };
    let mut warn = |warning: &str| context.warn(warning);
    let exit = context.runtime()?.restore(&id, &restore.bundle, &options, &mut warn)?;
    Ok(exit.status())
}
