//! The scope of one container: made, changed, removed.

use std::path::Path;

use cofferdam_cgroup::devices::Rule;
use cofferdam_cgroup::{Hierarchy, Limits, Position, Positions};
use cofferdam_sys::spawn::Placeholder;
use serde::{Deserialize, Serialize};

use super::connection::Connection;
use super::property::{Property, Version, of_devices, of_limits, of_tasks};
use super::value::Value;
use super::{Fault, Manager, annotation};
use crate::{Container, ContainerId, Error, ErrorKind, Result};

/// The cgroup of the container in its scope, as with crun: the scope's own files are systemd's to write.
const SUBGROUP: &str = "container";

/// The annotation by which crun, and the engines that know it, name that cgroup; empty for none.
const SUBGROUP_ANNOTATION: &str = "run.oci.systemd.subgroup";

/// Properties that not every systemd has (244 and 242). What they say is in force by the container's own cgroup, so
/// that one which does not know them is not told.
const OPTIONAL: [&str; 4] = ["AllowedCPUs", "AllowedMemoryNodes", "CPUQuotaPeriodUSec", "CollectMode"];

/// A unit, for who looks for it later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unit {
    /// `PREFIX-NAME.scope`.
    pub(crate) name: String,
    /// Whose it is.
    pub(crate) manager: Manager,
}

/// A scope that is to be made.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) unit: Unit,
    /// The container's cgroup below the scope's; empty for the scope's own.
    pub(crate) subgroup: String,
    properties: Vec<Property>,
    tasks: Option<Property>,
}

impl Plan {
    /// What the scope of a container is to be.
    pub(crate) fn of(container: &Container, id: &ContainerId, layout: &Hierarchy) -> Result<Self> {
        let manager = Manager::own();
        let name = container.cgroup.scope.as_ref().ok_or_else(|| {
            let why = format!("`{}` is a path, and systemd is to make the cgroup", container.cgroup.path);
            Error::config("linux.cgroupsPath", why)
                .with_hint("systemd takes slice:prefix:name; a path goes with --cgroup-manager cgroupfs")
        })?;
        let version = version(layout);
        let subgroup = match container.annotations.get(SUBGROUP_ANNOTATION) {
            Some(name) if name.contains('/') || name == "." || name == ".." => {
                return Err(Error::config(
                    &format!("annotations[\"{SUBGROUP_ANNOTATION}\"]"),
                    format!("`{name}` is no name of a cgroup"),
                ));
            }
            // On v1 the scope has no files that systemd writes and the kernel shares out between it and one below.
            _ if version == Version::V1 => "",
            Some(name) => name,
            None => SUBGROUP,
        };
        let text = |name: &str, text: &str| (name.to_owned(), Value::Text(text.to_owned()));
        let yes = |name: &str| (name.to_owned(), Value::Bool(true));
        let mut properties = vec![
            text("Description", &format!("cofferdam container {id}")),
            text("Slice", name.slice.as_deref().unwrap_or(manager.usual_slice())),
            yes("Delegate"),
            // Its slice is all it needs; who orders it among other units says so by annotations.
            ("DefaultDependencies".to_owned(), Value::Bool(false)),
            // One that fails is not kept until somebody asks for it.
            text("CollectMode", "inactive-or-failed"),
            yes("CPUAccounting"),
            yes("MemoryAccounting"),
            yes("TasksAccounting"),
            yes(if version == Version::V2 { "IOAccounting" } else { "BlockIOAccounting" }),
        ];
        properties.extend(limits(&container.cgroup.limits, &container.cgroup.devices, version));
        for (name, value) in annotation::properties(&container.annotations)? {
            properties.retain(|(known, _)| *known != name);
            properties.push((name, value));
        }
        let tasks = of_tasks(&container.cgroup.limits);
        let unit = Unit { name: name.unit.clone(), manager };
        Ok(Self { unit, subgroup: subgroup.to_owned(), properties, tasks })
    }
}

fn version(layout: &Hierarchy) -> Version {
    if layout.v1().is_empty() { Version::V2 } else { Version::V1 }
}

fn limits(limits: &Limits, devices: &[Rule], version: Version) -> Vec<Property> {
    let mut properties = of_limits(limits, version);
    properties.extend(of_devices(devices));
    properties
}

/// A scope that was made, with nothing in it but the placeholder.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) unit: Unit,
    /// Its cgroup below the roots of the hierarchies.
    pub(crate) path: String,
    placeholder: Placeholder,
    tasks: Option<Property>,
    connection: Connection,
}

