//! `pause` and `resume`.

use super::{Runtime, look, wrong_status};
use crate::run::Control;
use crate::state::Status;
use crate::{ContainerId, Result};

impl Runtime {
    /// Stops all processes of a container until [`Runtime::resume`].
    ///
    /// # Errors
    /// [`crate::ErrorKind::WrongStatus`] for one that does not run.
    pub fn pause(&self, id: &ContainerId) -> Result<()> {
        let directory = self.root.container(id)?.lock()?;
        match look(&directory)? {
            (record, Status::Created | Status::Running) => Control::of(&record)?.freeze(),
            (_, status) => Err(wrong_status(format!("container not running or created: {status}"))),
        }
    }

    /// Lets the processes of a paused container go on.
    ///
    /// # Errors
    /// [`crate::ErrorKind::WrongStatus`] for one that is not paused.
    pub fn resume(&self, id: &ContainerId) -> Result<()> {
        let directory = self.root.container(id)?.lock()?;
        match look(&directory)? {
            (record, Status::Paused) => Control::of(&record)?.thaw(),
            (_, _) => Err(wrong_status("container not paused")),
        }
    }
}
