//! `process.execCPUAffinity.initial`: the processors until the new process is in the container's cgroup.

use cofferdam_sys::sched;

use crate::container::Affinity;
use crate::{Result, run};

/// The calling thread on these processors, which the child begins with; on its own again when dropped.
///
/// Not a step of the child: it is born in the cgroup, whose processors need not be these.
pub(super) struct InitialAffinity(Option<Vec<u64>>);

impl InitialAffinity {
    pub(super) fn take(affinity: &Affinity) -> Result<Self> {
        let Some(wanted) = &affinity.initial else { return Ok(Self(None)) };
        let failed = |number| run::os("process.execCPUAffinity.initial: set it", number);
        let own = sched::affinity(0).map_err(failed)?;
        sched::set_affinity(0, wanted).map_err(failed)?;
        Ok(Self(Some(own)))
    }
}

impl Drop for InitialAffinity {
    fn drop(&mut self) {
        if let Some(own) = &self.0 {
            // They were allowed a moment ago; where they are not any more, there is nothing to go back to.
            let _ = sched::set_affinity(0, own);
        }
    }
}
