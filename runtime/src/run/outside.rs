//! What a child is given from outside while it waits for its first step, and what undoes that.

use std::os::fd::AsFd;

use cofferdam_netbridge::{Moved, devices};
use cofferdam_ns::{Isolation, Namespace, NsKind};

use super::Handover;
use super::rdt::RdtPlan;
use crate::state::RdtPlace;
use crate::{Container, ContainerId, Error, ErrorKind, Result};

/// See the module.
#[derive(Default)]
pub(crate) struct Outside {
    /// The listener of its system call filter, for who is asked about calls.
    pub(crate) handover: Option<Handover>,
    /// Network devices that are its own now.
    moved: Option<Moved>,
    /// Its class of cache and memory bandwidth.
    rdt: Option<RdtPlan>,
}

impl Outside {
    /// Asks for what must be there, before anything of the container is made.
    pub(crate) fn prepare(
        container: &Container,
        id: &ContainerId,
        handover: Option<Handover>,
    ) -> Result<Self> {
        if !container.net_devices.is_empty() {
            devices::require(&container.net_devices).map_err(net_devices)?;
        }
        let rdt = container.rdt.as_ref().map(|rdt| RdtPlan::find(rdt, id)).transpose()?;
        Ok(Self { handover, moved: None, rdt })
    }

    /// Where the resctrl group will be, to be written down before it is made.
    pub(crate) fn rdt(&self) -> Option<RdtPlace> {
        self.rdt.as_ref().map(RdtPlan::place)
    }

    /// Gives it to a child that is in its namespaces and waits.
    pub(crate) fn attach(&mut self, container: &Container, isolation: &Isolation, pid: i32) -> Result<()> {
        self.rdt.as_mut().map_or(Ok(()), |rdt| rdt.attach(pid))?;
        if container.net_devices.is_empty() {
            return Ok(());
        }
        let joined = isolation.join.iter().find(|namespace| namespace.kind() == NsKind::Network);
        let namespace = match joined {
            Some(joined) => joined.clone(),
            None => Namespace::of_process(pid, NsKind::Network).map_err(net_devices)?,
        };
        let moved = Moved::new(&container.net_devices, namespace.as_fd()).map_err(net_devices)?;
        self.moved = Some(moved);
        Ok(())
    }

    /// Takes back what was given to a container that did not come to be.
    pub(crate) fn undo(self) -> Result<()> {
        let returned = self.moved.map_or(Ok(()), Moved::give_back).map_err(net_devices);
        match (returned, self.rdt.map_or(Ok(()), RdtPlan::undo)) {
            (Err(error), Err(other)) => Err(error.with_cleanup(other)),
            (first, second) => first.and(second),
        }
    }
}

fn net_devices(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Start, format!("linux.netDevices: {error}"))
}
