//! A container of root's, from `run` to `delete`.

use super::machine::Machine;
use crate::bundle::{At, Bundle};
use crate::registry::{Context, OrFail, Result};
use serde_json::{Value, json};
use std::fs;

/// A bundle whose container waits, in a slice of two levels.
pub(super) fn bundle(ctx: &Context, id: &str) -> Bundle {
    let mut bundle = Bundle::hardened(ctx, id);
    bundle.set("/linux/cgroupsPath", json!(format!("lab-one.slice:cof:{id}")));
    bundle.probe(&["show", "args", "+", "sleep", "100"]);
    bundle
}

/// Where the container of such a bundle is.
fn place(id: &str) -> String {
    format!("lab.slice/lab-one.slice/cof-{id}.scope")
}

/// A file of its own cgroup.
fn file(id: &str, name: &str) -> Result<String> {
    let path = Machine::cgroup(&place(id)).join("container").join(name);
    Ok(fs::read_to_string(&path).or_fail(format_args!("{}", path.display()))?.trim_end().to_owned())
}

/// Runs it in the background.
pub(super) fn start(machine: &Machine, bundle: &Bundle) -> Result {
    bundle.write()?;
    let dir = bundle.dir().to_string_lossy();
    machine.runtime(&["run", "--detach", "--bundle", &dir, bundle.id()])?.success()?;
    Ok(())
}

/// Deletes it and looks for what is left.
pub(super) fn end(machine: &Machine, id: &str) -> Result {
    machine.runtime(&["delete", "--force", id])?.success()?;
    gone(machine, id)
}

/// Fails when something of a container is left.
pub(super) fn gone(machine: &Machine, id: &str) -> Result {
    ensure_eq!(machine.units(&format!("*-{id}.scope"))?, Vec::<String>::new(), "units");
    let cgroup = Machine::cgroup(&place(id));
    ensure!(!cgroup.exists(), "{} is left", cgroup.display());
    let list = machine.order(&[crate::guest::paths::RUNTIME, "list", "--quiet"])?.success()?.stdout;
    ensure!(!list.lines().any(|line| line == id), "the container is in the list");
    Ok(())
}

pub(super) fn run(ctx: &mut Context) -> Result {
    let machine = Machine::boot()?;
    let mut bundle = bundle(ctx, "life");
    bundle.limits(json!({
        "pids": { "limit": 77 },
        "memory": { "limit": 48 << 20, "swap": 60 << 20, "reservation": 16 << 20 },
        "cpu": { "shares": 512, "quota": 50_000, "period": 200_000, "cpus": "0" },
        "devices": [
            { "allow": false, "access": "rwm" },
            { "allow": true, "type": "c", "major": 10, "minor": 200, "access": "rw" },
        ],
    }));
    bundle.set(
        "/annotations",
        json!({
            "org.systemd.property.TimeoutStopSec": "uint64 7",
            "org.systemd.property.After": "['default.target']",
        }),
    );
    start(&machine, &bundle)?;
    for (name, wanted) in [
        ("ActiveState", "active"),
        ("Slice", "lab-one.slice"),
        ("ControlGroup", "/lab.slice/lab-one.slice/cof-life.scope"),
        ("Delegate", "yes"),
        ("MemoryMax", "50331648"),
        ("MemoryLow", "16777216"),
        ("MemorySwapMax", "12582912"),
        ("CPUQuotaPerSecUSec", "250ms"),
        ("AllowedCPUs", "0"),
        ("TasksMax", "77"),
        ("DevicePolicy", "strict"),
        ("TimeoutStopUSec", "7s"),
    ] {
        ensure_eq!(machine.property("cof-life.scope", name)?, wanted, "{name}");
    }
    let devices = machine.property("cof-life.scope", "DeviceAllow")?;
    ensure!(devices.contains("/dev/char/10:200 rw"), "DeviceAllow: {devices}");
    let after = machine.property("cof-life.scope", "After")?;
    ensure!(after.contains("default.target"), "After: {after}");
    for (name, wanted) in [
        ("pids.max", "77"),
        ("memory.max", "50331648"),
        ("memory.low", "16777216"),
        ("cpu.max", "50000 200000"),
        ("cpuset.cpus", "0"),
    ] {
        ensure_eq!(file("life", name)?, wanted, "{name}");
    }
    // Only the container's, and not what held the scope for it.
    ensure_eq!(file("life", "cgroup.procs")?.lines().count(), 1, "processes");
    let tasks = fs::read_to_string(Machine::cgroup(&place("life")).join("pids.current"))?;
    ensure_eq!(tasks.trim(), "1", "tasks of the scope");

    // A second process, which is in the same cgroup and sees that as the root of all.
    let shown =
        machine.runtime(&["exec", "life", "/probe", "show", "read", "/proc/self/cgroup"])?.success()?;
    ensure_eq!(shown.value("read")?, json!("0::/\n"), "the cgroup from inside");
    machine.runtime(&["exec", "--detach", "life", "/probe", "sleep", "100"])?.success()?;
    ensure_eq!(file("life", "cgroup.procs")?.lines().count(), 2, "processes after exec");
    machine.runtime(&["pause", "life"])?.success()?;
    let state: Value = serde_json::from_str(&machine.runtime(&["state", "life"])?.success()?.stdout)?;
    ensure_eq!(state.at("status"), "paused", "the status");
    machine.runtime(&["resume", "life"])?.success()?;

    // The unit is taken; who has it goes on.
    let dir = bundle.dir().to_string_lossy();
    let refused = machine.runtime(&["run", "--bundle", &dir, "other"])?;
    ensure!(refused.status == 1, "two containers in one unit; {refused}");
    if ctx.own_runtime() {
        ensure!(
            refused.stderr.contains("UnitExists") && refused.stderr.contains("cof-life.scope"),
            "{refused}"
        );
    }
    ensure_eq!(machine.property("cof-life.scope", "ActiveState")?, "active", "the scope of the first");
    end(&machine, "life")
}

pub(super) fn update(ctx: &mut Context) -> Result {
    let machine = Machine::boot()?;
    let mut bundle = bundle(ctx, "update");
    bundle.limits(json!({ "pids": { "limit": 77 }, "memory": { "limit": 48 << 20 } }));
    start(&machine, &bundle)?;
    let words =
        ["--memory", "33554432", "--pids-limit", "50", "--cpu-quota", "30000", "--cpu-period", "100000"];
    machine.runtime(&[&["update"], &words[..], &["update"]].concat())?.success()?;
    let holds = |when: &str| {
        for (name, wanted) in [("MemoryMax", "33554432"), ("TasksMax", "50"), ("CPUQuotaPerSecUSec", "300ms")]
        {
            ensure_eq!(machine.property("cof-update.scope", name)?, wanted, "{name} {when}");
        }
        for (name, wanted) in [("memory.max", "33554432"), ("pids.max", "50"), ("cpu.max", "30000 100000")] {
            ensure_eq!(file("update", name)?, wanted, "{name} {when}");
            let of_scope = fs::read_to_string(Machine::cgroup(&place("update")).join(name))?;
            ensure_eq!(of_scope.trim(), wanted, "{name} of the scope {when}");
        }
        Ok(())
    };
    holds("after update")?;
    machine.order(&["/usr/bin/systemctl", "daemon-reload"])?.success()?;
    holds("after a reload")?;
    end(&machine, "update")
}
