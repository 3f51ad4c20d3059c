//! The container's cgroup in a scope that systemd has made.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use cofferdam_cgroup::{AnyCgroup, Cgroup, Controllers, Hierarchy, Limits, Positions};
use cofferdam_sys::access;
use cofferdam_sys::open::Dir;

use super::{Control, Place, configure, controllers, start, usual};
use crate::Result;
use crate::container::CgroupPlan;
use crate::systemd::{self, Scope, Unit};

/// The v1 controllers in whose hierarchies systemd makes and removes cgroups itself.
const OF_SYSTEMD: [&str; 6] = ["blkio", "cpu", "cpuacct", "devices", "memory", "pids"];

impl Control {
    /// Has systemd make a scope, and makes the cgroup in it.
    pub(super) fn in_scope(
        plan: &CgroupPlan,
        scope: systemd::Plan,
        hierarchy: Hierarchy,
        save: impl FnOnce(&Place) -> Result<()>,
    ) -> Result<Self> {
        let subgroup = scope.subgroup.clone();
        let scope = Scope::start(scope, &hierarchy)?;
        let path =
            if subgroup.is_empty() { scope.path.clone() } else { format!("{}/{subgroup}", scope.path) };
        let mut control = Self {
            cgroup: None,
            hierarchy,
            place: Some((path.clone(), 0)),
            unit: Some(scope.unit.clone()),
            scope: None,
        };
        let needed = controllers(plan, &control.hierarchy);
        let usual = needed.iter().chain(usual(&control.hierarchy)).collect::<Controllers>();
        let mut limits = plan.limits.clone();
        let counting = counting(&mut limits);
        let made = save(&(path.clone(), 0)).and_then(|()| {
            let made = make(&control.hierarchy, &scope.path, &subgroup, &needed, &usual);
            made.and_then(|cgroup| configure(&cgroup, &limits, &plan.devices).map(|()| cgroup)).map_err(start)
        });
        match made {
            Ok(cgroup) => {
                control.cgroup = Some(cgroup);
                control.scope = Some((scope, counting));
                Ok(control)
            }
            Err(error) => {
                drop(scope);
                control.cgroup = AnyCgroup::open(&control.hierarchy, &path).ok();
                Err(match control.remove() {
                    Ok(()) => error,
                    Err(cleanup) => error.with_cleanup(cleanup),
                })
            }
        }
    }

    /// Ends what held the scope, now that the container is in it, and sets the limits that count its processes.
    pub(crate) fn settle(&mut self) -> Result<()> {
        let Some((scope, counting)) = self.scope.take() else { return Ok(()) };
        scope.settle()?;
        self.cgroup.as_ref().map_or(Ok(()), |cgroup| cgroup.apply(&counting)).map_err(start)
    }

    /// The unit whose systemd moves processes to the cgroup, as the caller may not: it is in a session, say, beside
    /// the part of the tree that is its own.
    pub(super) fn moved_by(&self) -> Option<(&Unit, String)> {
        let (path, _) = self.place.as_ref()?;
        let unit = self.unit.as_ref()?;
        if may_enter(&self.hierarchy, path) {
            return None;
        }
        let below = path.split('/').skip_while(|part| !part.ends_with(&unit.name)).skip(1);
        Some((unit, below.collect::<Vec<_>>().join("/")))
    }
}

/// Takes the limits out that count processes: the one that holds the scope is still among them.
fn counting(limits: &mut Limits) -> Limits {
    let (counting, others) = limits.unified.drain(..).partition(|(file, _)| file == "pids.max");
    limits.unified = others;
    Limits { pids_max: limits.pids_max.take(), unified: counting, ..Limits::default() }
}

/// Makes the container's cgroup below that of the scope, with the processes that are there, on v2; on v1 what systemd has
/// not made.
fn make(
    layout: &Hierarchy,
    scope: &str,
    subgroup: &str,
    needed: &Controllers,
    usual: &Controllers,
) -> cofferdam_cgroup::Result<AnyCgroup> {
    if subgroup.is_empty() {
        return AnyCgroup::complete(layout, scope, needed);
    }
    let whole = Cgroup::root(layout)?.open(Path::new(scope))?;
    let there = whole.controllers()?;
    // What is usual and not to be had is not missed.
    let wanted = usual.iter().filter(|name| needed.contains(name) || there.contains(name)).collect();
    whole.descend(subgroup, &wanted)?;
    AnyCgroup::open(layout, &format!("{scope}/{subgroup}"))
}

/// Whether the caller may move processes from where it is to a v2 cgroup: it must be able to write to both and to what
/// they are both below (`cgroups(7)`, "Delegation"). Where it cannot be told, it is tried.
fn may_enter(layout: &Hierarchy, path: &str) -> bool {
    let Some(mount) = layout.v2() else { return true };
    let own = Positions::own().ok().and_then(|own| own.v2()?.below(mount).ok());
    let common: PathBuf = own.map_or_else(PathBuf::new, |own| {
        own.iter().zip(Path::new(path)).take_while(|(one, other)| one == other).map(|(one, _)| one).collect()
    });
    let procs = mount.point.join(common).join("cgroup.procs");
    CString::new(procs.into_os_string().into_encoded_bytes())
        .map_or(true, |procs| access::writable(Dir::Cwd, &procs).unwrap_or(true))
}

/// Removes empty parents of a cgroup in the v1 hierarchies that systemd does not look after.
pub(super) fn prune(layout: &Hierarchy, path: &str) {
    let foreign = layout.v1().iter().filter(|mount| {
        mount.name.as_deref() != Some("systemd")
            && !OF_SYSTEMD.iter().any(|name| mount.controllers.contains(name))
    });
    for mount in foreign {
        let mut parents = Path::new(path).ancestors().skip(1).filter(|parent| *parent != Path::new(""));
        // Only an empty one can be removed.
        let _ = parents.try_for_each(|parent| std::fs::remove_dir(mount.mount.point.join(parent)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_count_processes_are_apart() {
        let unified =
            |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect();
        let mut limits = Limits {
            pids_max: Some(1),
            memory_max: Some(2),
            unified: unified(&["memory.high", "pids.max"]),
            ..Limits::default()
        };
        let counting = counting(&mut limits);
        assert_eq!(
            counting,
            Limits { pids_max: Some(1), unified: unified(&["pids.max"]), ..Limits::default() }
        );
        let rest = Limits { memory_max: Some(2), unified: unified(&["memory.high"]), ..Limits::default() };
        assert_eq!(limits, rest);
    }

    #[test]
    fn root_may_enter() {
        if cofferdam_sys::process::effective_uid() == 0 {
            assert!(may_enter(&Hierarchy::detect().unwrap(), "any"));
        }
    }
}
