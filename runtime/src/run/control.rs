//! The container's control group: made before the clone, removed after the end.

mod scoped;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cofferdam_cgroup::{
    AnyCgroup, Cgroup, Controllers, ErrorKind as CgroupErrorKind, Hierarchy, Limits, Stats,
};
use cofferdam_sys::process::{effective_uid, pidfd_open, pidfd_send_signal};
use cofferdam_sys::{Errno, errno};

use crate::container::CgroupPlan;
use crate::state::{Record, is_root_of_machine};
use crate::systemd::{self, Scope, Unit};
use crate::{Container, ContainerId, Error, ErrorKind, Result};

/// How long processes that the kernel is still ending may keep the cgroup busy.
const LAST_BREATH: Duration = Duration::from_secs(10);

const SIGKILL: i32 = 9;

/// The cgroup of one container, on whatever layout the host has; none where nothing is asked for and there
/// is no hierarchy that could hold its processes together.
pub(crate) struct Control {
    cgroup: Option<AnyCgroup>,
    hierarchy: Hierarchy,
    place: Option<Place>,
    /// The unit that it is in, when systemd made it.
    unit: Option<Unit>,
    /// The same with what holds it until the container is there, and limits that count only the container's processes.
    scope: Option<(Scope, Limits)>,
}

/// What another command needs to find the cgroup again: its path, and how many of its parents were made
/// for it.
pub(crate) type Place = (String, usize);

/// Where a cgroup will be, before it is made.
pub(crate) struct Site {
    hierarchy: Hierarchy,
    place: Option<Place>,
    /// The scope that systemd is to make, and in it the place.
    scope: Option<systemd::Plan>,
}

impl Site {
    /// No place: there is to be no cgroup.
    pub(crate) fn none() -> Result<Self> {
        Ok(Self { hierarchy: Hierarchy::detect().map_err(start)?, place: None, scope: None })
    }

    /// The scope of a container; where it is, systemd tells when it has made it.
    pub(crate) fn systemd(container: &Container, id: &ContainerId) -> Result<Self> {
        let hierarchy = Hierarchy::detect().map_err(start)?;
        let scope = systemd::Plan::of(container, id, &hierarchy)?;
        Ok(Self { hierarchy, place: None, scope: Some(scope) })
    }

    /// Looks for the place; there is none when there will be no cgroup.
    pub(crate) fn find(plan: &CgroupPlan) -> Result<Self> {
        if plan.path.is_empty() {
            return Err(Error::config("linux.cgroupsPath", "is in the form of systemd: slice:prefix:name")
                .with_hint("have systemd make the cgroup (--systemd-cgroup), or give a path"));
        }
        let hierarchy = Hierarchy::detect().map_err(start)?;
        let path = placed(plan, &hierarchy);
        let holds = hierarchy.v2().is_some() || hierarchy.v1_of("freezer").is_some();
        if !holds && plan.limits == Limits::default() && plan.devices.is_empty() {
            return Ok(Self { hierarchy, place: None, scope: None });
        }
        let missing = |parent: &&Path| {
            !parent.as_os_str().is_empty() && !points(&hierarchy).any(|point| point.join(parent).is_dir())
        };
        let made = Path::new(&path).ancestors().skip(1).take_while(missing).count();
        Ok(Self { hierarchy, place: Some((path, made)), scope: None })
    }

    /// The unit that will be made, to be kept before it is.
    pub(crate) fn unit(&self) -> Option<&Unit> {
        self.scope.as_ref().map(|scope| &scope.unit)
    }

    /// The place, to be kept before the cgroup is made.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }
}

impl Control {
    /// Makes the cgroup, its limits and its device rules, as [`Control::make`] and [`Control::limit`] do; or has systemd
    /// make it, where `save` keeps its place, which was not known before.
    pub(crate) fn create(
        plan: &CgroupPlan,
        mut site: Site,
        id: &ContainerId,
        save: impl FnOnce(&Place) -> Result<()>,
        warn: &mut dyn FnMut(&str),
    ) -> Result<Self> {
        if let Some(scope) = site.scope.take() {
            return Self::in_scope(plan, scope, site.hierarchy, save);
        }
        let control = Self::make(plan, site, id, warn)?;
        match control.limit(plan) {
            Ok(()) => Ok(control),
            Err(error) => Err(match control.cgroup.map_or(Ok(()), AnyCgroup::delete) {
                Ok(()) => error,
                Err(cleanup) => error.with_cleanup(cleanup),
            }),
        }
    }

