//! `process.rlimits`, as far as the caller may give them.

use cofferdam_caps::{Cap, Sets};
use cofferdam_sys::plan::{Plan, Step};
use cofferdam_sys::rlimit::{self, Rlimit};

use super::os;
use crate::container::Process;
use crate::{Error, ErrorKind, Result};

/// Adds the steps that set the limits. They come last: a low limit of descriptors would break the walk.
///
/// What is above the caller's own hard limit becomes that limit, with a warning, when the caller may not
/// raise it: an engine's default is no reason not to start.
pub(crate) fn lower(process: &Process, plan: &mut Plan, warn: &mut dyn FnMut(&str)) -> Result<()> {
    for (resource, wanted, now) in compared(process)? {
        let mut limit = wanted;
        if wanted.hard > now.hard && !may_raise()? {
            limit = Rlimit { soft: wanted.soft.min(now.hard), hard: now.hard };
            warn(&format!(
                "process.rlimits: resource {resource} gets a hard limit of {} in place of {}: raising it needs \
                 CAP_SYS_RESOURCE",
                now.hard, wanted.hard
            ));
        }
        plan.push("process.rlimits: set a resource limit", Step::ResourceLimit { resource, limit });
    }
    Ok(())
}

/// Raises the hard limits of a child that may have no right to do so itself.
pub(super) fn raise(process: &Process, pid: i32) -> Result<()> {
    for (resource, wanted, now) in compared(process)? {
        if wanted.hard > now.hard && may_raise()? {
            let raised = Rlimit { soft: now.soft, hard: wanted.hard };
            rlimit::set(pid, resource, raised).map_err(|number| os("raise a resource limit", number))?;
        }
    }
    Ok(())
}

/// Each limit with the caller's own, which its children begin with.
fn compared(process: &Process) -> Result<Vec<(u32, Rlimit, Rlimit)>> {
    let compare = |(resource, wanted): &(u32, Rlimit)| {
        let now = rlimit::get(0, *resource).map_err(|number| os("read a resource limit", number))?;
        Ok((*resource, *wanted, now))
    };
    process.rlimits.iter().map(compare).collect()
}

fn may_raise() -> Result<bool> {
    let sets = Sets::current().map_err(|error| Error::new(ErrorKind::Start, error.to_string()))?;
    Ok(sets.effective.contains(Cap::SYS_RESOURCE))
}
