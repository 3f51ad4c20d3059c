//! What the global options say.

use std::path::PathBuf;

use cofferdam_sys::{own_binary, prctl};

use super::Globals;
use super::log::{Level, Log};
use crate::state::default_root;
use crate::{CgroupManager, ContainerId, Error, ErrorKind, Result, Runtime};

/// The global options, checked.
pub(super) struct Context {
    root: Option<PathBuf>,
    pub(super) log: Log,
    /// Who makes control groups.
    pub(super) cgroup_manager: CgroupManager,
    /// The program that checkpoints and restores.
    pub(super) criu: Option<PathBuf>,
}

impl Context {
    pub(super) fn new(globals: &Globals) -> Result<Self> {
        let log = Log::open(globals.log.as_deref(), globals.log_format, globals.debug)?;
        let cgroup_manager = match globals.cgroup_manager.as_deref() {
            None if globals.systemd_cgroup => CgroupManager::Systemd,
            None | Some("cgroupfs") => CgroupManager::Cgroupfs,
            Some("systemd") => CgroupManager::Systemd,
            Some("disabled") => CgroupManager::Disabled,
            Some(other) => {
                let what = format!("--cgroup-manager {}: there is no such manager", other.escape_debug());
                let error = Error::new(ErrorKind::Usage, what).with_hint("cgroupfs, systemd or disabled");
                log.write(Level::Error, &error.to_string());
                return Err(error);
            }
        };
        Ok(Self { root: globals.root.clone(), log, cgroup_manager, criu: globals.criu.clone() })
    }

    /// The containers.
    pub(super) fn runtime(&self) -> Result<Runtime> {
        match &self.root {
            Some(root) => Runtime::new(root),
            None => Runtime::new(&default_root()?),
        }
    }

    /// How many descriptors a service manager has passed to this process (`sd_listen_fds(3)`).
    pub(super) fn listen_fds(&self) -> Result<u32> {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(text.parse::<u32>().map_err(|_| {
                Error::new(ErrorKind::Usage, format!("{name}: `{}` is no number", text.escape_debug()))
            }))
        };
        match (number("LISTEN_PID").transpose()?, number("LISTEN_FDS").transpose()?) {
            // Meant for another process, which has the environment from its parent as this one has.
            (Some(pid), Some(count)) if pid != std::process::id() => {
                self.debug(&format!("{count} descriptors are for process {pid}: not passed on"));
                Ok(0)
            }
            (_, count) => Ok(count.unwrap_or(0)),
        }
    }

    /// Makes certain that no process of a container can write this program's own file: executes it again in a
    /// sealed way where its entry point has not done so already.
    pub(super) fn seal() -> Result<()> {
        let failed = |number| {
            let what = format!("seal the own binary: {}", cofferdam_sys::errno::describe(number));
            Error::new(ErrorKind::System, what).with_hint(
                "keep it where the caller cannot write: on a read-only mount, immutable, or another user's",
            )
        };
        if !own_binary::is_sealed().map_err(failed)? {
            own_binary::execute_sealed().map_err(failed)?;
        }
        // Executed by its descriptor, it has that one's number for a name.
        prctl::set_name(c"cofferdam").map_err(failed)
    }

    /// Writes a warning to the log or, without one, to standard error.
    pub(super) fn warn(&self, warning: &str) {
        self.log.write_or_print(Level::Warning, warning);
    }

    /// Writes what is being done, with `--debug`.
    pub(super) fn debug(&self, text: &str) {
        self.log.write_or_print(Level::Debug, text);
    }
}

/// An id from the command line.
pub(super) fn id(text: &str) -> Result<ContainerId> {
    text.parse()
}
