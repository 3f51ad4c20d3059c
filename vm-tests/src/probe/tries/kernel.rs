//! Attempts on the one kernel that everybody shares.

use crate::probe::{Steps, Tried, io, number};
use cofferdam_sys::{Errno, attempts, cred};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};
use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Names the host.
pub(super) fn hostname(name: &str) -> Tried {
    nix::unistd::sethostname(name).map(|()| Value::Null)
}

/// Loads a module.
pub(super) fn module(steps: &Steps, path: &str) -> Tried {
    let file = steps.step("open", io(File::open(path)))?;
    nix::kmod::finit_module(&file, c"", nix::kmod::ModuleInitFlags::empty()).map(|()| Value::Null)
}

/// Unloads the kernel that is prepared for kexec.
pub(super) fn kexec() -> Tried {
    attempts::kexec_unload().map(|()| Value::Null)
}

/// Makes Ctrl-Alt-Del a signal to PID 1 instead of a reboot.
pub(super) fn cad_off() -> Tried {
    nix::sys::reboot::set_cad_enabled(false).map(|()| Value::Null)
}

/// Sets the clock ahead.
pub(super) fn clock(seconds: &str) -> Tried {
    let now = clock_gettime(ClockId::CLOCK_REALTIME)?;
    let ahead = TimeSpec::new(now.tv_sec().saturating_add(number(seconds)?), now.tv_nsec());
    clock_settime(ClockId::CLOCK_REALTIME, ahead).map(|()| Value::Null)
}

/// Looks for a text in the kernel's log.
pub(super) fn log(needle: &str) -> Tried {
    let log = attempts::kernel_log()?;
    if String::from_utf8_lossy(&log).contains(needle) { Ok(json!(needle)) } else { Err(Errno::ENOMSG) }
}

/// Regains a capability by executing a set-user-ID program, then goes on as `rest` says.
///
/// Called again by the program, which is this one: `CAPABILITY` is then looked for in the effective set.
pub(super) fn setuid_exec(steps: &Steps, program: &str, capability: &str, rest: &[&str]) -> Tried {
    if program != "-" {
        let error = Command::new(program).args(["try", "setuid-exec", "-", capability]).args(rest).exec();
        return io(Err(error));
    }
    let bit: u32 = number(capability)?;
    let sets = cred::capget(0)?;
    let regained = if sets.effective & (1 << bit) == 0 { Err(Errno::EPERM) } else { Ok(()) };
    let root = if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Errno::EPERM) };
    let _ = steps.step("become root", root);
    let regained = steps.step("regain", regained);
    match rest {
        [] => regained.map(|()| Value::Null),
        [name, arguments @ ..] => super::attempt(steps, name, arguments),
    }
}
