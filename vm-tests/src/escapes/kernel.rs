//! Attempts on the one kernel that everybody shares.

use super::CAPABILITIES;
use super::attempt::{Attempt, Held};
use super::host::{Setting, read};
use crate::bundle::Layer::{Capabilities, PidNamespace, UserNamespace};
use crate::bundle::{Bundle, Layer};
use crate::guest::paths::MODULES;
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_sys::Errno::{EINVAL, EPERM};
use nix::kmod::{DeleteModuleFlags, delete_module};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};
use std::fs;
use std::path::Path;

pub(super) const TESTS: &[Test] = &[
    Test::escape("cap-module-load", "Loads a kernel module", CAPABILITIES, module).modules(&["ts_bm"]),
    Test::escape("cap-kexec", "Unloads the kernel prepared for kexec", CAPABILITIES, kexec)
        .facilities(&["kexec"]),
    Test::escape("cap-ctrl-alt-del", "Decides what Ctrl-Alt-Del does to the host", CAPABILITIES, cad),
    Test::escape("cap-settime", "Sets the clock of the host", CAPABILITIES, |ctx| {
        with_clock_changed(ctx, &[Capabilities, UserNamespace], &["clock", "3600"], |_| ())
    }),
    Test::escape("cap-syslog", "Reads the kernel's log", CAPABILITIES, log),
];

fn module(ctx: &mut Context) -> Result {
    let file = Path::new(MODULES).join("ts_bm.ko");
    if !file.exists() {
        skip!("the image has no {}", file.display());
    }
    if loaded()? {
        delete_module(c"ts_bm", DeleteModuleFlags::O_NONBLOCK).or_fail("unloading what boot loaded")?;
    }
    let result = Attempt::new(ctx, &[Capabilities, UserNamespace], &["module", "/module.ko"])
        .bundle(|bundle| {
            bundle.copy(&file, "/module.ko", 0o644);
        })
        .host(|| Ok(format!("loaded: {}", loaded()?)))
        .run();
    // Only after the control is it loaded.
    let _ = delete_module(c"ts_bm", DeleteModuleFlags::O_NONBLOCK);
    result
}

fn loaded() -> Result<bool> {
    Ok(read("/proc/modules")?.lines().any(|line| line.starts_with("ts_bm ")))
}

fn kexec(ctx: &mut Context) -> Result {
    Attempt::new(ctx, &[Capabilities, UserNamespace], &["kexec"])
        .host_untouched(|| read("/sys/kernel/kexec_loaded"))
        .run()
}

/// In a pid namespace of its own, `reboot(2)` knows only what ends the container.
fn cad(ctx: &mut Context) -> Result {
    const FILE: &str = "/proc/sys/kernel/ctrl-alt-del";
    let _setting = Setting::new(FILE)?;
    fs::write(FILE, "1")?;
    Attempt::new(ctx, &[Capabilities, PidNamespace, UserNamespace], &["cad-off"])
        .held(Held::By(&[EPERM]), Held::By(&[EINVAL]))
        .host(|| read(FILE))
        .run()
}

/// Runs an attempt that sets the clock an hour ahead, and sets it back.
pub(super) fn with_clock_changed(
    ctx: &Context,
    layers: &'static [Layer],
    words: &[&str],
    change: impl FnOnce(&mut Bundle),
) -> Result {
    let before = offset()?;
    let result = Attempt::new(ctx, layers, words)
        .barrier("regain")
        .bundle(change)
        // The two clocks are not read at one instant, so that a second's difference means nothing.
        .host(move || Ok(if (offset()? - before).abs() < 60 { "not set" } else { "set" }.to_owned()))
        .run();
    let ahead = offset()? - before;
    if ahead > 60 {
        let now = clock_gettime(ClockId::CLOCK_REALTIME)?;
        clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(now.tv_sec() - ahead, now.tv_nsec()))?;
    }
    result
}

/// By how many seconds the clock is ahead of the time since boot.
fn offset() -> Result<i64> {
    Ok(clock_gettime(ClockId::CLOCK_REALTIME)?.tv_sec() - clock_gettime(ClockId::CLOCK_BOOTTIME)?.tv_sec())
}

fn log(ctx: &mut Context) -> Result {
    const FILE: &str = "/proc/sys/kernel/dmesg_restrict";
    let _setting = Setting::new(FILE)?;
    fs::write(FILE, "1")?;
    let canary = format!("canary-{}", std::process::id());
    fs::write("/dev/kmsg", format!("<7>{canary}\n"))?;
    Attempt::new(ctx, &[Capabilities, UserNamespace], &["log", &canary])
        .held(Held::By(&[EPERM]), Held::By(&[EPERM]))
        .run()
}
