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
        let mut limits = lower::limits(resources)?;
        let directory = self.root.container(id)?.lock()?;
        let record = match look(&directory)? {
            (_, Status::Stopped | Status::Creating) => return Err(wrong_status("container not running")),
            (record, _) => record,
        };
        let mut control = Control::open(record.cgroup.as_ref())?;
        if let (Some(new), Some(cpu)) = (&mut limits.cpu_max, &resources.cpu)
            && (cpu.quota.is_none() || cpu.period.is_none())
            && let Some(old) = control.limits()?.cpu_max
        {
            // One file has both on v2; what is not named stays.
            if cpu.quota.is_none() {
                new.quota_us = old.quota_us;
            }
            if cpu.period.is_none() {
                new.period_us = old.period_us;
            }
        }
        control.update(&limits)
    }
}
