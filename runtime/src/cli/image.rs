//! The options that `checkpoint` and `restore` share.

use std::path::PathBuf;

use clap::ValueEnum;

use super::context::Context;
use crate::lifecycle::{CgroupsMode, ImageOptions, Switches};

/// What criu does with control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Make those that are missing below the container's.
    Soft,
    /// Bring the limits of the image back too; those of the config are written after them.
    Full,
    /// As full, and fail where one is there already.
    Strict,
    /// Leave all processes in the container's own.
    Ignore,
}

/// See the module.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(super) struct Options {
    /// The folder of the image [default: `checkpoint`].
    #[arg(long, value_name = "DIR")]
    image_path: Option<PathBuf>,
    /// The folder of criu's log [default: that of the image].
    #[arg(long, value_name = "DIR")]
    work_path: Option<PathBuf>,
    /// Also connections that are established.
    #[arg(long)]
    tcp_established: bool,
    /// Without connections that are being made.
    #[arg(long)]
    tcp_skip_in_flight: bool,
    /// Also Unix sockets whose other end is outside.
    #[arg(long)]
    ext_unix_sk: bool,
    /// Also a terminal of the caller's.
    #[arg(long)]
    shell_job: bool,
    /// Fetch memory when it is used (`userfaultfd(2)`).
    #[arg(long)]
    lazy_pages: bool,
    /// Also locks of files.
    #[arg(long)]
    file_locks: bool,
    /// What criu does with control groups.
    #[arg(long, value_name = "MODE", default_value = "soft")]
    manage_cgroups_mode: Mode,
    /// Remove from an earlier image what is in a later one.
    #[arg(long)]
    auto_dedup: bool,
    /// Give files that have no name any more one beside them.
    #[arg(long)]
    link_remap: bool,
}

impl Options {
    pub(super) fn lower(&self, context: &Context) -> ImageOptions {
        let mut options = ImageOptions::default();
        options.criu.clone_from(&context.criu);
        options.images.clone_from(&self.image_path);
        options.work.clone_from(&self.work_path);
        options.switches = Switches {
            tcp_established: self.tcp_established,
            tcp_skip_in_flight: self.tcp_skip_in_flight,
            external_unix_sockets: self.ext_unix_sk,
            shell_job: self.shell_job,
            file_locks: self.file_locks,
            lazy_pages: self.lazy_pages,
            auto_dedup: self.auto_dedup,
            link_remap: self.link_remap,
        };
        options.cgroups = match self.manage_cgroups_mode {
            Mode::Soft => CgroupsMode::Soft,
            Mode::Full => CgroupsMode::Full,
            Mode::Strict => CgroupsMode::Strict,
            Mode::Ignore => CgroupsMode::Ignore,
        };
        options
    }
}
