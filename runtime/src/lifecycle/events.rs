//! `events`: what a container has used.

use cofferdam_cgroup::Stats;

use super::{Runtime, look, wrong_status};
use crate::run::Control;
use crate::state::Status;
use crate::{ContainerId, Result};

impl Runtime {
    /// What the container has used up to now.
    ///
    /// # Errors
    /// [`crate::ErrorKind::WrongStatus`] for a container that has ended.
    pub fn stats(&self, id: &ContainerId) -> Result<Stats> {
        match look(&self.root.container(id)?)? {
            (_, Status::Stopped | Status::Creating) => Err(wrong_status("container not running")),
            (record, _) => Control::of(&record)?.stats(),
        }
    }
}
