//! `update`: other limits for a container.

use super::{Runtime, look, wrong_status};
use crate::run::Control;
use crate::spec::{LinuxMemory, LinuxResources};
use crate::state::Status;
use crate::{ContainerId, Result, lower};

impl Runtime {
    /// Changes the limits that `resources` names; others stay.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Config`] for a limit that is wrong, [`crate::ErrorKind::WrongStatus`] for a
    /// container that has ended.
    pub fn update(&self, id: &ContainerId, resources: &LinuxResources) -> Result<()> {
        let directory = self.root.container(id)?.lock()?;
        let record = match look(&directory)? {
            (_, Status::Stopped | Status::Creating) => return Err(wrong_status("container not running")),
            (record, _) => record,
        };
        let mut control = Control::of(&record)?;
        let mut resources = resources.clone();
        if let Some(memory) = &mut resources.memory {
            keep_memory(memory, &control)?;
        }
        let mut limits = lower::limits(&resources)?;
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

/// Memory and swap are one sum in the config: swap alone counts from the limit in force, and who takes the limit
/// away takes that of the sum away too, as with the common runtimes.
fn keep_memory(memory: &mut LinuxMemory, control: &Control) -> Result<()> {
    let lifted = memory.limit.is_some_and(|limit| limit < 0) && memory.swap.is_none();
    let alone = memory.limit.is_none() && memory.swap.is_some_and(|swap| swap > 0);
    if !lifted && !alone {
        return Ok(());
    }
    let old = control.limits()?;
    if lifted && old.swap_max.is_some() {
        memory.swap = Some(-1);
    }
    if alone {
        memory.limit = old.memory_max.and_then(|limit| i64::try_from(limit).ok());
    }
    Ok(())
}