    /// Makes the cgroup without a limit, but with the controllers that its limits will need.
    ///
    /// Who is not the machine's root, and asks neither for a place nor for a limit, goes on in its own cgroup
    /// when it may make none: device rules are made of rights that such a caller does not have.
    pub(crate) fn make(
        plan: &CgroupPlan,
        site: Site,
        id: &ContainerId,
        warn: &mut dyn FnMut(&str),
    ) -> Result<Self> {
        let Site { hierarchy, place, .. } = site;
        let none = |hierarchy, place| Self { cgroup: None, hierarchy, place, unit: None, scope: None };
        let Some(place) = place else { return Ok(none(hierarchy, None)) };
        let needed = controllers(plan, &hierarchy);
        let usual = needed.iter().chain(usual(&hierarchy)).collect::<Controllers>();
        let made = match AnyCgroup::create(&hierarchy, &place.0, &usual) {
            // Nothing that the config asks for needs them: a caller may have only a part of the hierarchy.
            Err(error) if usual != needed && error.kind() != CgroupErrorKind::AlreadyExists => {
                AnyCgroup::create(&hierarchy, &place.0, &needed)
            }
            made => made,
        };
        let dispensable = !plan.named && plan.limits == Limits::default();
        let made = match made {
            // The container's standard error may be the warning's too: nothing is said about nothing.
            Err(error)
                if dispensable
                    && !is_root_of_machine()
                    && (is_denied(&error) || is_of_another(&hierarchy, &plan.path)) =>
            {
                if !plan.devices.is_empty() {
                    warn(&format!("device rules are not in force: {error}"));
                }
                return Ok(none(hierarchy, Some(place)));
            }
            made => made,
        };
        let made = match made {
            Err(error) if is_dispensable(plan, &error) => {
                return Ok(none(hierarchy, Some(place)));
            }
            made => made,
        };
        let cgroup = made.map_err(|error| match error.kind() {
            CgroupErrorKind::AlreadyExists => {
                let there = in_use(&hierarchy, &plan.path);
                Error::new(
                    ErrorKind::Exists,
                    format!("the cgroup of container {id} is in use: {there}{error}"),
                )
                .with_hint("choose another id or cgroupsPath, or end the container that has it")
            }
            _ => start(error),
        })?;
        Ok(Self { cgroup: Some(cgroup), ..none(hierarchy, Some(place)) })
    }

    /// Writes the limits and the device rules of a config.
    pub(crate) fn limit(&self, plan: &CgroupPlan) -> Result<()> {
        let Some(cgroup) = &self.cgroup else { return Ok(()) };
        configure(cgroup, &plan.limits, &plan.devices).map_err(|error| match error.kind() {
            // The words that callers look for.
            CgroupErrorKind::Unsupported if !plan.limits.unified.is_empty() => {
                start(format!("invalid configuration: linux.resources.unified: {error}"))
            }
            _ => start(error),
        })
    }

    /// The directory whose `cgroup.freeze` or `freezer.state` stops the processes, where there is one.
    pub(crate) fn freezer(&self) -> Option<PathBuf> {
        let (path, _) = self.cgroup.as_ref().and(self.place.as_ref())?;
        let v1 = self.hierarchy.v1_of("freezer").map(|mount| mount.mount.point.join(path));
        let v2 = self.hierarchy.v2().map(|mount| mount.point.join(path));
        let there = |file: &'static str| move |directory: &PathBuf| directory.join(file).exists();
        v1.filter(there("freezer.state")).or(v2.filter(there("cgroup.freeze")))
    }

    /// The places of the container's cgroups by a controller of each hierarchy that has one: of v2, by an empty name.
    pub(crate) fn roots(&self) -> Vec<(String, String)> {
        let Some((path, _)) = self.cgroup.as_ref().and(self.place.as_ref()) else { return Vec::new() };
        let v2 = self.hierarchy.v2().map(|mount| (String::new(), mount.point.join(path)));
        let v1 = self.hierarchy.v1().iter().flat_map(|mount| {
            let names = mount.controllers.iter().map(str::to_owned);
            names.map(|name| (name, mount.mount.point.join(path)))
        });
        let there = v2.into_iter().chain(v1).filter(|(_, directory)| directory.is_dir());
        there.map(|(controller, _)| (controller, format!("/{path}"))).collect()
    }

