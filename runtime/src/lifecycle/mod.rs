//! The lifecycle of containers, one file a command.
//!
//! [`Runtime`] holds the directory of all containers. Each command opens what is kept of a container, locks it
//! when it changes something, works out the status, and acts.

mod checkpoint;
mod console;
mod create;
mod delete;
mod events;
mod exec;
mod kill;
mod list;
mod pause;
mod pid_file;
mod pidfd_socket;
mod preserved;
mod restore;
mod run;
mod start;
mod update;

use std::path::Path;

use crate::state::{Directory, Record, State, StateRoot, Status};
use crate::{ContainerId, Error, ErrorKind, Result};

pub use crate::criu::{CgroupsMode, Switches};
pub use checkpoint::{CheckpointOptions, ImageOptions};
pub use create::{CgroupManager, CreateOptions};
pub use exec::{ExecArgs, ExecOptions, ExecProcess};
pub use kill::Signal;
pub use list::Listed;
pub use restore::RestoreOptions;
pub use run::RunMode;

/// What a command calls for things that the host refused and the spec lets pass.
pub type Warn<'a> = &'a mut dyn FnMut(&str);

/// The containers below one directory.
#[derive(Debug)]
pub struct Runtime {
    root: StateRoot,
}

impl Runtime {
    /// The containers whose state is kept below `root`; see [`crate::state::default_root`].
    ///
    /// # Errors
    /// [`ErrorKind::State`] when the directory cannot be made or opened.
    pub fn new(root: &Path) -> Result<Self> {
        Ok(Self { root: StateRoot::open(root)? })
    }

    /// The state of a container.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::State`] when what is kept cannot be read.
    pub fn state(&self, id: &ContainerId) -> Result<State> {
        let directory = self.root.container(id)?;
        let (record, status) = look(&directory)?;
        Ok(State::new(&record, status))
    }
}

/// What is kept of a container, and what it does.
fn look(directory: &Directory<'_>) -> Result<(Record, Status)> {
    // A directory without a record is the first or the last moment of a container, or was left by a command that
    // was killed in one of them: `create` and `delete` take it.
    let record = directory.record()?.ok_or_else(|| directory.missing())?;
    let status = Status::of(directory, Some(&record))?;
    Ok((record, status))
}

/// The error for something that a container's status forbids.
fn wrong_status(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::WrongStatus, what)
}
