//! `list` and `ps`.

use serde::Serialize;

use super::{Runtime, look};
use crate::run::Control;
use crate::state::State;
use crate::{ContainerId, ErrorKind, Result};

/// One container of a list, or what is wrong with it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Listed {
    /// Its state.
    State(State),
    /// Its id and why its state is not known.
    #[serde(skip)]
    Broken(ContainerId, crate::Error),
}

impl Runtime {
    /// All containers by id.
    ///
    /// # Errors
    /// [`ErrorKind::State`] when the directory cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let mut list = Vec::new();
        for id in self.root.ids()? {
            let looked = self.root.container(&id).and_then(|directory| look(&directory));
            match looked {
                Ok((record, status)) => list.push(Listed::State(State::new(&record, status))),
                // Deleted while we looked.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => list.push(Listed::Broken(id, error)),
            }
        }
        Ok(list)
    }

    /// The ids of all containers.
    ///
    /// # Errors
    /// [`ErrorKind::State`] when the directory cannot be read.
    pub fn ids(&self) -> Result<Vec<ContainerId>> {
        self.root.ids()
    }

    /// The processes of a container, as the caller's PID namespace numbers them.
    ///
    /// # Errors
    /// [`ErrorKind::System`] for a container without a cgroup, which is what holds its processes together.
    pub fn processes(&self, id: &ContainerId) -> Result<Vec<i32>> {
        let (record, _) = look(&self.root.container(id)?)?;
        Control::of(&record)?.processes()
    }
}