    /// Whether a process is in the container's cgroups, or below them, in every hierarchy in which it has one.
    pub(crate) fn holds(&self, pid: i32) -> Result<bool> {
        let Some((path, _)) = self.cgroup.as_ref().and(self.place.as_ref()) else { return Ok(true) };
        let file = format!("/proc/{pid}/cgroup");
        let text = std::fs::read_to_string(&file);
        let text = text.map_err(|error| system(format!("read {file}: {error}")))?;
        let own = Path::new(path);
        let has_one = |controllers: &str| {
            let controller = controllers.split(',').next().unwrap_or_default();
            match self.hierarchy.v1_of(controller) {
                Some(mount) => mount.mount.point.join(path).is_dir(),
                None => controllers.is_empty() && self.hierarchy.v2().is_some(),
            }
        };
        Ok(text.lines().all(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, at) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            !has_one(controllers) || Path::new(at.trim_start_matches('/')).starts_with(own)
        }))
    }

    /// The cgroup of a container that was made before; none when it is gone.
    pub(crate) fn of(record: &Record) -> Result<Self> {
        Ok(Self { unit: record.unit.clone(), ..Self::open(record.cgroup.as_ref())? })
    }

    fn open(place: Option<&Place>) -> Result<Self> {
        let hierarchy = Hierarchy::detect().map_err(system)?;
        let cgroup = match place.map(|(path, _)| AnyCgroup::open(&hierarchy, path)) {
            Some(Err(error)) if error.kind() != CgroupErrorKind::NotFound => return Err(system(error)),
            opened => opened.and_then(std::result::Result::ok),
        };
        Ok(Self { cgroup, hierarchy, place: place.cloned(), unit: None, scope: None })
    }

    /// A cgroup that is there already below a container's.
    pub(crate) fn below(record: &Record, path: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Error::new(ErrorKind::Usage, format!("--cgroup {}: {why}", path.escape_debug()))
                .with_hint("it is a path below the container's cgroup, whose cgroups must be there")
        };
        if path.split('/').any(|part| part == "..") {
            // As other runtimes say it.
            return Err(refuse(&format!("{} is not a sub cgroup path", path.escape_debug())));
        }
        if path.contains(':') {
            return Err(refuse("must not hold `:`: it is the same in every hierarchy"));
        }
        let Some((own, _)) = &record.cgroup else { return Err(refuse("the container has no cgroup")) };
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let whole = [&[own.as_str()], parts.as_slice()].concat().join("/");
        let control = Self { unit: record.unit.clone(), ..Self::open(Some(&(whole, 0)))? };
        if control.cgroup.is_none() { Err(refuse("there is no such cgroup")) } else { Ok(control) }
    }

    /// Its directories, each by the mount point of its hierarchy.
    pub(crate) fn directories(&self) -> BTreeMap<PathBuf, PathBuf> {
        let Some((path, _)) = &self.place else { return BTreeMap::new() };
        let directories = points(&self.hierarchy).map(|point| (point.to_owned(), point.join(path)));
        directories.filter(|(_, directory)| directory.is_dir()).collect()
    }

    /// Whether there is no cgroup.
    pub(crate) fn is_none(&self) -> bool {
        self.cgroup.is_none()
    }

    /// The v2 cgroup that the child is born in, where there is one that the caller may put it in.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.cgroup.as_ref().filter(|_| self.moved_by().is_none())?.birthplace()
    }

    /// Moves a child that waits into its v1 cgroups, which `clone3(2)` does not know.
    pub(crate) fn admit(&self, pid: i32) -> Result<()> {
        if let Some((unit, below)) = self.moved_by() {
            return unit.attach(pid, &below);
        }
        self.cgroup.as_ref().map_or(Ok(()), |cgroup| cgroup.admit(pid)).map_err(start)
    }

    /// Moves a process that has been killed out of a cgroup v1 that may be frozen, as far as the caller may: it
    /// dies at the root of the hierarchy, and nothing else in that cgroup goes on.
    pub(crate) fn take_out_of_freezer(pid: i32) {
        let Ok(hierarchy) = Hierarchy::detect() else { return };
        if let Some(freezer) = hierarchy.v1_of("freezer") {
            // What cannot be moved is reported as what has not ended.
            let _ = std::fs::write(freezer.mount.point.join("cgroup.procs"), pid.to_string());
        }
    }

    /// Whether its processes are frozen.
    pub(crate) fn is_frozen(&self) -> Result<bool> {
        match self.cgroup.as_ref().map(AnyCgroup::frozen) {
            None => Ok(false),
            Some(Err(error)) if error.kind() == CgroupErrorKind::NotFound => Ok(false),
            Some(frozen) => frozen.map_err(system),
        }
    }

    /// Stops all processes.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.require("pause")?.freeze().map_err(system)
    }

    /// Lets all processes go on.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.require("resume")?.thaw().map_err(system)
    }

    /// The limits that are in force.
    pub(crate) fn limits(&self) -> Result<Limits> {
        self.require("update")?.limits().map_err(system)
    }

    /// Changes limits; those that are not given stay.
    pub(crate) fn update(&mut self, limits: &Limits) -> Result<()> {
        self.require("update")?;
        if let (Some(cgroup), Some((path, _)), None) = (&mut self.cgroup, &self.place, &self.unit) {
            cgroup.extend(&self.hierarchy, path, &limits.controllers()).map_err(system)?;
        }
        // First what can be refused for want of a controller, of which systemd is then not told.
        self.require("update")?.apply(limits).map_err(system)?;
        self.unit.as_ref().map_or(Ok(()), |unit| unit.update(limits, &self.hierarchy))
    }

    /// What has been used.
    pub(crate) fn stats(&self) -> Result<Stats> {
        self.require("events")?.stats().map_err(system)
    }

    /// The processes, as the caller's PID namespace numbers them, with those of cgroups below.
    pub(crate) fn processes(&self) -> Result<Vec<i32>> {
        let cgroup = self.require("ps")?;
        let Some(v2) = cgroup.v2() else { return cgroup.procs().map_err(system) };
        let mut pids = Vec::new();
        let mut left: Vec<Cgroup> = vec![v2.try_clone().map_err(system)?];
        while let Some(cgroup) = left.pop() {
            pids.extend(cgroup.procs().map_err(system)?);
            for name in cgroup.children().map_err(system)? {
                // One that is removed meanwhile has no processes.
                left.extend(cgroup.child(&name));
            }
        }
        pids.sort_unstable();
        Ok(pids)
    }

    /// Sends a signal to every process.
    pub(crate) fn signal_all(&self, signal: i32) -> Result<()> {
        let cgroup = self.require("kill --all")?;
        if signal == SIGKILL {
            return cgroup.kill().map_err(system);
        }
        for pid in self.processes()? {
            match pidfd_open(pid).and_then(|pidfd| pidfd_send_signal(pidfd.as_fd(), signal)) {
                // Ended meanwhile, or a number that is a thread's by now.
                Ok(()) | Err(Errno::ESRCH | Errno::EINVAL) => {}
                Err(number) => {
                    let what = format!("signal process {pid}: {}", errno::describe(number));
                    return Err(Error::new(ErrorKind::System, what));
                }
            }
        }
        Ok(())
    }

    /// Kills what is left of the container and removes the cgroup.
    ///
    /// Without a PID namespace of its own, the container's end does not end its other processes.
    pub(crate) fn remove(self) -> Result<()> {
        drop(self.scope);
        remove(self.cgroup).map_err(system)?;
        let Some((path, made)) = &self.place else {
            // systemd may have been asked, and its answer not have come to the record.
            return self.unit.map_or(Ok(()), |unit| unit.stop());
        };
        match &self.unit {
            Some(unit) => {
                unit.stop()?;
                scoped::prune(&self.hierarchy, path);
            }
            // Also without a cgroup: who was to make it may have been killed between its parents and itself.
            None => prune(&self.hierarchy, path, *made),
        }
        Ok(())
    }

    fn require(&self, aim: &str) -> Result<&AnyCgroup> {
        self.cgroup.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::System, format!("{aim}: the container has no cgroup"))
                .with_hint("this needs a cgroup hierarchy that the caller may write")
        })
    }
}