impl Scope {
    /// Has systemd make it. Nothing is left of it after a failure, or the error says what.
    pub(crate) fn start(plan: Plan, layout: &Hierarchy) -> Result<Self> {
        let Plan { unit, properties, tasks, .. } = plan;
        let what = format!("make the scope {}", unit.name);
        let placeholder = Placeholder::spawn().map_err(|number| {
            let why = cofferdam_sys::errno::describe(number);
            Error::new(ErrorKind::Start, format!("{what}: a process to hold it: {why}"))
        })?;
        let mut connection =
            Connection::open(unit.manager).map_err(|fault| fault.error(ErrorKind::Start, &what))?;
        let pid = placeholder.pid().unsigned_abs();
        let pids = ("PIDs".to_owned(), Value::Array("u".into(), vec![Value::U32(pid)]));
        let properties: Vec<Property> = properties.into_iter().chain([pids]).collect();
        start(&mut connection, &unit, properties).map_err(|fault| {
            let kind = if fault.name() == Some("UnitExists") { ErrorKind::Exists } else { ErrorKind::Start };
            fault.error(kind, &what)
        })?;
        match find(placeholder.pid(), layout) {
            Ok(path) => Ok(Self { unit, path, placeholder, tasks, connection }),
            Err(error) => {
                drop(placeholder);
                let error = Error::new(ErrorKind::Start, format!("{what}: look where it is: {error}"));
                Err(match unit.stop() {
                    Ok(()) => error,
                    Err(cleanup) => error.with_cleanup(cleanup),
                })
            }
        }
    }

    /// Ends the placeholder, now that the container is there. From here on its processes are counted.
    pub(crate) fn settle(self) -> Result<()> {
        let Self { unit, placeholder, tasks, mut connection, .. } = self;
        drop(placeholder);
        let Some(tasks) = tasks else { return Ok(()) };
        set(&mut connection, &unit, vec![tasks])
            .map_err(|fault| fault.error(ErrorKind::Start, &format!("limit the tasks of {}", unit.name)))
    }
}

fn start(
    connection: &mut Connection,
    unit: &Unit,
    properties: Vec<Property>,
) -> std::result::Result<(), Fault> {
    let mut again = true;
    let job = known(properties, |properties| {
        let body =
            [text(&unit.name), text("fail"), written(properties), Value::Array("(sa(sv))".into(), vec![])];
        let answer = connection.manager("StartTransientUnit", &body);
        // What may be left of a container before, which failed and was not collected; one that runs is not touched.
        let exists = |fault: &Fault| fault.name() == Some("UnitExists");
        if answer.as_ref().err().is_some_and(exists) && std::mem::take(&mut again) {
            // Whether it was that, the second answer tells.
            let _ = connection.manager("ResetFailedUnit", &[text(&unit.name)]);
            return connection.manager("StartTransientUnit", &body);
        }
        answer
    })?;
    done(connection, &job, &format!("start {}", unit.name))
}

/// Waits for a job that a call has begun.
fn done(connection: &mut Connection, answer: &[Value], what: &str) -> std::result::Result<(), Fault> {
    let Some(job) = answer.first() else { return Ok(()) };
    match connection.job_removed(job)?.as_str() {
        "done" => Ok(()),
        result => Err(Fault::Job { what: what.to_owned(), result: result.to_owned() }),
    }
}

fn set(
    connection: &mut Connection,
    unit: &Unit,
    properties: Vec<Property>,
) -> std::result::Result<(), Fault> {
    if properties.is_empty() {
        return Ok(());
    }
    // At run time only, as the unit itself is.
    let set = |properties: &[Property]| {
        connection.manager("SetUnitProperties", &[text(&unit.name), Value::Bool(true), written(properties)])
    };
    known(properties, set).map(drop)
}

