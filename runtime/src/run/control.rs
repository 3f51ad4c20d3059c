//! The container's control group: made before the clone, removed after the end.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use cofferdam_cgroup::{AnyCgroup, Controllers, ErrorKind as CgroupErrorKind, Hierarchy, Limits};

use crate::container::CgroupPlan;
use crate::{ContainerId, Error, ErrorKind, Result};

/// How long processes that the kernel is still ending may keep the cgroup busy.
const LAST_BREATH: Duration = Duration::from_secs(10);

/// The cgroup of one container, on whatever layout the host has; none where nothing is asked for and there
/// is no hierarchy that could hold its processes together.
pub(super) struct Control {
    cgroup: Option<AnyCgroup>,
}

impl Control {
    /// Makes the cgroup, its limits and its device rules.
    pub(super) fn create(plan: &CgroupPlan, id: &ContainerId) -> Result<Self> {
        let hierarchy = Hierarchy::detect().map_err(start)?;
        let holds = hierarchy.v2().is_some() || hierarchy.v1_of("freezer").is_some();
        if !holds && plan.limits == Limits::default() && plan.devices.is_empty() {
            return Ok(Self { cgroup: None });
        }
        let cgroup =
            AnyCgroup::create(&hierarchy, &plan.path, &controllers(plan, &hierarchy)).map_err(|error| {
                match error.kind() {
                    CgroupErrorKind::AlreadyExists => {
                        Error::new(ErrorKind::Exists, format!("container id `{id}` is in use: {error}"))
                            .with_hint("choose another id or cgroupsPath, or end the container that has it")
                    }
                    _ => start(error),
                }
            })?;
        match configure(&cgroup, plan) {
            Ok(()) => Ok(Self { cgroup: Some(cgroup) }),
            Err(error) => Err(match cgroup.delete() {
                Ok(()) => start(error),
                Err(cleanup) => start(error).with_cleanup(cleanup),
            }),
        }
    }

    /// The v2 cgroup that the child is born in, where there is one.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.cgroup.as_ref()?.birthplace()
    }

    /// Moves a child that waits into its v1 cgroups, which `clone3(2)` does not know.
    pub(super) fn admit(&self, pid: i32) -> Result<()> {
        self.cgroup.as_ref().map_or(Ok(()), |cgroup| cgroup.admit(pid)).map_err(start)
    }

    /// Kills what is left of the container and removes the cgroup.
    ///
    /// Without a PID namespace of its own, the container's end does not end its other processes.
    pub(super) fn remove(self) -> cofferdam_cgroup::Result<()> {
        let Some(cgroup) = self.cgroup else { return Ok(()) };
        if cgroup.populated()? {
            cgroup.kill()?;
            cgroup.wait_empty(LAST_BREATH)?;
        }
        cgroup.delete()
    }
}

/// What the limits need, and on v1 the controller of devices: v2 has a program for them.
fn controllers(plan: &CgroupPlan, hierarchy: &Hierarchy) -> Controllers {
    let limits = plan.limits.controllers();
    let devices = (!plan.devices.is_empty() && hierarchy.v2().is_none()).then_some("devices");
    limits.iter().chain(devices).collect()
}

fn configure(cgroup: &AnyCgroup, plan: &CgroupPlan) -> cofferdam_cgroup::Result<()> {
    cgroup.apply(&plan.limits)?;
    if plan.devices.is_empty() {
        return Ok(());
    }
    cgroup.set_devices(&plan.devices)
}

fn start(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Start, error.to_string())
}