/// What keeps a cgroup that is there from being taken, in the words that callers look for.
fn in_use(hierarchy: &Hierarchy, path: &str) -> &'static str {
    let Ok(cgroup) = AnyCgroup::open(hierarchy, path) else { return "" };
    match (cgroup.frozen(), cgroup.populated()) {
        (Ok(true), _) => "container's cgroup unexpectedly frozen: ",
        (_, Ok(true)) => "container's cgroup is not empty: ",
        _ => "",
    }
}

/// Where the cgroup of a plan is.
pub(crate) fn place_of(plan: &CgroupPlan) -> Result<String> {
    Hierarchy::detect().map(|hierarchy| placed(plan, &hierarchy)).map_err(start)
}

/// The same, on this layout. What was delegated to a caller without rights is mostly the parent of the cgroup
/// that it is in: controllers cannot be enabled in one that has processes.
fn placed(plan: &CgroupPlan, hierarchy: &Hierarchy) -> String {
    let delegated = || {
        let own = hierarchy.own_position().ok()?;
        let root = Cgroup::root(hierarchy).ok()?;
        let mut candidates = [own.parent(), Some(own.as_path())].into_iter().flatten();
        let found = candidates.find(|path| {
            let delegation = root.open(path).and_then(|cgroup| cgroup.delegation());
            delegation.is_ok_and(|delegation| delegation.create && delegation.migrate)
        })?;
        Some(found.join(&plan.path).to_str()?.to_owned())
    };
    let ask = plan.relative && matches!(hierarchy, Hierarchy::Unified(_)) && !is_root_of_machine();
    ask.then(delegated).flatten().unwrap_or_else(|| plan.path.clone())
}

