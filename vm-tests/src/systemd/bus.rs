//! systemd behind a bus.

use super::life;
use super::machine::Machine;
use crate::registry::{Context, Result};
use serde_json::json;

pub(super) fn run(ctx: &mut Context) -> Result {
    let machine = Machine::boot()?;
    machine.order(&["/usr/bin/systemctl", "start", "dbus.service"])?.success()?;
    let mut bundle = life::bundle(ctx, "bus");
    bundle.limits(json!({ "pids": { "limit": 77 } }));
    machine.by_bus(|| life::start(&machine, &bundle))?;
    ensure_eq!(machine.property("cof-bus.scope", "TasksMax")?, "77", "TasksMax");
    machine.by_bus(|| machine.runtime(&["update", "--pids-limit", "50", "bus"])?.success())?;
    ensure_eq!(machine.property("cof-bus.scope", "TasksMax")?, "50", "TasksMax after update");
    machine.by_bus(|| machine.runtime(&["delete", "--force", "bus"])?.success())?;
    life::gone(&machine, "bus")
}
