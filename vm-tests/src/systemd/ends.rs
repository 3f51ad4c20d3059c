//! The ways in which a container, or the runtime, comes to an end.

use super::life;
use super::machine::{Machine, SESSION};
use crate::guest::paths;
use crate::registry::{Context, Failure, OrFail, Result};
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};

pub(super) fn run(ctx: &mut Context) -> Result {
    let machine = Machine::boot()?;
    // One after the other under one name, without a pause between.
    let mut bundle = life::bundle(ctx, "short");
    bundle.probe(&["exit", "3"]).write()?;
    let dir = bundle.dir().to_string_lossy().into_owned();
    for _ in 0..3 {
        let ended = machine.runtime(&["run", "--bundle", &dir, "short"])?;
        ensure_eq!(ended.status, 3, "the status; {ended}");
        life::gone(&machine, "short")?;
    }

    // A scope that fails, and that systemd is told to keep for those who ask.
    let mut bundle = life::bundle(ctx, "oom");
    bundle.limits(json!({ "memory": { "limit": 24 << 20, "swap": 24 << 20 } }));
    bundle.set(
        "/annotations",
        json!({ "org.systemd.property.CollectMode": "'inactive'", "org.systemd.property.OOMPolicy": "'kill'" }),
    );
    bundle.probe(&["try", "memory", "64"]).write()?;
    let dir = bundle.dir().to_string_lossy().into_owned();
    let ended = machine.runtime(&["run", "--keep", "--bundle", &dir, "oom"])?;
    ensure_eq!(ended.status, 137, "the status of what was killed; {ended}");
    ensure_eq!(machine.property("cof-oom.scope", "ActiveState")?, "failed", "the scope");
    // Its name can be had again, as nothing runs in it.
    let ended = machine.runtime(&["run", "--keep", "--bundle", &dir, "next"])?;
    ensure_eq!(ended.status, 137, "the status of the next in the same unit; {ended}");
    machine.runtime(&["delete", "next"])?.success()?;
    life::end(&machine, "oom")?;

    // What is in the scope beside the container ends with it.
    let bundle = life::bundle(ctx, "stray");
    life::start(&machine, &bundle)?;
    let beside = Machine::cgroup("lab.slice/lab-one.slice/cof-stray.scope/beside");
    fs::create_dir(&beside)?;
    let mut stray = machine.command(0, &[paths::PROBE, "sleep", "100"]).spawn()?;
    let pid = child(stray.id())?;
    fs::write(beside.join("cgroup.procs"), pid.to_string())?;
    life::end(&machine, "stray")?;
    let status = stray.wait()?;
    ensure_eq!(status.code(), Some(137), "the end of the stray process");

    // What systemd refuses.
    let mut bundle = life::bundle(ctx, "refused");
    bundle.set("/annotations", json!({ "org.systemd.property.MemoryMax": "'lots'" })).write()?;
    let dir = bundle.dir().to_string_lossy().into_owned();
    let refused = machine.runtime(&["run", "--bundle", &dir, "refused"])?;
    ensure!(refused.status == 1, "{refused}");
    if ctx.own_runtime() {
        for part in
            ["make the scope cof-refused.scope: systemd refused StartTransientUnit: ", "System.Error.ENXIO"]
        {
            ensure!(refused.stderr.contains(part), "{part}: {refused}");
        }
    }
    life::gone(&machine, "refused")
}

/// The child of a helper.
fn child(helper: u32) -> Result<i32> {
    let path = format!("/proc/{helper}/task/{helper}/children");
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(pid) = fs::read_to_string(&path)?.split_whitespace().next() {
            return pid.parse().or_fail("a pid");
        }
        ensure!(Instant::now() < end, "process {helper} starts no child");
        std::thread::yield_now();
    }
}

/// The moments of a run at which the runtime is killed.
const MOMENTS: u32 = 12;

pub(super) fn killed(ctx: &mut Context) -> Result {
    if !ctx.own_runtime() {
        skip!("another runtime need not survive this");
    }
    let machine = Machine::boot()?;
    let bundle = life::bundle(ctx, "killed");
    bundle.write()?;
    let dir = bundle.dir().to_string_lossy().into_owned();
    let words = [paths::RUNTIME, "--systemd-cgroup", "run", "--detach", "--bundle", &dir, "killed"];
    let begun = Instant::now();
    machine.order(&words)?.success()?;
    let whole = begun.elapsed();
    life::end(&machine, "killed")?;
    for moment in 0..MOMENTS {
        let mut helper = machine.command(0, &words).spawn()?;
        let end = Instant::now() + whole * moment / MOMENTS;
        let pid = child(helper.id())?;
        while Instant::now() < end {
            std::thread::yield_now();
        }
        // It may have come to its end by then.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
        helper.wait()?;
        life::end(&machine, "killed")
            .map_err(|error| Failure::failed(format!("moment {moment}: {error}")))?;
        settled(&machine)?;
    }
    Ok(())
}

/// Waits until nothing of the runtime's is left among the processes from which it was called.
fn settled(_: &Machine) -> Result {
    let events = Machine::cgroup(SESSION).join("cgroup.events");
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let text = fs::read_to_string(&events)?;
        if text.lines().any(|line| line == "populated 0") {
            return Ok(());
        }
        ensure!(Instant::now() < end, "processes are left in the session");
        std::thread::yield_now();
    }
}