fn is_denied(error: &cofferdam_cgroup::Error) -> bool {
    matches!(error.errno(), Some(Errno::EACCES | Errno::EPERM | Errno::EROFS))
}

/// Whether a cgroup with that path is there and is another user's.
fn is_of_another(hierarchy: &Hierarchy, path: &str) -> bool {
    let other = |point: &Path| point.join(path).metadata().is_ok_and(|meta| meta.uid() != effective_uid());
    points(hierarchy).any(other)
}

/// Whether a container can do without: its config asks nothing of the cgroup, and a caller without root may not
/// make one. As with the common runtimes, whose default config for such callers is one.
fn is_dispensable(plan: &CgroupPlan, error: &cofferdam_cgroup::Error) -> bool {
    let refused = matches!(error.errno(), Some(Errno::EACCES | Errno::EPERM | Errno::EROFS));
    let asks = plan.limits != Limits::default() || !plan.devices.is_empty();
    refused && !asks && effective_uid() != 0
}

/// Removes the parents that were made for the cgroup, innermost first, up to one that others use.
fn prune(hierarchy: &Hierarchy, path: &str, made: usize) {
    for point in points(hierarchy) {
        let mut parents = Path::new(path).ancestors().skip(1).take(made);
        // Only an empty one can be removed; who makes a cgroup in it at this moment makes it anew.
        let _ = parents.try_for_each(|parent| std::fs::remove_dir(point.join(parent)));
    }
}

/// Where the hierarchies are mounted, v2 first.
fn points(hierarchy: &Hierarchy) -> impl Iterator<Item = &Path> {
    let v2 = hierarchy.v2().into_iter().map(|mount| mount.point.as_path());
    v2.chain(hierarchy.v1().iter().map(|mount| mount.mount.point.as_path()))
}

/// What `update` may limit and `events` tells of later, where the host has it.
fn usual(hierarchy: &Hierarchy) -> Vec<&'static str> {
    const USUAL: [&str; 4] = ["cpu", "io", "memory", "pids"];
    let v2 = hierarchy.v2().and_then(|_| Cgroup::root(hierarchy).ok()?.controllers().ok());
    let there = |name: &&str| {
        hierarchy.v1_of(name).is_some() || v2.as_ref().is_some_and(|controllers| controllers.contains(name))
    };
    USUAL.into_iter().filter(there).collect()
}

/// What the limits need, and on v1 the controller of devices: v2 has a program for them.
fn controllers(plan: &CgroupPlan, hierarchy: &Hierarchy) -> Controllers {
    let limits = plan.limits.controllers();
    let devices = (!plan.devices.is_empty() && hierarchy.v2().is_none()).then_some("devices");
    limits.iter().chain(devices).collect()
}

fn configure(
    cgroup: &AnyCgroup,
    limits: &Limits,
    devices: &[cofferdam_cgroup::devices::Rule],
) -> cofferdam_cgroup::Result<()> {
    cgroup.apply(limits)?;
    if devices.is_empty() { Ok(()) } else { cgroup.set_devices(devices) }
}

/// Kills what is left in a cgroup and removes it.
fn remove(cgroup: Option<AnyCgroup>) -> cofferdam_cgroup::Result<()> {
    // Mostly there is nothing in it any more, and what is empty can be removed at once.
    let Some(cgroup) = cgroup.map_or(Ok(None), AnyCgroup::delete_empty)? else { return Ok(()) };
    match cgroup.populated() {
        Ok(true) => {
            cgroup.kill()?;
            cgroup.wait_empty(LAST_BREATH)?;
        }
        Err(error) if error.kind() != CgroupErrorKind::NotFound => return Err(error),
        _ => {}
    }
    cgroup.delete()
}

fn start(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Start, error.to_string())
}

fn system(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::System, error.to_string())
}
