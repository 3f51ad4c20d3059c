//! The container's control group: made before the clone, removed after the end.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use cofferdam_cgroup::{Branch, Cgroup, ErrorKind as CgroupErrorKind, Hierarchy, Limits};

use crate::container::CgroupPlan;
use crate::{ContainerId, Error, ErrorKind, Result};

/// How long processes that the kernel is still ending may keep the cgroup busy.
const LAST_BREATH: Duration = Duration::from_secs(10);

/// The cgroup of one container; none where the host has no v2 hierarchy and no limit is asked for.
pub(super) struct Control {
    branch: Option<Branch>,
}

impl Control {
    /// Makes the cgroup, its limits and its device rules.
    pub(super) fn create(plan: &CgroupPlan, id: &ContainerId) -> Result<Self> {
        let hierarchy = Hierarchy::detect().map_err(start)?;
        if hierarchy.v2().is_none() && plan.limits == Limits::default() && plan.devices.is_empty() {
            return Ok(Self { branch: None });
        }
        let root = Cgroup::root(&hierarchy).map_err(start)?;
        let branch = Branch::create(&root, &plan.path, &plan.limits.controllers()).map_err(|error| {
            match error.kind() {
                CgroupErrorKind::AlreadyExists => {
                    Error::new(ErrorKind::Exists, format!("container id `{id}` is in use: {error}"))
                        .with_hint("choose another id or cgroupsPath, or end the container that has it")
                }
                _ => start(error),
            }
        })?;
        match configure(branch.leaf(), plan) {
            Ok(()) => Ok(Self { branch: Some(branch) }),
            Err(error) => Err(match branch.delete() {
                Ok(()) => start(error),
                Err(cleanup) => start(error).with_cleanup(cleanup),
            }),
        }
    }

    /// The cgroup that the child is born in.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.branch.as_ref().map(|branch| branch.leaf().fd())
    }

    /// Kills what is left of the container and removes the cgroup.
    ///
    /// Without a PID namespace of its own, the container's end does not end its other processes.
    pub(super) fn remove(self) -> cofferdam_cgroup::Result<()> {
        let Some(branch) = self.branch else { return Ok(()) };
        if branch.leaf().events()?.populated {
            branch.leaf().kill()?;
            branch.leaf().wait_empty(LAST_BREATH)?;
        }
        branch.delete()
    }
}

fn configure(cgroup: &Cgroup, plan: &CgroupPlan) -> cofferdam_cgroup::Result<()> {
    cgroup.apply(&plan.limits)?;
    if plan.devices.is_empty() {
        return Ok(());
    }
    cgroup.set_devices(&plan.devices)
}

fn start(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Start, error.to_string())
}
