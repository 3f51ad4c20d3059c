//! A user without rights, with a systemd of its own.

use super::machine::{Machine, to_end};
use super::units::USER;
use crate::bundle::{Bundle, Ended};
use crate::guest::paths;
use crate::registry::{Context, OrFail, Result};
use serde_json::json;
use std::fs;

/// A command of the user's, from a session beside its systemd: it may not move processes from there by itself.
fn runtime(machine: &Machine, words: &[&str]) -> Result<Ended> {
    let words = [&[paths::RUNTIME, "--systemd-cgroup"], words].concat();
    let mut command = machine.command(USER, &words);
    command.env("XDG_RUNTIME_DIR", format!("/run/user/{USER}"));
    to_end(command)
}

pub(super) fn run(ctx: &mut Context) -> Result {
    let machine = Machine::boot()?;
    let mut bundle = Bundle::hardened(ctx, "user");
    let ids = json!([{ "containerID": 0, "hostID": USER, "size": 1 }]);
    bundle.set("/linux/uidMappings", ids.clone()).set("/linux/gidMappings", ids);
    bundle.set("/linux/cgroupsPath", json!("app.slice:cof:user"));
    bundle.limits(json!({ "pids": { "limit": 77 } }));
    bundle.unmount("/dev/pts");
    bundle.probe(&["show", "args", "+", "sleep", "100"]).write()?;
    let dir = bundle.dir().to_string_lossy().into_owned();
    let start = ["run", "--detach", "--bundle", &dir, "user"];

    let refused = runtime(&machine, &start)?;
    ensure!(refused.status == 1, "there is no systemd of the user; {refused}");
    if ctx.own_runtime() {
        for part in ["the systemd of the user cannot be reached", "unix:path=/run/user/1000/systemd/private"]
        {
            ensure!(refused.stderr.contains(part), "{part}: {refused}");
        }
    }
    // The user's systemd asks the machine's to move what comes from the session, over the bus.
    for unit in ["dbus.service", &format!("user@{USER}.service")] {
        machine.order(&["/usr/bin/systemctl", "start", unit])?.success()?;
    }
    runtime(&machine, &start)?.success()?;
    let scope = Machine::cgroup(&format!(
        "user.slice/user-{USER}.slice/user@{USER}.service/app.slice/cof-user.scope"
    ));
    let file = |name: &str| {
        let path = scope.join("container").join(name);
        Ok::<_, crate::registry::Failure>(
            fs::read_to_string(&path).or_fail(format_args!("{}", path.display()))?.trim_end().to_owned(),
        )
    };
    ensure_eq!(file("cgroup.procs")?.lines().count(), 1, "processes");
    ensure_eq!(file("pids.max")?, "77", "pids.max");
    runtime(&machine, &["exec", "--detach", "user", "/probe", "sleep", "100"])?.success()?;
    ensure_eq!(file("cgroup.procs")?.lines().count(), 2, "processes after exec");
    runtime(&machine, &["update", "--pids-limit", "50", "user"])?.success()?;
    ensure_eq!(file("pids.max")?, "50", "pids.max after update");
    ensure_eq!(fs::read_to_string(scope.join("pids.max"))?.trim(), "50", "pids.max of the scope");
    runtime(&machine, &["delete", "--force", "user"])?.success()?;
    ensure!(!scope.exists(), "{} is left", scope.display());
    Ok(())
}