/// Calls with properties, and again without each one that this systemd does not know and that is not needed.
fn known(
    mut properties: Vec<Property>,
    mut call: impl FnMut(&[Property]) -> std::result::Result<Vec<Value>, Fault>,
) -> std::result::Result<Vec<Value>, Fault> {
    loop {
        let fault = match call(&properties) {
            Ok(answer) => return Ok(answer),
            Err(fault) => fault,
        };
        let before = properties.len();
        let unknown = fault.unknown_property().filter(|name| OPTIONAL.contains(name));
        properties.retain(|(name, _)| Some(name.as_str()) != unknown);
        if properties.len() == before {
            return Err(fault);
        }
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn written(properties: &[Property]) -> Value {
    let one =
        |(name, value): &Property| Value::Struct(vec![text(name), Value::Variant(Box::new(value.clone()))]);
    Value::Array("(sv)".into(), properties.iter().map(one).collect())
}

/// Where systemd has put the placeholder, below the roots of the hierarchies: it has the same path in all that systemd
/// knows.
fn find(pid: i32, layout: &Hierarchy) -> std::result::Result<String, String> {
    let of = |positions: &Positions| {
        let found: Option<(Position, _)> = match layout.v2() {
            Some(mount) => positions.v2().cloned().map(|position| (position, mount.clone())),
            None => layout
                .v1()
                .iter()
                .filter(|mount| mount.name.as_deref() == Some("systemd"))
                .find_map(|mount| Some((positions.v1(mount)?.clone(), mount.mount.clone()))),
        };
        let (position, mount) = found.ok_or("no hierarchy of systemd's is mounted")?;
        position.below(&mount).map_err(|error| error.to_string())
    };
    let read = |positions: cofferdam_cgroup::Result<Positions>| positions.map_err(|error| error.to_string());
    let path = of(&read(Positions::of(pid))?)?;
    // The caller may be out of sight, in another part of the tree than its cgroup namespace's.
    let own = read(Positions::own()).and_then(|own| of(&own));
    if own.as_ref() == Ok(&path) || path == Path::new("") {
        return Err(format!("the process is still in /{}", path.display()));
    }
    path.into_os_string().into_string().map_err(|_| "its path is not UTF-8".to_owned())
}

impl Unit {
    /// Tells systemd other limits.
    pub(crate) fn update(&self, new: &Limits, layout: &Hierarchy) -> Result<()> {
        let mut properties = limits(new, &[], version(layout));
        properties.extend(of_tasks(new));
        if properties.is_empty() {
            return Ok(());
        }
        Connection::open(self.manager)
            .and_then(|mut connection| set(&mut connection, self, properties))
            .map_err(|fault| fault.error(ErrorKind::System, &format!("change the limits of {}", self.name)))
    }

    /// Has systemd move a process to a cgroup of the scope, where the caller may not do that itself.
    pub(crate) fn attach(&self, pid: i32, below: &str) -> Result<()> {
        let pids = Value::Array("u".into(), vec![Value::U32(pid.unsigned_abs())]);
        let body = [text(&self.name), text(&format!("/{below}")), pids];
        let attached = Connection::open(self.manager)
            .and_then(|mut connection| connection.manager("AttachProcessesToUnit", &body));
        attached
            .map(drop)
            .map_err(|fault| fault.error(ErrorKind::Start, &format!("move process {pid} to {}", self.name)))
    }

    /// Ends what is left of the scope, and has systemd forget it.
    pub(crate) fn stop(&self) -> Result<()> {
        let mut connection = match Connection::open(self.manager) {
            // Without a systemd there is no unit: nothing but its cgroup is left, which is not systemd's to remove then.
            Err(Fault::NoBus { .. }) => return Ok(()),
            opened => opened.map_err(|fault| self.stop_failed(&fault))?,
        };
        let gone = |fault: &Fault| fault.name() == Some("NoSuchUnit");
        match connection.manager("StopUnit", &[text(&self.name), text("replace")]) {
            Ok(job) => {
                // Else it would be asked to end, and given time for it.
                let kill = [text(&self.name), text("all"), Value::I32(9)];
                match connection.manager("KillUnit", &kill) {
                    // With nothing in it there is nothing to kill.
                    Err(fault @ Fault::Broken { .. }) => return Err(self.stop_failed(&fault)),
                    _ => done(&mut connection, &job, &format!("stop {}", self.name))
                        .map_err(|fault| self.stop_failed(&fault))?,
                }
            }
            // Mostly: a scope goes when its last process does.
            Err(fault) if gone(&fault) => return Ok(()),
            Err(fault) => return Err(self.stop_failed(&fault)),
        }
        match connection.manager("ResetFailedUnit", &[text(&self.name)]) {
            Err(fault) if !gone(&fault) => Err(self.stop_failed(&fault)),
            _ => Ok(()),
        }
    }

    fn stop_failed(&self, fault: &Fault) -> Error {
        fault.error(ErrorKind::System, &format!("remove the scope {}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_that_an_older_systemd_lacks_are_left_out() {
        let refuse = |name: &str| Fault::Refused {
            member: "StartTransientUnit".into(),
            name: "org.freedesktop.DBus.Error.PropertyReadOnly".into(),
            text: format!("Cannot set property {name}, or unknown property."),
        };
        let property = |name: &str| (name.to_owned(), Value::Bool(true));
        let all = ["CollectMode", "MemoryMax", "AllowedCPUs"].map(property).to_vec();
        let mut calls = 0;
        let answer = known(all.clone(), |properties| {
            calls += 1;
            let mut optional = properties.iter().filter(|(name, _)| OPTIONAL.contains(&name.as_str()));
            optional.next().map_or(Ok(Vec::new()), |(name, _)| Err(refuse(name)))
        });
        assert!(answer.is_ok() && calls == 3);
        // What is needed is not left out.
        assert!(known(all, |_| Err(refuse("MemoryMax"))).is_err());
    }
}
