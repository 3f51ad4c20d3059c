//! How the container's processes are scheduled and see the machine.

use cofferdam_sys::plan::{Plan, Step};

use crate::container::{Domain, Scheduling};

/// Adds the steps, which come while the child still has its rights.
pub(crate) fn lower(scheduling: &Scheduling, domain: &Domain, plan: &mut Plan) {
    if let Some(personality) = domain.personality {
        plan.push("linux.personality: set the execution domain", Step::Personality(personality));
    }
    if let Some((mode, nodes)) = &domain.memory_policy {
        let step = Step::MemoryPolicy { mode: *mode, nodes: nodes.clone() };
        plan.push("linux.memoryPolicy: set the policy", step);
    }
    if let Some((class, level)) = scheduling.io {
        plan.push("process.ioPriority: set the priority", Step::IoPriority { class, level });
    }
    if let Some(attributes) = scheduling.attributes {
        plan.push("process.scheduler: set policy and priority", Step::Scheduler(attributes));
    }
}
