//! `update`: other limits for a container.

use super::{Runtime, look, wrong_status};
use crate::run::Control;
use crate::spec::LinuxResources;
use crate::state::Status;
use crate::{ContainerId, Result, lower};

impl Runtime {
    /// Changes the limits that `resources` names; others stay.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Config`] for a limit that is wrong, [`crate::ErrorKind::WrongStatus`] for a
    /// container that has ended.
    pub fn update(&self, id: &ContainerId, resources: &LinuxResources) -> Result<()> {
        let limits = lower::limits(resources)?;
        let directory = self.root.container(id)?.lock()?;
        match look(&directory)? {
            (_, Status::Stopped | Status::Creating) => Err(wrong_status("container not running")),
            (record, _) => Control::of(&record)?.update(&limits),
        }
    }
}
